"""`workbench doctor` and `config show`: what is found, codes, and that no key is ever shown."""

from __future__ import annotations

import json
import os
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from workbench.cli import doctor
from workbench.cli.main import cli
from workbench.home import Home


def run(*args: object) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def test_doctor_finds_what_is_here(tmp_path: Path) -> None:
    result = run("--home", tmp_path, "doctor", "--json")
    checks = json.loads(result.stdout)["checks"]
    assert result.exit_code == (1 if any(c["status"] == "error" for c in checks) else 0)
    assert {"WD001", "WD010", "WD020", "WD030", "WD040", "WD050", "WD060", "WD061"} <= {c["code"] for c in checks}
    assert all(set(c) == {"code", "name", "status", "value", "hint"} for c in checks)
    versions = {c["name"]: c["value"] for c in checks if c["code"] == "WD010"}
    assert versions["click"] == metadata.version("click")
    assert "WD001" in run("doctor").stdout


def test_keys_are_named_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-value-1234")
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    for args in (["doctor"], ["doctor", "--json"], ["config", "show"], ["config", "show", "--json"]):
        output = run(*args).output
        assert "OPENAI_API_KEY" in output
        assert "secret" not in output
    keys = {c["name"]: c["value"] for c in json.loads(run("doctor", "--json").stdout)["checks"] if c["code"] == "WD050"}
    assert (keys["OPENAI_API_KEY"], keys["ANTHROPIC_API_KEY"]) == ("set", "not set")


def test_a_missing_package_and_a_full_disk_are_errors(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(metadata, "requires", lambda _: ["click", "surely-not-installed>=1", 'gone; extra == "x"'])
    monkeypatch.setattr(doctor, "LEAST_DISK", 10**18)
    result = run("--home", tmp_path, "doctor", "--json")
    assert result.exit_code == 1
    errors = {c["name"]: c for c in json.loads(result.stdout)["checks"] if c["status"] == "error"}
    assert set(errors) == {"surely-not-installed", "free disk"}
    assert "pip install" in errors["surely-not-installed"]["hint"]


def test_the_terminal_is_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "dumb")
    found = {f.code: f for f in doctor.examine(Home(Path.cwd()))}
    assert found["WD060"].status == "warning"
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "200")  # exported once by somebody; the terminal is what it is
    monkeypatch.setattr("os.get_terminal_size", lambda _: os.terminal_size((60, 20)))
    found = {f.code: f for f in doctor.examine(Home(Path.cwd()))}
    assert (found["WD060"].status, found["WD060"].value) == ("warning", "xterm-256color, 60×20")


def test_config_tells_where_a_setting_comes_from(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def home(*args: object) -> tuple[str, str]:
        settings = json.loads(run(*args, "config", "show", "--json").stdout)["settings"]
        return next((s["value"], s["source"]) for s in settings if s["name"] == "home")

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WORKBENCH_HOME", raising=False)
    assert home() == (str(tmp_path / "runs"), "default")
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "a"))
    assert home() == (str(tmp_path / "a" / "runs"), "WORKBENCH_HOME")
    assert home("--home", tmp_path / "b") == (str(tmp_path / "b" / "runs"), "--home")

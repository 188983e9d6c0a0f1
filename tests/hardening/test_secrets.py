"""Keys stand in the environment and nowhere else: not in files, not in command lines, not in processes without need."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.dialogue.writing import SONNET, obliging
from tests.fakes.anthropic_server import fake_anthropic
from tests.fakes.openai_server import Act
from workbench.dialogue.generation import Order
from workbench.home import Home
from workbench.jobs import launch, status, wait
from workbench.jobs.kinds import KINDS, child_environment
from workbench.secrets import redacted

ROOT = Path(__file__).parents[2]
SECRETS = {
    "ANTHROPIC_API_KEY": "sk-ant-QUOKKA-0123456789abcdef",
    "OPENAI_API_KEY": "sk-proj-WOMBAT-0123456789abcdef",
    "WORKBENCH_SERVER_KEY": "NUMBAT0123456789abcdef",
    "HF_TOKEN": "hf_BILBY0123456789abcdef",
    "AWS_SECRET_ACCESS_KEY": "BANDICOOT0123456789abcdef",
    "GITHUB_PAT": "ghp_DUNNART0123456789abcdef",
    "DB_PASSWORD": "POTOROO0123456789abcdef",
}
SERVICES = {"ANTHROPIC_API_KEY", "OPENAI_API_KEY", "WORKBENCH_SERVER_KEY"}


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def found_in(folder: Path) -> list[tuple[str, str]]:
    """Files that hold a secret, and which."""
    return [
        (str(file.relative_to(folder)), name)
        for file in folder.rglob("*")
        if file.is_file()
        for name, value in SECRETS.items()
        if value.encode() in file.read_bytes()
    ]


def test_no_secret_is_written_anywhere_whatever_the_service_says(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job with a key, whose service repeats the key in an error, then in a dialogue's text; then it is packed."""
    order = Order("travel_booking", train=0, dev=0, least=0, test=2, writer=SONNET, manner="turns")
    key = SECRETS["ANTHROPIC_API_KEY"]
    with fake_anthropic(Act(status=401, kind="authentication_error", message=f"invalid x-api-key: {key}")) as fake:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url)
        job = launch(home, "generate", asdict(order), "secrets")
        process = ""
        while not process and status(home, job.id).ended is None:
            if pid := status(home, job.id).pid:
                process = (
                    Path(f"/proc/{pid}/cmdline").read_bytes().decode() if Path(f"/proc/{pid}").exists() else "gone"
                )
        end = wait(home, job.id, timeout=120)
        assert end.state == "failed"
        assert "$" in str(end.error) or "<ANTHROPIC_API_KEY>" in str(end.error) or "sk-…" in str(end.error)
        assert not any(value in process for value in SECRETS.values())
    assert found_in(home.root) == []
    with fake_anthropic("") as fake:
        fake.answer, fake.delay_s = obliging, 0.0
        monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url)
        launch(home, "generate", asdict(order), "secrets")
        assert wait(home, job.id, timeout=120).state == "done"
        assert all(key in (h.get("x-api-key", "") + h.get("authorization", "")) for h in fake.headers)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "workbench", "--home", str(home.root.parent), "pack", str(tmp_path / "all.zip")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert found_in(home.root) == []
    import zipfile

    with zipfile.ZipFile(tmp_path / "all.zip") as packed:
        for name in packed.namelist():
            assert not any(value.encode() in packed.read(name) for value in SECRETS.values()), name


def test_a_crash_in_a_job_shows_no_key(home: Home) -> None:
    """The traceback in the log and the line in the state, of an error that holds the key."""
    job = launch(home, "tests.hardening.test_secrets:crash", {}, "crash")
    end = wait(home, job.id, timeout=60)
    assert end.state == "failed"
    assert "boom" in str(end.error)
    assert "boom" in (end.folder / "log.txt").read_text()
    assert found_in(home.root) == []


def crash(ctx: object) -> dict[str, object]:
    """A job that fails with whatever looks like a key in its error."""
    raise RuntimeError("boom sk-ant-QUOKKA-0123456789abcdef " + os.environ.get("HF_TOKEN", "none"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_process_gets_the_keys_of_services_at_the_most(kind: str) -> None:
    given = child_environment(KINDS[kind])
    assert SECRETS.keys() & given.keys() == (SERVICES if KINDS[kind].keys else set())
    assert "PATH" in given


def test_trainers_and_servers_get_none() -> None:
    assert not KINDS["train"].keys
    assert not KINDS["serve"].keys
    assert not KINDS["demo"].keys


def test_no_command_shows_a_key(home: Home) -> None:
    for words in (["doctor"], ["doctor", "--json"], ["config", "show"], ["config", "show", "--json"], ["jobs", "list"]):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "workbench", "--home", str(home.root.parent), *words],
            capture_output=True,
            text=True,
        )
        assert not any(value in done.stdout + done.stderr for value in SECRETS.values()), words


def test_redaction_leaves_ordinary_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHORT_TOKEN", "the")
    monkeypatch.setenv("SOME_KEY", "/etc/ssl/private/key.pem")
    assert redacted("the task-force at /etc/ssl/private/key.pem") == "the task-force at /etc/ssl/private/key.pem"
    assert redacted(f"x {SECRETS['DB_PASSWORD']} y") == "x <DB_PASSWORD> y"
    assert redacted("sk-other-9999999") == "sk-…"

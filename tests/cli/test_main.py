"""The root of the command line: help without imports, one-line errors, exit codes, crash logs, the app's refusals."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from workbench.cli import main as root
from workbench.cli.output import emit, example, pass_home, plain, table, to_json
from workbench.errors import ServiceError, UserError
from workbench.home import Home

HEAVY = {"torch", "transformers", "datasets", "langgraph", "anthropic", "openai", "scipy", "numpy", "textual"}


def run(*args: str) -> Result:
    return CliRunner().invoke(root.cli, list(args))


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """A noun `fail` that raises whatever the test puts into the list."""
    raises: list[BaseException] = []

    @click.command(epilog=example("workbench fail"))
    @pass_home
    def command(home: Home) -> None:
        for error in raises:
            raise error

    module = type(sys)("workbench.cli.fail")
    module.command = command  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "workbench.cli.fail", module)
    monkeypatch.setitem(root.NOUNS, "fail", ("fail", "Fail."))
    return raises


def test_help_names_every_noun_and_shows_an_example() -> None:
    result = run("-h")
    assert result.exit_code == 0
    for noun in root.NOUNS:
        assert re.search(rf"^  {noun}\b", result.output, re.M)
    assert "Examples:" in result.output


def commands(command: click.Command, ctx: click.Context) -> Iterator[click.Context]:
    yield ctx
    if isinstance(command, click.Group):
        for name in command.list_commands(ctx):
            child = command.get_command(ctx, name)
            assert child is not None, name
            child._help_option = (
                None  # click keeps that of whoever asked first: tests that call a group alone, without our -h
            )
            yield from commands(child, click.Context(child, info_name=name, parent=ctx))


def test_every_command_explains_itself_with_an_example() -> None:
    start = click.Context(root.cli, info_name="workbench", **root.cli.context_settings)
    for ctx in commands(root.cli, start):
        text = ctx.get_help()
        assert "Example" in text, ctx.command_path
        assert ctx.command.help, ctx.command_path
        assert "-h, --help" in text, ctx.command_path


def test_help_and_version_import_nothing_heavy() -> None:
    code = (
        "import sys, workbench.cli.main as m\n"
        "try: m.cli.main([sys.argv[1]], prog_name='workbench')\n"
        "except SystemExit: pass\n"
        "print('\\nLOADED', *(n for n in sys.modules if '.' not in n or n.startswith('workbench.')))"
    )
    for option in ("-h", "--version"):
        output = subprocess.run([sys.executable, "-c", code, option], capture_output=True, text=True, check=True).stdout
        loaded = set(output.rpartition("LOADED")[2].split())
        assert not loaded & HEAVY
        assert not {name for name in loaded if name.startswith("workbench.")} - {
            "workbench.cli", "workbench.cli.main", "workbench.cli.output", "workbench.cli.failure",
            "workbench.cli.screen", "workbench.errors", "workbench.home", "workbench.text", "workbench.secrets",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UserError("broken: file.yaml:3"), 2, "workbench: broken: file.yaml:3\n"),
        (ServiceError("the server at x does not answer"), 3, "workbench: the server at x does not answer\n"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (click.Abort(), 130, "interrupted"),
        (SystemExit(1), 1, ""),
        (SystemExit(None), 0, ""),
        (SystemExit("no"), 1, "workbench: no\n"),
        (click.UsageError("bad option"), 2, "workbench: bad option"),
        (ModuleNotFoundError("No module named 'peft'", name="peft"), 2, "pip install 'workbench[lora]'"),
        (OSError(errno.ENOSPC, "No space left on device", "runs/x"), 2, "the disk is full"),
        (OSError(errno.EADDRINUSE, "Address already in use"), 2, "the port is taken"),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "x.yaml"),
            2,
            "x.yaml: No such file or directory",
        ),
        (UserError("evil \x1b]52;c;AAAA\x07 text\nsecond"), 2, "workbench: evil ]52;c;AAAA text second\n"),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    failing: list[BaseException], error: BaseException, code: int, line: str
) -> None:
    failing.append(error)
    result = run("fail")
    assert result.exit_code == code
    assert line in result.stderr
    assert len(result.stderr.split("\n")) <= 3  # click ends the ^C line first
    assert not result.stdout


def test_an_unexpected_error_leaves_a_private_log_without_locals_or_keys(
    failing: list[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXAMPLE_API_KEY", "sk-very-secret-value")
    failing.append(ZeroDivisionError("header sk-very-secret-value refused"))
    (tmp_path / "runs").mkdir()
    result = run("--home", str(tmp_path), "fail")
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    (log,) = (tmp_path / "runs").glob("crash-*.log")
    assert str(log) in result.stderr
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    text = log.read_text()
    assert "ZeroDivisionError" in text
    assert "raise error" in text
    assert "sk-very-secret-value" not in text + result.stderr


def test_an_unknown_noun_and_option_are_bad_usage() -> None:
    for args in (["nonsense"], ["--nonsense"]):
        result = run(*args)
        assert result.exit_code == 2
        assert result.stderr.startswith("workbench: No such")
        assert result.stderr.count("\n") == 1


def test_the_app_refuses_a_pipe_and_names_the_plain_commands() -> None:
    result = run()
    assert result.exit_code == 2
    assert "needs a terminal" in result.stderr
    assert "workbench workflow list" in result.stderr


def test_the_app_refuses_a_dumb_terminal() -> None:
    import pty

    parent, child = pty.openpty()
    env = {**os.environ, "TERM": "dumb"}
    program = [sys.executable, "-c", "from workbench.cli.main import main; main()"]
    done = subprocess.run(program, stdin=child, stdout=child, stderr=subprocess.PIPE, env=env, text=True, check=False)
    os.close(child)
    os.close(parent)
    assert done.returncode == 2
    assert "TERM=dumb" in done.stderr


def test_home_option_reaches_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []

    @click.command()
    @pass_home
    def command(home: Home) -> None:
        seen.append(home.root)

    module = type(sys)("workbench.cli.where")
    module.command = command  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "workbench.cli.where", module)
    monkeypatch.setitem(root.NOUNS, "where", ("where", "Where."))
    monkeypatch.setenv("WORKBENCH_HOME", str(tmp_path / "b"))
    run("--home", str(tmp_path / "a"), "where")
    run("where")
    assert seen == [tmp_path / "a" / "runs", tmp_path / "b" / "runs"]


def test_json_is_stable_and_harmless_on_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    data = {"b": "é\x1b[2J\x9b\u202e\U000e0041\x7f\n", "a": (1, float("nan")), "p": Path("x"), "s": {"k"}}
    text = to_json(data)
    assert json.loads(text) == {"b": data["b"], "a": [1, None], "p": "x", "s": ["k"]}
    assert "é" in text
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\U000e0041]", text)
    assert list(json.loads(text)) == ["b", "a", "p", "s"]
    emit({"x": 1}, True, str)
    emit("a\x1b[31mb", False, str)
    assert capsys.readouterr().out == '{\n  "x": 1\n}\na[31mb\n'
    with pytest.raises(TypeError):
        plain(object())


def test_table_aligns_wide_characters() -> None:
    assert table(["name", "n"], [["日本", 5], ["a", None]], right=[1]) == "name  n\n日本  5\na     –"

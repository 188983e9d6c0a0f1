"""How a command ends when something goes wrong: one line on standard error and an exit code, never a traceback."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import click

from workbench.errors import UserError
from workbench.home import find_home
from workbench.secrets import redacted
from workbench.text import clean_line

_EXTRAS = {"peft": "workbench[lora]"}
_MENDS = {
    errno.ENOSPC: "the disk is full; free some space (workbench prune --dry-run shows what can go) and run it again",
    errno.EDQUOT: "the disk quota is used up; free some space and run it again",
    errno.EROFS: "the disk is read-only: what lies there can be looked at; choose another place with --home to work",
    errno.EADDRINUSE: "the port is taken by another program; choose another one, or 0 for any free one",
}


def exit_code_of(error: BaseException, arguments: Sequence[str]) -> int:
    """Say on standard error in one line what `error` means and return the exit code that goes with it."""
    match error:
        case SystemExit():
            return error.code if isinstance(error.code, int) else 0 if error.code is None else _say(str(error.code), 1)
        case KeyboardInterrupt() | click.Abort():
            return _say("interrupted; run the same command again to continue", 130)
        case BrokenPipeError():
            # The reader has gone (`| head`): nothing to say, and nothing to flush at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        case click.exceptions.NoArgsIsHelpError():
            click.echo(error.format_message(), err=True)
            return 2
        case click.ClickException():
            return _say(_usage(error), 2)
        case UserError():
            return _say(str(error), error.exit_code)
        case ModuleNotFoundError() if not (error.name or "workbench").startswith("workbench"):
            wanted = _EXTRAS.get(error.name or "", error.name)
            return _say(f"the package '{error.name}' is missing; install it: pip install '{wanted}'", 2)
        case OSError() if error.errno in _MENDS:
            where = f" ({error.filename})" if error.filename else ""
            return _say(f"{_MENDS[error.errno]}{where}", 2)
        case PermissionError() | FileNotFoundError() | IsADirectoryError() | NotADirectoryError() if error.filename:
            return _say(f"{error.filename}: {error.strerror}", 2)
        case _:
            return _say(_unexpected(error, arguments), 2)


def _say(line: str, code: int) -> int:
    click.echo(f"workbench: {clean_line(line)}", err=True)
    return code


def _usage(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = f" (see {context.command_path} -h)" if context else ""
    return error.format_message().rstrip(".") + hint


def _unexpected(error: BaseException, arguments: Sequence[str]) -> str:
    what = clean_line(redacted(f"{type(error).__name__}: {error}".strip(": ")), 160)
    try:
        return f"unexpected error ({what}); please report it with {write_crash_log(error, arguments)}"
    except OSError as trouble:
        return f"unexpected error ({what}); no crash log could be written: {trouble}"


def write_crash_log(error: BaseException, arguments: Sequence[str]) -> Path:
    """Write the traceback, without local variables and known secrets, to a file only its owner reads (0600)."""
    report = "".join(traceback.format_exception(error))
    text = redacted(f"workbench {' '.join(arguments)}\npython {sys.version}\n\n{report}")
    name = time.strftime("crash-%Y%m%d-%H%M%S", time.gmtime()) + f"-{os.getpid()}.log"
    root = find_home(_home_option(arguments)).root
    folder = root if root.is_dir() and os.access(root, os.W_OK) else Path(tempfile.gettempdir())
    path = folder / name
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", errors="replace") as file:
        file.write(text)
    return path


def _home_option(arguments: Sequence[str]) -> str | None:
    for position, argument in enumerate(arguments):
        if argument == "--home":
            return next(iter(arguments[position + 1 :]), None)
        if argument.startswith("--home="):
            return argument.removeprefix("--home=")
    return None

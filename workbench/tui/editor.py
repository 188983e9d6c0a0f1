"""The user's own editor, for files that are better written there than in a form."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from workbench.errors import UserError

_USUAL = ("nano", "vim", "vi")
_TAKE_LINE = frozenset({"vi", "vim", "nvim", "view", "nano", "pico", "emacs", "micro", "kak", "joe", "jed", "ne", "mg"})
"""Editors that open a file at a line with `+N FILE`."""


def editor_command(file: Path, line: int | None = None, environ: Mapping[str, str] = os.environ) -> list[str]:
    """The words that open `file` in $VISUAL, $EDITOR or a usual editor, at a line where the editor is known to take it.

    Raises UserError if there is none, or if it cannot be found.
    """
    wanted = environ.get("VISUAL") or environ.get("EDITOR") or next(filter(shutil.which, _USUAL), "")
    try:
        words = shlex.split(wanted)
    except ValueError as error:
        raise UserError(f"$EDITOR is no command ({error}): set it to one, such as EDITOR=nano") from None
    if not words:
        raise UserError("no editor: set $EDITOR, such as EDITOR=nano")
    if not shutil.which(words[0]):
        raise UserError(f"the editor {words[0]} is not there: set $EDITOR to one that is")
    at = [f"+{line}"] if line and Path(words[0]).name in _TAKE_LINE else []
    return [*words, *at, str(file)]


def edit(command: list[str]) -> int:
    """Run an editor on this terminal and wait until it ends; its exit status."""
    return subprocess.run(command, check=False).returncode

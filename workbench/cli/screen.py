"""Opening the terminal app from a command. The two front ends do not know each other: the app is found by name."""

from __future__ import annotations

import os
import re
import sys
from importlib import import_module
from pathlib import Path

from workbench.errors import UserError
from workbench.home import LARGE_RECORD, Home

_APP = "workbench.tui.app"
_PLAIN = "the same in plain text: workbench workflow list, train list, chat, results; workbench -h names them all"


def why_not() -> str | None:
    """Why this terminal cannot show the app, in words; None if it can."""
    if os.environ.get("TEXTUAL_DRIVER", "").endswith(":WebDriver"):
        return None  # a browser window of `workbench --web` is the terminal
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return "the app needs a terminal for both input and output"
    term = os.environ.get("TERM", "")
    return f"the app cannot draw on TERM={term or '(unset)'}" if term in ("", "dumb") else None


def open_app(
    home: Home, follow: str | None = None, slow_link: bool | None = None, banner: str = "", chat: str | None = None
) -> int:
    """Show the app until the user leaves; its exit code. `follow` is a demo job to move along with; `banner` stands at
    the top of every screen; `chat` is the conversation that the chat pane shows.

    Raises UserError, naming the plain commands, on a terminal that cannot show it.
    """
    if reason := why_not():
        raise UserError(f"{reason}; {_PLAIN}")
    if home.database.exists() and home.database.stat().st_size > LARGE_RECORD:
        # One of an older version is brought up to date, which is said: not before an empty screen.
        import_module("workbench.store").connect(home).close()
    code: int = import_module(_APP).run(home, follow=follow, slow_link=slow_link, banner=banner, chat=chat)
    return code


def open_web(home: Home, port: int) -> int:
    """Serve the app to browsers on this machine until Ctrl+C; `port` 0 takes any free one."""
    code: int = import_module("workbench.tui.web").serve(home, port)
    return code


def picture(home: Home, pane: str, file: Path, size: str) -> None:
    """Write a pane as SVG; `size` is columns×rows. Raises UserError for bad arguments."""
    match = re.fullmatch(r"(\d{2,3})[x×](\d{2,3})", size)
    if not match:
        raise UserError(f"--size {size}: write columns x rows, as in 120x40")
    import_module("workbench.tui.picture").save(home, pane, file, (int(match[1]), int(match[2])))

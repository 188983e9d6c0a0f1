"""How the command line opens the terminal app. Importing this module imports no Textual."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

from workbench.home import Home, umask_in
from workbench.settings import read_config
from workbench.tui.link import is_slow


def run(
    home: Home, follow: str | None = None, slow_link: bool | None = None, banner: str = "", chat: str | None = None
) -> int:
    """Show the app until the user leaves, and return the exit code (128 + n after signal n).

    Args:
        home: Where the record and the jobs are; made if missing.
        follow: Id of a demo job to follow from stage to stage.
        slow_link: Draw at most 10 times a second, and less where text streams; None: as the settings say. Textual
            reads this when it is imported, hence the late import.
        banner: Stands at the top of every screen ("sample data" in a home of such).
        chat: Job of the conversation that the chat pane shows.
    """
    os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    if sys.stdout.isatty():  # the size that whoever started this once had (readline exports it) would hide every resize
        for variable in ("COLUMNS", "LINES"):
            os.environ.pop(variable, None)
    if slow_link is None:
        slow_link = is_slow(os.environ.get("WORKBENCH_SLOW_LINK") or "auto")
    if slow_link:
        os.environ["TEXTUAL_FPS"] = "10"
    from rich.console import Console

    from workbench.tui import actions

    actions.remap(read_config())  # before the panes are imported: their bindings are made from the registry
    from workbench.tui.shell import Workbench
    from workbench.tui.state import ChatState

    os.umask(umask_in(home.make().root))  # what the app writes (exports, pictures) is as private as its home
    is_first = not (follow or chat or home.database.exists())
    banner = banner or banner_of(home)
    app = Workbench(
        home.make(),
        follow=follow,
        slow=slow_link,
        banner=banner,
        welcome=is_first,
        few_colours=Console().color_system == "standard",
    )
    if chat:
        app.state = replace(app.state, chat=ChatState(session=chat))
    app.run(mouse=not slow_link)
    if app._exception:  # the terminal is as it was; the command line says it in one line and keeps a log
        raise app._exception
    return app.return_code or 0


def banner_of(home: Home) -> str:
    """What must be said on every screen of this home."""
    return "sample data" if home.sample.exists() else ""

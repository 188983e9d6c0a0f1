"""How the command line opens the terminal app. Importing this module imports no Textual."""

from __future__ import annotations

import os

from workbench.home import Home


def run(home: Home, follow: str | None = None, slow_link: bool = False) -> int:
    """Show the app until the user leaves, and return the exit code (128 + n after signal n).

    Args:
        home: Where the record and the jobs are; made if missing.
        follow: Id of a demo job to follow from stage to stage.
        slow_link: Draw at most 10 times a second. Textual reads this when it is imported, hence the late import.
    """
    os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    if slow_link:
        os.environ["TEXTUAL_FPS"] = "10"
    from workbench.tui.shell import Workbench

    app = Workbench(home.make(), follow=follow)
    app.run(mouse=not slow_link)
    return app.return_code or 0

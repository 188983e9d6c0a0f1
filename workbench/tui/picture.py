"""A pane as an SVG picture, without a terminal: for documents, reports and bug reports."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from textual.pilot import Pilot

from workbench.errors import UserError
from workbench.home import Home
from workbench.tui.actions import PANES
from workbench.tui.app import banner_of
from workbench.tui.shell import Workbench

QUIET_ROUNDS = 5
"""So many times in a row must nothing be left to do before the picture is taken."""
PATIENCE_S = 5.0
"""For how long a pane may go on reading (a live conversation never ends)."""
_FONTS = re.compile(r"@font-face \{[^}]*\}\s*")


def save(home: Home, pane: str, file: Path, size: tuple[int, int], keys: Sequence[str] = ()) -> None:
    """Draw `pane` as it would open now, in `size` (columns, rows), and write `file`; `keys` are pressed before.

    Raises UserError for bad arguments.
    """
    if pane not in PANES:
        raise UserError(f'no pane "{pane}": choose one of {", ".join(PANES)}')
    app = Workbench(home.make(), watch=False, remember=False, banner=banner_of(home))
    app.state = replace(app.state, pane=pane)

    async def shoot(pilot: Pilot[object]) -> None:
        await quiet(pilot, app)
        for key in keys:
            await pilot.press(key)
            await quiet(pilot, app)
        file.write_text(alone(app.export_screenshot(title="workbench")), "utf-8")
        app.exit(0)

    try:
        app.run(headless=True, size=size, auto_pilot=shoot)
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror or error}") from error


def alone(svg: str) -> str:
    """The picture without the fonts that Rich has it load from elsewhere: the reader's own monospace font does."""
    return _FONTS.sub("", svg)


async def quiet(pilot: Pilot[object], app: Workbench) -> None:
    """Until the pane is there and nothing is being read or drawn."""
    rounds, end = 0, time.monotonic() + PATIENCE_S
    while rounds < QUIET_ROUNDS:
        await pilot.pause()
        await asyncio.sleep(0.02)
        reading = any(worker.is_running for worker in app.workers) and time.monotonic() < end
        rounds = rounds + 1 if app.pane is not None and app.effects.idle and not reading else 0

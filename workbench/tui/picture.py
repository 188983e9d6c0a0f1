"""A pane as an SVG picture, without a terminal: for documents, reports and bug reports."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from textual.pilot import Pilot

from workbench.errors import UserError
from workbench.home import Home
from workbench.tui.actions import PANES
from workbench.tui.shell import Workbench

QUIET_ROUNDS = 5
"""So many times in a row must nothing be left to do before the picture is taken."""


def save(home: Home, pane: str, file: Path, size: tuple[int, int]) -> None:
    """Draw `pane` as it would open now, in `size` (columns, rows), and write `file`. Raises UserError for bad arguments."""
    if pane not in PANES:
        raise UserError(f'no pane "{pane}": choose one of {", ".join(PANES)}')
    app = Workbench(home.make(), watch=False, remember=False)
    app.state = replace(app.state, pane=pane)

    async def shoot(pilot: Pilot[object]) -> None:
        await quiet(pilot, app)
        file.write_text(app.export_screenshot(title="workbench"), "utf-8")
        app.exit(0)

    try:
        app.run(headless=True, size=size, auto_pilot=shoot)
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror or error}") from error


async def quiet(pilot: Pilot[object], app: Workbench) -> None:
    """Until the pane is there and nothing is being read or drawn."""
    rounds = 0
    while rounds < QUIET_ROUNDS:
        await pilot.pause()
        await asyncio.sleep(0.02)
        rounds = rounds + 1 if app.pane is not None and app.effects.idle else 0

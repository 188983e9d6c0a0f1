"""Comparing a picture of the app with the one that was accepted before; `pytest --snapshot-update` accepts the new one."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from textual.app import App
from textual.pilot import Pilot

RunBefore = Callable[[Pilot[Any]], Awaitable[None]]


class SnapCompare(Protocol):
    """Whether an app looks as it did: at `terminal_size` (columns, rows), once `run_before` has brought it there."""

    def __call__(self, app: App[Any], *, terminal_size: tuple[int, int], run_before: RunBefore) -> bool: ...


class Pictures(SingleFileSnapshotExtension):
    """One SVG file a picture."""

    file_extension = "svg"
    _write_mode = WriteMode.TEXT

    def serialize(self, data: Any, **options: Any) -> Any:
        """The picture without the number that Rich makes up for each."""
        return super().serialize(re.sub(r"\bterminal-\d+-([\w-]+)", r"terminal-\1", data), **options)


@pytest.fixture
def snap_compare(snapshot: SnapshotAssertion) -> SnapCompare:
    """Compares an app with the picture of it that is kept."""
    kept = snapshot.use_extension(Pictures)

    def compare(app: App[Any], *, terminal_size: tuple[int, int], run_before: RunBefore) -> bool:
        picture = taken(app, terminal_size, run_before)
        return bool(kept == picture)

    return compare


def taken(app: App[Any], size: tuple[int, int], run_before: RunBefore) -> str:
    """The app's screen as SVG, once nothing moves any more."""

    async def pilot_there(pilot: Pilot[Any]) -> None:
        await run_before(pilot)
        await pilot.pause()
        await pilot.wait_for_scheduled_animations()
        await pilot.pause()
        app.exit(app.export_screenshot(title=app.title, simplify=True))

    return str(app.run(headless=True, auto_pilot=pilot_there, size=size))

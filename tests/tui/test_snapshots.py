"""Pictures of every pane at the smallest whole size and at a rich one, dark and light."""

from __future__ import annotations

import pytest
from textual.pilot import Pilot

from tests.tui.conftest import screen_text, settle, until
from tests.tui.snapshots import SnapCompare
from workbench.home import Home
from workbench.tui.actions import PANES
from workbench.tui.shell import Workbench
from workbench.tui.state import AppState
from workbench.tui.theme import DARK, LIGHT

SIZES = [(80, 24), (160, 50)]


SHOWN = {
    "workflows": "Hello",
    "dialogues": "Hello, where",
    "training": "Answer at",
    "chat": "chooses the agents",
    "results": "right terminal",
}
"""What stands on the screen once a pane has read all that it shows."""


async def _ready(pilot: Pilot[int]) -> None:
    app = pilot.app
    assert isinstance(app, Workbench)
    await until(pilot, lambda: SHOWN[app.state.pane] in screen_text(app))
    before, same = "", 0
    while same < 4:
        await settle(pilot)
        now = screen_text(app)
        before, same = now, same + 1 if now == before else 0


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=["dark", "light"])
@pytest.mark.parametrize("size", SIZES, ids=["80x24", "160x50"])
@pytest.mark.parametrize("pane", PANES)
def test_pane(home: Home, snap_compare: SnapCompare, pane: str, size: tuple[int, int], theme: str) -> None:
    app = Workbench(home, watch=False)
    app.state = AppState(pane)
    app.theme = theme
    assert snap_compare(app, terminal_size=size, run_before=_ready)


def test_the_help_screen(home: Home, snap_compare: SnapCompare) -> None:
    async def helped(pilot: Pilot[int]) -> None:
        await _ready(pilot)
        await pilot.press("question_mark")

    app = Workbench(home, watch=False)
    app.state = AppState("results")
    assert snap_compare(app, terminal_size=(80, 40), run_before=helped)

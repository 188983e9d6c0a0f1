"""Hostile text in every place that shows data: nothing that steers a terminal is drawn, nothing is read as markup, nothing hangs."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from tests.fakes.hostile import hostile_workflow, make_hostile
from tests.fakes.record import START
from tests.tui.conftest import HOSTILE, press, screen_text, settle, until
from tests.tui.live_server import JOB, LiveServer
from workbench.home import Home
from workbench.text import clean
from workbench.tui import format as formats
from workbench.tui.panes.workflows import view as workflow_view
from workbench.tui.shell import Workbench
from workbench.tui.state import AppState, ChatState

INVISIBLE = "\u200b\u2060\ufeff\u00ad\u2028\u2066\u202e\U000e0041"
KINDS = {
    "escapes": f"{HOSTILE} \x1b]0;t\x07 \x1bP+q\x1b\\ \x85 \x9d52;c;eA== \x1b[?1049l \r\x08\x7f {INVISIBLE}a{INVISIBLE} "
    f"{'漢字' * 60} {'e' + chr(0x301) * 40} 👩‍👩‍👧‍👦",
    "long": f"[/x] {'x' * 60_000}{'漢' * 40_000} \x1b[2J",
}
VIEWS: dict[str, Sequence[str]] = {
    "workflows": ("o", "down", "d", "n", "c", "p", "s", "slash", "t", "escape"),
    "dialogues": ("down", "v", "v", "escape", "o", "o", "D", "D", "A", "escape", "P", "escape",
                  "t", "escape", "m", "escape", "e", "escape"),
    "training": ("down", "l", "l", "space", "down", "v", "escape", "m", "b", "e", "escape", "n", "escape", "D", "escape"),
    "chat": ("a", "escape", "left_square_bracket", "e", "escape", "o", "escape", "m", "c", "escape"),
    "results": ("p", "c", "C", "b", "d", "o", "w", "z", "i", "A", "P", "I", "escape", "enter", "s", "escape", "t", "escape", "escape", "V",
                "escape"),
}  # fmt: skip
"""The keys that open a pane's views and questions, one after the other."""


async def look(pilot: Pilot[int], key: str) -> None:
    """Nothing on the screen steers a terminal; every line is as wide as the screen."""
    app = pilot.app
    assert isinstance(app, Workbench)
    for strip in app.screen._compositor.render_strips():
        for segment in strip:
            assert clean(segment.text) == segment.text, (key, segment.text)
            assert not set(segment.text) & {"\n", "\t"}, key
        assert strip.cell_length <= app.size.width, key


@pytest.fixture
def hostile(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    words = KINDS[request.param]
    folder = tmp_path / "[/x] \x1b[2J\u202e"
    (folder / "workflows").mkdir(parents=True)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(formats, "now", lambda: START + 3600)
    small = Path(__file__).with_name("small.yaml")
    file = folder / "workflows" / "small [bold]\u202e.yaml"
    hostile_workflow(small, file, words[:2000])
    broken = folder / "workflows" / "broken.yaml"
    broken.write_text(f"name: {words!r}\nnodes: [{words!r}]\n", "utf-8")
    monkeypatch.setattr(workflow_view, "known_workflows", lambda: [file, broken])
    home = Home(folder / "runs")
    make_hostile(home, words)
    return home


@pytest.mark.parametrize("hostile", ["escapes", pytest.param("long", marks=pytest.mark.long)], indirect=True)
async def test_nothing_hostile_is_drawn(hostile: Home, request: pytest.FixtureRequest) -> None:
    words = KINDS[request.node.callspec.params["hostile"]]
    async with LiveServer(hostile, (f"compiled:{words[:200]}", "oracle"), words[:2000]) as server:
        app = Workbench(hostile, watch=False, follow="f" * 16)
        app.state = AppState(chat=ChatState(server.agents, JOB, draft=words[:300]))
        async with app.run_test(size=(100, 30)) as pilot:
            for number, (pane, keys) in enumerate(VIEWS.items(), 1):
                await settle(pilot)
                app.end_following()
                await press(pilot, str(number))
                if pane == "chat":
                    await until(pilot, lambda: "Hello from" in screen_text(app))
                    server.tell("state", column=1, state="failed", error=words)
                    server.place(0, [words[:100]])
                for key in keys:
                    await pilot.press(key)
                    await until(pilot, lambda: app.effects.idle)
                    await look(pilot, f"{pane}: {key}")
                assert "[/x]" in screen_text(app), pane
                app.say(words, tone="bad")
                app.notify(words[:300], title=words[:80], markup=False)
                await pilot.pause()
                await look(pilot, f"{pane}, with a message")
            await press(pilot, "question_mark", "escape", "ctrl+p", *"ru")
            await look(pilot, "palette")


async def test_what_is_pasted_into_an_input_is_drawn_clean(app: Workbench) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "2", "slash")
        box = app.query_one("#dialogues-filter", Input)
        box.value = HOSTILE
        await settle(pilot)
        await look(pilot, "input")
        assert "[/x]" in screen_text(app)


def test_the_hostile_home_is_hostile(tmp_path: Path) -> None:
    """The test above would prove nothing on a home whose words were clean already."""
    home = Home(tmp_path / "runs")
    make_hostile(home, KINDS["escapes"])
    raw = home.database.read_bytes() + b"".join(f.read_bytes() for f in home.jobs.rglob("*") if f.is_file())
    assert raw.count(b"]52;c;aGk=") > 100
    shutil.rmtree(home.root)

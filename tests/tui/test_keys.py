"""Keys that are the same everywhere: jumping by letters, reading mode, times as ages or as dates."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events
from textual.widgets import Input

from tests.fakes.record import START
from tests.tui.conftest import press, screen_text, settle
from tests.tui.live_server import JOB, LiveServer
from workbench.home import Home
from workbench.store import connect
from workbench.store.reviews import reviews
from workbench.tui import format as formats
from workbench.tui.actions import PANES
from workbench.tui.jump import Mark, places
from workbench.tui.panes.chat.board import Board
from workbench.tui.shell import Workbench
from workbench.tui.state import AppState, ChatState
from workbench.tui.widgets.review import nearest
from workbench.tui.widgets.scrolling import Place, place_of, row_at
from workbench.tui.widgets.table import VirtualTable
from workbench.tui.widgets.transcript import Transcript

SIZE = (80, 24)


@pytest.mark.parametrize("pane", PANES)
async def test_a_letter_leads_to_every_place_of_every_pane(app: Workbench, pane: str) -> None:
    app.state = AppState(pane)
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        there = list(places(app.screen))
        assert there
        for n in range(len(there)):
            await press(pilot, "L")
            marks = [mark._letter for mark in app.screen.query(Mark)]
            assert len(marks) == len(there)
            assert all(f"[{letter}]" in screen_text(app) for letter in marks)
            await press(pilot, marks[n])
            assert app.focused is there[n]
            assert not app.screen.query(Mark)
            if isinstance(app.focused, Input):
                await press(pilot, "escape")
                assert not isinstance(app.focused, Input)


async def test_a_jump_works_while_typing_and_leaves_no_letter_behind(app: Workbench) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2", "slash", "x", "ctrl+g")
        marks = [mark._letter for mark in app.screen.query(Mark)]
        box = app.query_one("#dialogues-filter", Input)
        await press(pilot, marks[list(places(app.screen)).index(app.query_one("#dialogues-text"))])
        assert app.focused is app.query_one("#dialogues-text")
        assert box.value == "x"
        await press(pilot, "L", "escape")
        assert app.focused is app.query_one("#dialogues-text")
        assert not app.screen.query(Mark)
        await press(pilot, "L", "5")
        assert app.state.pane == "results"


async def test_times_turn_from_ages_to_dates_and_back(app: Workbench) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, "5")
        assert "h ago" in screen_text(app) or "min ago" in screen_text(app)
        await press(pilot, "K")
        assert time.strftime("%d %b %H:%M", time.localtime(START)) in screen_text(app)
        await press(pilot, "3", "K")
        assert "ago" in screen_text(app)
    assert not formats.absolute


def test_a_date_of_another_year_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "absolute", True)
    old, new = formats.ago(START - 3 * 365 * 86400), formats.ago(formats.now())
    assert old.endswith(time.strftime("%Y", time.localtime(START - 3 * 365 * 86400)))
    assert ":" in new
    assert max(len(old), len(new)) <= 12


async def test_reading_mode_spaces_conversations_everywhere_and_is_remembered(app: Workbench, home: Home) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2")
        said = app.query_one("#dialogues-text", Transcript)
        before = len(said._rows)
        await press(pilot, "equals_sign")
        assert len(said._rows) > before + len(said.bubbles) - 1
        await press(pilot, "5", "enter")
        assert app.query_one("#results-text", Transcript).spaced
        await press(pilot, "T")
    again = Workbench(home, watch=False)
    async with again.run_test(size=SIZE) as pilot:
        await press(pilot, "2")
        assert again.query_one("#dialogues-text", Transcript).spaced
        await press(pilot, "equals_sign")
        assert len(again.query_one("#dialogues-text", Transcript)._rows) == before


async def test_reading_mode_spaces_the_chat(app: Workbench, home: Home) -> None:
    async with LiveServer(home, ("oracle", "compiled:x")) as server:
        app.state = replace(AppState("chat"), chat=ChatState(server.agents, JOB))
        async with app.run_test(size=SIZE) as pilot:
            board = app.query_one(Board) if app.query(Board) else None
            while board is None or not board.height:
                await settle(pilot)
                board = app.query_one(Board)
            before = board.height
            await press(pilot, "equals_sign")
            assert board.height > before
            await press(pilot, "equals_sign")
            assert board.height == before


def test_a_place_is_found_again_at_another_width() -> None:
    starts, rows = [0, 10, 40], 60
    assert place_of(starts, rows, 10) == Place(1, 0.0)
    for row in range(rows):
        assert row_at(starts, rows, place_of(starts, rows, row)) == row
    assert row_at([0, 20, 80], 120, place_of(starts, rows, 25)) == 50
    assert row_at([], 0, Place(3, 0.5)) == 0


async def test_u_and_b_pass_over_dialogues_with_a_review(app: Workbench) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, "2", "g", "u")
        table = app.query_one("#dialogues-list", VirtualTable)
        assert table.cursor == 6  # the first six have one
        await press(pilot, "B")
        assert table.cursor == 59  # round the end


async def test_u_and_b_pass_over_conversations_with_a_review(app: Workbench) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, "5", "enter", "down", "a", "g", "u")
        table = app.query_one("#behind", VirtualTable)
        assert table.cursor == 2
        await press(pilot, "B")
        assert table.cursor == 0


async def test_nothing_left_is_told(app: Workbench) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, "2", "a", "slash", *"review:pass", "enter", "u")
        assert "everything in this list has been reviewed" in screen_text(app)


@given(st.integers(1, 30), st.data())
def test_the_nearest_open_place_goes_round_once(count: int, data: st.DataObject) -> None:
    free = data.draw(st.sets(st.integers(0, count - 1)))
    at, by = data.draw(st.integers(0, count - 1)), data.draw(st.sampled_from([1, -1]))
    found = nearest(count, at, by, lambda part: [n in free for n in part])
    steps = [(at + by * n) % count for n in range(1, count + 1)]
    assert found == next((n for n in steps if n in free), None)


async def test_keys_in_one_burst_with_a_pane_s_number_reach_that_pane(app: Workbench) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        for keys in (("2", "slash", *"to"), ("5", "2", "slash", "3")):
            for key in keys:
                app.post_message(events.Key(key, "/" if key == "slash" else key))
            await settle(pilot)
            await press(pilot, "escape")
        assert app.query_one("#dialogues-filter", Input).value == "to3"
        assert app.state.pane == "dialogues"
        assert app.state.workflows.filter == ""


async def test_keys_in_one_burst_reach_the_input_that_the_first_one_opens(app: Workbench, home: Home) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2")
        for key in ("slash", *"flag"):
            app.post_message(events.Key(key, "/" if key == "slash" else key))
        await settle(pilot)
        assert app.query_one("#dialogues-filter", Input).value == "flag"
        await press(pilot, "slash")
        assert app.query_one("#dialogues-filter", Input).value == "flag/"  # in an input it is a letter
        with connect(home) as rec:
            assert len(reviews(rec, app.state.dialogues.selected or "")) <= 1  # no letter was taken for a decision

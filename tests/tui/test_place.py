"""A window that is resized loses no place, and a list that moves never moves the row under the cursor."""

from __future__ import annotations

import pytest
from textual.widgets import Input

from tests.fakes.record import START, sample_dialogue
from tests.tui.conftest import make_job, press, settle
from workbench.home import Home
from workbench.store import connect
from workbench.store.comparisons import put_comparison
from workbench.store.dialogues import put_dialogues
from workbench.store.rows import ComparisonRow, DialogueEntry
from workbench.tui.shell import Workbench
from workbench.tui.watch import Changed
from workbench.tui.widgets.scrolling import place_of
from workbench.tui.widgets.table import VirtualTable
from workbench.tui.widgets.transcript import Transcript

SIZES = ((60, 20), (200, 60), (59, 19), (120, 40), (80, 24))


async def test_resizing_keeps_the_selection_the_place_in_the_text_and_what_is_typed(app: Workbench) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "2", *["down"] * 30)
        table, said = app.query_one("#dialogues-list", VirtualTable), app.query_one("#dialogues-text", Transcript)
        chosen = app.state.dialogues.selected
        await press(pilot, "enter", "equals_sign", "down", "down", "down", "down", "down", "down", "down", "down")
        at = place_of(said._starts, len(said._rows), said.scroll_offset.y).message
        await press(pilot, "m", "o", "d", "d")
        for columns, rows in SIZES:
            await pilot.resize_terminal(columns, rows)
            await settle(pilot)
            assert app.state.dialogues.selected == chosen
            assert table.row is not None
            assert table.row.id == chosen
            if columns >= 60:  # below that nothing is shown but the line that says so
                assert table.top <= table.cursor < table.top + table.rows
                assert isinstance(app.focused, Input)
                assert app.focused.value == "odd"
            if said.max_scroll_y:
                assert place_of(said._starts, len(said._rows), said.scroll_offset.y).message <= at
        assert place_of(said._starts, len(said._rows), said.scroll_offset.y).message == at


async def test_every_pane_keeps_its_selection_through_any_size(app: Workbench) -> None:
    async with app.run_test(size=(80, 24)) as pilot:
        await press(pilot, "1", "p", "down", "3", "down", "5", "down", "right")
        before = app.state
        for columns, rows in SIZES:
            await pilot.resize_terminal(columns, rows)
            for key in "135":
                await press(pilot, key)
        assert app.state.workflows == before.workflows
        assert app.state.training == before.training
        assert app.state.results == before.results


@pytest.mark.parametrize("size", [(80, 24), (160, 50)], ids=["80x24", "160x50"])
async def test_a_list_that_moves_leaves_the_row_under_the_cursor_where_it_is(
    app: Workbench, home: Home, size: tuple[int, int]
) -> None:
    """Dialogues while they are generated, runs while others begin, comparisons while others are made."""
    for n in range(12):
        make_job(home, f"{n:016x}")
    lists = {"2": "#dialogues-list", "3": "#runs", "5": "#comparisons"}
    async with app.run_test(size=size) as pilot:
        places = {}
        for key, name in lists.items():
            await press(pilot, key)
            table = app.query_one(name, VirtualTable)
            table.focus()
            await press(pilot, *["down"] * (8 if key != "5" else 0))
            assert table.row is not None
            places[key] = (table.row.id, table.cursor - table.top)
        for n in range(3):
            with connect(home) as rec:
                put_dialogues(rec, [DialogueEntry(sample_dialogue(100 + n), n, created=START + 1e6)])
                put_comparison(
                    rec, ComparisonRow(f"{n:016x}", sample_dialogue(0).workflow_id, f"new {n}", created=START + 1e6)
                )
            make_job(home, f"{n + 100:016x}", steps=20)
            app.post_message(Changed(frozenset({"record", "jobs"})))
            await settle(pilot)
            for key, name in lists.items():
                await press(pilot, key)
                table = app.query_one(name, VirtualTable)
                assert table.row is not None
                assert table.row.id == places[key][0], name
                if key != "5":  # so few comparisons leave nothing to scroll
                    assert table.cursor - table.top == places[key][1], name

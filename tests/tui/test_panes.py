"""The key flows of every pane on a real record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from textual.widgets import Input

from tests.fakes.record import START, sample_dialogue
from tests.tui.conftest import HOSTILE, press, screen_text, settle, until
from tests.tui.live_server import JOB, LiveServer
from workbench.home import Home
from workbench.store import connect
from workbench.store.dialogues import put_dialogues
from workbench.store.reviews import reviews
from workbench.store.rows import DialogueEntry, WorkflowRow
from workbench.store.workflows import put_workflow
from workbench.tui import state as states
from workbench.tui.shell import Workbench
from workbench.tui.state import AppState, ChatState
from workbench.tui.watch import Changed
from workbench.tui.widgets.bars import Keys
from workbench.tui.widgets.table import VirtualTable
from workbench.tui.widgets.transcript import Transcript

SIZE = (80, 24)


async def test_digits_open_panes_and_every_pane_reads_the_record(app: Workbench) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        for key, words in (
            ("2", "60 · 6 reviewed"),
            ("3", "✓ done"),
            ("4", "a  chooses"),
            ("5", "sample-comparison"),
            ("1", "Paths"),
        ):
            await press(pilot, key)
            assert words in screen_text(app)


async def test_the_part_with_the_focus_has_a_raised_heading_from_the_first_frame_on(app: Workbench) -> None:
    def raised() -> list[str | None]:
        return [heading.parent.id for heading in app.pane.query(".heading.-here") if heading.parent]

    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        assert raised() == ["workflows-top"]
        await press(pilot, "p")
        assert raised() == ["workflows-graph"]
        await press(pilot, "2")
        assert raised() == ["dialogues-left"]


async def test_the_workflow_is_a_column_where_there_are_several_and_room(app: Workbench, home: Home) -> None:
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, "2")
        assert "workflow" not in screen_text(app).splitlines()[2]
        other = replace(sample_dialogue(990), workflow_id="e" * 16)
        with connect(home) as rec:
            put_workflow(rec, WorkflowRow("e" * 16, "another", "Another", "{}", None, START))
            put_dialogues(
                rec, [DialogueEntry(replace(other, scenario=replace(other.scenario, workflow_id="e" * 16)), 990)]
            )
        await press(pilot, "full_stop", "end")
        assert "workflow" in screen_text(app).splitlines()[2]
        assert "another" in screen_text(app)
        assert " sample " in screen_text(app)
        await pilot.resize_terminal(80, 24)
        await settle(pilot)
        assert "workflow" not in screen_text(app).splitlines()[2]


async def test_a_copy_says_whole_at_80_columns_where_it_lies(app: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMUX", "/tmp/tmux,1,0")
    monkeypatch.chdir("/")
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2", "y")
        notice = screen_text(app).splitlines()[-2].strip()
        assert notice == "✓ copied (tmux: if set-clipboard is on); also in …/runs/state/copied.txt"


async def test_digits_are_text_in_an_input_and_the_chord_goes_on_working(app: Workbench) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "2", "slash", "3")
        assert app.state.pane == "dialogues"
        assert app.query_one("#dialogues-filter", Input).value == "3"
        await press(pilot, "ctrl+g", "5")
        assert app.state.pane == "results"


async def test_a_path_is_chosen_and_said_aloud(app: Workbench) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "p", "down", "down")
        assert app.state.workflows.path == "2"
        before = app.query_one("#sample", Transcript).bubbles
        assert before
        await press(pilot, "s")
        assert app.query_one("#sample", Transcript).bubbles != before
        await press(pilot, "number_sign", "1", "enter")
        assert app.state.workflows.path == "1"
        await press(pilot, "o", "down", "down")
        assert app.state.workflows.node is not None
        await press(pilot, "d", "down", "right")
        assert "┏" in screen_text(app)


async def test_filtering_searching_and_reviewing(app: Workbench, home: Home) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2", "slash", *"terminal:booked", "enter")
        assert "20 of 60" in screen_text(app)
        table = app.query_one("#dialogues-list", VirtualTable)
        assert table.has_focus
        chosen = app.state.dialogues.selected
        await press(pilot, "a")
        await press(pilot, "f")
        with connect(home) as rec:
            mine = [r.decision for r in reviews(rec, chosen) if r.reviewer != "ann"]
        assert mine == ["pass", "flag"]
        await press(pilot, "U")
        with connect(home) as rec:
            assert reviews(rec, chosen)[-1].decision == "pass"
        await press(pilot, "escape")
        assert "60" in screen_text(app)
        await press(pilot, "slash", *"split:nowhere")
        assert "not understood: split:" in screen_text(app)


async def test_a_note_flags_and_a_half_written_one_is_kept(app: Workbench, home: Home) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2", "m", *"odd", "escape")
        assert app.state.dialogues.note == "odd"
        await press(pilot, "m", "!", "enter")
        with connect(home) as rec:
            assert reviews(rec, app.state.dialogues.selected)[-1].note == "odd!"
        assert app.state.dialogues.note == ""


async def test_new_dialogues_are_announced_and_move_nothing(app: Workbench, home: Home) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2", "down", "down", "down")
        chosen = app.state.dialogues.selected
        with connect(home) as rec:
            put_dialogues(rec, [DialogueEntry(sample_dialogue(n), n, created=START) for n in range(100, 137)])
        app.post_message(Changed(frozenset({"record"})))
        await settle(pilot)
        assert "37 new, press ." in screen_text(app)
        assert app.state.dialogues.selected == chosen
        await press(pilot, "full_stop")
        assert app.state.dialogues.selected == chosen
        assert app.query_one("#dialogues-list", VirtualTable).count == 97


async def test_curves_answers_and_keys_follow_the_run(app: Workbench) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await press(pilot, "3")
        shown = screen_text(app)
        assert "train 0." in shown
        assert "Answer at 0 fine" in shown
        assert {app.state.training.resumable, app.state.training.finished} == {True, False}
        footer = app.query_one("#keys").actions  # type: ignore[attr-defined]
        assert any(a.name in ("resume", "talk") for a in footer)
        await press(pilot, "l")
        assert "packed fine" in screen_text(app)


async def test_a_figure_opens_the_conversations_behind_it_and_one_of_them(app: Workbench) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "5", "right", "right", "enter")
        assert app.state.results.depth == 1
        assert app.query_one("#behind", VirtualTable).count == 4
        shown = screen_text(app)
        assert "Hello, where would you like to go?" in shown
        assert "“Fine," in shown  # the quoted evidence, which wraps
        await press(pilot, "escape")
        assert app.state.results.depth == 0
        assert "Agents by measure" in screen_text(app)


async def test_chatting_side_by_side(app: Workbench, home: Home) -> None:
    async with LiveServer(home, ("compiled:x", "oracle", "in-context:y")) as server:
        app.state = AppState("chat", chat=ChatState(server.agents, JOB))
        async with app.run_test(size=SIZE) as pilot:
            await until(pilot, lambda: "3.0× cheaper" in screen_text(app) and "Hello from oracle" in screen_text(app))
            assert "○ C in-context:y" in screen_text(app)  # the third is a line of its own at 80 columns
            await pilot.press("i", *"hi", "enter")
            await until(pilot, lambda: screen_text(app).count("a reply in words") >= 2)
            assert {m["op"]: m.get("text") for m in server.received}["say"] == "hi"
            await pilot.press(*"draft", "escape", "ctrl+t", "i", "enter")
            await until(pilot, lambda: any(m.get("to") == [0] for m in server.received))


async def test_a_conversation_is_joined_again_where_it_was_left(app: Workbench, home: Home) -> None:
    async with LiveServer(home, ("oracle",)) as server:
        app.state = AppState("chat", chat=ChatState(server.agents, JOB, "half typed"))
        async with app.run_test(size=SIZE) as pilot:
            await until(pilot, lambda: "Hello from oracle" in screen_text(app))
            assert app.query_one("#chat-input", Input).value == "half typed"
        server.turn(0, "said while nobody watched")
        again = Workbench(home, watch=False)
        assert again.state.chat.session == JOB
        async with again.run_test(size=SIZE) as pilot:
            await until(pilot, lambda: "said while nobody watched" in screen_text(again))


async def test_agents_are_chosen_from_a_list(app: Workbench, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[tuple[str, ...]] = []
    monkeypatch.setattr("workbench.tui.panes.chat.screen.ChatPane._begin", lambda self: begun.append(self.state.agents))
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "4", "a", "space", "down", "space", "enter")
        assert begun == [("compiled:sample-run", "oracle")]


async def test_nothing_made_yet_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    app = Workbench(Home(tmp_path / "runs").make(), watch=False)
    async with app.run_test(size=SIZE) as pilot:
        for key in "2345":
            await press(pilot, key)
            assert "workbench demo" in screen_text(app), key


async def test_state_is_restored(app: Workbench, home: Home) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2", "slash", *"terminal:booked", "enter", "down", "down")
        chosen = app.state.dialogues.selected
        await press(pilot, "T")
    again = Workbench(home, watch=False)
    assert again.state == states.load(home.state / "tui.json")
    async with again.run_test(size=SIZE) as pilot:
        await settle(pilot)
        assert again.state.pane == "dialogues"
        assert again.state.light
        assert again.state.dialogues.selected == chosen
        assert again.query_one("#dialogues-filter", Input).value == "terminal:booked"
        row = again.query_one("#dialogues-list", VirtualTable).row
        assert row is not None
        assert row.id == chosen


async def test_below_the_least_size_one_line_says_so(app: Workbench) -> None:
    async with app.run_test(size=(59, 19)) as pilot:
        await settle(pilot)
        assert "workbench needs 60×20 cells" in screen_text(app)
        await pilot.resize_terminal(80, 24)
        await settle(pilot)
        assert "needs" not in screen_text(app)


async def test_every_command_is_in_the_palette(app: Workbench) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "5", "colon")
        await until(pilot, lambda: "results: conversations behind" in screen_text(app))
        await press(pilot, "escape")
        assert app.base.query_one(Keys).hint == ""  # the palette's input is not there any more


async def test_an_error_is_one_line_and_ends_nothing(app: Workbench) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)

        def fails() -> None:
            raise OSError(f"disk {HOSTILE}")

        app.effects.run("x", fails, lambda _: None)
        await settle(pilot)
        assert "✗ x: disk [/x]" in screen_text(app)
        await press(pilot, "down")
        assert "disk" not in screen_text(app)

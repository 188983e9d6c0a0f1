"""The review keys: in the dialogues pane, on top of any pane, two reviewers at once, hostile words, restarts."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from textual.widgets import Input, TextArea

from tests.fakes.record import START, WORKFLOW, sample_dialogue, sample_id
from tests.tui.conftest import HOSTILE, press, screen_text, settle, until
from workbench.dialogue.generation import Order, keep_workflow, planned_scenarios
from workbench.dialogue.reviewing import decide, make_plan
from workbench.dialogue.scripted import write
from workbench.home import Home
from workbench.store import connect
from workbench.store.dialogues import DialogueFilter, dialogue_rowids, dialogue_rows, get_dialogue, put_dialogues
from workbench.store.review_plans import leases, plans
from workbench.store.reviews import review_states, reviews
from workbench.store.rows import DialogueEntry
from workbench.tui.panes.dialogues.completing import complete
from workbench.tui.shell import Workbench
from workbench.tui.state import load
from workbench.tui.watch import Changed
from workbench.tui.widgets.review import ReviewBar, ReviewScreen
from workbench.tui.widgets.table import VirtualTable
from workbench.tui.widgets.transcript import Transcript
from workbench.workflow.load import load_workflow

SIZE = (80, 24)


@pytest.fixture(autouse=True)
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_REVIEWER", "eve")


def mine(home: Home, subject: str | None = None) -> list[str]:
    with connect(home) as rec:
        return [r.decision for r in reviews(rec, subject, "eve")]


async def test_the_name_is_in_view_and_a_key_held_down_decides_once(app: Workbench, home: Home) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2")
        assert "as eve" in screen_text(app)
        await pilot.press(*"aaaaaaaaaa")
        await settle(pilot)
        await press(pilot, "a", "a")
        assert mine(home) == ["pass"]
        assert "pass by eve" in screen_text(app)
        await pilot.press(*"jjjjj", *"ffffff")  # the next ones are not on the screen yet, the last one may be
        await settle(pilot)
        assert mine(home).count("flag") <= 1


async def test_a_reviewed_row_stays_in_place_until_the_list_is_read_anew(app: Workbench, home: Home) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2", "slash", *"review:none", "enter")
        table = app.query_one("#dialogues-list", VirtualTable)
        before, chosen = table.count, app.state.dialogues.selected
        await press(pilot, "a")
        assert (table.count, table.row.id if table.row else None) == (before, chosen)
        assert table.row is not None
        assert table.row.cells[0] == ("✓", "good")
        await press(pilot, "full_stop")
        assert table.count == before - 1


async def test_tags_on_digits_and_a_note(app: Workbench, home: Home) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2", "t", "1", "3", "1", "2", "enter")
        assert app.state.pane == "dialogues"  # digits were tags, not panes
        await press(pilot, "m", *"why?", "enter")
        with connect(home) as rec:
            row = reviews(rec, reviewer="eve")[-1]
        assert (row.decision, row.tags, row.note) == ("flag", ("unnatural", "off-path"), "why?")
        await press(pilot, "t", "1", "escape")
        assert app.query_one("#dialogues-list").has_focus
        assert len(mine(home)) == 2


async def test_undo_reaches_over_a_restart_and_brings_the_cursor(app: Workbench, home: Home) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2", "f")
        first = app.state.dialogues.selected
        await press(pilot, "j", "a")
    again = Workbench(home, watch=False)
    async with again.run_test(size=SIZE) as pilot:
        await settle(pilot)
        await press(pilot, "j", "j", "U", "U")
        assert again.state.dialogues.selected == first
        assert mine(home) == ["flag", "pass", "none", "none"]
        await press(pilot, "U")
        assert "no decision of yours left" in screen_text(again)


async def test_n_hands_out_the_plan_under_a_lease(app: Workbench, home: Home) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2", "n")
        assert "P makes one" in screen_text(app)
        await press(pilot, "P")
        box = app.screen.query_one(Input)
        box.value = "name:first by:terminal each:4 second:50%"
        await press(pilot, "enter")
        assert "plan first: 12 dialogues of 3 strata, 6 for two reviewers" in screen_text(app)
        await press(pilot, "n")
        with connect(home) as rec:
            plan = plans(rec)[0]
            held = leases(rec, plan.id, 0.0)
        assert held["eve"][0] == app.state.dialogues.selected
        await press(pilot, "a")
        assert "plan first 1/12" in screen_text(app) or "plan first 2/12" in screen_text(app)
        with connect(home) as rec:
            assert leases(rec, plan.id, 0.0) == {}
        await press(pilot, "slash", *"terminal:nowhere", "enter", "n")
        assert app.state.dialogues.filter == ""  # it would have hidden what was handed out
        await press(pilot, "P")
        app.screen.query_one(Input).value = "name:"
        await press(pilot, "enter")
        assert "write it as: name:first" in screen_text(app)


async def test_two_reviewers_at_once_see_nothing_of_each_other_until_both_have_decided(
    app: Workbench, home: Home
) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2", "slash", *"review:none", "enter")
        chosen = app.state.dialogues.selected
        assert chosen is not None
        with connect(home) as rec:
            decide(rec, "dialogue", chosen, "bob", "flag", ("tone",), "secret words")
        app.post_message(Changed(frozenset({"record"})))
        await settle(pilot)
        shown = screen_text(app)
        assert "1 decided, hidden till you do" in shown
        assert "secret" not in shown
        table = app.query_one("#dialogues-list", VirtualTable)
        assert table.row is not None
        assert table.row.cells[0] == ("•", "dim")  # that somebody has decided, not how
        await press(pilot, "a")
        assert "secret" in screen_text(app)
        await press(pilot, "D")
        assert table.count == 1
        await press(pilot, "A")
        assert "1 with independent decisions of two or more, 1 differ" in screen_text(app)
        await press(pilot, "escape", "D")
        assert app.state.dialogues.filter == ""


async def test_reviews_are_exported_beside_the_state(app: Workbench, home: Home) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2", "m", *"=1+1", "enter", "X")
        assert "2 reviews in runs/state/reviews.csv and .md; 5 are hidden from you" in screen_text(app)
    assert "'=1+1" in (home.state / "reviews.csv").read_text("utf-8")
    assert "flag by eve" in (home.state / "reviews.md").read_text("utf-8")


async def test_no_view_tells_a_second_reviewer_what_the_first_decided(app: Workbench, home: Home) -> None:
    """ann has flagged three and passed three of the sample; eve has decided on nothing."""
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2")
        table = app.query_one("#dialogues-list", VirtualTable)
        box = app.query_one("#dialogues-filter", Input)
        for words in ("review:flag", "review:pass", "tag:repetitive"):
            box.value = words
            await settle(pilot)
            assert table.count == 0
            assert "O shows 3" in screen_text(app)
        box.value = "review:any"
        await settle(pilot)
        unsorted = table.source.window(0, 9)
        assert {row.cells[0] for row in unsorted} == {("•", "dim")}  # that somebody has, not how
        box.value = "review:any sort:review"
        await settle(pilot)
        assert table.source.window(0, 9) == unsorted  # nor by the order
        box.value = "review:flag"
        await settle(pilot)
        await press(pilot, "O")
        assert table.count == 3
        assert mine(home) == ["none"] * 3
        await press(pilot, "a")
        await press(pilot, "A")
        assert "no subject has independent decisions" in screen_text(app)


async def test_a_disagreement_is_settled_by_a_third(app: Workbench, home: Home) -> None:
    subject = sample_dialogue(8).id
    with connect(home) as rec:
        decide(rec, "dialogue", subject, "bob", "flag")
        decide(rec, "dialogue", subject, "zoe", "pass")
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2", "J")
        assert "do not disagree" in screen_text(app)
        await press(pilot, "D", "J")
        assert "flag by bob, pass by zoe" in screen_text(app)
        await press(pilot, *"pass it is fine", "enter")
        shown = screen_text(app)
        assert "settled: pass by eve" in shown
        assert "flag by bob" in shown
    with connect(home) as rec:
        assert review_states(rec, "dialogue")[subject] == "pass"
        row = reviews(rec, subject, "eve")[-1]
    assert (row.settles, row.note) == (True, "it is fine")


async def test_another_plan_can_be_followed_and_is_remembered(app: Workbench, home: Home) -> None:
    with connect(home) as rec:
        make_plan(rec, "dialogue", WORKFLOW, "older", ["terminal"], 1)
        make_plan(rec, "dialogue", WORKFLOW, "newer", ["terminal"], 2)
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2")
        assert "plan newer" in screen_text(app)
        await press(pilot, "N")
        assert "plan older" in screen_text(app)
        await press(pilot, "n")
        with connect(home) as rec:
            plan = next(p for p in plans(rec) if p.name == "older")
            assert leases(rec, plan.id, 0.0)["eve"][0] == app.state.dialogues.selected
    again = Workbench(home, watch=False)
    async with again.run_test(size=SIZE) as pilot:
        await settle(pilot)
        assert "plan older" in screen_text(again)


def written(home: Home, count: int) -> list[str]:
    """Real dialogues of travel booking, several to a path."""
    workflow = load_workflow("travel_booking")
    with connect(home) as rec:
        keep_workflow(rec, workflow)
        made = [
            write(workflow, s) for s in planned_scenarios(workflow, Order("travel_booking", count, 0, 0, 0), "train")
        ]
        put_dialogues(rec, [DialogueEntry(d, n % 9, created=START + 500 + n) for n, d in enumerate(made)])
    return [d.id for d in made]


async def test_a_mended_copy_stands_beside_the_original(app: Workbench, home: Home) -> None:
    written(home, 3)
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2", "slash", *"workflow:travel_booking", "enter", "e")
        box = app.screen.query_one("#say-0", TextArea)
        box.text = "Hello and welcome, how may I help?"
        await press(pilot, "escape", "e")
        assert app.screen.query_one("#say-0", TextArea).text == box.text  # a draft stays
        text = box.text  # and is soon on the disk, whatever becomes of the app
        await until(pilot, lambda: list(load(home.state / "tui.json").dialogues.mends.values()) == [text])
        await press(pilot, "ctrl+o")
        with connect(home) as rec:
            row = reviews(rec, reviewer="eve")[-1]
            original, copy = get_dialogue(rec, row.subject_id), get_dialogue(rec, row.copy_id or "")
            line = dialogue_rows(rec, dialogue_rowids(rec, DialogueFilter(writer="scripted (edited)")))[0]
        assert row.decision == "fix"
        assert original is not None
        assert copy is not None
        assert original.messages[0].text != copy.messages[0].text == box.text
        assert (copy.path, line.status) == (original.path, "ok")
        assert app.state.dialogues.mends == {}


async def test_two_dialogues_of_one_path_side_by_side_and_the_place_in_the_graph(app: Workbench, home: Home) -> None:
    workflow = load_workflow("travel_booking")
    with connect(home) as rec:
        keep_workflow(rec, workflow)
        scenario = next(iter(planned_scenarios(workflow, Order("travel_booking", 3, 0, 0, 0), "train")))
        first = write(workflow, scenario)
        put_dialogues(rec, [replace(first, id=f"{n:016x}", repetition=n) for n in range(3)])
    for size in (SIZE, (160, 50)):
        again = Workbench(home, watch=False)
        async with again.run_test(size=size) as pilot:
            await settle(pilot)
            if again.state.pane != "dialogues":  # the second time it opens where it was left
                await press(pilot, "2", "slash", *"workflow:travel_booking", "enter")
            await press(pilot, "v")
            other = again.query_one("#dialogues-other", Transcript)
            assert other.bubbles == again.query_one("#dialogues-text", Transcript).bubbles
            assert "(1 of 2, v: next)" in screen_text(again)
            await press(pilot, "v", "escape")
            assert not again.state.dialogues.beside
            await press(pilot, "o")
            assert workflow.start in screen_text(again)
            assert again.query_one("#dialogues-place").display
            await press(pilot, "o")
            assert not again.state.dialogues.place


async def test_the_filter_line_offers_fields_and_values(app: Workbench, home: Home) -> None:
    written(home, 3)
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2", "slash", *"revi")
        box = app.query_one("#dialogues-filter", Input)
        await press(pilot, "right")
        assert box.value == "review:"
        await press(pilot, *"fl", "right", "space", *"persona:", "right")
        assert box.value.startswith("review:flag persona:")
        assert len(box.value) > len("review:flag persona:")
        await press(pilot, *" writer:scr", "right")
        assert box.value.endswith(" writer:scripted")


def test_completion_of_a_filter() -> None:
    words = {"terminal": ("booked", "escalated"), "tag": ("tone",), "writer": ("a b", "c")}
    for typed, offered in [
        ("t", None), ("te", "terminal:"), ("x te", "x terminal:"), ("terminal:", "terminal:booked"),
        ("terminal:e", "terminal:escalated"), ("terminal:booked", None), ("terminal:x", None), ("nonsense:", None),
        ("writer:", "writer:c"), ("lisbon ", None), ("", None),
    ]:  # fmt: skip
        assert complete(typed, words) == offered, typed


async def test_what_was_quarantined_is_written_anew_after_asking(
    app: Workbench, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[Any, ...]] = []

    def launch(home: Home, kind: str, args: Any, title: str, settings: Any) -> Any:
        started.append((kind, args["writer"], settings))
        return SimpleNamespace(id="0123456789abcdef")

    monkeypatch.setattr("workbench.tui.panes.dialogues.retry.launch", launch)
    order = asdict(Order("travel_booking", writer="anthropic/m", manner="whole"))
    with connect(home) as rec:
        dialogue = replace(sample_dialogue(500), writer="whole:anthropic/m")
        fault = ({"code": "malformed", "index": None, "what": "no JSON"},)
        put_dialogues(rec, [DialogueEntry(dialogue, 500, fault, "quarantined", {"order": order}, START)])
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2", "R")
        assert "choose a dialogue that a model has written" in screen_text(app)
        await press(pilot, "slash", *"check:malformed", "enter", "R")
        assert "Write 1 quarantined dialogues of whole:anthropic/m anew?" in " ".join(screen_text(app).split())
        await press(pilot, "escape")
        assert started == []
        await press(pilot, "R", *"lots", "enter")
        assert "in dollars" in screen_text(app)
        await press(pilot, "R", *"$2.5", "enter")
        assert "job 01234567 writes them anew" in screen_text(app)
        await press(pilot, "R", *"yes", "enter")
    assert started == [
        ("generate", "anthropic/m", {"retries": 1, "budget": 2.5}), ("generate", "anthropic/m", {"retries": 1}),
    ]  # fmt: skip


async def test_faults_stand_beside_their_turn(app: Workbench, home: Home) -> None:
    faults = (
        {"code": "leak", "index": 2, "what": "node id"},
        {"code": "off-path", "index": None, "what": "not the path"},
    )
    with connect(home) as rec:
        put_dialogues(rec, [DialogueEntry(sample_dialogue(500), 500, faults, "quarantined", created=START)])
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, "2", "slash", *"check:leak persona:plain", "enter")
        assert app.query_one("#dialogues-list", VirtualTable).count == 1
        shown = screen_text(app)
        assert "✗ leak offer" in shown
        assert "✗ not the path" in shown
        assert "✓ trip" in shown


async def test_the_same_keys_on_top_of_another_pane(app: Workbench, home: Home) -> None:
    talk = sample_id("conversation", "oracle", 0)
    closed: list[bool | None] = []
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "4")
        app.push_screen(ReviewScreen("conversation", talk), closed.append)
        await press(pilot, "f", "t", "4", "enter", "m", *"hm", "enter")
        assert "flag by eve" in screen_text(app)
        await press(pilot, "U", "escape")
    assert closed == [True]
    with connect(home) as rec:
        rows = reviews(rec, talk, kind="conversation")
        assert [(r.decision, r.tags, r.note) for r in rows] == [
            ("flag", (), ""), ("flag", ("repetitive",), ""), ("flag", ("repetitive",), "hm"), ("flag", ("repetitive",), ""),
        ]  # fmt: skip
        assert review_states(rec, "conversation") == {talk: "flag"}


async def test_hostile_words_in_reviews(app: Workbench, home: Home) -> None:
    with connect(home) as rec:
        for n in range(60):
            decide(rec, "dialogue", sample_dialogue(n).id, HOSTILE, "flag", (HOSTILE,), HOSTILE)
            decide(rec, "dialogue", sample_dialogue(n).id, "eve", "flag", (HOSTILE,), HOSTILE)
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2", "A", "escape", "t", "enter", "m", "escape", "X", "o", "v", "escape", "e")
        shown = screen_text(app)
        assert "\x1b" not in shown
        assert "\u202e" not in shown


async def test_the_bar_does_nothing_before_anything_is_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    app = Workbench(Home(tmp_path / "runs").make(), watch=False)
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "escape", "2", "a", "f", "t", "m", "e", "v", "o", "u", "D", "A", "escape", "n", "U")
        assert app.query_one(ReviewBar).subject is None
        assert "no dialogues yet" in screen_text(app) or "nothing passes" in screen_text(app)


async def test_a_common_word_shows_its_first_rows_before_all_are_counted(app: Workbench, home: Home) -> None:
    from workbench.store.dialogues import GLANCE, first_rowids
    from workbench.tui.panes.dialogues import view

    with connect(home) as rec:
        for sort in ("made", "-made"):
            wanted = DialogueFilter(text="flight", viewer="eve")
            whole = dialogue_rowids(rec, wanted, sort)
            assert list(first_rowids(rec, wanted, sort)) == list(whole)  # so few that the beginning is all of it
        assert len(whole) > 0
        assert not first_rowids(rec, DialogueFilter(text="flight"), "path")
        assert GLANCE > 100
    first = view.glance(home, "flight", "any", "eve")
    assert first is not None
    assert first.partial
    filtered = view.glance(home, "terminal:booked", None)
    assert filtered is not None
    assert filtered.partial
    assert list(filtered.rowids) == list(view.find(home, "terminal:booked", None).rowids)
    assert view.glance(home, "terminal:nowhere", None) is None  # nothing to show yet
    assert view.glance(home, "", "selected") is None
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "2", "j", "j")
        chosen = app.state.dialogues.selected
        await press(pilot, "slash", *"flight", "enter")
        table = app.query_one("#dialogues-list", VirtualTable)
        assert table.count == len(whole)
        assert chosen is not None
        assert app.state.dialogues.selected == chosen  # the cursor came back to it once all were there
        assert "counting" not in screen_text(app)


def test_workflow_of_the_sample_record_is_unreadable_and_says_so(home: Home) -> None:
    from workbench.tui.panes.dialogues.view import drawing, whole

    shown = whole(home, sample_dialogue(0).id)
    assert shown is not None
    assert shown.workflow_id == WORKFLOW
    assert "no readable workflow" in drawing(home, shown)[0][0][0]

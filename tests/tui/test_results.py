"""The Results pane on a judged comparison: views, conversations behind every figure, side by side, hostile words."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.fakes.comparison import AGENTS, make_comparison
from tests.fakes.record import START
from tests.tui.conftest import HOSTILE, press, screen_text, settle, until
from tests.tui.snapshots import SnapCompare
from workbench.errors import UserError
from workbench.home import Home
from workbench.store import behind as stored
from workbench.store import connect
from workbench.store.chat_votes import put_vote
from workbench.store.comparisons import put_comparison
from workbench.store.reviews import votes
from workbench.store.rows import VoteRow
from workbench.tui import format as formats
from workbench.tui.panes.results import behind, evaluating, parts, view
from workbench.tui.panes.results.screen import ResultsPane
from workbench.tui.shell import Workbench
from workbench.tui.state import AppState, ResultsState
from workbench.tui.widgets.table import VirtualTable
from workbench.tui.widgets.transcript import Transcript

SMALL, BIG = (80, 24), (160, 50)
VIEWS = {
    "p": ("Tests", "compiled:demo minus the other"),
    "c": ("Cost", "machine (GPU) seconds"),
    "C": ("Cost against quality", "task success, 1–5"),
    "b": ("Break-even", "paid back after"),
    "d": ("Distribution of", "single scores"),
    "o": ("By deviation", "off_topic"),
    "w": ("Procedure", "hub check"),
    "z": ("Coverage", "a->b"),
    "i": ("Judges", "llm:acme/two"),
    "A": ("Agreement", "Krippendorff"),
    "P": ("The paper's figures", "REFERENCE, not measured here"),
    "I": ("About", "offline: the simulated user"),
}
"""Key → heading and words that must stand on the screen."""


@pytest.fixture
def judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(formats, "now", lambda: START + 3600)
    home = Home(tmp_path / "runs").make()
    with connect(home) as rec:
        make_comparison(rec, 12, 4, 2)
    return home


def on(home: Home, **state: Any) -> Workbench:
    app = Workbench(home, watch=False)
    app.state = AppState("results", results=ResultsState(**state))
    return app


@pytest.mark.parametrize("size", [SMALL, BIG], ids=["80x24", "160x50"])
async def test_every_view_has_a_key_and_esc_leads_back(judged: Home, size: tuple[int, int]) -> None:
    app = on(judged)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        for key, words in VIEWS.items():
            await press(pilot, key)
            shown = " ".join(screen_text(app).split())
            assert all(word in shown for word in words), key
        await press(pilot, "escape")
        assert app.state.results.view == ""
        assert "Agents by measure" in screen_text(app)
        for _ in parts.VIEWS:
            await press(pilot, "right_square_bracket")
        assert app.state.results.view == ""  # once around


async def test_a_figure_shows_its_interval_and_its_mark(judged: Home) -> None:
    matrix = view.matrix(judged, view.listing(judged)[0][0].id)
    assert matrix is not None
    assert matrix.conditions == AGENTS[:4]
    judges = {judge for _, judge in matrix.measures}
    assert {"", "llm:acme/one", "llm:acme/two"} <= judges
    assert matrix.figures["fitness", "", AGENTS[1]].differs
    assert not matrix.figures["fitness", "", AGENTS[0]].differs
    said = [
        "".join(text for text, _ in view.figure_cell("fitness", matrix.figures["fitness", "", agent], False, True))
        for agent in AGENTS[:2]
    ]
    assert said[1].startswith("    95%✱ 90–100")
    assert {figures.index("%") for figures in said} == {6}  # shares under shares
    assert len({figures.index("n ") for figures in said}) == 1
    assert ("failures", "task success ≤ 3") in matrix.measures


async def test_every_row_of_a_view_opens_its_conversations(judged: Home) -> None:
    app = on(judged)
    async with app.run_test(size=SMALL) as pilot:
        await press(pilot, "o", "down", "down", "down", "down", "enter")
        state = app.state.results
        assert (state.depth, state.figure, state.deviation, state.among) == (
            1,
            "right_terminal",
            "off_topic",
            AGENTS[0],
        )
        assert app.query_one("#behind", VirtualTable).count == 4
        await press(pilot, "escape")
        assert (app.state.results.depth, app.state.results.view) == (0, "deviations")
        await press(pilot, "d", "enter")
        assert app.state.results.label
        await press(pilot, "escape", "z", "enter")
        assert "no conversation stands behind this row" in screen_text(app)


async def test_where_agents_and_judges_differ(judged: Home) -> None:
    app = on(judged, measure="llm:acme/one|task_success")
    async with app.run_test(size=SMALL) as pilot:
        await press(pilot, "enter")
        table = app.query_one("#behind", VirtualTable)
        assert table.count == 12
        await press(pilot, "x")
        assert "where agents differ" in screen_text(app)
        assert 0 < table.count <= 12
        await press(pilot, "x")
        assert app.state.results.differ == "judges"
        assert table.count <= 12
        await press(pilot, "x")
        assert (app.state.results.differ, table.count) == ("", 12)


@pytest.mark.parametrize(("size", "columns"), [(SMALL, 2), (BIG, 4)], ids=["80x24", "160x50"])
async def test_one_scenario_side_by_side(judged: Home, size: tuple[int, int], columns: int) -> None:
    app = on(judged, measure="llm:acme/one|task_success")
    async with app.run_test(size=size) as pilot:
        await press(pilot, "enter", "s")
        assert app.state.results.depth == 2
        sides = [app.query_one(f"#side-text-{n}", Transcript) for n in range(4)]
        assert sum(side.parent is not None and bool(side.parent.display) for side in sides) == columns
        first = [side.bubbles[-1].text for side in sides[:2]]
        assert first[0] != first[1]
        assert "way greet › trip" in screen_text(app)
        await press(pilot, "l")
        assert sides[0].bubbles[-1].text == first[1]
        await press(pilot, "escape")
        assert app.state.results.depth == 1
        await press(pilot, "escape")
        assert app.state.results.depth == 0


async def test_verdicts_stand_with_their_evidence(judged: Home) -> None:
    app = on(judged, measure="llm:acme/two|consistency")
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, "v")
        shown = screen_text(app)
        assert "llm:acme/two · consistency" in shown
        assert "said so" in shown
        assert "“Where to?" in shown


@pytest.mark.parametrize("size", [SMALL, BIG], ids=["80x24", "160x50"])
async def test_blind_votes_are_added_up_with_intervals(judged: Home, size: tuple[int, int]) -> None:
    names = ("compiled:http://127.0.0.1:8001/v1#demo", "compiled:http://127.0.0.1:8002/v1#demo")
    with connect(judged) as rec:
        (workflow,) = rec.one("SELECT id FROM workflows")
        for n, (winner, note) in enumerate([(0, "concise"), (0, HOSTILE), (1, ""), (None, "")]):
            verdict = "win" if winner is not None else "tie"
            put_vote(rec, VoteRow(f"v{n}", "j", workflow, names, (f"a{n}", f"b{n}"), winner, verdict, note, created=n))
        put_vote(rec, VoteRow("seen", "j", workflow, names, ("a", "b"), 1, "win", "in sight", blind=False))
    app = on(judged)
    async with app.run_test(size=size) as pilot:
        await press(pilot, "V")
        await until(pilot, lambda: app.screen.query("#votes-table"))
        shown = screen_text(app)
        assert "4 votes, 4 of them blind" in shown
        rows = [row for row in shown.splitlines() if re.search(r"\d%–\d", row)]
        letters = size == SMALL  # there is no room for the names in the table: they stand below
        assert ("A = compiled:127.0.0.1:8001#demo" in shown) == ("B = compiled:127.0.0.1:8002#demo" in shown) == letters
        compiled = next((row for row in rows if ("A  " if letters else "8001#demo") in row), "")
        rival = next((row for row in rows if ("B  " if letters else "8002#demo") in row), "")
        assert "67% 21%–94%" in compiled  # two of three, Wilson
        assert "33% 6%–79%" in rival
        assert "+0.00" in compiled
        assert "-0.51" in rival  # log(1.5 / 2.5): a tie is half a win for each
        assert "concise" in shown
        assert "in sight" not in shown
        assert "\x1b" not in shown
        await press(pilot, "escape")
        assert not app.screen.query("#votes-table")


async def test_review_keys_work_on_conversations(judged: Home) -> None:
    app = on(judged, measure="llm:acme/one|task_success")
    async with app.run_test(size=BIG) as pilot:
        await press(pilot, "enter")
        first = app.state.results.subject
        assert first is not None
        await press(pilot, "f")
        with connect(judged) as rec:
            assert list(votes(rec, "conversation", [first])[first].values()) == ["flag"]
        await press(pilot, "down", "a")
        second = app.state.results.subject
        await press(pilot, "U")
        with connect(judged) as rec:
            assert set(votes(rec, "conversation", [first, second])) == {first}
        await press(pilot, "escape", "A")
        assert "Where they pass or flag" in " ".join(screen_text(app).split())
        assert "human:" in screen_text(app)


async def test_failures_open_the_conversations_of_three_or_less(judged: Home) -> None:
    app = on(judged, measure="task success ≤ 3|failures")
    async with app.run_test(size=SMALL) as pilot:
        await press(pilot, "right", "right", "enter")
        assert (app.state.results.figure, app.state.results.judge) == ("task_success", "llm:acme/one")
        rows = app.query_one("#behind", VirtualTable).source.window(0, 12)
        assert rows
        assert all(float(str(row.cells[0][0])) <= 3 for row in rows if row.cells[0][0] != "missing")


async def test_a_running_comparison_shows_its_means_so_far(judged: Home) -> None:
    with connect(judged) as rec:
        from workbench.store.comparisons import comparisons, set_comparison

        set_comparison(rec, comparisons(rec)[0].id, "running", {})
    app = on(judged)
    async with app.run_test(size=SMALL) as pilot:
        await until(pilot, lambda: "means of what there is so far" in screen_text(app))
        assert "right terminal" in screen_text(app)
        await press(pilot, "p")
        assert "comes when the comparison is done" in screen_text(app)


@pytest.mark.parametrize("size", [SMALL, BIG], ids=["80x24", "160x50"])
async def test_hostile_words_in_every_view(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    monkeypatch.chdir(tmp_path)
    home = Home(tmp_path / "runs").make()
    with connect(home) as rec:
        make_comparison(rec, 3, 2, 1, words=HOSTILE, name=HOSTILE)
    app = on(home)
    async with app.run_test(size=size) as pilot:
        await settle(pilot)
        seen = ""
        for key in [*VIEWS, "escape", "enter", "s", "escape", "x"]:
            await press(pilot, key)
            seen += screen_text(app)
            assert not set(screen_text(app)) & {"\x1b", "\x07", "\x9b", "\u202e", "\u2069"}, key
        assert "[/x]" in seen


SHOTS = {
    "tests": ("p",),
    "cost": ("c",),
    "plot": ("C",),
    "break-even": ("b",),
    "behind": ("enter",),
    "side": ("enter", "s"),
}


@pytest.mark.parametrize("size", [SMALL, BIG], ids=["80x24", "160x50"])
@pytest.mark.parametrize("name", SHOTS)
def test_pictures(judged: Home, snap_compare: SnapCompare, name: str, size: tuple[int, int]) -> None:
    async def there(pilot: Any) -> None:
        await until(pilot, lambda: "Agents by measure" in screen_text(pilot.app))
        await press(pilot, *SHOTS[name])
        before, same = "", 0
        while same < 4:
            await settle(pilot)
            now = screen_text(pilot.app)
            before, same = now, same + 1 if now == before else 0

    assert snap_compare(on(judged, measure="llm:acme/one|task_success"), terminal_size=size, run_before=there)


async def test_the_form_starts_the_evaluation_that_its_command_says(
    judged: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[dict[str, Any]] = []

    def launched(home: Home, kind: str, args: dict[str, Any], title: str, settings: Any) -> Any:
        begun.append(args)
        return SimpleNamespace(id="f" * 16, joined=False)

    monkeypatch.setattr(evaluating, "launch", launched)
    monkeypatch.setattr(evaluating, "known_workflows", lambda: [Path("travel_booking.yaml")])
    app = on(judged)
    async with app.run_test(size=SMALL) as pilot:
        await press(pilot, "e")
        await until(pilot, lambda: "200 conversations to hold" in screen_text(app))
        assert "--agents oracle" in " ".join(screen_text(app).split())
        await press(pilot, "enter")
        await until(pilot, lambda: bool(begun))
        assert (begun[0]["agents"], begun[0]["scenarios"]) == (["oracle"], 200)
        await press(pilot, "e")
        await until(pilot, lambda: "200 conversations to hold" in screen_text(app))
        await press(pilot, "escape")
        assert len(begun) == 1


def test_the_form_refuses_what_the_command_would(judged: Home) -> None:
    check = {field.name: field.check for field in evaluating.fields(judged) if field.check}
    assert check["agents"]("oracle, compiled:demo") is None
    assert check["judges"]("rules, pair") is None
    for name, text in (("agents", "nobody"), ("agents", " , "), ("judges", "nobody"), ("on", "nowhere:x")):
        assert check[name](text) is not None
    assert "no rubric" in str(check["rubric"]("nowhere.yaml"))


async def test_the_form_holds_all_that_the_command_has(judged: Home, tmp_path: Path) -> None:
    rubric = tmp_path / "mine.yaml"
    rubric.write_text("name: mine\ninstruction: Judge.\ncriteria:\n  warmth: {question: Kind, anchors: {5: a, 1: b}}\n")
    values = {f.name: f.value or None for f in evaluating.fields(judged)} | {
        "agents": "oracle",
        "scenarios": 12,
        "limits": "oracle=3",
        "judges": "rules,claude",
        "judge_repetitions": 2,
        "rubric": str(rubric),
        "batch": "yes",
        "budget": 5.0,
    }
    words = " ".join(evaluating.command(judged, values))
    for part in ("--limit oracle=3", "--judge-repetitions 2", f"--rubric {rubric}", "--batch", "--budget 5"):
        assert part in words
    made = evaluating.arguments(values)
    assert (made["limits"], made["judge_repetitions"], made["rubric"]) == ({"oracle": 3}, 2, str(rubric))
    with pytest.raises(UserError, match="AGENT=N"):
        evaluating.arguments({**values, "limits": "nobody=3"})


async def test_a_running_comparison_says_how_much_of_it_there_is(judged: Home) -> None:
    with connect(judged) as rec:
        row = view.listing(judged)[0][0]
        config = {
            **row.config,
            "scenario_ids": [str(n) for n in range(50)],
            "repetitions": 1,
            "limits": {AGENTS[0]: 20},
        }
        put_comparison(rec, replace(row, config=config, status="running", summary={}))
    app = on(judged)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        shown = screen_text(app)
        assert "48 of 170 conversations" in shown
        assert "12 of 20 conversations" in shown
        assert "judge llm:acme/two 48 judgements" in shown


async def test_a_hubs_row_mends_that_hub_alone(judged: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.evaluation.mend import Mend, Weak
    from workbench.tui import mending

    asked: list[str | None] = []
    planned: list[list[str]] = []
    weak = [Weak("elsewhere", "other", 5, 9), Weak("check->a", "check", 3, 9), Weak("check->b", "check", 1, 9)]

    def find(home: Home, wanted: str, agent: str | None) -> tuple[str, list[Weak]]:
        asked.append(agent)
        return "first", weak

    def plan(home: Home, run: str, weak: list[Weak], *_: object) -> Mend:
        planned.append([w.edge for w in weak])
        return Mend(run, "d", "w", ("e",), 120, 1, "first-mended", {"learning_rate": 1e-4})

    monkeypatch.setattr(mending, "find_weak", find)
    monkeypatch.setattr(mending, "plan_mend", plan)
    app = on(judged)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await press(pilot, "w")
        part = app.screen.query_one("#part", VirtualTable)
        assert part.row is not None
        assert "hub check" in part.row.cells[1]
        await press(pilot, "M")
        await until(pilot, lambda: planned and "--branch" in screen_text(app))
        assert "elsewhere" not in screen_text(app)
    assert asked == [str(part.row.cells[0][0])]
    assert planned[-1] == ["check->a", "check->b"]


async def test_the_worst_of_the_first_ones_are_there_before_the_whole_list(
    judged: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, whole = threading.Event(), behind.find
    monkeypatch.setattr(stored, "GLANCE", 5)
    monkeypatch.setattr(behind, "find", lambda *asked: (counted.wait(30), whole(*asked))[1])
    app = on(judged)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await pilot.press("v")
        await until(pilot, lambda: "counting" in screen_text(app))
        table = app.query_one("#behind", VirtualTable)
        assert table.count == 5
        await pilot.press("j")
        await until(pilot, lambda: table.cursor == 1 and table.row)
        assert table.row is not None
        chosen = table.row.id
        counted.set()
        await until(pilot, lambda: table.count == 12 and table.row)
        assert table.row.id == chosen
        assert "counting" not in screen_text(app)


async def test_a_long_list_is_read_to_its_end_while_rows_come_in(judged: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on, whole = threading.Event(), behind.find
    read: list[str] = []

    def slow(home: Home, figure: stored.Figure, judge: str, selected: str | None) -> behind.Behind:
        read.append(figure.criterion)
        assert go_on.wait(60)
        return whole(home, figure, judge, selected)

    monkeypatch.setattr(behind, "find", slow)
    app = on(judged)
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        await pilot.press("v")
        await until(pilot, lambda: read)
        pane, again = app.query_one(ResultsPane), 0
        matrix = pane._show

        def shown(found: view.Matrix | None) -> None:
            nonlocal again
            matrix(found)
            again += 1

        monkeypatch.setattr(pane, "_show", shown)
        for n in range(3):
            pane.refresh_data(frozenset({"record"}))
            await until(pilot, lambda n=n: again > n)
        assert len(read) == 1
        go_on.set()
        await until(pilot, lambda: app.query_one("#behind", VirtualTable).count == 12)
        await settle(pilot)
        assert len(read) == 2  # once more for all that came meanwhile


def test_a_short_list_and_one_that_compares_agents_have_no_first_part(
    judged: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    with connect(judged) as rec:
        figure = stored.Figure(rec.query("SELECT id FROM comparisons")[0]["id"], "fitness")
        assert stored.glance(rec, figure) is None
        monkeypatch.setattr(stored, "GLANCE", 5)
        assert len(stored.glance(rec, figure) or ()) == 5
        assert stored.glance(rec, replace(figure, differ="conditions")) is None

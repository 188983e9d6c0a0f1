"""The Workflows pane: filters, numbers and shares, the three views of the graph, checks, and the editor."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from textual.widgets import Input

from tests.fakes.walked import make_walked
from tests.tui.conftest import press, screen_text, settle
from tests.workflow.test_choosing import ladder
from workbench.errors import UserError
from workbench.home import Home
from workbench.store import connect
from workbench.tui import editor
from workbench.tui.panes.workflows import paths, view
from workbench.tui.shell import Workbench
from workbench.tui.watch import Changed, Watcher
from workbench.tui.widgets.table import VirtualTable
from workbench.workflow.choosing import LISTED, Chosen, PathFilter
from workbench.workflow.load import load_workflow
from workbench.workflow.model import Edge, Node, Workflow
from workbench.workflow.paths import PathSpace

SIZE = (80, 24)
SMALL = Path(__file__).with_name("small.yaml")


@pytest.fixture
def small() -> Workflow:
    return load_workflow(SMALL)


def chain(rungs: int) -> Workflow:
    """A workflow with 2 ** rungs paths."""
    graph = ladder(rungs)
    nodes = {n: Node(n, "terminal" if n == "end" else "agent", n) for n in graph.nodes}
    return Workflow(
        "chain", "Chain", "", nodes=nodes, edges=tuple(Edge(*edge) for edge in graph.edges), start="n0", max_visits=1
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", PathFilter()),
        ("ordered", PathFilter(terminals=("ordered",))),
        ("terminal:abandoned user_order", PathFilter(terminals=("abandoned",), through=("user_order",))),
        ("-decide>user_order steps:4-9", PathFilter(avoiding=("decide>user_order",), low=4, high=9)),
        ("node:greet edge:decide>ordered", PathFilter(through=("greet", "decide>ordered"))),
        (
            "covered:a -covered:b seen:c -seen:d",
            PathFilter(covered=("a",), uncovered=("b",), seen=("c",), unseen=("d",)),
        ),
    ],
)
def test_a_filter_is_understood(small: Workflow, text: str, wanted: PathFilter) -> None:
    assert paths.understand(small, text) == paths.Asked(wanted)


@pytest.mark.parametrize("word", ["nowhere", "node:nowhere", "steps:x", "-steps:4", "colour:red", "-", ":"])
def test_words_that_mean_nothing_are_named(small: Workflow, word: str) -> None:
    assert paths.understand(small, f"greet {word}") == paths.Asked(PathFilter(through=("greet",)), (word,))


@pytest.mark.parametrize(
    ("text", "at"),
    [("0", 0), ("1,000", 1000), ("#7", 7), ("50%", 2**69 - 1), ("100%", 2**70 - 1), ("0.5 %", (2**70 - 1) // 200),
     (".5%", (2**70 - 1) // 200), ("9" * 40, 2**70 - 1), ("x", None), ("%", None), ("", None), ("1.5", None),
     ("-3", None), ("²", None), ("9" * 500, None)],
)  # fmt: skip
def test_numbers_and_shares_lead_to_rows_of_any_table(text: str, at: int | None, tmp_path: Path) -> None:
    found = paths.find_paths(Home(tmp_path), chain(70), PathSpace(chain(70)), "")
    assert found.count() == 2**70
    assert paths.destination(found, text) == at


def test_rows_are_known_by_the_rank_in_the_whole_whatever_the_filter(tmp_path: Path) -> None:
    workflow = chain(70)
    found = paths.find_paths(Home(tmp_path), workflow, PathSpace(workflow), "n0y -n69y")
    assert found.count() == 2**68
    row = found.window(5, 6)[0]
    assert int(row.id) == 2**69 + 10
    assert found.place(2**69 + 10) == 5
    assert found.place(2**69 + 9) == 5
    assert found.place(0) == 0
    assert found.path(2**69 + 10) == PathSpace(workflow)[2**69 + 10]
    assert found.columns()[0].width >= len(row.cells[0])


def test_a_space_that_explodes_lists_its_first_paths(tmp_path: Path) -> None:
    workflow = chain(70)
    found = paths.find_paths(Home(tmp_path), workflow, PathSpace(workflow, budget=5), "")
    assert found.count() == LISTED
    assert "at least" in found.head[0]
    assert [row.id for row in found.window(997, 2000)] == ["997", "998", "999"]
    assert found.path(999) is not None
    assert paths.destination(found, "5000") == LISTED - 1
    refused = paths.find_paths(Home(tmp_path), workflow, PathSpace(workflow, budget=5), "covered:x")
    assert refused.count() == 0
    assert refused.head[1] == "bad"


async def test_filters_narrow_the_table_and_esc_drops_them(app: Workbench, home: Home, small: Workflow) -> None:
    with connect(home) as rec:
        make_walked(rec, small, [0], [1])
    async with app.run_test(size=SIZE) as pilot:
        await settle(pilot)
        table = app.query_one("#paths", VirtualTable)
        assert table.count == 4
        for text, count in (
            ("ordered", 2),
            ("covered:walked", 1),
            ("-covered:walked", 3),
            ("seen:put", 1),
            ("steps:-4", 2),
        ):
            await press(pilot, "slash", *("minus" if c == "-" else c for c in text), "enter")
            assert table.count == count, text
            assert f"{count} of 4" in screen_text(app)
            await press(pilot, "escape")
            assert table.count == 4
        await press(pilot, "slash", *"covered:none")
        assert 'no dataset "none"' in screen_text(app)
        assert app.state.workflows.filter == "covered:none"
        await press(pilot, "escape")
        assert "no path passes the filter" in screen_text(app)


async def test_a_filter_is_kept_with_the_chosen_path(app: Workbench, home: Home) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "slash", *"abandoned", "enter", "down")
        chosen = app.state.workflows.path
        assert chosen == "3"
    again = Workbench(home, watch=False)
    async with again.run_test(size=SIZE) as pilot:
        await settle(pilot)
        assert again.query_one("#paths-filter", Input).value == "abandoned"
        table = again.query_one("#paths", VirtualTable)
        assert (table.count, table.row and table.row.id) == (2, chosen)


async def test_go_to_a_number_or_a_share(app: Workbench) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "p", "number_sign", "2", "enter")
        assert app.state.workflows.path == "2"
        await press(pilot, "number_sign", *"100%", "enter")
        assert app.state.workflows.path == "3"
        await press(pilot, "number_sign", *"half", "enter")
        assert "half: give a path's number" in screen_text(app)
        assert app.state.workflows.path == "3"


async def test_more_paths_than_a_float_can_tell_apart(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    workflow = chain(70)
    entry = view.Entry("small", SMALL, workflow, PathSpace(workflow), "many", "71–71")
    monkeypatch.setattr(view, "entry", lambda name, file: entry)
    monkeypatch.setattr(view, "sample", lambda workflow, path, number: ())
    app = Workbench(home, watch=False)
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "p", "end")
        assert app.state.workflows.path == str(2**70 - 1)
        await press(pilot, "up")
        assert app.state.workflows.path == str(2**70 - 2)
        assert f"{2**70 - 2:,}" in screen_text(app)
        await press(pilot, "number_sign", *"50%", "enter", "down")
        assert app.state.workflows.path == str(2**69)


async def test_the_graph_in_three_views_with_the_path_marked(app: Workbench) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "o")
        assert "┃" in screen_text(app)
        await press(pilot, "d")
        assert "5 nodes" in screen_text(app)
        assert "┏" in screen_text(app)
        await press(pilot, "n")
        assert "greet ±1" in screen_text(app)
        assert "abandoned" not in screen_text(app)
        await press(pilot, "right_square_bracket")
        assert app.state.workflows.node == "user_order"
        assert "user_order ±1" in screen_text(app)
        await press(pilot, "plus", "plus")
        assert "user_order ±2" in screen_text(app)
        assert "abandoned" in screen_text(app)
        await press(pilot, "o")
        assert app.state.workflows.node == "user_order"
        row = app.query_one("#outline", VirtualTable).row
        assert row is not None
        assert row.id.endswith(":user_order")
        await press(pilot, "n", "minus", "left_square_bracket")
        assert "greet ±1" in screen_text(app)


async def test_a_click_chooses_a_node(app: Workbench) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "d")
        lines = screen_text(app).splitlines()
        y = next(n for n, text in enumerate(lines) if "user_order" in text)
        await pilot.click(offset=(lines[y].index("user_order"), y))
        await settle(pilot)
        assert app.state.workflows.node == "user_order"


BROKEN = SMALL.read_text("utf-8").replace("to: abandoned", "to: nowhere")


def _lend(app: Workbench, monkeypatch: pytest.MonkeyPatch, saved: str) -> list[list[str]]:
    """An app whose terminal can be lent, to an editor that saves this text."""
    commands: list[list[str]] = []

    def edit(command: list[str]) -> int:
        commands.append(command)
        file = Path(command[-1])
        file.write_text(saved, "utf-8")
        later = file.stat().st_mtime_ns + len(saved) * 10**9
        os.utime(file, ns=(later, later))
        return 0

    @contextmanager
    def suspend() -> Iterator[None]:
        yield

    monkeypatch.setattr(app, "suspend", suspend)
    monkeypatch.setattr(editor, "edit", edit)
    monkeypatch.setenv("EDITOR", "vi")
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setattr(editor.shutil, "which", lambda name: f"/usr/bin/{name}")
    return commands


async def test_the_editor_and_what_the_check_says_on_save(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(SMALL.read_text("utf-8").replace("name: small", "name: mine"), "utf-8")
    monkeypatch.setattr(view, "known_workflows", lambda: [file])
    app = Workbench(home, watch=False)
    commands = _lend(app, monkeypatch, BROKEN)
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "e")
        assert commands == [["vi", str(file)]]
        assert app.state.workflows.view == "check"
        assert "nowhere" in screen_text(app)
        assert "✗" in screen_text(app)
        await press(pilot, "enter")
        assert commands[1][1].startswith("+")
        assert int(commands[1][1][1:]) > 1
    commands = _lend(app := Workbench(home, watch=False), monkeypatch, SMALL.read_text("utf-8"))
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "e")
        assert "sound" in screen_text(app)


async def test_a_terminal_that_cannot_be_lent_says_so(app: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", "true")
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "e")
        assert "cannot be lent" in screen_text(app)
        monkeypatch.setenv("EDITOR", "no-such-editor-here")
        monkeypatch.delenv("VISUAL", raising=False)
        await press(pilot, "e")
        assert "no-such-editor-here is not there" in screen_text(app)


async def test_a_file_saved_elsewhere_is_read_again(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(SMALL.read_text("utf-8"), "utf-8")
    monkeypatch.setattr(view, "known_workflows", lambda: [file])
    monkeypatch.setattr("workbench.workflow.load.known_workflows", lambda: [file])
    app = Workbench(home, watch=False)
    watcher = Watcher(home, app)
    assert "workflows" in watcher.look()
    assert "workflows" not in watcher.look()
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "c")
        assert "the check finds nothing" in screen_text(app)
        file.write_text(BROKEN, "utf-8")
        os.utime(file, ns=(10**9, 10**9))
        assert "workflows" in watcher.look()
        app.post_message(Changed(frozenset({"workflows"})))
        await settle(pilot)
        assert "nowhere" in screen_text(app)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"EDITOR": "nano"}, ["nano", "+7", "f"]),
        ({"EDITOR": "nano", "VISUAL": "code --wait"}, ["code", "--wait", "f"]),
        ({"EDITOR": "'my vi' -u NONE"}, ["my vi", "-u", "NONE", "f"]),
        ({}, ["nano", "+7", "f"]),
    ],
)
def test_the_editors_command(environ: dict[str, str], words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(editor.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert editor.editor_command(Path("f"), 7, environ) == words


@pytest.mark.parametrize(
    ("environ", "said"), [({}, "no editor"), ({"EDITOR": "'x"}, "no command"), ({"EDITOR": "x"}, "x is not")]
)
def test_no_editor(environ: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(editor.shutil, "which", lambda name: None)
    with pytest.raises(UserError, match=said):
        editor.editor_command(Path("f"), None, environ)


def test_a_choice_that_fails_shows_nothing(small: Workflow, tmp_path: Path) -> None:
    found = paths.find_paths(Home(tmp_path).make(), small, PathSpace(small), "seen:nothing")
    assert (found.count(), found.head[1]) == (0, "bad")
    assert isinstance(found.chosen, Chosen)

"""The Workflows pane: the procedures, their graphs and paths, and any path said aloud."""

from __future__ import annotations

from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.geometry import Region
from textual.widget import Widget
from textual.widgets import Input

from workbench.tui import state as states
from workbench.tui.format import count
from workbench.tui.pane import Pane
from workbench.tui.panes.workflows import view
from workbench.tui.state import WorkflowsState
from workbench.tui.widgets.canvas import Canvas
from workbench.tui.widgets.safe import Line, SafeText
from workbench.tui.widgets.section import Section
from workbench.tui.widgets.table import Column, ListSource, Row, VirtualTable
from workbench.tui.widgets.transcript import Bubble, Transcript

LIST = (
    Column("workflow", 20), Column("title", least=70), Column("nodes", 5, "right"), Column("hubs", 4, "right"),
    Column("paths", 9, "right"), Column("steps", 6, "right"), Column("check", 13),
)  # fmt: skip
PATHS = (Column("#", 6, "right"), Column("steps", 5, "right"), Column("ends", 10), Column("hubs"))


class WorkflowsPane(Pane):
    """The list above; below it the graph or its paths, and beside them the chosen path or node."""

    scope = "workflows"
    first = "#workflows-list"
    HELP = "A workflow is a flowchart of a conversation. All branching is at its hubs; a path leads from the start to an end."

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[str, view.Entry] = {}
        self._shown: tuple[object, ...] = ()

    def compose(self) -> ComposeResult:
        """Compose."""
        yield Section(
            "Workflows",
            VirtualTable(LIST, id="workflows-list", empty="no workflow files: workbench workflow new"),
            id="workflows-top",
        )
        yield SafeText(id="workflows-problems", classes="note")
        with Horizontal(id="workflows-below"):
            yield Section(
                "Paths",
                VirtualTable(PATHS, runner=self.run, id="paths", empty="…"),
                VirtualTable((Column(""),), head=False, id="outline"),
                Canvas(id="drawing"),
                Input(placeholder="go to path number", id="goto", classes="hidden"),
                id="workflows-graph",
            )
            with Section(
                "Path", Transcript(id="sample", empty="choose a path"), id="workflows-path", classes="rule-left"
            ):
                pass
            yield Section(
                "Steps", VerticalScroll(SafeText(id="steps", classes="note")), id="workflows-steps", classes="rule-left"
            )

    @property
    def entry(self) -> view.Entry | None:
        """The chosen workflow, once it has been read."""
        found = self.entries.get(self.state.workflow or "")
        return found if found and found.workflow else None

    def refresh_data(self, topics: frozenset[str]) -> None:
        """Workflow files are looked at when the pane opens."""
        if "opened" in topics or not self.entries:
            self.run("names", view.names, self._named)

    def _named(self, found: list[tuple[str, Any]]) -> None:
        self.entries = {name: self.entries.get(name, view.Entry(name, file)) for name, file in found}
        if self.state.workflow not in self.entries and found:
            self.state = states.workflow_chosen(self.state, found[0][0])
        self._list()
        for name, file in found:
            self.run(f"entry/{name}", lambda name=name, file=file: view.entry(name, file), self._read)  # type: ignore[misc]

    def _read(self, entry: view.Entry) -> None:
        self.entries[entry.name] = entry
        self._list()
        if entry.name == self.state.workflow:
            self._show()

    def _list(self) -> None:
        rows = tuple(entry.row for entry in self.entries.values())
        names = list(self.entries)
        at = names.index(self.state.workflow) if self.state.workflow in names else 0
        self.query_one("#workflows-list", VirtualTable).show(ListSource(rows), at)
        self.query_one("#workflows-top").styles.height = min(max(len(rows), 1), 6) + 2
        self.query_one("#workflows-top", Section).put(f"{len(rows)}")

    # What is shown of the chosen workflow ------------------------------------------------------------------------

    def _show(self) -> None:
        """Bring everything below the list in line with the state."""
        state: WorkflowsState = self.state
        paths, drawn = self.query_one("#paths", VirtualTable), self.query_one("#outline", VirtualTable)
        graph = self.query_one("#workflows-graph", Section)
        paths.display, drawn.display = state.view == "paths", state.view == "outline"
        self.query_one("#drawing").display = state.view == "graph"
        self.set_class(state.view == "graph", "-graph")
        listed = self.entries.get(state.workflow or "")
        self.query_one("#workflows-problems", SafeText).put(*(listed.problems[:3] if listed else ()))
        entry = self.entry
        if not entry or not entry.workflow or not entry.space:
            paths.show(ListSource(()))
            drawn.show(ListSource(()))
            graph.put(name="Graph")
            return
        workflow, space, rank = entry.workflow, entry.space, int(state.path) if state.path.isdigit() else 0
        if self._shown[:1] != (entry,):
            self._shown = (entry,)
            source = view.PathSource(workflow, space)
            paths.show(source, min(rank, max(source.count() - 1, 0)))
        if state.view == "paths":
            graph.put(f"{entry.paths} of {entry.steps} steps", name="Paths")
        else:
            name = "Outline" if state.view == "outline" else "Drawing"
            graph.put(f"{len(workflow.nodes)} nodes, path {rank:,} marked", name=name)
            if state.view == "graph":
                self.run("drawing", lambda: self._draw(entry, rank, state.node), self._drawn)
        self.run("path", lambda: self._load(entry, rank, state.sample), self._loaded)

    @staticmethod
    def _draw(entry: view.Entry, rank: int, node: str | None) -> tuple[tuple[Line, ...], Region | None]:
        assert entry.workflow is not None
        assert entry.space is not None
        return view.drawing(entry.workflow, entry.space[rank], node)

    def _drawn(self, drawing: tuple[tuple[Line, ...], Region | None]) -> None:
        self.query_one("#drawing", Canvas).show(*drawing)

    @staticmethod
    def _load(
        entry: view.Entry, rank: int, number: int
    ) -> tuple[int, Any, tuple[Bubble, ...], list[Line], tuple[Row, ...]]:
        assert entry.workflow is not None
        assert entry.space is not None
        path = entry.space[min(rank, max(entry.space.size().least - 1, 0))]
        said = view.sample(entry.workflow, path, number)
        return rank, path, said, view.steps(entry.workflow, path), view.outline_rows(entry.workflow, path)

    def _loaded(self, loaded: tuple[int, Any, tuple[Bubble, ...], list[Line], tuple[Row, ...]]) -> None:
        rank, path, said, steps, rows = loaded
        entry = self.entry
        if not entry or not entry.workflow:
            return
        self._path = path
        end = entry.workflow.edge[path[-1]].target
        title = self.query_one("#workflows-path", Section)
        title.put(
            f"{len(path) + 1} steps to ",
            (end, "plain"),
            f", sample {self.state.sample + 1}",
            name=f"Path {count(rank)}",
        )
        self.query_one("#sample", Transcript).show(said)
        drawn = self.query_one("#outline", VirtualTable)
        drawn.show(ListSource(rows), self._node_at(rows) if drawn.count != len(rows) else None)
        self._steps(steps)

    def _steps(self, steps: list[Line]) -> None:
        node, entry = self.state.node, self.entry
        section = self.query_one("#workflows-steps", Section)
        if self.state.view == "outline" and entry and entry.workflow and node in entry.workflow.nodes:
            section.put(name="Node")
            self.query_one("#steps", SafeText).put(*view.node_card(entry.workflow, node, self._path))
        else:
            section.put(f"{len(steps)}", name="Steps")
            self.query_one("#steps", SafeText).put(*steps)

    def _node_at(self, rows: tuple[Row, ...]) -> int:
        return next((n for n, row in enumerate(rows) if row.id.split(":", 1)[1] == self.state.node), 0)

    # Events ------------------------------------------------------------------------------------------------------

    @on(VirtualTable.Moved, "#workflows-list")
    def _workflow_moved(self, message: VirtualTable.Moved) -> None:
        if message.row_id != self.state.workflow:
            self.state = states.workflow_chosen(self.state, message.row_id)
            self._show()

    @on(VirtualTable.Chosen, "#workflows-list")
    def _workflow_chosen(self) -> None:
        self._focus_graph()

    @on(VirtualTable.Moved, "#paths")
    def _path_moved(self, message: VirtualTable.Moved) -> None:
        if message.row_id != self.state.path:
            self.state = states.path_chosen(self.state, message.row_id)
            self._show()

    @on(VirtualTable.Chosen, "#paths")
    def _path_chosen(self) -> None:
        self.query_one("#sample").focus()

    @on(VirtualTable.Moved, "#outline")
    def _node_moved(self, message: VirtualTable.Moved) -> None:
        node = message.row_id.split(":", 1)[1]
        if node != self.state.node:
            self.state = states.node_chosen(self.state, node)
            self._show()

    @on(Input.Submitted, "#goto")
    def _goto(self, message: Input.Submitted) -> None:
        digits = "".join(c for c in message.value if c.isdigit())
        box = self.query_one("#goto", Input)
        box.value = ""
        self.leave_input(box)
        if digits:
            self.query_one("#paths", VirtualTable).go(int(digits))

    # Actions -----------------------------------------------------------------------------------------------------

    def action_view(self, name: str) -> None:
        """Show the paths or the outline of the graph."""
        self.state = states.view_chosen(self.state, name)
        self._show()
        self._focus_graph()

    def action_sample(self) -> None:
        """Say the path with other words and values."""
        self.state = states.sampled(self.state)
        self._show()

    def action_goto(self) -> None:
        """Ask for a path's number."""
        if self.state.view != "paths":
            self.action_view("paths")
        box = self.query_one("#goto", Input)
        box.remove_class("hidden")
        box.focus()

    def leave_input(self, focused: Widget) -> None:
        """Back from the number to the paths."""
        focused.add_class("hidden")
        self._focus_graph()

    def selected_text(self) -> str:
        """The sample as plain text."""
        return "\n".join(f"{b.role}: {b.text}" for b in self.query_one("#sample", Transcript).bubbles)

    def _focus_graph(self) -> None:
        self.query_one({"paths": "#paths", "outline": "#outline", "graph": "#drawing"}[self.state.view]).focus()


PANE = WorkflowsPane

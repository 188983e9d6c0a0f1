"""The Workflows pane: the procedures, their graphs and paths, and any path said aloud."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from textual import on
from textual.app import ComposeResult, SuspendNotSupported
from textual.containers import Horizontal, VerticalScroll
from textual.widget import Widget
from textual.widgets import Input

from workbench.errors import UserError
from workbench.tui import editor
from workbench.tui import state as states
from workbench.tui.pane import Pane
from workbench.tui.panes.workflows import paths, view
from workbench.tui.state import WorkflowsState
from workbench.tui.widgets.canvas import Canvas
from workbench.tui.widgets.safe import Line, SafeText
from workbench.tui.widgets.section import Section
from workbench.tui.widgets.table import Column, ListSource, Row, VirtualTable
from workbench.tui.widgets.transcript import Bubble, Transcript
from workbench.workflow.model import Workflow
from workbench.workflow.paths import Path

LIST = (
    Column("workflow", 20), Column("title", least=70), Column("nodes", 5, "right"), Column("hubs", 4, "right"),
    Column("paths", 9, "right"), Column("steps", 6, "right"), Column("check", 13),
)  # fmt: skip
NAMES = {"paths": "Paths", "outline": "Outline", "graph": "Drawing", "ego": "Around", "check": "Check"}
SHOWN = {"paths": "#paths", "outline": "#outline", "graph": "#drawing", "ego": "#drawing", "check": "#check"}
"""The widget that each view is shown in."""


@dataclass(frozen=True)
class Said:
    """A path with what the pane shows of it."""

    rank: int
    path: Path
    bubbles: tuple[Bubble, ...]
    steps: list[Line]
    outline: tuple[Row, ...]


class WorkflowsPane(Pane):
    """The list above; below it the graph, its paths or its problems, and beside them the chosen path or node."""

    scope = "workflows"
    first = "#workflows-list"
    HELP = (
        "A workflow is a flowchart of a conversation. All branching is at its hubs; a path leads from the start to an"
        f" end. Filter of the paths: {paths.HINT}."
    )

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[str, view.Entry] = {}
        self._source: paths.PathSource | None = None
        self._asked: tuple[view.Entry | None, str] = (None, "")
        self._drawing = view.Drawing(())
        self._said: Said | None = None
        self._edited: str | None = None

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
                Input(self.state.filter, placeholder=paths.HINT, id="paths-filter", select_on_focus=False),
                VirtualTable((Column(""),), runner=self.run, id="paths", empty="…"),
                VirtualTable((Column(""),), head=False, id="outline"),
                VirtualTable((Column(""),), head=False, id="check", empty="the check finds nothing to say"),
                Canvas(id="drawing"),
                Input(placeholder="go to: 1234 or 45%", id="goto", classes="hidden"),
                id="workflows-graph",
            )
            with Section(
                "Path", Transcript(id="sample", empty="choose a path"), id="workflows-path", classes="rule-left"
            ):
                pass
            yield Section(
                "Steps",
                VerticalScroll(SafeText(id="steps", classes="note", hanging=True)),
                id="workflows-steps",
                classes="rule-left",
            )

    def on_mount(self) -> None:
        """What is not looked at is not there, also before the first workflow is read."""
        self._reveal()
        self.query_one("#paths-filter").set_class(not self.state.filter, "hidden")

    @property
    def listed(self) -> view.Entry | None:
        """The chosen line of the list, whether or not its file could be read."""
        return self.entries.get(self.state.workflow or "")

    @property
    def entry(self) -> view.Entry | None:
        """The chosen workflow, once it has been read."""
        found = self.listed
        return found if found and found.workflow else None

    def refresh_data(self, topics: frozenset[str]) -> None:
        """Workflow files are looked at when the pane opens and when one of them has changed."""
        if topics & {"opened", "workflows"} or not self.entries:
            self.run("names", view.names, self._named)
        if "record" in topics and self._source and self._source.named:
            self._find(again=True)

    def _named(self, found: list[tuple[str, Any]]) -> None:
        self.entries = {name: self.entries.get(name, view.Entry(name, file)) for name, file in found}
        if self.state.workflow not in self.entries and found:
            self.state = states.workflow_chosen(self.state, found[0][0])
        self._list()
        for name, file in found:
            self.run(f"entry/{name}", lambda name=name, file=file: view.entry(name, file), self._read)  # type: ignore[misc]

    def _read(self, entry: view.Entry) -> None:
        before, self.entries[entry.name] = self.entries.get(entry.name), entry
        self._list()
        if entry.name == self.state.workflow and entry != before:
            self._show()
        if entry.name == self._edited:
            self._edited = None
            self._checked(entry)

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
        self._reveal()
        self.query_one("#paths-filter").set_class(state.view != "paths" or not state.filter, "hidden")
        self.set_class(state.view in ("graph", "ego", "check"), "-graph")
        listed, entry = self.listed, self.entry
        told = listed.problems[:3] if listed and state.view != "check" else ()
        self.query_one("#workflows-problems", SafeText).put(*map(view.problem_line, told))
        if listed:
            self._check(listed)
        if entry:
            self._find()
        else:
            self._source, self._asked, self._said = None, (None, ""), None
            self.query_one("#paths", VirtualTable).show(ListSource(()))
            self.query_one("#outline", VirtualTable).show(ListSource(()))
            self.query_one("#drawing", Canvas).show(())
            self.query_one("#sample", Transcript).show(())
        self._head()

    def _reveal(self) -> None:
        for widget in sorted(set(SHOWN.values())):
            self.query_one(widget).display = widget == SHOWN[self.state.view]

    def _check(self, entry: view.Entry) -> None:
        table = self.query_one("#check", VirtualTable)
        table.show(ListSource(view.problem_rows(entry, max(self.size.width - 6, 20))))

    def _head(self) -> None:
        """The heading of the graph."""
        state, entry, graph = self.state, self.entry, self.query_one("#workflows-graph", Section)
        name = NAMES[state.view]
        if state.view == "check" and self.listed:
            graph.put(view.verdict(self.listed), f"  {self.listed.file}", name=name)
        elif not entry or not entry.workflow:
            graph.put(name="Graph")
        elif state.view == "paths":
            graph.put(*([self._source.head] if self._source else ()), name=name)
        else:
            marked = f", path {self._rank:,} marked" if self._said else ""
            around = f"{state.node or entry.workflow.start} ±{state.radius}" if state.view == "ego" else ""
            graph.put(around or f"{len(entry.workflow.nodes)} nodes", marked, name=name)

    @property
    def _rank(self) -> int:
        return int(self.state.path) if self.state.path.isdecimal() else 0

    def _find(self, again: bool = False) -> None:
        """Look for the paths that pass the filter, if the table shows others; then for the chosen one."""
        entry, text = self.entry, self.state.filter
        assert entry is not None
        assert entry.workflow is not None
        assert entry.space is not None
        workflow, space = entry.workflow, entry.space
        if self._asked != (entry, text) or again:
            self._asked = (entry, text)
            self.run("find", lambda: paths.find_paths(self.home, workflow, space, text), self._found)
        else:
            self._load()

    def _found(self, source: paths.PathSource) -> None:
        entry = self.entry
        if not entry or source.workflow is not entry.workflow:
            return
        self._source = source
        table = self.query_one("#paths", VirtualTable)
        table.columns = source.columns()
        table.empty = "no path passes the filter: / changes it" if self.state.filter else "no path leads to an end"
        at = source.place(self._rank) if source.count() else 0
        table.show(source, at, top=at - 1)
        self._head()
        self._load()

    def _load(self) -> None:
        """Read the chosen path and say it aloud."""
        source, rank, number = self._source, self._rank, self.state.sample
        if source is None:
            return

        def load() -> Said | None:
            path = source.path(rank)
            if path is None:
                return None
            workflow = source.workflow
            said = view.sample(workflow, path, number)
            return Said(rank, path, said, view.steps(workflow, path), view.outline_rows(workflow, path))

        self.run("path", load, self._loaded)

    def _loaded(self, said: Said | None) -> None:
        workflow = self.entry.workflow if self.entry else None
        if said and workflow and any(edge not in workflow.edge for edge in said.path):
            return  # of the workflow that was chosen before: the path of this one is on its way
        self._said = said
        title, sample = self.query_one("#workflows-path", Section), self.query_one("#sample", Transcript)
        if said is None or workflow is None:
            title.put(name="Path")
            sample.show(())
            return
        end = workflow.edge[said.path[-1]].target if said.path else workflow.start
        other = f", sample {self.state.sample + 1}" if self.state.sample else ""
        facts = (f"{len(said.path) + 1} steps to ", (end, "plain"), other)
        title.put(*facts, name=f"Path {said.rank:,}")
        sample.show(said.bubbles)
        drawn = self.query_one("#outline", VirtualTable)
        known = [row.id for row in drawn.source.rows] if isinstance(drawn.source, ListSource) else []
        stays = known == [row.id for row in said.outline]
        drawn.show(ListSource(said.outline), None if stays else self._node_at(said.outline))
        self._steps(workflow, said)
        self._draw(workflow, said)
        self._head()

    def _draw(self, workflow: Workflow, said: Said) -> None:
        """Draw the graph in a thread, if it is on the screen."""
        state: WorkflowsState = self.state
        if state.view == "graph":
            self.run("drawing", lambda: view.drawing(workflow, said.path, state.node), self._drawn)
        elif state.view == "ego":
            self.run("drawing", lambda: view.around(workflow, said.path, state.node, state.radius), self._drawn)

    def _drawn(self, drawing: view.Drawing) -> None:
        self._drawing = drawing
        self.query_one("#drawing", Canvas).show(drawing.lines, drawing.at)

    def _steps(self, workflow: Workflow, said: Said) -> None:
        node, section = self.state.node, self.query_one("#workflows-steps", Section)
        if self.state.view in ("outline", "ego", "graph") and node in workflow.nodes:
            section.put(name="Node")
            self.query_one("#steps", SafeText).put(*view.node_card(workflow, node, said.path))
        else:
            section.put(f"{len(said.steps)}", name="Steps")
            self.query_one("#steps", SafeText).put(*said.steps)

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
        if node != self.state.node and self.state.view == "outline":
            self.state = states.node_chosen(self.state, node)
            self._show()

    @on(VirtualTable.Chosen, "#outline")
    def _node_chosen(self) -> None:
        self.action_view("ego")

    @on(Canvas.Clicked)
    def _clicked(self, message: Canvas.Clicked) -> None:
        if node := self._drawing.node_at(message.x, message.y):
            self.state = states.node_chosen(self.state, node)
            self._show()

    @on(VirtualTable.Chosen, "#check")
    def _problem_chosen(self, message: VirtualTable.Chosen) -> None:
        self._edit(int(message.row_id.split(":", 1)[1]))

    @on(Input.Changed, "#paths-filter")
    def _typed(self, message: Input.Changed) -> None:
        changed = states.paths_filtered(self.state, message.value)
        if changed != self.state:
            self.state = changed
            if self.entry:
                self._find()

    @on(Input.Submitted, "#paths-filter")
    def _submitted(self) -> None:
        self.leave_input(self.query_one("#paths-filter"))

    @on(Input.Submitted, "#goto")
    def _goto(self, message: Input.Submitted) -> None:
        box, text = self.query_one("#goto", Input), message.value.strip()
        box.value = ""
        self.leave_input(box)
        at = paths.destination(self._source, text) if self._source and text else None
        if at is not None:
            self.query_one("#paths", VirtualTable).go(at)
        elif text:
            self.shell.say(f"{text}: give a path's number, such as 1234, or a share, such as 45%", tone="warn")

    # Actions -----------------------------------------------------------------------------------------------------

    def action_view(self, name: str) -> None:
        """Show the paths, the graph in one of three views, or what the check says."""
        if name == "outline" and self._said and self.state.node:
            self.query_one("#outline", VirtualTable).go(self._node_at(self._said.outline))
        self.state = states.view_chosen(self.state, name)
        self._show()
        self._focus_graph()

    def action_sample(self) -> None:
        """Say the path with other words and values."""
        self.state = states.sampled(self.state)
        self._show()

    def action_goto(self) -> None:
        """Ask for a path's number."""
        self._open("#goto")

    def action_search(self) -> None:
        """Open the filter line of the paths."""
        self._open("#paths-filter")

    def _open(self, line: str) -> None:
        if self.state.view != "paths":
            self.action_view("paths")
        box = self.query_one(line, Input)
        box.remove_class("hidden")
        self.screen.set_focus(box)

    def action_step(self, by: int) -> None:
        """To the node before or after on the chosen path."""
        entry, said = self.entry, self._said
        if not entry or not entry.workflow or not said:
            return
        nodes = view.nodes_on(entry.workflow, said.path)
        at = nodes.index(self.state.node) + by if self.state.node in nodes else 0
        self.state = states.node_chosen(self.state, nodes[min(max(at, 0), len(nodes) - 1)])
        self._show()
        if self.state.view == "outline":
            self.query_one("#outline", VirtualTable).go(self._node_at(said.outline))

    def action_radius(self, by: int) -> None:
        """More or less of the graph around the node."""
        self.state = states.radius_changed(self.state, by)
        self._show()

    def action_edit(self) -> None:
        """Edit the workflow's file; what the check says of it is shown when the editor has ended."""
        self._edit(None)

    def _edit(self, line: int | None) -> None:
        listed = self.listed
        if not listed:
            return
        try:
            command = editor.editor_command(listed.file, line)
            with self.app.suspend():
                status = editor.edit(command)
        except (UserError, OSError) as error:
            self.shell.say(str(error), tone="bad")
            return
        except SuspendNotSupported:
            self.shell.say(f"this terminal cannot be lent to an editor; edit {listed.file} elsewhere", tone="warn")
            return
        if status:
            self.shell.say(f"{command[0]} ended with status {status}", tone="warn")
        self._edited = listed.name
        self.run("names", view.names, self._named)

    def _checked(self, entry: view.Entry) -> None:
        """After the editor: the problems, or that there are none."""
        word, tone = view.verdict(entry)
        if entry.errors or entry.warnings:
            self.action_view("check")
        self.shell.say(f"{entry.file.name}: {word.lstrip('✗!✓ ')}", tone=tone)

    def leave_input(self, focused: Widget) -> None:
        """Back to the paths; an empty line goes away, a filter stays."""
        kept = focused.id == "paths-filter" and isinstance(focused, Input) and bool(focused.value)
        focused.set_class(not kept, "hidden")
        self._focus_graph()

    def back(self) -> None:
        """From the path to the paths, from there to the list; a filter of the paths is dropped first."""
        shown, box = self.query_one(SHOWN[self.state.view]), self.query_one("#paths-filter", Input)
        if self.query_one("#sample").has_focus:
            shown.focus()
        elif self.state.view == "paths" and shown.has_focus and box.value:
            box.value = ""
            box.add_class("hidden")
        else:
            self.query_one(self.first).focus()

    def selected_text(self) -> str:
        """The sample as plain text."""
        return "\n".join(f"{b.role}: {b.text}" for b in self.query_one("#sample", Transcript).bubbles)

    def _focus_graph(self) -> None:
        self.query_one(SHOWN[self.state.view]).focus()


PANE = WorkflowsPane

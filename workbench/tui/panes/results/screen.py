"""The Results pane: agents by figures, what they rest on, and the conversations behind every one of them."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.widget import Widget

from workbench.evaluation.votes import Votes
from workbench.evaluation.words import judge_on
from workbench.store.behind import Differ, Figure
from workbench.store.rows import ComparisonRow
from workbench.tui import state as states
from workbench.tui.format import short
from workbench.tui.pane import Pane
from workbench.tui.panes.results import behind, parts, view
from workbench.tui.panes.results.offering import offer_evaluation
from workbench.tui.panes.results.votes import VotesScreen, read_votes
from workbench.tui.state import ResultsState
from workbench.tui.widgets.chart import Chart
from workbench.tui.widgets.review import ReviewBar, Reviewing
from workbench.tui.widgets.safe import SafeText
from workbench.tui.widgets.section import Section
from workbench.tui.widgets.table import Column, ListSource, VirtualTable, cell_text
from workbench.tui.widgets.transcript import Transcript

LIST = (Column("comparison"), Column("workflow", 18), Column("state", 8), Column("", 14, "right"))
BEHIND = (Column("value", 8, "right"), Column("ended"), Column("msgs", 4, "right"), Column("id", 8, least=40))
EMPTY = "no comparison yet: workbench demo makes one, or: workbench evaluate travel_booking --agents …"
TALL = 36
"""From this many lines on, a view stands below the matrix; on smaller screens it takes its place."""
SIDES = 4
"""The most conversations side by side."""


class ResultsPane(Reviewing, Pane):
    """Three depths: the matrix with a view beside it, the conversations behind a figure, one scenario side by side."""

    scope = "results"
    first = "#matrix"
    HELP = (
        "A figure is a mean with its 95% interval; ✱ differs after Holm. [ and ] go through the views; enter opens the "
        "conversations behind a figure or a row, the worst first; s puts one scenario's agents side by side; esc goes back."
    )

    def __init__(self) -> None:
        super().__init__()
        self._listed: list[tuple[ComparisonRow, str]] = []
        self._matrix: view.Matrix | None = None
        self._part = parts.Part("Beside it")
        self._beside: tuple[behind.Opened, ...] = ()

    def compose(self) -> ComposeResult:
        """Compose."""
        with Vertical(id="results-whole"):
            yield Section("Comparisons", VirtualTable(LIST, id="comparisons", empty=EMPTY), id="results-top")
            yield Section(
                "Agents by measure",
                VirtualTable((Column(""),), id="matrix"),
                id="results-matrix",
            )
            yield Section(
                "Beside it",
                VerticalScroll(SafeText(id="results-beside", classes="note"), id="results-notes"),
                VirtualTable((Column(""),), id="part"),
                SafeText(id="results-row", classes="note"),
                Chart("", id="results-chart"),
                id="results-view",
            )
        with Horizontal(id="results-behind"):
            yield Section(
                "Behind", VirtualTable(BEHIND, runner=self.run, id="behind", empty="no conversation"), id="results-list"
            )
            yield Section(
                "Conversation",
                VerticalScroll(SafeText(id="results-about", classes="note"), id="results-said", can_focus=False),
                Transcript(id="results-text"),
                ReviewBar("conversation", self.state.note, id="results-review"),
                id="results-one",
                classes="rule-left",
            )
        with Horizontal(id="results-side"):
            for at in range(SIDES):
                yield Section(
                    "",
                    VerticalScroll(
                        SafeText(id=f"side-about-{at}", classes="note"), classes="side-note", can_focus=False
                    ),
                    Transcript(id=f"side-text-{at}"),
                    id=f"side-{at}",
                    classes="rule-left" if at else None,
                )

    def on_mount(self) -> None:
        """Begin at the depth that was left."""
        self._depth()

    @property
    def _tall(self) -> bool:
        return self.size.height >= TALL

    def _depth(self) -> None:
        state: ResultsState = self.state
        self.query_one("#results-whole").display = state.depth == 0
        self.query_one("#results-behind").display = state.depth == 1
        self.query_one("#results-side").display = state.depth == 2
        alone = bool(state.view) and not self._tall
        self.query_one("#results-matrix").display = not alone
        self.query_one("#results-top").display = not alone

    def refresh_data(self, topics: frozenset[str]) -> None:
        """Comparisons and figures come from the record."""
        if "record" in topics:
            self.run("list", lambda: view.listing(self.home) if self.home.database.exists() else [], self._list)

    def _list(self, found: list[tuple[ComparisonRow, str]]) -> None:
        self._listed = found
        ids = [row.id for row, _ in found]
        selected = self.state.selected if self.state.selected in ids else (ids[0] if ids else None)
        self.state = states.comparison_chosen(self.state, selected)
        table = self.query_one("#comparisons", VirtualTable)
        table.show(ListSource(tuple(view.list_row(*item) for item in found)), ids.index(selected) if selected else 0)
        self.query_one("#results-top").styles.height = min(max(len(found), 1), 3) + 2
        self.query_one("#results-top", Section).put(f"{len(found)}" if found else "")
        if selected:
            self._read_matrix(selected)

    def _read_matrix(self, comparison: str) -> None:
        self.run("matrix", lambda: view.matrix(self.home, comparison), self._show)

    def _show(self, matrix: view.Matrix | None) -> None:
        if matrix is None:
            return
        self._matrix = matrix
        state: ResultsState = self.state
        if state.agent not in matrix.conditions:
            self.state = state = states.figure_chosen(state, next(iter(matrix.conditions), None), state.measure)
        self._draw()
        self._view()
        if state.depth and state.figure:
            self._open(again=True)

    def _draw(self) -> None:
        matrix, state = self._matrix, self.state
        if not matrix:
            return
        table = self.query_one("#matrix", VirtualTable)
        table.empty = "nothing scored yet"
        wide = self.size.width >= 130
        names = view.columns_of(matrix.conditions)
        rows = tuple(matrix.row(measure, state.agent, wide) for measure in matrix.measures)
        needed = max((len(cell_text(cell)) for row in rows for cell in row.cells[1:]), default=0)
        each = max(needed, *(len(name) + 2 for name in names), 12)
        each = max(min(each, (self.size.width - 24) // max(len(names), 1) - 1), 12)
        table.columns = (Column(""), *(Column(f" {name}", each) for name in names))
        ids = [row.id for row in rows]
        table.show(ListSource(rows), ids.index(state.measure) if state.measure in ids else 0)
        most = max((figure.n for figure in matrix.figures.values()), default=0)
        section = self.query_one("#results-matrix", Section)
        counted = matrix.progress or f"n up to {most:,}{', 95% intervals' if matrix.summary else ''}"
        section.put(f"{matrix.title} · {counted}", name="Agents by measure")
        lines = max(self.size.height - (20 if self._tall else 12), 6)
        self.query_one("#results-matrix").styles.height = min(len(rows) + 2, lines) if rows else 4

    def _view(self) -> None:
        """Show what stands beside the matrix: the notes, a table, or a plot."""
        matrix, state = self._matrix, self.state
        if not matrix:
            return
        if state.view:
            row, name, measure = matrix.comparison, state.view, state.measure
            self.run("part", lambda: parts.read(self.home, row, name, measure), self._put)
        else:
            self._put(parts.Part("Beside it", matrix.beside))

    def _put(self, part: parts.Part) -> None:
        self._part = part
        self._depth()
        place = f"{parts.VIEWS.index(self.state.view) + 1} of {len(parts.VIEWS)}, [ ] for others"
        self.query_one("#results-view", Section).put(place, name=part.title)
        notes, chart = self.query_one("#results-notes"), self.query_one(Chart)
        table = self.query_one("#part", VirtualTable)
        self.query_one("#results-beside", SafeText).put(*part.note)
        plain = not part.rows and not part.series
        notes.styles.height = "1fr" if plain else "auto"
        notes.styles.max_height = None if plain else (6 if self._tall else 4)
        table.display, chart.display = bool(part.rows), bool(part.series)
        self.query_one("#results-row").display = bool(part.rows)
        if part.series:
            chart.unit = part.unit
            chart.x_label = part.x_label or short
            chart.series = ()
            chart.put(part.series)
        if part.rows:
            table.columns = part.columns
            table.show(ListSource(part.rows), 0)
            self._row_out(part.rows[0].id)
        if self.is_open and not self.state.depth:
            self._focus_view()

    def _row_out(self, row_id: str) -> None:
        self.query_one("#results-row", SafeText).put(parts.whole_row(self._part, row_id))

    def on_resize(self) -> None:
        """Columns by width."""
        self._draw()
        self._view()
        self._sides()

    # Events ------------------------------------------------------------------------------------------------------

    @on(VirtualTable.Moved, "#comparisons")
    def _comparison(self, message: VirtualTable.Moved) -> None:
        chosen = message.row_id
        if chosen != self.state.selected:
            self.state = states.comparison_chosen(self.state, chosen)
            self._read_matrix(chosen)

    @on(VirtualTable.Chosen, "#comparisons")
    def _to_matrix(self) -> None:
        self.query_one("#matrix").focus()

    @on(VirtualTable.Moved, "#matrix")
    def _measure(self, message: VirtualTable.Moved) -> None:
        if message.row_id != self.state.measure:
            self.state = states.figure_chosen(self.state, self.state.agent, message.row_id)
            if self.state.view == "distributions":
                self._view()

    @on(VirtualTable.Chosen, "#matrix")
    def _figure(self) -> None:
        self.action_behind()

    @on(VirtualTable.Moved, "#part")
    def _part_row(self, message: VirtualTable.Moved) -> None:
        self._row_out(message.row_id)

    @on(VirtualTable.Chosen, "#part")
    def _part_chosen(self, message: VirtualTable.Chosen) -> None:
        target = (self._part.targets or {}).get(message.row_id)
        if target is None:
            self.shell.say("no conversation stands behind this row")
            return
        among = target.agent if target.agent is not None else self.state.agent or ""
        label = message.row_id if self.state.view == "distributions" else ""
        self.state = states.behind_chosen(
            self.state, target.figure, target.judge, among=among, deviation=target.deviation or "", label=label,
            differ=target.differ,
        )  # fmt: skip
        self._open()
        self.query_one("#behind").focus()

    @on(VirtualTable.Moved, "#behind")
    def _conversation(self, message: VirtualTable.Moved) -> None:
        chosen = message.row_id
        self.state = states.conversation_chosen(self.state, chosen)
        self.review_bar.show(None)  # until it is on the screen, keys decide nothing
        self.run("one", lambda: behind.opened(self.home, chosen), self._opened)

    @on(VirtualTable.Chosen, "#behind")
    def _read(self) -> None:
        self.query_one("#results-text").focus()

    def _opened(self, found: behind.Opened | None) -> None:
        if found:
            self.query_one("#results-text", Transcript).show(found.bubbles)
            self.query_one("#results-about", SafeText).put(*found.about)
            said = f"{found.condition} {found.id[:8]}, {len(found.bubbles)} messages"
            self.query_one("#results-one", Section).put(said)
            self.review_bar.show(found.id)

    @on(ReviewBar.Drafted)
    def _noted(self, message: ReviewBar.Drafted) -> None:
        self.state = states.conversation_noted(self.state, message.text)

    @on(ReviewBar.Left)
    def _left_review(self) -> None:
        self.query_one("#behind").focus()

    @on(ReviewBar.Decided)
    def _decided(self) -> None:
        self.query_one("#behind", VirtualTable).reload()

    @on(ReviewBar.Given)
    def _given(self, message: ReviewBar.Given) -> None:
        """The next of the plan, in the list of all conversations of this figure."""
        if message.subject_id is None:
            self.shell.say(message.why)
            return
        state = states.behind_chosen(self.state, self.state.figure or "right_terminal", self.state.judge)
        self.state = states.conversation_chosen(state, message.subject_id)
        self._open()
        self.query_one("#behind").focus()

    # Actions -----------------------------------------------------------------------------------------------------

    def action_agent(self, by: int) -> None:
        """The column to the left or to the right; side by side, other agents."""
        matrix, state = self._matrix, self.state
        if state.depth == 2:
            self.state = states.shifted(state, by, len(self._beside))
            self._sides()
        elif matrix and matrix.conditions and not state.depth:
            at = matrix.conditions.index(state.agent) if state.agent in matrix.conditions else 0
            agent = matrix.conditions[(at + by) % len(matrix.conditions)]
            self.state = states.figure_chosen(state, agent, state.measure)
            self._draw()

    def action_show(self, name: str) -> None:
        """Another view beside the matrix, or the same again: back to the notes."""
        self.state = states.results_view_chosen(self.state, "" if name == self.state.view else name)
        self._view()

    def action_turn(self, by: int) -> None:
        """Through the views."""
        at = parts.VIEWS.index(self.state.view) if self.state.view in parts.VIEWS else 0
        self.state = states.results_view_chosen(self.state, parts.VIEWS[(at + by) % len(parts.VIEWS)])
        self._view()

    def _focus_view(self) -> None:
        """The focus is on something that is shown: on a small screen a view is all there is."""
        focused = self.screen.focused
        if self.state.view and not self._tall:
            self.screen.set_focus(self.query_one("#part" if self._part.rows else "#results-notes"))
        elif (
            focused is None
            or not focused.display
            or focused.id not in ("comparisons", "matrix", "part", "results-notes")
        ):
            self.screen.set_focus(self.query_one("#matrix"))

    def action_behind(self) -> None:
        """Open the conversations behind the figure."""
        if self.query_one("#part").has_focus:
            self.query_one("#part", VirtualTable).action_choose()
        elif self._matrix and self.state.agent and self.state.measure:
            criterion, judge = view.measure_of(self.state.measure)
            label = "failures" if criterion == "failures" else ""
            if label:
                criterion, judge = "task_success", judge_on(self._matrix.summary, "task_success")
            self.state = states.behind_chosen(self.state, criterion, judge, among=self.state.agent, label=label)
            self._open()
            self.query_one("#behind").focus()

    def action_votes(self) -> None:
        """What people's votes on agents side by side add up to."""

        def show(found: Votes) -> None:
            self.app.push_screen(VotesScreen(found))

        self.run("votes", lambda: read_votes(self.home), show)

    def action_mend(self) -> None:
        """More dialogues for what went wrong: in the open conversation, at the hub of the row, or in the agent's column."""
        from workbench.tui.mending import offer_mending

        state: ResultsState = self.state
        part = self.query_one("#part", VirtualTable)
        row = (self._part.targets or {}).get(part.row.id) if part.has_focus and part.row else None
        if state.depth and state.conversation:
            offer_mending(self, state.conversation, None)
        elif state.selected:
            offer_mending(self, state.selected, (row and row.agent) or state.agent, row.hub if row else "")

    def action_evaluate(self) -> None:
        """The form of an evaluation."""
        offer_evaluation(self)

    def action_unreviewed(self, by: int) -> None:
        """On, or back, to the nearest conversation that nobody has reviewed."""
        table = self.query_one("#behind", VirtualTable)
        found, at = table.source, table.cursor
        if isinstance(found, behind.Behind):
            self.run("next", lambda: behind.unreviewed(self.home, found, at, by), lambda to: self.go_to_open(table, to))

    def action_differ(self) -> None:
        """All conversations, where the agents differ, where the judges differ."""
        self.state = states.differing(self.state)
        self._open()

    def action_side(self) -> None:
        """The scenario under the cursor with every agent, side by side; the same again goes back."""
        if self.state.depth == 2:
            self.back()
        elif chosen := self.state.conversation:
            self.state = states.depth_changed(self.state, 2)
            self._depth()
            self.run("side", lambda: behind.side_by_side(self.home, chosen), self._side)

    def _side(self, found: tuple[behind.Opened, ...]) -> None:
        self._beside = found
        self._sides()
        self.query_one("#side-text-0").focus()

    def _sides(self) -> None:
        found, shift = self._beside, self.state.shift
        room = min(max(self.size.width // 39, 1), SIDES, max(len(found), 1))
        turned = [*found[shift:], *found[:shift]]
        for at in range(SIDES):
            section = self.query_one(f"#side-{at}", Section)
            section.display = at < room
            if at < min(room, len(turned)):
                one = turned[at]
                section.put(f"{one.id[:8]} · {len(one.bubbles)} messages", name=one.condition)
                self.query_one(f"#side-about-{at}", SafeText).put(*one.brief)
                self.query_one(f"#side-text-{at}", Transcript).show(one.bubbles)
        if found and len(found) > room:
            first = self.query_one("#side-0", Section)
            first.put(f"{turned[0].id[:8]} · h l for {len(found) - room} more agents", name=turned[0].condition)

    def _open(self, *, again: bool = False) -> None:
        """Read what is shown below the matrix, for the first time or `again`."""
        run = self.run_again if again else self.run
        self._depth()
        state: ResultsState = self.state
        least, most = (None, 3.0) if state.label == "failures" else parts.limits_of(state.label)
        differ: Differ = "conditions" if state.differ == "conditions" else "judges" if state.differ == "judges" else ""
        of, deviation = state.selected or "", state.deviation or None
        figure = Figure(of, state.figure, state.judge, state.among or None, differ, deviation, least, most)
        judge, selected = state.judge, state.conversation
        if state.depth == 1:
            if not selected:
                run("first", lambda: behind.first(self.home, figure, judge), self._list_first)
            run("behind", lambda: behind.find(self.home, figure, judge, selected), self._list_behind)
        elif selected:
            run("side", lambda: behind.side_by_side(self.home, selected), self._side)

    def _list_first(self, found: behind.Behind | None) -> None:
        """The first rows, if the whole list is not there before them."""
        shown = self.query_one("#behind", VirtualTable).source
        if found and not (isinstance(shown, behind.Behind) and shown.figure == found.figure):
            self._list_behind(found)

    def _list_behind(self, found: behind.Behind) -> None:
        table = self.query_one("#behind", VirtualTable)
        before, at = table.source, found.cursor
        if isinstance(before, behind.Behind) and before.partial and before.figure == found.figure and table.cursor:
            at = found.place_of(before.found.rowids[table.cursor])  # where the reader has gone meanwhile
        table.show(found, at)
        said = f"counting … {found.title}" if found.partial else f"{found.title} · {found.count():,}"
        self.query_one("#results-list", Section).put(said)
        if not found.count():
            self.query_one("#results-text", Transcript).show(())
            self.query_one("#results-about", SafeText).put(())
            self.query_one("#results-one", Section).put()

    def back(self) -> None:
        """Out of the review's form, else one depth up."""
        if self.review_bar.close() or self.query_one("#results-text").has_focus:
            self.query_one("#behind").focus()
        elif self.state.depth == 2:
            self.state = states.depth_changed(self.state, 1)
            self._open()
            self.query_one("#behind").focus()
        elif self.state.depth:
            self.state = states.depth_changed(self.state, 0)
            self._depth()
            self._focus_view()
        elif self.state.view:
            self.action_show("")
        else:
            self.screen.set_focus(self.query_one("#comparisons"))

    def opened(self) -> None:
        """The focus is at the depth that is shown."""
        if self.state.depth:
            self.screen.set_focus(self.query_one("#side-text-0" if self.state.depth == 2 else "#behind"))
        else:
            self._focus_view()

    def leave_input(self, focused: Widget) -> None:
        """Out of the note; what is typed stays."""
        self.review_bar.close()
        self.query_one("#behind").focus()

    def selected_text(self) -> str:
        """The conversation, the table or the matrix as plain text."""
        if self.state.depth:
            return "\n".join(f"{b.role}: {b.text}" for b in self.query_one("#results-text", Transcript).bubbles)
        rows = self._part.rows
        return "\n".join("".join(text for text, _ in parts.whole_row(self._part, row.id)) for row in rows)


PANE = ResultsPane

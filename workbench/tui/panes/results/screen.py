"""The Results pane: agents by measures, how far to trust them, and the conversations behind every figure."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical, VerticalScroll

from workbench.store.rows import ComparisonRow
from workbench.tui import state as states
from workbench.tui.pane import Pane
from workbench.tui.panes.results import view
from workbench.tui.panes.results.votes import VotesScreen, read_votes
from workbench.tui.state import ResultsState
from workbench.tui.widgets.safe import SafeText
from workbench.tui.widgets.section import Section
from workbench.tui.widgets.table import Column, ListSource, VirtualTable
from workbench.tui.widgets.transcript import Transcript

LIST = (Column("comparison"), Column("workflow", 18), Column("state", 8), Column("", 14, "right"))
BEHIND = (Column("value", 7, "right"), Column("ended"), Column("msgs", 4, "right"), Column("id", 8, least=34))
EMPTY = "no comparison yet: workbench demo makes one, or: workbench evaluate travel_booking --agents …"


class ResultsPane(Pane):
    """Three depths: the matrix, the conversations behind a figure, one of them whole."""

    scope = "results"
    first = "#matrix"
    HELP = "A figure is a mean with its 95% interval. Enter opens the conversations behind it, the worst first; esc goes back."

    def __init__(self) -> None:
        super().__init__()
        self._listed: list[tuple[ComparisonRow, str]] = []
        self._matrix: view.Matrix | None = None
        self._behind: view.Behind | None = None

    def compose(self) -> ComposeResult:
        """Compose."""
        with Vertical(id="results-whole"):
            yield Section("Comparisons", VirtualTable(LIST, id="comparisons", empty=EMPTY), id="results-top")
            yield Section(
                "Agents by measure",
                VirtualTable((Column(""),), id="matrix", empty="nothing scored yet"),
                id="results-matrix",
            )
            yield Section(
                "Beside it", VerticalScroll(SafeText(id="results-beside", classes="note")), id="results-trust"
            )
        with Horizontal(id="results-behind"):
            yield Section("Behind", VirtualTable(BEHIND, id="behind", empty="no conversation"), id="results-list")
            yield Section(
                "Conversation", SafeText(id="results-about", classes="note"), Transcript(id="results-text"),
                id="results-one", classes="rule-left",
            )  # fmt: skip

    def on_mount(self) -> None:
        """Begin at the depth that was left."""
        self._depth()

    def _depth(self) -> None:
        self.query_one("#results-whole").display = self.state.depth == 0
        self.query_one("#results-behind").display = self.state.depth > 0

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
            self.run("matrix", lambda: view.matrix(self.home, selected), self._show)

    def _show(self, matrix: view.Matrix | None) -> None:
        if matrix is None:
            return
        self._matrix = matrix
        state: ResultsState = self.state
        if state.agent not in matrix.conditions:
            self.state = state = states.figure_chosen(state, next(iter(matrix.conditions), None), state.measure)
        self._draw()
        self.query_one("#results-beside", SafeText).put(
            *(matrix.beside or ("tests, controls and the labeller's accuracy come when it is done",))
        )
        if state.depth and state.agent and state.measure:
            self._open()

    def _draw(self) -> None:
        matrix, state = self._matrix, self.state
        if not matrix:
            return
        table = self.query_one("#matrix", VirtualTable)
        wide = self.size.width >= 130
        each = 28 if wide else max(12, min(18, (self.size.width - 24) // max(len(matrix.conditions), 1) - 1))
        names = view.columns_of(matrix.conditions)
        table.columns = (Column(""), *(Column(f" {name}", each) for name in names))
        rows = tuple(matrix.row(measure, state.agent, wide) for measure in matrix.measures)
        ids = [row.id for row in rows]
        table.show(ListSource(rows), ids.index(state.measure) if state.measure in ids else 0)
        most = max((figure.n for figure in matrix.figures.values()), default=0)
        section = self.query_one("#results-matrix", Section)
        section.put(f"{matrix.title} · n up to {most}, 95% intervals", name="Agents by measure")
        most_lines = max(self.size.height - 12, 6)
        self.query_one("#results-matrix").styles.height = min(len(rows) + 2, most_lines) if rows else 4

    def on_resize(self) -> None:
        """Columns by width."""
        self._draw()

    # Events ------------------------------------------------------------------------------------------------------

    @on(VirtualTable.Moved, "#comparisons")
    def _comparison(self, message: VirtualTable.Moved) -> None:
        chosen = message.row_id
        if chosen != self.state.selected:
            self.state = states.comparison_chosen(self.state, chosen)
            self.run("matrix", lambda: view.matrix(self.home, chosen), self._show)

    @on(VirtualTable.Chosen, "#comparisons")
    def _to_matrix(self) -> None:
        self.query_one("#matrix").focus()

    @on(VirtualTable.Moved, "#matrix")
    def _measure(self, message: VirtualTable.Moved) -> None:
        self.state = states.figure_chosen(self.state, self.state.agent, message.row_id)

    @on(VirtualTable.Chosen, "#matrix")
    def _figure(self) -> None:
        self.action_behind()

    @on(VirtualTable.Moved, "#behind")
    def _conversation(self, message: VirtualTable.Moved) -> None:
        chosen = message.row_id
        self.state = states.conversation_chosen(self.state, chosen)
        self.run("one", lambda: view.opened(self.home, chosen), self._opened)

    @on(VirtualTable.Chosen, "#behind")
    def _read(self) -> None:
        self.query_one("#results-text").focus()

    def _opened(self, found: view.Opened | None) -> None:
        if found:
            self.query_one("#results-text", Transcript).show(found.bubbles)
            self.query_one("#results-about", SafeText).put(*found.about)
            self.query_one("#results-one", Section).put(f"{found.id[:8]}, {len(found.bubbles)} messages")

    # Actions -----------------------------------------------------------------------------------------------------

    def action_agent(self, by: int) -> None:
        """The column to the left or to the right."""
        if (matrix := self._matrix) and matrix.conditions and self.state.depth == 0:
            at = matrix.conditions.index(self.state.agent) if self.state.agent in matrix.conditions else 0
            agent = matrix.conditions[(at + by) % len(matrix.conditions)]
            self.state = states.figure_chosen(self.state, agent, self.state.measure)
            self._draw()

    def action_behind(self) -> None:
        """Open the conversations behind the figure."""
        if self._matrix and self.state.agent and self.state.measure:
            self.state = states.depth_changed(self.state, 1)
            self._open()
            self.query_one("#behind").focus()

    def action_votes(self) -> None:
        """What people's votes on agents side by side add up to."""

        def show(table: str) -> None:
            self.app.push_screen(VotesScreen(table))

        self.run("votes", lambda: read_votes(self.home), show)

    def action_mend(self) -> None:
        """More dialogues for what went wrong: in the conversation that is open, else in the agent's whole column."""
        from workbench.tui.mending import offer_mending

        state: ResultsState = self.state
        if state.depth and state.conversation:
            offer_mending(self, state.conversation, None)
        elif state.selected:
            offer_mending(self, state.selected, state.agent)

    def _open(self) -> None:
        self._depth()
        state: ResultsState = self.state
        criterion, judge = view.measure_of(state.measure or "")
        comparison, agent = state.selected or "", state.agent or ""
        self.run("behind", lambda: view.behind(self.home, comparison, agent, criterion, judge), self._list_behind)

    def _list_behind(self, found: view.Behind) -> None:
        self._behind = found
        ids = [row.id for row in found.rows]
        at = ids.index(self.state.conversation) if self.state.conversation in ids else 0
        self.query_one("#behind", VirtualTable).show(ListSource(found.rows), at)
        self.query_one("#results-list", Section).put(
            f"{found.condition} · {found.criterion.replace('_', ' ')} · {len(ids)}"
        )

    def back(self) -> None:
        """One depth up."""
        if self.query_one("#results-text").has_focus:
            self.query_one("#behind").focus()
        elif self.state.depth:
            self.state = states.depth_changed(self.state, 0)
            self._depth()
            self.query_one("#matrix").focus()
        else:
            self.query_one("#comparisons").focus()

    def opened(self) -> None:
        """The focus is at the depth that is shown."""
        self.query_one("#behind" if self.state.depth else "#matrix").focus()

    def selected_text(self) -> str:
        """The conversation as plain text."""
        return "\n".join(f"{b.role}: {b.text}" for b in self.query_one("#results-text", Transcript).bubbles)


PANE = ResultsPane

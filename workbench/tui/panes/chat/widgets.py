"""One agent's column, and the dialog in which agents are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from workbench.tui.format import agent_name
from workbench.tui.panes.chat import view
from workbench.tui.widgets.safe import SafeText, line
from workbench.tui.widgets.section import Section
from workbench.tui.widgets.table import Column, ListSource, Row, VirtualTable
from workbench.tui.widgets.transcript import Transcript

MOST = 4


class AgentColumn(Section):
    """The agent's name, what was said, and its running sums."""

    def __init__(self, number: int) -> None:
        self.said = Transcript(empty="waiting for the agent …", follow=True, id=f"said-{number}")
        self._sums = SafeText(classes="note")
        super().__init__("…", self._sums, self.said, id=f"column-{number}", classes="rule-left" if number else "")

    def show(self, column: view.Column, columns: Sequence[view.Column], addressed: bool) -> None:
        """Show the column as it is now."""
        facts = [view.MARKS.get(column.state, ("?", "dim"))]
        if column.auto and column.state != "ended":
            facts.append((" autopilot", "warn"))
        if not addressed:
            facts.append((" not addressed", "dim"))
        self.put(*facts, name=agent_name(column.agent))
        self._sums.put(view.sums(column, columns))
        self.said.show(column.shown, keep=True)


class AgentsScreen(ModalScreen[tuple[str, ...]]):
    """Choose one to four agents: space takes or leaves the one under the cursor, enter begins."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False),
        Binding("space", "take", show=False),
        Binding("slash,i", "type", show=False),
    ]

    def __init__(self, offered: Sequence[str], chosen: Sequence[str]) -> None:
        super().__init__()
        self._offered = list(dict.fromkeys((*chosen, *offered)))
        self._chosen = list(chosen)

    def compose(self) -> ComposeResult:
        """The list, and a line for any other name."""
        with Vertical(classes="dialog", id="agents-dialog"):
            yield SafeText(line(("Talk to", "strong"), ("  up to four agents side by side", "dim")))
            empty = "none in the record yet: workbench demo compiles one, or / names another"
            yield VirtualTable((Column("", 2), Column("agent")), head=False, id="agents-list", empty=empty)
            yield Input(placeholder="another: compiled:RUN  orchestrated:MODEL  in-context:MODEL", id="agents-other")
            keys = (("space", "take or leave"), ("⏎", "begin"), ("/", "another"), ("esc", "cancel"))
            yield SafeText(line(*(span for key, what in keys for span in ((key, "key"), f" {what}   "))))

    def on_mount(self) -> None:
        """The list has the focus."""
        self._list(0)
        self.query_one("#agents-list").focus()

    def _list(self, cursor: int | None = None) -> None:
        rows = []
        for agent in self._offered:
            at = self._chosen.index(agent) + 1 if agent in self._chosen else 0
            rows.append(
                Row(agent, ((str(at) if at else "·", "key" if at else "dim"), (agent, "strong" if at else "plain")))
            )
        self.query_one("#agents-list", VirtualTable).show(ListSource(tuple(rows)), cursor)
        self.query_one("#agents-list").styles.height = min(max(len(rows), 1), 12)

    def action_take(self) -> None:
        """Take the agent, or leave it."""
        row = self.query_one("#agents-list", VirtualTable).row
        if row and row.id in self._chosen:
            self._chosen.remove(row.id)
        elif row and len(self._chosen) < MOST:
            self._chosen.append(row.id)
        self._list()

    def action_type(self) -> None:
        """Name another."""
        self.query_one("#agents-other").focus()

    def action_leave(self) -> None:
        """From the line to the list; from the list away."""
        if self.query_one("#agents-other").has_focus:
            self.query_one("#agents-list").focus()
        else:
            self.dismiss(tuple(self._chosen[:0]))

    @on(VirtualTable.Chosen)
    def _begin(self, message: VirtualTable.Chosen) -> None:
        message.stop()
        self.dismiss(tuple(self._chosen or [message.row_id]))

    @on(VirtualTable.Moved)
    def _moved(self, message: VirtualTable.Moved) -> None:
        message.stop()

    @on(Input.Submitted)
    def _other(self, message: Input.Submitted) -> None:
        message.stop()
        name = message.value.strip()
        if name and name not in self._offered:
            self._offered.append(name)
        if name and name not in self._chosen and len(self._chosen) < MOST:
            self._chosen.append(name)
        message.input.value = ""
        self._list(len(self._offered) - 1)
        self.query_one("#agents-list").focus()

"""The chat pane."""

from __future__ import annotations

from textual.app import ComposeResult

from workbench.tui.pane import Pane
from workbench.tui.widgets.table import Column, ListSource, Row, VirtualTable


class ChatPane(Pane):
    """x"""

    scope = "chat"
    first = "#list"

    def compose(self) -> ComposeResult:
        """x"""
        yield VirtualTable([Column("name"), Column("n", 6, "right")], id="list")

    def refresh_data(self, topics: frozenset[str]) -> None:
        rows = tuple(Row(str(i), (f"row {i} [/x]", str(i))) for i in range(1000))
        self.query_one(VirtualTable).show(ListSource(rows))


PANE = ChatPane

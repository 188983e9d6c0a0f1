"""People's votes on agents side by side, added up: the app's view of `workbench results votes`."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen

from workbench.home import Home
from workbench.store.chat_votes import votes
from workbench.tui.effects import reader
from workbench.tui.widgets.safe import SafeText, line


def read_votes(home: Home) -> str:
    """Blind votes as a table; for a worker thread."""
    from workbench.evaluation.votes import add_up, text

    return text(add_up(votes(reader(home), blind=True) if home.database.exists() else []))


class VotesScreen(ModalScreen[None]):
    """The table of votes with its notes."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,V,enter", "dismiss", show=False)]

    def __init__(self, table: str) -> None:
        super().__init__()
        self._table = table

    def compose(self) -> ComposeResult:
        """The table."""
        with Vertical(classes="dialog", id="votes-dialog"):
            yield SafeText(
                line(("Votes", "strong"), ("  given blind, in the chat pane or by workbench chat --blind", "dim"))
            )
            with VerticalScroll(id="votes-table"):
                yield SafeText(*self._table.split("\n"), wrapped=False)
            yield SafeText(line(("esc", "key"), " closes"))

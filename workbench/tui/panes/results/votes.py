"""People's votes on agents side by side, added up: the app's view of `workbench results votes`."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen

from workbench.evaluation.votes import Votes, add_up, text
from workbench.home import Home
from workbench.store.chat_votes import votes
from workbench.tui.effects import reader
from workbench.tui.widgets.safe import SafeText, line

WIDTH = 110
"""Of the dialog, as its style says, on a screen that has so many cells."""


def read_votes(home: Home) -> Votes:
    """Blind votes, added up; for a worker thread."""
    return add_up(votes(reader(home), blind=True) if home.database.exists() else [])


class VotesScreen(ModalScreen[None]):
    """The table of votes with its notes."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,V,enter", "dismiss", show=False)]

    def __init__(self, found: Votes) -> None:
        super().__init__()
        self._found = found

    def compose(self) -> ComposeResult:
        """The table."""
        table = text(self._found, min(self.app.size.width, WIDTH) - 4)
        with Vertical(classes="dialog", id="votes-dialog"):
            yield SafeText(
                line(("Votes", "strong"), ("  given blind, in the chat pane or by workbench chat --blind", "dim"))
            )
            with VerticalScroll(id="votes-table"):
                yield SafeText(*table.split("\n"))
            yield SafeText(line(("esc", "key"), " closes"))

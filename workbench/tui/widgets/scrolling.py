"""Text that scrolls by the keys of the scope `text`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from textual.binding import BindingType
from textual.scroll_view import ScrollView

from workbench.tui.actions import bindings


class Place(NamedTuple):
    """A place in a text, whatever its width: a message, and the share of its rows above the place."""

    message: int = 0
    share: float = 0.0


def place_of(starts: Sequence[int], rows: int, row: int) -> Place:
    """The place of a row, from the rows at which the messages start and the number of all rows."""
    at = bisect_right(starts, row) - 1
    if at < 0:
        return Place()
    end = starts[at + 1] if at + 1 < len(starts) else rows
    return Place(at, (row - starts[at]) / max(end - starts[at], 1))


def row_at(starts: Sequence[int], rows: int, place: Place) -> int:
    """The row of a place; the inverse of `place_of`."""
    if place.message >= len(starts):
        return 0
    start = starts[place.message]
    end = starts[place.message + 1] if place.message + 1 < len(starts) else rows
    return start + round(place.share * (end - start))


class ScrolledText(ScrollView):
    """A scroll view with the registry's keys for text. Nothing is animated: every frame costs bytes on the line."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("text")]
    spaced = False
    """Whether lines are double-spaced: the reading mode, which the app keeps for all of them."""

    def on_mount(self) -> None:
        """Begin as the others are."""
        self.space(bool(getattr(self.app, "reading", False)))

    def space(self, spaced: bool) -> None:
        """Double-spaced, or not; what is on the screen is laid out again."""
        if spaced != self.spaced:
            self.spaced = spaced
            self.relay()

    def relay(self) -> None:
        """Lay the text out again; a subclass that can says how."""

    def action_scroll(self, by: int) -> None:
        """A line up or down."""
        self.scroll_to(y=self.scroll_offset.y + by, animate=False)

    def action_page(self, by: int) -> None:
        """A page up or down, two lines kept in view."""
        self.scroll_to(y=self.scroll_offset.y + by * max(self.size.height - 2, 1), animate=False)

    def action_first(self) -> None:
        """To the top."""
        self.scroll_home(animate=False)

    def action_last(self) -> None:
        """To the end."""
        self.scroll_end(animate=False)

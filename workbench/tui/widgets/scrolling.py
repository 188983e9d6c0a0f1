"""Text that scrolls by the keys of the scope `text`."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType
from textual.scroll_view import ScrollView

from workbench.tui.actions import bindings


class ScrolledText(ScrollView):
    """A scroll view with the registry's keys for text. Nothing is animated: every frame costs bytes on the line."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("text")]

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

"""A drawing larger than the screen, to pan over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from workbench.tui.actions import bindings
from workbench.tui.widgets.safe import Line, Toned, width_of


class Canvas(Toned, ScrollView, can_focus=True):
    """Lines of toned spans that scroll both ways; the arrow keys pan."""

    DEFAULT_CSS = "Canvas { height: 1fr; width: 1fr; overflow: auto auto; scrollbar-size: 1 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("canvas")]

    class Clicked(Message):
        """A cell of the drawing was clicked."""

        def __init__(self, canvas: Canvas, x: int, y: int) -> None:
            super().__init__()
            self.canvas, self.x, self.y = canvas, x, y

        @property
        def control(self) -> Canvas:
            """The canvas."""
            return self.canvas

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._lines: tuple[Line, ...] = ()

    def show(self, lines: Sequence[Line], at: Region | None = None) -> None:
        """Show a drawing; `at` is the part that should be in view."""
        new = tuple(lines)
        if new != self._lines:
            self._lines = new
            self.virtual_size = Size(max((width_of(line) for line in new), default=0), len(new))
            self.refresh()
        if at is not None:
            self.scroll_to_region(at.grow((2, 4, 2, 4)), animate=False)

    def action_pan(self, x: int, y: int) -> None:
        """Move the view."""
        self.scroll_to(self.scroll_offset.x + 4 * x, self.scroll_offset.y + 2 * y, animate=False)

    def action_page(self, by: int) -> None:
        """A page down or up."""
        self.scroll_to(y=self.scroll_offset.y + by * max(self.size.height - 2, 1), animate=False)

    def on_click(self, event: events.Click) -> None:
        """Say which cell of the drawing it was."""
        self.post_message(self.Clicked(self, event.x + self.scroll_offset.x, event.y + self.scroll_offset.y))

    def render_line(self, y: int) -> Strip:
        """Line API."""
        width = self.scrollable_content_region.width
        y += self.scroll_offset.y
        if y >= len(self._lines):
            return Strip.blank(width, self.rich_style)
        x = self.scroll_offset.x
        line = self._lines[y]
        return self.strip(line, max(width_of(line), x + width)).crop(x, x + width)

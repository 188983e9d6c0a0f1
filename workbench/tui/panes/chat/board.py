"""The columns side by side in one widget: they scroll together, and only the cells that changed are drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.geometry import Region, Size
from textual.strip import Strip

from workbench.tui.panes.chat import view
from workbench.tui.panes.chat.layout import Lines, Wrapper, changed, shares
from workbench.tui.widgets.safe import Line, Span, Toned, fit_line, width_of
from workbench.tui.widgets.scrolling import ScrolledText, place_of, row_at

SEPARATOR: Span = ("│", "dim")


class Heads(Toned):
    """Two lines over every column: who it is, and its sums."""

    DEFAULT_CSS = "Heads { height: 2; background: $surface; }"

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._heads: tuple[tuple[Line, Line], ...] = ()

    def show(self, heads: Sequence[tuple[Line, Line]]) -> None:
        """Show these heads; nothing is sent when they are the same."""
        if (new := tuple(heads)) != self._heads:
            self._heads = new
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Line API."""
        spans: list[Span] = []
        for n, width in enumerate(shares(self.size.width - 1, len(self._heads))):  # as wide as the board's columns
            spans += [SEPARATOR] if n else []
            spans += fit_line(self._heads[n][y], width)
        return self.strip(spans, self.size.width)


class Board(Toned, ScrolledText, can_focus=True):
    """The messages of all columns. It follows the end while text streams in, a few lines at a time, so that a slow line
    is not sent the whole board at every line."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"board--chosen"}
    DEFAULT_CSS = """
    Board {
        height: 1fr; width: 1fr; overflow-x: hidden; overflow-y: scroll; scrollbar-size-vertical: 1;
        & > .board--chosen { background: $cursor; }
    }
    """

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.jump = 0.25
        """The view follows the end by this share of its height once the end leaves it."""
        self.chosen: int | None = None
        """The message whose first row is marked."""
        self.columns: list[Lines] = []
        self._widths: list[int] = []
        self._wrapper = Wrapper()
        self._talk = (view.Talk(), 0, True)
        self._pinned = True
        self.drawn = 0
        """How often new text was laid out (tests bound it)."""

    @property
    def _longest(self) -> Lines:
        """The column with the most rows."""
        return max(self.columns, key=lambda c: len(c.rows), default=Lines())

    @property
    def height(self) -> int:
        """Rows of the longest column."""
        return len(self._longest.rows)

    def show(self, talk: view.Talk, count: int, *, aligned: bool) -> None:
        """Show the first `count` columns of the talk."""
        self._talk = (talk, count, aligned)
        width = self.scrollable_content_region.width
        widths = shares(width, count)
        shown = talk.columns[:count]
        new = self._wrapper.lay(shown, widths, aligned=aligned, masked=talk.masked)
        old, self.columns = self.columns, new
        self.drawn += 1
        self._resize(width)
        if widths != self._widths or len(old) != len(new):
            self._widths = widths
            self.refresh()
            return
        x, top = 0, self.scroll_offset.y
        for before, now, cells in zip(old, new, widths, strict=True):
            if rows := changed(before.rows, now.rows):
                first, last = max(rows[0], top), min(rows[1], top + self.size.height)
                if last > first:
                    self.refresh(Region(x, first - top, cells, last - first))
            x += cells + 1

    def choose(self, idx: int | None) -> None:
        """Mark a message in all columns and bring it into view; None follows the end again."""
        self.chosen = idx
        self.refresh()
        starts = [c.starts[idx] for c in self.columns if idx is not None and idx < len(c.starts)]
        if starts:
            self.scroll_to(y=max(min(starts) - 2, 0), animate=False)
        elif idx is None:
            self.scroll_end(animate=False)

    def _resize(self, width: int) -> None:
        """The height in steps, so that following the end scrolls seldom; pinned to the end unless scrolled up."""
        step = max(int(self.size.height * self.jump), 1)
        over = max(self.height - self.size.height, 0)
        height = self.height if not over else self.size.height + -(-over // step) * step
        pinned = self._pinned
        if self.virtual_size.height != height or self.virtual_size.width != width:
            self.virtual_size = Size(width, height)
        if pinned and self.scroll_offset.y != max(height - self.size.height, 0):
            self.scroll_to(y=height - self.size.height, animate=False, force=True)
            self._pinned = True

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Whoever scrolls up stays there; at the end the view follows again. Growing alone changes nothing."""
        super().watch_scroll_y(old_value, new_value)
        self._pinned = new_value >= self.max_scroll_y - 1

    def on_resize(self) -> None:
        """Wrap again."""
        self.relay()

    def relay(self) -> None:
        """Wrap again, for another width or the reading mode; whoever has scrolled up stays at the same message."""
        pinned = self._pinned
        place = place_of(self._longest.starts, self.height, self.scroll_offset.y)
        self._widths, self._wrapper.spaced = [], self.spaced
        talk, count, aligned = self._talk
        self.show(talk, count, aligned=aligned)
        if not pinned:
            self.scroll_to(y=row_at(self._longest.starts, self.height, place), animate=False)

    def render_line(self, y: int) -> Strip:
        """Line API: one row of all columns."""
        width = self.scrollable_content_region.width
        y += self.scroll_offset.y
        spans: list[Span] = []
        chosen = False
        for n, (lines, cells) in enumerate(zip(self.columns, self._widths, strict=False)):
            spans += [SEPARATOR] if n else []
            row = lines.rows[y] if y < len(lines.rows) else ()
            spans += fit_line(row, cells) if width_of(row) != cells else row
            if self.chosen is not None and self.chosen < len(lines.starts):
                chosen |= y == lines.starts[self.chosen]
        if not spans:
            return Strip.blank(width, self.rich_style)
        base = self.rich_style
        if chosen:
            base += self.get_component_rich_style("board--chosen", partial=True)
        return self.strip(spans, width, base).simplify()

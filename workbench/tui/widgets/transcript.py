"""A conversation on the screen: who speaks, what is said, and beside each message the nodes it carries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.geometry import Region, Size
from textual.strip import Strip

from workbench.text import clean_line
from workbench.tui.widgets.safe import Line, Span, Toned, fit, width_of, wrap, wrap_line
from workbench.tui.widgets.scrolling import ScrolledText, place_of, row_at

MARGIN_FROM = 58
"""From this many cells on, what is known of a message stands beside it; on narrower screens under it."""

READING = 80
"""Cells of a line in the reading mode, at most: longer ones tire the eye."""

NARROW = 34
"""In fewer cells than this the speaker is one letter."""


@dataclass(frozen=True, slots=True)
class Bubble:
    """One message. `margin`: toned words beside it (nodes, facts, marks); `foot`: a dim line under it (figures)."""

    role: str
    text: str
    margin: tuple[Span, ...] = ()
    foot: str = ""
    streaming: bool = False


@dataclass(frozen=True, slots=True)
class _Row:
    spans: Line
    tint: str
    bubble: int


class Transcript(Toned, ScrolledText, can_focus=True):
    """A column of messages; long ones wrap. `follow` keeps the end in view while text streams in."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"bubble--agent", "bubble--user"}
    DEFAULT_CSS = """
    Transcript {
        height: 1fr; width: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 1; scrollbar-gutter: stable;
        & > .bubble--agent { background: $surface; }
        & > .bubble--user { background: $background; }
    }
    """

    def __init__(self, *, empty: str = "", follow: bool = False, id: str | None = None) -> None:
        super().__init__(id=id)
        self.empty = empty
        self.follow = follow
        self.bubbles: tuple[Bubble, ...] = ()
        self._rows: list[_Row] = []
        self._starts: list[int] = []
        self._width = -1
        self._pinned = True

    def show(self, bubbles: Sequence[Bubble], *, keep: bool = False) -> None:
        """Show these messages from the top (`keep`: stay where the view is, or at the end when following)."""
        new = tuple(bubbles)
        same = _common(self.bubbles, new) if keep else 0
        self.bubbles = new
        self._layout(same)
        if self.follow and (self._pinned or not keep):
            self.scroll_end(animate=False)
        elif not keep:
            self.scroll_to(y=0, animate=False)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Whoever scrolls up stays there; at the end the view follows again. Growing alone changes nothing."""
        super().watch_scroll_y(old_value, new_value)
        self._pinned = new_value >= self.max_scroll_y - 1

    def on_resize(self) -> None:
        """Wrap again where the width has changed."""
        if self.scrollable_content_region.width != self._width:
            self.relay()

    def relay(self) -> None:
        """Wrap again; what is at the top stays there, also within a long message."""
        place = place_of(self._starts, len(self._rows), self.scroll_offset.y)
        self._layout(0)
        if self.follow:
            self.scroll_end(animate=False)
        else:
            self.scroll_to(y=row_at(self._starts, len(self._rows), place), animate=False)

    def _layout(self, same: int) -> None:
        """Wrap messages from number `same` on; those before it are as they were."""
        width = self.scrollable_content_region.width
        if width != self._width or same > len(self._starts):
            same = 0
        self._width = width
        del self._rows[self._starts[same] if same < len(self._starts) else len(self._rows) :]
        del self._starts[same:]
        if not same:
            self._rows.clear()
        first_changed = len(self._rows)
        for index, bubble in enumerate(self.bubbles[same:], same):
            self._starts.append(len(self._rows))
            self._rows += [_Row(spans, bubble.role, index) for spans in rows_of(bubble, width, spaced=self.spaced)]
        self.virtual_size = Size(width, len(self._rows))
        below = Region(0, first_changed - self.scroll_offset.y, self.size.width, self.size.height)
        self.refresh(below) if same else self.refresh()

    def render_line(self, y: int) -> Strip:
        """Line API."""
        width = self.scrollable_content_region.width
        if not self._rows:
            words = wrap(self.empty, width - 4)
            return self.strip([("  " + words[y] if y < len(words) else "", "dim")], width)
        y += self.scroll_offset.y
        if y >= len(self._rows):
            return Strip.blank(width, self.rich_style)
        row = self._rows[y]
        if not row.spans:
            return Strip.blank(width, self.rich_style)
        tint = self.get_component_rich_style(f"bubble--{'user' if row.tint == 'user' else 'agent'}", partial=True)
        return self.strip(row.spans, width, self.rich_style + tint)


def _common(old: tuple[Bubble, ...], new: tuple[Bubble, ...]) -> int:
    """How many messages at the start are the same."""
    for index, (before, now) in enumerate(zip(old, new, strict=False)):
        if before is not now and before != now:
            return index
    return min(len(old), len(new))


def rows_of(bubble: Bubble, width: int, *, spaced: bool = False) -> list[Line]:
    """The lines of one message at a width, the blank one after it included; `spaced` for the reading mode."""
    gutter = 5 if width >= NARROW else 1
    who = clean_line(bubble.role)[:gutter].rjust(gutter)
    blank = " " * gutter
    tone = bubble.role if bubble.role in ("agent", "user") else "dim"
    beside = width >= MARGIN_FROM and bool(bubble.margin)
    aside = min(max(width // 3, 22), 38) if width >= MARGIN_FROM else 0
    room = max(width - gutter - 4 - (aside + 2 if aside else 0), 8)
    room = min(room, READING) if spaced else room
    text = wrap(bubble.text + (" ▍" if bubble.streaming else ""), room)
    notes = wrap_line(bubble.margin, aside) if beside else []
    rows: list[Line] = []
    for y in range(max(len(text), len(notes), 1)):
        said = text[y] if y < len(text) else ""
        spans: list[Span] = [(who if y == 0 else blank, tone), (" ▏ ", tone), (fit(said, room), "plain")]
        if aside:
            note = notes[y] if y < len(notes) else ()
            spans += [("  ", "plain"), *note, (" " * max(aside - width_of(note), 0), "plain")]
        rows.append(tuple(spans))
    if spaced:
        between: Line = ((blank, "dim"), (" ▏ ", tone))
        rows = [row for said in rows for row in (said, between)]
    if bubble.margin and not beside:
        rows += [
            ((blank, "dim"), (" ▏ ", tone), *spans) for spans in wrap_line(bubble.margin, max(width - gutter - 4, 8))
        ]
    if bubble.foot:
        rows.append(((blank, "dim"), (" ▏ ", tone), (fit(bubble.foot, max(width - gutter - 4, 8)), "dim")))
    rows.append(())
    return rows

"""Text that may come from anywhere, on its way to the screen: cleaned, never parsed as markup, toned by meaning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.filter import LineFilter
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from workbench.text import clean, clean_line
from workbench.tui.theme import TONE_CLASSES, TONE_CSS, TONES

Span = tuple[str, str]
"""A piece of text and the tone it is said in (`theme.TONES`)."""
Line = tuple[Span, ...]
_MOST = 16
"""Characters to a cell that are looked at before a line is cut: a line of 100 kB costs no more than one that fits."""
_FLAT = {0x09: " ", 0x0A: " ", 0xA0: " "}


def line(*parts: str | Span) -> Line:
    """Spans from strings (tone `plain`) and (text, tone) pairs."""
    return tuple((part, "plain") if isinstance(part, str) else part for part in parts)


def width_of(spans: Iterable[Span]) -> int:
    """Cells a line takes."""
    return sum(cell_len(text) for text, _ in spans)


def fit(text: str, width: int, align: str = "left") -> str:
    """`text` as one clean line of exactly `width` cells, cut with an ellipsis or padded."""
    text = clean_line(text)
    if width <= 0:
        return ""
    if (cells := cell_len(text)) > width:
        return set_cell_size(text, width - 1) + "…"
    pad = " " * (width - cells)
    return pad + text if align == "right" else text + pad


def fit_line(spans: Line, width: int) -> Line:
    """A toned line of exactly `width` cells, cut with an ellipsis or padded."""
    out: list[Span] = []
    room = width
    for text, tone in spans:
        text = clean(text[: _MOST * (room + 1)]).translate(_FLAT)
        if (cells := cell_len(text)) > room:
            return (*out, (set_cell_size(text, max(room - 1, 0)) + ("…" if room else ""), tone))
        out.append((text, tone))
        room -= cells
    return (*out, (" " * room, "plain"))


def pieces(word: str, width: int) -> list[str]:
    """A word that is longer than a line as parts that each fit; any other word alone."""
    return [word] if cell_len(word) <= width else chop_cells(word, width) or [""]


def wrap(text: str, width: int) -> list[str]:
    """Clean `text` broken at spaces into lines of at most `width` cells; words too long for a line are split."""
    width = max(width, 4)
    lines: list[str] = []
    for paragraph in clean(text).expandtabs(4).split("\n"):
        current = ""
        for word in paragraph.split(" "):
            candidate = f"{current} {word}" if current else word
            if cell_len(candidate) <= width:
                current = candidate
                continue
            if current:
                lines.append(current)
            *whole, word = pieces(word, width)
            lines += whole
            current = word
        lines.append(current)
    return lines


def wrap_line(spans: Line, width: int, indent: str = "") -> list[Line]:
    """A toned line broken at spaces to `width` cells; continuation lines begin with `indent`.

    A no-break space holds words together (a label and its figure), also from one span to the next.
    """
    rows: list[Line] = []
    row: list[Span] = []
    used = 0
    for word in _words(spans, width):
        if used + width_of(word) > width and used > len(indent):
            rows.append(tuple(row))
            row, used = [(indent, "plain")], len(indent)
        if rows and used == len(indent):
            word = [(word[0][0].removeprefix(" "), word[0][1]), *word[1:]]
        for piece, tone in word:
            piece = set_cell_size(piece, width - used) if cell_len(piece) > width - used else piece
            row.append((piece, tone))
            used += cell_len(piece)
    return [*rows, tuple(row)]


def _words(spans: Line, width: int) -> Iterator[list[Span]]:
    """The words of a line, each with the space before it, as the spans it is made of; one wider than a line span by span."""
    word: list[Span] = []
    for text, tone in spans:
        for at, part in enumerate(clean(text).replace("\n", " ").split(" ")):
            if word and (at or width_of(word) + cell_len(part) > width):
                yield word
                word = []
            word.append((" " + part if at else part, tone))
    if word:
        yield word


def _cut(spans: Line, width: int) -> list[Line]:
    return [fit_line(spans, width)]


def _hang(spans: Line, width: int) -> list[Line]:
    return wrap_line(spans, width, " " * width_of(spans[:1]) if len(spans) > 1 else "")


class CleanFilter(LineFilter):
    """The last step before the terminal, for every widget: inputs, palette and messages of Textual's own are cleaned too."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The same segments without control, bidirectional and invisible characters."""
        if all(text.isprintable() for text, _, _ in segments):
            return segments
        return [Segment(text if control else clean(text).translate(_FLAT), style, control)
                for text, style, control in segments]  # fmt: skip


class Toned(Widget):
    """A widget that draws lines of toned spans; the tones are component classes, so themes reach them."""

    COMPONENT_CLASSES: ClassVar[set[str]] = set(TONE_CLASSES)
    DEFAULT_CSS = f"Toned {{ {TONE_CSS} }}"

    def tone(self, name: str) -> Style:
        """The Rich style of a tone; an unknown name is `plain`."""
        return self.get_component_rich_style(f"tone--{name if name in TONES else 'plain'}", partial=True)

    def strip(self, spans: Iterable[Span], width: int, base: Style | None = None) -> Strip:
        """One screen line of exactly `width` cells. The last barrier: every span is cleaned here again."""
        base = base or self.rich_style
        segments = [Segment(clean(text).translate(_FLAT), base + self.tone(tone)) for text, tone in spans]
        return Strip(segments).adjust_cell_length(width, base)


class SafeText(Toned):
    """Lines of toned text, wrapped to the width (or cut to it); for headings, figures and notes. Where they are `hanging`,
    what does not fit beside a line's first span (a key, a number) goes on under its second one.
    """

    DEFAULT_CSS = "SafeText { height: auto; }"

    def __init__(
        self,
        *lines: Line | str,
        id: str | None = None,
        classes: str | None = None,
        wrapped: bool = True,
        hanging: bool = False,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._lay = _cut if not wrapped else _hang if hanging else wrap_line
        self._lines: tuple[Line, ...] = ()
        self._rows: list[Line] = []
        self._wrapped = -1
        self.text = lines

    @property
    def text(self) -> tuple[Line, ...]:
        """What is shown."""
        return self._lines

    @text.setter
    def text(self, lines: Iterable[Line | str]) -> None:
        new = tuple(line(item) if isinstance(item, str) else item for item in lines)
        if new != self._lines:
            self._lines, self._wrapped = new, -1
            self.refresh(layout=True)

    def put(self, *lines: Line | str) -> None:
        """Replace the text; nothing is sent when it is the same."""
        self.text = lines

    def _wrap(self, width: int) -> list[Line]:
        if width != self._wrapped:
            self._rows = [row for item in self._lines for row in self._lay(item, max(width, 1))]
            self._wrapped = width
        return self._rows

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """As many rows as the wrapped text needs."""
        return len(self._wrap(width))

    def get_content_width(self, container: Size, viewport: Size) -> int:
        """As wide as the longest line."""
        return max((width_of(item) for item in self._lines), default=0)

    def render_line(self, y: int) -> Strip:
        """Line API: one wrapped row."""
        rows = self._wrap(self.content_size.width)
        return self.strip(rows[y] if y < len(rows) else (), self.content_size.width)

    def plain(self) -> Iterator[str]:
        """The text without tones."""
        for item in self._lines:
            yield "".join(text for text, _ in item)

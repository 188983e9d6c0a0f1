"""A table of any length: it knows how many rows there are, keeps windows of them, and draws only what is on screen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

from rich.cells import cell_len
from rich.style import Style
from textual import events
from textual.binding import BindingType
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip

from workbench.tui.actions import bindings
from workbench.tui.widgets.safe import Line, Span, Toned, fit, fit_line, wrap

T = TypeVar("T")
Runner = Callable[[str, Callable[[], Any], Callable[[Any], None]], None]
"""(key, work, then): `work` somewhere, then `then(result)` on the app's thread; a newer call of a key replaces it."""
Cell = str | Span | Line
"""A cell: text, text with a tone, or a line of toned spans."""
BLOCK = 128
ANY_WIDTH = 1 << 16
_LOOKED_AT = 1000
"""Rows of a list in memory whose width is measured."""


def run_now(key: str, work: Callable[[], T], then: Callable[[T], None]) -> None:
    """The simplest runner: at once, here."""
    then(work())


def cell_text(cell: Cell) -> str:
    """A cell's text without tones."""
    if isinstance(cell, str):
        return cell
    return "".join(
        span if isinstance(span, str) else span[0] for span in (cell[:1] if isinstance(cell[0], str) else cell)
    )


def cell_spans(cell: Cell, width: int, align: str) -> Line:
    """A cell as spans of exactly `width` cells."""
    if isinstance(cell, str):
        return ((fit(cell, width, align), "plain"),)
    if len(cell) == 2 and isinstance(cell[0], str) and isinstance(cell[1], str):
        return ((fit(cell[0], width, align), cell[1]),)
    return fit_line(tuple(span for span in cell if isinstance(span, tuple)), width)


class Row(NamedTuple):
    """A row: what identifies it for good, and its cells in the order of the columns."""

    id: str
    cells: tuple[Cell, ...]


class RowSource(Protocol):
    """Rows by position. Positions may go to any size; both methods may be called from a worker thread."""

    def count(self) -> int:
        """How many rows there are; the same for the life of the source."""
        ...

    def window(self, start: int, stop: int) -> Sequence[Row]:
        """The rows start … stop - 1, fewer if there are no more."""
        ...


@dataclass(frozen=True, slots=True)
class ListSource:
    """Rows that are already in memory."""

    rows: tuple[Row, ...]

    def count(self) -> int:
        """How many."""
        return len(self.rows)

    def window(self, start: int, stop: int) -> Sequence[Row]:
        """A slice."""
        return self.rows[start:stop]


@dataclass(frozen=True, slots=True)
class Column:
    """A column. `width` 0 shares what is left, but takes no more than a list in memory needs unless it is the last;
    `least` hides the column where the table is narrower than that."""

    title: str
    width: int = 0
    align: str = "left"
    least: int = 0


class VirtualTable(Toned, can_focus=True):
    """Draws rows of a `RowSource` with a cursor. The row under the cursor is the selection, known by its id.

    `show` replaces the source and says where the cursor is; the row keeps its place on the screen. Rows that are not
    there yet are fetched by `runner` in blocks and drawn when they come. A cursor move redraws two lines.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--head", "table--cursor", "table--blurred", "table--bar"}
    DEFAULT_CSS = """
    VirtualTable {
        height: 1fr; width: 1fr;
        & > .table--head { color: $muted; text-style: none; }
        & > .table--cursor { background: $cursor; text-style: bold; }
        & > .table--blurred { background: $cursor-blurred; }
        & > .table--bar { color: $faint; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("list")]

    class Moved(Message):
        """The cursor came to stand on a row."""

        def __init__(self, table: VirtualTable, row_id: str, index: int) -> None:
            super().__init__()
            self.table, self.row_id, self.index = table, row_id, index

        @property
        def control(self) -> VirtualTable:
            """The table."""
            return self.table

    class Chosen(Moved):
        """Enter or a second click on the row."""

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        runner: Runner = run_now,
        empty: str = "",
        head: bool = True,
        id: str | None = None,
    ) -> None:
        super().__init__(id=id)
        self.columns = tuple(columns)
        self.runner = runner
        self.empty = empty
        self.head = head
        self.source: RowSource = ListSource(())
        self._needed = self._needs()
        self.count = 0
        self.top = 0
        self.cursor = 0
        self._blocks: dict[int, Sequence[Row]] = {}
        self._asked: set[int] = set()
        self._age = 0
        self._announced: str | None = None

    @property
    def rows(self) -> int:
        """Rows that fit on the screen."""
        return max(self.size.height - self.head, 1)

    @property
    def row(self) -> Row | None:
        """The row under the cursor, if it is there yet."""
        return self._row(self.cursor)

    def show(self, source: RowSource, cursor: int | None = None, *, top: int | None = None) -> None:
        """Show `source` with the cursor at a position; without one the cursor and the view stay where they are."""
        offset = self.cursor - self.top
        self.source, self.count = source, source.count()
        self._blocks, self._asked, self._announced = {}, set(), None
        self._needed = self._needs()
        self._age += 1
        self.cursor = min(max(self.cursor if cursor is None else cursor, 0), max(self.count - 1, 0))
        self.top = self.cursor - offset if top is None else top
        self._settle()
        self.refresh()

    def reload(self) -> None:
        """Fetch the rows again where they are; what is on the screen stays until they come."""
        self._asked = set()
        for block in list(self._blocks):
            self._ask(block)

    def go(self, position: int, scroll: int = 0) -> None:
        """Move the cursor to a position and the view by so many rows (both kept within the rows)."""
        old, top = self.cursor, self.top
        self.top += scroll
        self.cursor = min(max(position, 0), max(self.count - 1, 0))
        self._settle()
        if self.top != top:
            self.refresh()
        elif self.cursor != old:
            self.refresh(self._region(old), self._region(self.cursor))

    def action_move(self, by: int) -> None:
        """Cursor up or down."""
        self.go(self.cursor + by)

    def action_page(self, by: int) -> None:
        """A page up or down, with one row kept in view."""
        step = by * max(self.rows - 1, 1)
        self.go(self.cursor + step, step)

    def action_first(self) -> None:
        """To the first row."""
        self.go(0)

    def action_last(self) -> None:
        """To the last row."""
        self.go(self.count - 1)

    def action_choose(self) -> None:
        """Say that the row under the cursor was chosen."""
        if row := self.row:
            self.post_message(self.Chosen(self, row.id, self.cursor))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Three rows down; the cursor follows the view."""
        event.stop()
        self.go(self.cursor + 3)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Three rows up."""
        event.stop()
        self.go(self.cursor - 3)

    def on_click(self, event: events.Click) -> None:
        """Select the row that was clicked; a second click chooses it."""
        at = self.top + event.y - self.head
        if event.y >= self.head and at < self.count:
            self.go(at)
            if event.chain == 2:
                self.action_choose()

    def on_resize(self) -> None:
        """Keep the cursor in view, and no rows out of it that would fit."""
        top = self.top
        self._settle()
        if self.top != top:
            self.refresh()

    def on_focus(self) -> None:
        """The cursor row shows the focus."""
        self.refresh(self._region(self.cursor))

    def on_blur(self) -> None:
        """The cursor row shows the focus."""
        self.refresh(self._region(self.cursor))

    def _region(self, position: int) -> Region:
        return Region(0, position - self.top + self.head, self.size.width, 1)

    def _settle(self) -> None:
        """Keep cursor and view within bounds, fetch what is missing, tell where the cursor is."""
        self.top = min(self.top, self.cursor)
        self.top = max(self.top, self.cursor - self.rows + 1)
        self.top = max(min(self.top, self.count - self.rows), 0)
        first = max(self.top - self.rows, 0) // BLOCK
        last = min(self.top + 2 * self.rows, max(self.count - 1, 0)) // BLOCK
        for block in range(first, last + 1):
            if self.count and block not in self._blocks and block not in self._asked:
                self._ask(block)
        self._announce()

    def _ask(self, block: int) -> None:
        self._asked.add(block)
        source, age, start = self.source, self._age, block * BLOCK
        stop = min(start + BLOCK, self.count)

        def arrived(rows: Sequence[Row]) -> None:
            if age == self._age:
                self._asked.discard(block)
                if len(self._blocks) > 32:
                    self._blocks.clear()
                self._blocks[block] = rows
                self._announce()
                self.refresh()

        self.runner(f"{self.id}/{block}", lambda: source.window(start, stop), arrived)

    def _announce(self) -> None:
        if (row := self.row) and row.id != self._announced:
            self._announced = row.id
            self.post_message(self.Moved(self, row.id, self.cursor))

    def _row(self, position: int) -> Row | None:
        block, at = divmod(position, BLOCK)
        rows = self._blocks.get(block, ())
        return rows[at] if at < len(rows) else None

    def _widths(self, total: int) -> list[int]:
        """Cells for each column, 0 where it is hidden; one cell between columns, mark and bar taken off before."""
        seen = [at for at, column in enumerate(self.columns) if column.least <= total]
        widths = [column.width if at in seen else 0 for at, column in enumerate(self.columns)]
        left = max(total - sum(widths) - len(seen) + 1, 0)
        loose = sorted((at for at in seen if not self.columns[at].width), key=lambda at: self._needed[at])
        for done, at in enumerate(loose):  # those that need least come first; what they leave goes to the others
            widths[at] = min(left // (len(loose) - done), self._needed[at])
            left -= widths[at]
        return widths

    def _needs(self) -> list[int]:
        """The most cells that each column has a use for, so that figures stand near their names: any number but for those
        of a list in memory that have others on their right.
        """
        if not isinstance(self.source, ListSource):
            return [ANY_WIDTH] * len(self.columns)
        looked_at = [column.title for column in self.columns], *(row.cells for row in self.source.rows[:_LOOKED_AT])
        columns = range(len(self.columns) - 1)
        return [*(max(cell_len(cell_text(c[at])) for c in looked_at if at < len(c)) for at in columns), ANY_WIDTH]

    def _spans(self, cells: Sequence[Cell], width: int) -> list[Span]:
        spans: list[Span] = []
        for column, cell, cells_wide in zip(self.columns, cells, self._widths(width), strict=False):
            if cells_wide:
                spans += [*cell_spans(cell, cells_wide, column.align), (" ", "plain")]
        return spans[:-1]

    def _bar(self, y: int) -> str:
        """The scroll bar's cell in row `y`: integers only, so that it holds for any count."""
        if self.count <= self.rows:
            return " "
        length = max(self.rows * self.rows // self.count, 1)
        at = (self.rows - length) * self.top // max(self.count - self.rows, 1)
        return "┃" if at <= y < at + length else "│"

    def render_line(self, y: int) -> Strip:
        """Line API: the header, a row, or what to do when there are none."""
        width = self.size.width
        if self.head and y == 0:
            titles = self._spans([column.title for column in self.columns], width - 3)
            style = self.rich_style + self.get_component_rich_style("table--head", partial=True)
            return Strip([*self.strip([("  ", "plain"), *((text, "dim") for text, _ in titles)], width, style)])
        y -= self.head
        position = self.top + y
        if not self.count:
            words = wrap(self.empty, width - 4)
            return self.strip([("  " + words[y] if y < len(words) else "", "dim")], width)
        if position >= self.count:
            return Strip.blank(width, self.rich_style)
        row = self._row(position)
        spans = self._spans(row.cells, width - 3) if row else [("·", "dim")]
        base: Style = self.rich_style
        here = position == self.cursor
        if here:
            name = "table--cursor" if self.has_focus else "table--blurred"
            base += self.get_component_rich_style(name, partial=True)
        body = self.strip([("▸ " if here else "  ", "accent"), *spans], width - 1, base)
        bar = self.rich_style + self.get_component_rich_style("table--bar", partial=True)
        return Strip.join([body, self.strip([(self._bar(y), "dim")], 1, bar)])

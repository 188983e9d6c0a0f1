"""Columns of messages as rows of the screen: wrapped, and message n of every column brought to the same line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len

from workbench.agents.live_client import failure_words
from workbench.text import clean
from workbench.tui.panes.chat.view import ENDS, Column, Said, delay
from workbench.tui.widgets.markdown import markdown
from workbench.tui.widgets.safe import Line, fit, wrap

Rows = tuple[Line, ...]
BAR = "▍"
"""Stands before every line of a message, in the tone of who speaks."""


@dataclass(frozen=True, slots=True)
class Lines:
    """A column ready to be drawn: its rows, and the row at which each message starts."""

    rows: tuple[Line, ...] = ()
    starts: tuple[int, ...] = ()


@dataclass(slots=True)
class Wrapper:
    """Wraps columns at their widths; what is finished is wrapped once."""

    spaced: bool = False
    """Double-spaced, for the reading mode."""
    _kept: dict[tuple[int, int], tuple[Said, int, bool, Rows]] = field(default_factory=dict)

    def lay(self, columns: Sequence[Column], widths: Sequence[int], *, aligned: bool, masked: bool) -> list[Lines]:
        """The columns at these widths; `aligned` starts message n on the same row in all of them."""
        blocks = [self._blocks(column, width, masked) for column, width in zip(columns, widths, strict=True)]
        if self.spaced:
            blocks = [[double_spaced(rows) for rows in column] for column in blocks]
        most = max(map(len, blocks), default=0)
        heights = [max((len(b[n]) for b in blocks if n < len(b)), default=0) for n in range(most)]
        return [_stacked(b, heights if aligned else [len(rows) for rows in b]) for b in blocks]

    def _blocks(self, column: Column, width: int, masked: bool) -> list[Rows]:
        blocks = [self._message(column.number, n, said, width, masked) for n, said in enumerate(column.said)]
        last: list[Line] = []
        if column.reply or column.state == "answering":
            mark = "▌" if column.state == "answering" else ""
            last += [((BAR, "agent"), (row, "plain")) for row in wrap(clean(column.reply) + mark, width - 1)]
        if words := delay(column, masked=masked):
            last += [((BAR, "warn"), (row, "warn")) for row in wrap(words, width - 1)]
            last.append(((BAR, "warn"), ("x", "key"), (" stops", "dim")))
        if words := failure_words(column.error, unnamed=masked):
            last += [((BAR, "bad"), (row, "bad")) for row in wrap(f"✗ {words}", width - 1)]
            last.append(((BAR, "bad"), ("r", "key"), (" asks again", "dim")))
        for text in column.waits:
            last += [((BAR, "warn"), (row, "dim")) for row in wrap(f"{clean(text)} (not said yet)", width - 1)]
        if column.ended_by:
            end = ENDS.get(column.ended_by, f"ended: {column.ended_by}")
            where = f" ({column.at})" if column.at and not masked else ""
            last += [((row, "dim"),) for row in wrap(f"■ {end}{where}", width)]
        return [*blocks, (*last, ())] if last else blocks

    def _message(self, number: int, idx: int, said: Said, width: int, masked: bool) -> Rows:
        kept = self._kept.get((number, idx))
        if kept and kept[0] is said and kept[1:3] == (width, masked):
            return kept[3]
        rows = message_rows(said, width, masked=masked)
        self._kept[number, idx] = (said, width, masked, rows)
        return rows


def message_rows(said: Said, width: int, *, masked: bool = False) -> Rows:
    """A finished message: an agent's in Markdown with its figures under it, a user's as it was typed; then a blank."""
    tone = "agent" if said.role == "agent" else "user"
    room = max(width - 1, 4)
    body = markdown(said.text, room) if tone == "agent" else [((row, "user"),) for row in wrap(said.text, room)]
    rows: list[Line] = [((BAR, tone), *row) for row in body]
    notes = [" › ".join(said.nodes), said.figures] if not masked else []
    if said.by and said.by != "human":
        notes.append(f"by {said.by}")
    parts = [part for note in notes for part in note.split(" · ") if part]
    rows += [((BAR, tone), (fit(row, room).rstrip(), "dim")) for row in _filled(parts, room)]
    return (*rows, ())


def double_spaced(rows: Rows) -> Rows:
    """A line with nothing but the bar after every line of a message."""
    return tuple(row for said in rows for row in ((said, said[:1]) if said and said[0][0] == BAR else (said,)))


def _filled(parts: Sequence[str], width: int) -> list[str]:
    """Parts joined by dots, as many a line as fit."""
    lines: list[str] = []
    for part in parts:
        if lines and cell_len(lines[-1]) + 3 + cell_len(part) <= width:
            lines[-1] += f" · {part}"
        else:
            lines.append(part)
    return lines


def _stacked(blocks: Sequence[Rows], heights: Sequence[int]) -> Lines:
    rows: list[Line] = []
    starts: list[int] = []
    for n, block in enumerate(blocks):
        starts.append(len(rows))
        rows += block
        rows += [()] * (heights[n] - len(block))
    return Lines(tuple(rows), tuple(starts))


def changed(old: Sequence[Line], new: Sequence[Line]) -> tuple[int, int] | None:
    """The first row that differs and the end of those that do; None if all are the same."""
    same = min(len(old), len(new))
    first = next((n for n in range(same) if old[n] is not new[n] and old[n] != new[n]), same)
    if first == len(old) == len(new):
        return None
    last = max(len(old), len(new))
    if len(old) == len(new):
        while last > first and old[last - 1] == new[last - 1]:
            last -= 1
    return first, last


def shares(width: int, count: int) -> list[int]:
    """Widths of `count` columns with a line between each two."""
    if not count:
        return []
    each, rest = divmod(max(width - (count - 1), count), count)
    return [each + (n < rest) for n in range(count)]

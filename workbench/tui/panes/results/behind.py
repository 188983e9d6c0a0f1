"""Below the matrix: the conversations behind a figure as a windowed list, and single ones opened, alone or side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from workbench.evaluation.reading import Reading, beside, figure_of, read
from workbench.evaluation.words import TITLES
from workbench.home import Home
from workbench.store.behind import Behind as Found
from workbench.store.behind import Figure, behind, glance
from workbench.store.conversations import conversation_rows, get_conversation
from workbench.store.record import Record
from workbench.store.reviews import votes
from workbench.store.rows import ConversationRow, VerdictRow
from workbench.text import clean_line
from workbench.tui.effects import reader
from workbench.tui.format import dollars
from workbench.tui.widgets.messages import spoken
from workbench.tui.widgets.review import nearest
from workbench.tui.widgets.safe import Line, Span, line
from workbench.tui.widgets.table import Row
from workbench.tui.widgets.transcript import Bubble


@dataclass(frozen=True)
class Behind:
    """Rows of the list, read in windows: only row ids and values are kept, for any number of conversations."""

    home: Home
    figure: Figure
    found: Found
    cursor: int = 0
    partial: bool = False
    """Whether these are only the first ones, shown until the whole is there."""

    def count(self) -> int:
        """How many conversations."""
        return len(self.found)

    def window(self, start: int, stop: int) -> Sequence[Row]:
        """The rows start … stop - 1."""
        rowids = self.found.rowids[start:stop]
        rec = reader(self.home)
        rows = {row.rowid: row for row in conversation_rows(rec, rowids)}
        decided = votes(rec, "conversation", [row.id for row in rows.values()])
        known = zip(rowids, self.found.values[start:stop], self.found.spreads[start:stop], strict=True)
        return [
            _row(rows[rowid], value, spread, self.figure, bool(decided.get(rows[rowid].id)))
            for rowid, value, spread in known
            if rowid in rows
        ]

    def place_of(self, rowid: int) -> int:
        """Where a conversation stands in the list; 0 if it is not there."""
        return self.found.rowids.index(rowid) if rowid in self.found.rowids else 0

    @property
    def title(self) -> str:
        """What the list is of."""
        f = self.figure
        parts = [f"where {'agents' if f.differ == 'conditions' else f.differ} differ"] if f.differ else []
        parts += [f.condition or "all agents", TITLES.get(f.criterion, f.criterion.replace("_", " "))]
        parts += [f.judge] if f.judge else []
        parts += [f"deviation {f.deviation}"] if f.deviation else []
        parts += [f"up to {f.most:g}"] if f.most is not None else []
        return " · ".join(parts)


def unreviewed(home: Home, list_: Behind, at: int, by: int) -> int | None:
    """The place in the list of the nearest conversation after or before this one that nobody has reviewed."""
    rec = reader(home)

    def are_open(part: Sequence[int]) -> list[bool]:
        rows = {row.rowid: row for row in conversation_rows(rec, [list_.found.rowids[i] for i in part])}
        decided = votes(rec, "conversation", [row.id for row in rows.values()])
        known = [rows.get(list_.found.rowids[i]) for i in part]
        return [row is not None and not decided.get(row.id) for row in known]

    return nearest(list_.count(), at, by, are_open)


def first(home: Home, figure: Figure, judge: str) -> Behind | None:
    """The worst among the first conversations, at once however many there are; None where `find` is as fast."""
    rec = reader(home)
    figure = _in_force(rec, figure, judge)
    found = glance(rec, figure)
    return Behind(home, figure, found, partial=True) if found else None


def find(home: Home, figure: Figure, judge: str, selected: str | None) -> Behind:
    """The conversations behind a figure; `judge` is completed with its rubric in force."""
    rec = reader(home)
    figure = _in_force(rec, figure, judge)
    found = Behind(home, figure, behind(rec, figure))
    row = get_conversation(rec, selected) if selected else None
    return replace(found, cursor=found.place_of(row[0].rowid)) if row else found


def _in_force(rec: Record, figure: Figure, judge: str) -> Figure:
    if not judge:
        return figure
    return replace(figure, rubric=figure_of(rec, figure.comparison_id, figure.criterion, judge).rubric)


def _row(row: ConversationRow, value: float, spread: float, figure: Figure, reviewed: bool) -> Row:
    known = value == value
    shown: Span = (_value(value, figure), "strong") if known else ("missing", "bad")
    ended = f" ({row.ended_by})" if row.ended_by and row.ended_by not in ("terminal", "agent") else ""
    who = "" if figure.condition and figure.differ != "conditions" else f"{row.condition} "
    apart = f"Δ{spread:.2g} " if figure.differ else ""
    return Row(
        row.id,
        (
            shown,
            line(
                ("• " if reviewed else "", "dim"),
                (apart, "warn"),
                (who, "agent"),
                ((row.terminal or row.status) + ended, "plain"),
            ),
            (str(row.totals.get("messages", "")), "dim"),
            (row.id[:8], "dim"),
        ),
    )


def _value(value: float, figure: Figure) -> str:
    if figure.criterion == "cost":
        return dollars(value)
    return f"{value:.2f}" if value < 1000 else f"{value:,.0f}"


@dataclass(frozen=True, slots=True)
class Opened:
    """One conversation with its measures, its way and its verdicts."""

    id: str
    condition: str
    bubbles: tuple[Bubble, ...]
    about: tuple[Line, ...]
    brief: tuple[Line, ...] = field(default=())
    """The few lines that stand above it when conversations are side by side."""


def opened(home: Home, conversation_id: str) -> Opened | None:
    """A conversation whole: what was said, what was measured, what the judges quoted."""
    found = read(reader(home), conversation_id)
    return _opened(found) if found else None


def side_by_side(home: Home, conversation_id: str) -> tuple[Opened, ...]:
    """The same scenario and repetition with every agent, the chosen one first."""
    rec = reader(home)
    return tuple(_opened(reading) for other in beside(rec, conversation_id) if (reading := read(rec, other)))


def _opened(found: Reading) -> Opened:
    row = found.row
    cost = row.totals.get("cost")
    head: list[Span] = [
        (row.agent, "strong"),
        ("  cost ", "dim"),
        (dollars(cost if isinstance(cost, int | float) else None), "plain"),
    ]
    for m in found.measures:
        head += [(f"  {m.name.replace('_', ' ')} ", "dim"), ("–" if m.value is None else f"{m.value:.2f}", "plain")]
    way = tuple(_way(found))
    judged = [_verdict(found, at) for at in range(len(found.verdicts))]
    scores: list[Span] = []
    for v in found.verdicts:
        scores += [(f"{v.judge} {TITLES.get(v.criterion, v.criterion)} ", "dim"), _score(v), ("  ", "plain")]
    return Opened(
        row.id,
        row.condition,
        spoken(found.messages),
        (tuple(head), *way, *judged),
        (line((row.agent, "strong")), *way, tuple(scores)),
    )


def _way(found: Reading) -> list[Line]:
    way = found.way
    lines: list[Line] = []
    if way.nodes:
        lines.append(line(("way ", "dim"), (clean_line(" › ".join(way.nodes), 1000), "agent")))
    for hub, demanded, taken in way.wrong_hubs:
        lines.append(line(("✗ ", "bad"), f"at {hub} took {taken}, ", (f"due {demanded}", "strong")))
    if way.skipped:
        lines.append(line(("passed over ", "dim"), (", ".join(way.skipped), "warn")))
    if way.extra:
        lines.append(
            line(("outside the procedure: message ", "dim"), (", ".join(str(n + 1) for n in way.extra), "warn"))
        )
    if way.expected_terminal and way.expected_terminal != way.reached_terminal:
        lines.append(
            line(
                ("✗ ", "bad"),
                f"ended at {way.reached_terminal or 'no terminal'}, ",
                (f"due {way.expected_terminal}", "strong"),
            )
        )
    return lines


def _verdict(found: Reading, at: int) -> Line:
    v = found.verdicts[at]
    why = str(v.evidence.get("why") or v.evidence.get("missing") or "")
    quote = str(v.evidence.get("quote") or "")
    return line(
        (f"{v.judge} · {TITLES.get(v.criterion, v.criterion)} ", "dim"),
        _score(v),
        (f"  {clean_line(why, 300)}" if why else "", "plain"),
        (f"  “{clean_line(quote, 200)}”" if quote else "", "dim"),
    )


def _score(v: VerdictRow) -> Span:
    """The score; a dash where there was nothing to judge, which is not the same as a verdict that could not be had."""
    if v.score is not None:
        return (f"{v.score:g}", "strong")
    return ("–", "dim") if v.evidence.get("why") and not v.evidence.get("missing") else ("missing", "bad")

"""The views beside the matrix: tables of the summary, and its plots, as rows and curves for the widgets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len

from workbench.evaluation.economy import economy
from workbench.evaluation.sections import Section, Target, agreement, facts, notes, sections
from workbench.evaluation.words import agents_in_order, dollars, judge_on, labels_in_order, title_in
from workbench.home import Home
from workbench.store.rows import ComparisonRow
from workbench.tui.effects import reader
from workbench.tui.panes.results.view import measure_of
from workbench.tui.widgets.chart import Series
from workbench.tui.widgets.safe import Line, Span, line
from workbench.tui.widgets.table import Cell, Column, Row, cell_text

VIEWS = (
    "", "tests", "standing", "cost", "plot", "break-even", "distributions", "deviations", "procedure", "coverage", "judges",
    "weighted", "agreement", "paper", "about",
)  # fmt: skip
"""In the order in which [ and ] go through them; "" is what stands beside the matrix at first."""
_TONES = ("accent", "user", "good", "bad", "strong", "dim")
"""Of a plot's agents, one after the other: no two look alike, in 16 colours either."""


@dataclass(frozen=True, slots=True)
class Part:
    """A view: a heading, a note, and rows of a table (by `columns`) or a chart's curves; `targets` by row id."""

    title: str
    note: tuple[Line, ...] = ()
    columns: tuple[Column, ...] = ()
    rows: tuple[Row, ...] = ()
    targets: Mapping[str, Target] | None = None
    series: tuple[Series, ...] = ()
    x_label: Callable[[float], str] | None = None
    unit: str = ""


def read(home: Home, row: ComparisonRow, view: str, measure: str | None) -> Part:
    """A view of a comparison; agreement with people is read from the record, the rest from the summary."""
    if view != "agreement" or not row.summary.get("agents"):
        return part(row, view, measure)
    from workbench.evaluation.agreement import people_agree, plain

    return table_of(agreement(row.summary, plain(people_agree(reader(home), row.id))))


def part(row: ComparisonRow, view: str, measure: str | None) -> Part:
    """A view of a comparison's summary."""
    summary: Mapping[str, Any] = row.summary
    if not summary.get("agents"):
        return Part(view or "Beside it", (line(("comes when the comparison is done", "dim")),))
    if view == "plot":
        return quality_plot(summary)
    if view == "break-even":
        return savings(summary)
    if view == "distributions":
        return histogram(summary, measure)
    if view == "about":
        return about(row)
    return table_of(next((s for s in sections(summary) if s.id == view), Section(view, view.title(), "", [])))


def about(row: ComparisonRow) -> Part:
    """What the figures were made with, what is offline, and what is missing, in lines to be read."""
    summary: Mapping[str, Any] = row.summary
    said = [*facts(row.id, row.name, summary, row.config), *notes(summary)]
    lines = [line(("· ", "dim"), words) for words in said]
    for gone in (s for s in sections(summary) if s.id == "missing"):
        lines += [(), line(("Missing  ", "strong"), (gone.note, "dim"))]
        lines += [line((f"{who}: ", "dim"), f"{what} {n} {of}") for who, what, n, of in gone.rows[1:]]
    return Part("About", tuple(lines))


def table_of(section: Section, said: tuple[Line, ...] = ()) -> Part:
    """A section as a table whose columns are as wide as what stands in them (the last takes what is left)."""
    note = said or ((line((section.note, "dim")),) if section.note else ())
    if not section.rows:
        return Part(section.title, note or (line(("nothing of this in the comparison", "dim")),))
    head, *body = section.rows
    widths = [max(cell_len(row[at]) for row in section.rows) for at in range(len(head))]
    columns = [Column(name, min(width, 34)) for name, width in zip(head, widths, strict=True)]
    columns[-1] = Column(head[-1], 0)
    rows = [
        Row(str(at), tuple(_cell(cell, first=n == 0) for n, cell in enumerate(cells))) for at, cells in enumerate(body)
    ]
    targets = {str(at): target for at, target in enumerate(section.behind) if target}
    return Part(section.title, note, tuple(columns), tuple(rows), targets)


def _cell(text: str, *, first: bool) -> Cell:
    tones = {"*": "warn", "FAILED": "bad", "passed": "good", "interval only": "dim", "–": "dim", "unknown": "dim"}
    if text == "*":
        return ("✱", "warn")
    return (text, tones.get(text, "plain" if first else "strong" if text[:1].isdigit() else "plain"))


def whole_row(part: Part, row_id: str) -> Line:
    """A row written out, heading by heading: what narrow screens cut is read here."""
    row = next((r for r in part.rows if r.id == row_id), None)
    if row is None:
        return ()
    spans: list[Span] = []
    for column, cell in zip(part.columns, row.cells, strict=False):
        if words := cell_text(cell):
            spans += [(f"{column.title} " if column.title else "", "dim"), (f"{words}   ", "plain")]
    return tuple(spans)


def quality_plot(summary: Mapping[str, Any]) -> Part:
    """Cost against quality: dollars a conversation where at least two are known, else seconds; task success upwards."""
    agents = agents_in_order(summary)
    paid = {c: e.get("cost") for c, e in agents.items() if e.get("cost")}
    by_dollars = len(paid) > 1
    points = {
        c: (float(x), float(e["task_success"]))
        for c, e in agents.items()
        if e.get("task_success") is not None and (x := paid.get(c) if by_dollars else e.get("seconds"))
    }
    xs = [x for x, _ in points.values()]
    logarithmic = bool(xs) and min(xs) > 0 and max(xs) / min(xs) > 20
    series = tuple(
        Series(c, ((math.log10(x) if logarithmic else x, y),), _TONES[at % len(_TONES)], "ABCDEFGHIJ"[at % 10])
        for at, (c, (x, y)) in enumerate(points.items())
    )
    unit = "dollars a conversation" if by_dollars else "wall seconds a conversation (fewer than two prices are known)"
    note = line((f"up: task success, 1–5 ({judge_on(summary, 'task_success')}); right: {unit}", "dim"),
                (", logarithmic" if logarithmic else "", "dim"))  # fmt: skip

    def label(value: float) -> str:
        real = 10**value if logarithmic else value
        return dollars(real) if by_dollars else f"{real:.1f} s"

    return Part("Cost against quality", (note,), series=series, x_label=label)


def savings(summary: Mapping[str, Any]) -> Part:
    """Total dollars over conversations: the compiled agent's begin at its one-time cost."""
    found = economy(summary)
    curves = found.curves()
    lines: list[Line] = []
    for r in found.rivals:
        met = f"paid back after {r.conversations:,.0f} conversations" if r.conversations is not None else r.why
        lines.append(line((f"{r.condition}  ", "plain"), (met, "strong" if r.conversations is not None else "dim")))
    once = f"one-time {dollars(found.one_time)} (generation {dollars(found.generation)}, training {dollars(found.training)})"
    lines.insert(0, line((once + f"; a conversation {dollars(found.per_conversation)}; up: dollars in total", "dim")))
    if not curves:
        tried = f"workbench results show {str(summary.get('comparison', {}).get('id', 'last'))[:8]} --part break-even --hourly-price 2.5"
        lines.append(line(("to try a price: ", "dim"), (tried, "key")))
    series = tuple(
        Series(name, tuple(points), _TONES[at % len(_TONES)]) for at, (name, points) in enumerate(curves.items())
    )
    return Part("Break-even", tuple(lines), series=series, unit="conversations")


def histogram(summary: Mapping[str, Any], measure: str | None) -> Part:
    """How often each score of the measure under the cursor was given, agent beside agent."""
    agents = agents_in_order(summary)
    criterion, judge = measure_of(measure or "")
    key = f"{judge}|{criterion}"
    found = {c: bars for c, e in agents.items() if (bars := e.get("distributions", {}).get(key))}
    if not found:
        every = list(dict.fromkeys(k for e in agents.values() for k in e.get("distributions", {})))
        if not every:
            return Part("Distribution", (line(("this summary is older than distributions: rejudge it", "dim")),))
        return histogram(summary, every[0])
    known = labels_in_order(label for bars in found.values() for label in bars)
    labels = [*(n for n in reversed(known) if n != "missing"), *(n for n in known if n == "missing")]
    most = max(n for bars in found.values() for n in bars.values()) or 1
    rows, targets = [], {}
    for label in labels:
        cells: list[Cell] = [line((label, "bad" if label == "missing" else "plain"))]
        for bars in found.values():
            n = bars.get(label, 0)
            cells.append(line((_bar(n / most, 12), "accent"), (f" {n}" if n else "", "strong")))
        rows.append(Row(label, tuple(cells)))
        targets[label] = Target(criterion, judge)
    columns = (Column("score", 8), *(Column(c, 18) for c in found))
    title = f"Distribution of {title_in(summary, criterion)}" + (f" ({judge})" if judge else "")
    note = line(("single scores, before averaging; the figure is the one under the cursor of the matrix", "dim"))
    return Part(title, (note,), columns, tuple(rows), targets)


def _bar(share: float, width: int) -> str:
    eighths = round(share * width * 8)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[rest]


def limits_of(label: str) -> tuple[float | None, float | None]:
    """The least and the most value that a histogram's label stands for; None twice for missing ones."""
    if label.endswith("%"):
        low = float(label[:-1]) / 100
        return low - 1e-9, low + 0.0999999
    return (float(label) - 0.5, float(label) + 0.499999) if label.isdigit() else (None, None)

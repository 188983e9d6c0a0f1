"""Line charts in Braille: a few series against one axis, reduced to what the columns can show before they are drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from textual.strip import Strip

from workbench.tui.format import short
from workbench.tui.widgets.safe import Line, Span, Toned, fit, fit_line, width_of

_MOST = 1e100
"""Nothing that is measured is larger; what is (or is no number) is not drawn."""
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))


@dataclass(frozen=True, slots=True)
class Series:
    """A curve. `points` are (x, y) in order of x; `mark` draws single characters at the points instead of a line."""

    name: str
    points: tuple[tuple[float, float], ...]
    tone: str = "accent"
    mark: str = ""


def buckets(points: Sequence[tuple[float, float]], columns: int) -> list[tuple[float, float]]:
    """At most two points a column: each bucket's lowest and highest in their order, so that spikes are kept."""
    points = [p for p in points if abs(p[0]) < _MOST and abs(p[1]) < _MOST]
    if len(points) <= 2 * columns:
        return points
    out: list[tuple[float, float]] = []
    for n in range(columns):
        part = points[n * len(points) // columns : (n + 1) * len(points) // columns]
        if part:
            out += sorted({min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])})
    return out


def smooth(points: Sequence[tuple[float, float]], weight: float = 0.9) -> tuple[tuple[float, float], ...]:
    """Exponential moving average with the start bias taken out (as in Adam: divided by 1 - weight^n)."""
    mean, out = 0.0, []
    for n, (x, y) in enumerate(points, 1):
        mean = weight * mean + (1 - weight) * y
        out.append((x, mean / (1 - weight**n)))
    return tuple(out)


def _range(values: list[float], floor: float | None, ceiling: float | None) -> tuple[float, float]:
    low = min(values) if floor is None else floor
    high = max(values) if ceiling is None else ceiling
    if high > low and math.isfinite(high - low):
        return low, high
    spread = max(abs(low), 1.0) / 2
    return low - spread, low + spread


def _label(value: float, spread: float) -> str:
    if abs(value) >= 10_000:
        return short(value)
    return f"{value:z.{max(0, min(3, 1 - math.floor(math.log10(spread)))) if spread > 0 else 1}f}"


def plot(
    series: Sequence[Series],
    width: int,
    height: int,
    *,
    low: float | None = None,
    high: float | None = None,
    unit: str = "",
    x_label: Callable[[float], str] = short,
) -> list[Line]:
    """The chart as lines of spans: `height` rows, the last one the x axis with its ends; none without points."""
    axis = 7
    columns, rows = width - axis, height - 1
    drawn = [Series(s.name, tuple(buckets(s.points, max(columns, 1))), s.tone, s.mark) for s in series]
    every = [p for s in drawn for p in s.points]
    if not every or columns < 4 or rows < 1:
        return []
    left, right = _range([x for x, _ in every], None, None)
    bottom, top = _range([y for _, y in every], low, high)
    cells: dict[tuple[int, int], tuple[int | str, str]] = {}
    for s in drawn:
        _draw(s, cells, columns, rows, (left, right, bottom, top))
    labels = {0: _label(top, top - bottom), rows - 1: _label(bottom, top - bottom)}
    if rows >= 7:
        labels[rows // 2] = _label(top - (top - bottom) * (rows // 2) / (rows - 1), top - bottom)
    lines: list[Line] = []
    for y in range(rows):
        spans: list[Span] = [(fit(labels.get(y, ""), axis - 2, "right"), "dim"), (" ┤" if y in labels else " │", "dim")]
        for x in range(columns):
            value, tone = cells.get((x, y), (0, "plain"))
            char = value if isinstance(value, str) else chr(0x2800 + value) if value else " "
            if len(spans) > 2 and spans[-1][1] == tone:
                spans[-1] = (spans[-1][0] + char, tone)
            else:
                spans.append((char, tone))
        lines.append(tuple(spans))
    end = f"{x_label(right)} {unit}".strip()
    end = fit(end, min(len(end), columns))
    lines.append(((" " * (axis - 1) + "└", "dim"), (fit(x_label(left), columns - len(end)), "dim"), (end, "dim")))
    return lines


def _draw(
    s: Series,
    cells: dict[tuple[int, int], tuple[int | str, str]],
    columns: int,
    rows: int,
    box: tuple[float, float, float, float],
) -> None:
    """Put one series into the cells: marks as characters, lines dot by dot between neighbours."""
    left, right, bottom, top = box

    def dot(point: tuple[float, float]) -> tuple[int, int]:
        x = round((point[0] - left) / (right - left) * (columns * 2 - 1))
        y = round((top - min(max(point[1], bottom), top)) / (top - bottom) * (rows * 4 - 1))
        return x, y

    dots = [dot(p) for p in s.points]
    if s.mark:
        for x, y in dots:
            cells[x // 2, y // 4] = (s.mark, s.tone)
        return
    for (x0, y0), (x1, y1) in zip(dots, dots[1:] or dots, strict=False):
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        for n in range(steps + 1):
            x, y = x0 + (x1 - x0) * n // steps, y0 + (y1 - y0) * n // steps
            old, _ = cells.get((x // 2, y // 4), (0, ""))
            if isinstance(old, int):
                cells[x // 2, y // 4] = (old | _DOTS[y % 4][x % 2], s.tone)


class Chart(Toned):
    """A chart with a heading that names the curves and their newest values."""

    DEFAULT_CSS = "Chart { height: 1fr; width: 1fr; min-height: 4; margin: 0 1; }"

    def __init__(
        self, title: str, *, low: float | None = None, high: float | None = None, unit: str = "", id: str | None = None
    ) -> None:
        super().__init__(id=id)
        self.title, self.low, self.high, self.unit = title, low, high, unit
        self.x_label: Callable[[float], str] = short
        self.series: tuple[Series, ...] = ()
        self._drawn: tuple[tuple[int, int], list[Line]] | None = None

    def put(self, series: Sequence[Series]) -> None:
        """Draw these curves; nothing is done when they are the same."""
        if (new := tuple(series)) != self.series:
            self.series, self._drawn = new, None
            self.refresh()

    def _heading(self, width: int) -> Line:
        """The title, and each curve's mark, name and newest value; the names go first where there is no room for all."""
        named = [s for s in self.series if s.points and s.name]

        def said(title: str, with_names: bool) -> Line:
            spans: list[Span] = [(title, "strong")] if title else []
            for s in named:
                spans += [(f"{'  ' if spans else ''}{s.mark or '─'} ", s.tone)]
                spans += [(f"{s.name} ", "dim"), (f"{s.points[-1][1]:z.3g}", s.tone)][not with_names :]
            return tuple(spans)

        wide = (said(self.title, True), said("", True), said(self.title, False))
        return next((spans for spans in wide if width_of(spans) <= width), fit_line(wide[0], width))

    def render_line(self, y: int) -> Strip:
        """Line API: heading, then the plot, kept until data or size change."""
        width, height = self.size
        if y == 0:
            return self.strip(self._heading(width), width)
        if self._drawn is None or self._drawn[0] != (width, height):
            lines = plot(
                self.series, width, height - 1, low=self.low, high=self.high, unit=self.unit, x_label=self.x_label
            )
            self._drawn = ((width, height), lines)
        lines = self._drawn[1]
        if not lines and y == 1:
            return self.strip([("  nothing measured yet", "dim")], width)
        return self.strip(lines[y - 1] if y - 1 < len(lines) else (), width)

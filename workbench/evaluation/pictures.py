"""Pictures of a report as inline SVG: bars with intervals, distributions, cost against quality, the break-even."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from workbench.evaluation.words import labels_in_order
from workbench.text import clean, clean_line

Bar = tuple[str, float | None, tuple[float, float] | None, float]
"""Label, value, interval, and the value at full length."""
Points = Sequence[tuple[float, float]]
_COLOURS = ("#2f7d78", "#c2703d", "#5b6fb5", "#a04c7d", "#7a8b2f", "#8a6d3b")
_LONGEST = 28
"""Characters of a name beside a bar."""
_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 580, 300, 64, 30, 30, 40


@dataclass(frozen=True, slots=True)
class Dot:
    """A point of a scatter plot with its interval in y."""

    label: str
    x: float
    y: float
    interval: tuple[float, float] | None = None


def bars(rows: Sequence[Bar], width: int = 220) -> str:
    """Horizontal bars with their intervals as whiskers."""
    lines, left = [], _room(label for label, *_ in rows)
    for index, (label, value, interval, full) in enumerate(rows):
        y = 22 * index
        lines.append(_label(0, y + 14, clean_line(label, _LONGEST)))
        if value is None:
            lines.append(_label(left, y + 14, "–"))
            continue
        end = left + width * value / full
        lines.append(
            f'<rect class="bar" x="{left}" y="{y + 4}" width="{width * value / full:.1f}" height="13" rx="2"/>'
        )
        if interval:
            low, high = (left + width * v / full for v in interval)
            lines.append(f'<line class="ink" x1="{low:.1f}" x2="{high:.1f}" y1="{y + 10.5}" y2="{y + 10.5}"/>')
            end = max(end, high)
        lines.append(_label(end + 6, y + 14, f"{value:.0%}" if full == 1 else f"{value:.2f}"))
    return _svg(left + width + 60, 22 * len(rows) + 4, lines)


def distribution(rows: Sequence[tuple[str, Mapping[str, int]]], width: int = 340) -> str:
    """One stacked bar an agent: how often each score was given, from the lowest (dark) to the highest (light)."""
    labels = labels_in_order(label for _, counts in rows for label in counts)
    lines, left = [], _room(name for name, _ in rows)
    for index, (name, counts) in enumerate(rows):
        y, x, total = 22 * index, float(left), sum(counts.values())
        lines.append(_label(0, y + 14, clean_line(name, _LONGEST)))
        for at, label in enumerate(labels):
            n = counts.get(label, 0)
            part = width * n / total if total else 0
            if part:
                tone = _COLOURS[1] if label == "missing" else _COLOURS[0]
                shade = 1.0 - 0.75 * at / max(len(labels) - 1, 1)
                lines.append(
                    f'<rect fill="{tone}" fill-opacity="{shade:.2f}" x="{x:.1f}" y="{y + 3}" width="{part:.1f}" height="15">'
                    f"<title>{_text(f'{label}: {n}')}</title></rect>"
                )
                if part > 24:
                    lines.append(_label(x + 4, y + 14, label))
            x += part
    return _svg(left + width + 10, 22 * len(rows) + 4, lines)


def scatter(dots: Sequence[Dot], x_title: str, y_title: str) -> str:
    """Points with whiskers; the x axis is logarithmic where the values span more than a factor of 20."""
    if not dots:
        return ""
    positive = [d.x for d in dots if d.x > 0]
    logarithmic = len(positive) == len(dots) and max(positive) / min(positive) > 20
    xs = [math.log10(d.x) if logarithmic else d.x for d in dots]
    ys = [v for d in dots for v in (d.y, *(d.interval or ()))]
    frame = _Frame((min(xs), max(xs)), (min(ys), max(ys)), pad=0.12)
    lines = frame.axes(x_title + (" (logarithmic)" if logarithmic else ""), y_title, logarithmic=logarithmic)
    for index, (dot, value) in enumerate(zip(dots, xs, strict=True)):
        x, y, colour = frame.x(value), frame.y(dot.y), _COLOURS[index % len(_COLOURS)]
        if dot.interval:
            low, high = (frame.y(v) for v in dot.interval)
            lines.append(f'<line stroke="{colour}" x1="{x:.1f}" x2="{x:.1f}" y1="{low:.1f}" y2="{high:.1f}"/>')
        lines.append(f'<circle fill="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="5"/>')
        anchor = "end" if x > _WIDTH * 0.7 else "start"
        lines.append(_label(x + (-9 if anchor == "end" else 9), y - 7, dot.label, anchor))
    return _svg(_WIDTH, _HEIGHT, lines)


def curves(series: Mapping[str, Points], x_title: str, y_title: str) -> str:
    """Lines over one pair of axes, each named at its end."""
    every = [point for points in series.values() for point in points]
    if not every:
        return ""
    xs, ys = zip(*every, strict=True)
    frame = _Frame((min(xs), max(xs)), (min(0.0, *ys), max(ys)))
    lines = frame.axes(x_title, y_title)
    for index, (name, points) in enumerate(series.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in points)
        lines.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{path}"/>')
        x, y = points[-1]
        lines.append(_label(frame.x(x) - 4, frame.y(y) - 6, name, "end"))
    return _svg(_WIDTH, _HEIGHT, lines)


class _Frame:
    """A plotting area: data to pixels, and its axes."""

    def __init__(self, xs: tuple[float, float], ys: tuple[float, float], pad: float = 0.0) -> None:
        self._x, self._y = _padded(xs, pad), _padded(ys, pad)

    def x(self, value: float) -> float:
        low, high = self._x
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        low, high = self._y
        return _HEIGHT - _BOTTOM - (value - low) / (high - low) * (_HEIGHT - _BOTTOM - _TOP)

    def axes(self, x_title: str, y_title: str, *, logarithmic: bool = False) -> list[str]:
        bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
        lines = [f'<polyline class="axis" points="{_LEFT},{_TOP} {_LEFT},{bottom} {right},{bottom}"/>']
        for at in (0, 0.5, 1):
            x, y = (low + at * (high - low) for low, high in (self._x, self._y))
            lines.append(_label(self.x(x), bottom + 15, _short(10**x if logarithmic else x), "middle"))
            lines.append(_label(_LEFT - 6, self.y(y) + 4, _short(y), "end"))
        lines.append(_label(right, _HEIGHT - 6, x_title, "end"))
        lines.append(_label(4, 11, y_title))
        return lines


def _padded(ends: tuple[float, float], pad: float) -> tuple[float, float]:
    low, high = ends
    spread = (high - low) or abs(high) or 1.0
    return (low - pad * spread, high + pad * spread) if high > low else (low - spread / 2, high + spread / 2)


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _room(names: Iterable[str]) -> int:
    """Pixels that the longest name takes, left of the bars."""
    return 10 + 7 * max((len(clean_line(name, _LONGEST)) for name in names), default=0)


def _label(x: float, y: float, words: str, anchor: str = "start") -> str:
    end = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{end}>{_text(words)}</text>'


def _svg(width: int, height: int, lines: Sequence[str]) -> str:
    body = "".join(lines)
    return f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">{body}</svg>'


def _text(words: str) -> str:
    return escape(clean(words))

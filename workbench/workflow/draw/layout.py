"""Where everything stands on the full canvas, in character cells: layered drawing (Sugiyama's method).

Loops are broken at back edges, nodes stand in layers, long edges pass through place holders, layers are ordered by
barycentres to cross little, and columns are set by least squares. Edges run in horizontal tracks between the layers.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from workbench.errors import UserError
from workbench.workflow.draw.layers import layers
from workbench.workflow.model import Edge, Workflow

MAX_PLACES = 6_000
"""Nodes and place holders of long edges that a canvas may hold."""
SWEEPS = 8
GAP = 3
BOX_HEIGHT = 3

Point = tuple[int, int]
"""Column and row."""


@dataclass(frozen=True, slots=True)
class Box:
    """A node's rectangle: left column, top row, width, height."""

    x: int
    y: int
    width: int
    height: int = BOX_HEIGHT


@dataclass(frozen=True, slots=True)
class Layout:
    """Boxes by node and corner points by edge (from source to target; none for a self-loop)."""

    width: int
    height: int
    boxes: Mapping[str, Box]
    routes: Mapping[str, tuple[Point, ...]]
    back: frozenset[str]


@dataclass(slots=True)
class _Place:
    """A node, or where a long edge passes through a layer."""

    name: str
    width: int
    centre: float = 0.0
    left: int = 0


@dataclass(slots=True)
class _Segment:
    """The part of an edge between two neighbouring layers; `top` and `bottom` are its ends, then columns."""

    edge: str
    top: _Place
    bottom: _Place
    x1: int = 0
    x2: int = 0
    track: int = -1


def lay_out(workflow: Workflow, widths: Mapping[str, int]) -> Layout:
    """Place every node (`widths`: columns a box needs inside its frame) and route every edge.

    Raises UserError when the graph is too large for one canvas.
    """
    layering = layers(workflow)
    spans = (abs(layering.rank[e.source] - layering.rank[e.target]) for e in workflow.edges)
    if len(workflow.nodes) + sum(spans) > MAX_PLACES:
        raise UserError(f"{workflow.name}: too large for one canvas; use the outline, or the view around one node")
    rows: list[list[_Place]] = [[] for _ in layering.rows()]
    at: dict[str, _Place] = {}
    for node, rank in layering.rank.items():
        at[node] = _Place(node, widths[node] + 2)
        rows[rank].append(at[node])
    channels: list[list[_Segment]] = [[] for _ in rows]
    for edge in workflow.edges:
        if edge.source != edge.target:
            _thread(edge, edge.id in layering.back, layering.rank, at, rows, channels)
    for place, ports in _ports(channels).values():
        if place.name in at:
            place.width = max(place.width, 2 * ports + 1)
    _order(rows, channels)
    _set_columns(rows, channels)
    for channel in channels:
        _set_ports(channel)
    return _finish(workflow, at, rows, channels, layering.back)


def _thread(
    edge: Edge,
    back: bool,
    rank: Mapping[str, int],
    at: Mapping[str, _Place],
    rows: list[list[_Place]],
    channels: list[list[_Segment]],
) -> None:
    """Lead an edge down from layer to layer; a back edge is led from its target."""
    top, bottom = (edge.target, edge.source) if back else (edge.source, edge.target)
    here = at[top]
    for layer in range(rank[top], rank[bottom]):
        last = layer + 1 == rank[bottom]
        below = at[bottom] if last else _Place(edge.id, 1)
        if not last:
            rows[layer + 1].append(below)
        channels[layer].append(_Segment(edge.id, here, below))
        here = below


def _ports(channels: Sequence[Sequence[_Segment]]) -> dict[int, tuple[_Place, int]]:
    """The most edges that meet a place on one side."""
    found: dict[int, tuple[_Place, int]] = {}
    for channel in channels:
        for end in ("top", "bottom"):
            counts: dict[int, int] = {}
            for segment in channel:
                place: _Place = getattr(segment, end)
                counts[id(place)] = counts.get(id(place), 0) + 1
                found[id(place)] = (place, max(counts[id(place)], found.get(id(place), (place, 0))[1]))
    return found


def _order(rows: list[list[_Place]], channels: list[list[_Segment]]) -> None:
    """Sort each layer by the mean position of its neighbours, downwards and upwards; keep the order that crosses least."""
    best, fewest = [list(row) for row in rows], _crossings(rows, channels)
    for sweep in range(SWEEPS):
        downwards = sweep % 2 == 0
        for layer in range(1, len(rows)) if downwards else range(len(rows) - 2, -1, -1):
            fixed = {id(p): i for i, p in enumerate(rows[layer - 1 if downwards else layer + 1])}
            links: dict[int, list[int]] = {}
            for segment in channels[layer - 1 if downwards else layer]:
                moved, still = (segment.bottom, segment.top) if downwards else (segment.top, segment.bottom)
                links.setdefault(id(moved), []).append(fixed[id(still)])
            now = {id(p): float(i) for i, p in enumerate(rows[layer])}
            now |= {place: sum(found) / len(found) for place, found in links.items()}
            rows[layer].sort(key=lambda p, now=now: now[id(p)])  # type: ignore[misc]
        crossings = _crossings(rows, channels)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    rows[:] = best


def _crossings(rows: list[list[_Place]], channels: list[list[_Segment]]) -> int:
    total = 0
    for layer, channel in enumerate(channels[:-1]):
        above = {id(p): i for i, p in enumerate(rows[layer])}
        below = {id(p): i for i, p in enumerate(rows[layer + 1])}
        seen: list[int] = []
        for _, bottom in sorted((above[id(s.top)], below[id(s.bottom)]) for s in channel):
            total += len(seen) - bisect_right(seen, bottom)
            insort(seen, bottom)
    return total


def _set_columns(rows: list[list[_Place]], channels: list[list[_Segment]]) -> None:
    """Draw every place towards the mean of its neighbours, layers in turn, without changing the order."""
    for row in rows:
        position = 0.0
        for place in row:
            place.centre = position + place.width / 2
            position += place.width + GAP
    links: dict[int, list[_Place]] = {}
    for channel in channels:
        for segment in channel:
            links.setdefault(id(segment.top), []).append(segment.bottom)
            links.setdefault(id(segment.bottom), []).append(segment.top)
    for sweep in range(SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = [sum(other.centre for other in links.get(id(p), [p])) / len(links.get(id(p), [p])) for p in row]
            gaps = [(a.width + b.width) / 2 + GAP for a, b in pairwise(row)]
            for place, centre in zip(row, spread(wanted, gaps), strict=True):
                place.centre = centre
    margin = min((p.centre - p.width / 2 for row in rows for p in row), default=0.0)
    for row in rows:
        edge = 0
        for place in row:
            place.left = max(edge, round(place.centre - margin - place.width / 2))
            edge = place.left + place.width + 1


def spread(wanted: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """Positions in order, at least `gaps` apart, with the least sum of squared distances to `wanted`.

    Pool-adjacent-violators: subtracting the gaps turns it into isotonic regression.
    """
    offsets = [0.0]
    for gap in gaps:
        offsets.append(offsets[-1] + gap)
    blocks: list[tuple[float, int]] = []  # mean, size
    for position, offset in zip(wanted, offsets, strict=False):
        mean, size = position - offset, 1
        while blocks and blocks[-1][0] > mean:
            other, n = blocks.pop()
            mean, size = (mean * size + other * n) / (size + n), size + n
        blocks.append((mean, size))
    means = [mean for mean, size in blocks for _ in range(size)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=False)]


def _set_ports(channel: list[_Segment]) -> None:
    """Give every segment a column at its upper and its lower place, in the order of the other ends."""
    for end, other, column in (("top", "bottom", "x1"), ("bottom", "top", "x2")):
        groups: dict[int, list[_Segment]] = {}
        for segment in channel:
            groups.setdefault(id(getattr(segment, end)), []).append(segment)
        taken = {s.x1: s for s in channel} if column == "x2" else {}
        for group in groups.values():
            place: _Place = getattr(group[0], end)
            aims = [(s.x1 if column == "x2" else _middle(getattr(s, other)), s) for s in group]
            aims.sort(key=lambda aim: aim[0])
            low, high = place.left + (place.width > 1), place.left + place.width - 1 - (place.width > 1)
            columns = spread([aim for aim, _ in aims], [2.0] * (len(aims) - 1))
            last = high - 2 * (len(aims) - 1)
            used: set[int] = set()
            for i, (wanted, (_, segment)) in enumerate(zip(columns, aims, strict=True)):
                inside = round(min(max(wanted - 2 * i, low), last)) + 2 * i
                used.add(free := _free(inside, segment, taken, used, range(low, high + 1)))
                setattr(segment, column, free)


def _middle(place: _Place) -> int:
    return place.left + place.width // 2


def _free(column: int, segment: _Segment, taken: Mapping[int, _Segment], used: set[int], inside: range) -> int:
    """The column, or a neighbour within the box, where no other segment starts above: their lines would run together."""
    for near in (column, column + 1, column - 1):
        if near in inside and near not in used and taken.get(near, segment) is segment:
            return near
    return column if column not in used else column + 1


def _set_tracks(channel: list[_Segment]) -> int:
    """Number the horizontal tracks from above and return how many there are; a straight segment needs none (-1).

    A segment that ends in the column where another begins must turn below it, or the two would be drawn as one.
    """
    bent = [s for s in channel if s.x1 != s.x2]
    starts = {s.x1: s for s in bent}
    above = {id(s): other for s in bent if (other := starts.get(s.x2)) is not None and other is not s}
    tracks: list[list[tuple[int, int]]] = []

    def place(segment: _Segment, waiting: frozenset[int]) -> None:
        if segment.track >= 0:
            return
        least = 0
        other = above.get(id(segment))
        if other is not None and id(other) not in waiting:
            place(other, waiting | {id(segment)})
            least = other.track + 1
        low, high = sorted((segment.x1, segment.x2))
        while least < len(tracks) and any(low <= b and a <= high for a, b in tracks[least]):
            least += 1
        if least >= len(tracks):
            tracks.extend([] for _ in range(least + 1 - len(tracks)))
        tracks[least].append((low, high))
        segment.track = least

    for segment in sorted(bent, key=lambda s: abs(s.x1 - s.x2)):
        place(segment, frozenset())
    return len(tracks)


def _finish(
    workflow: Workflow,
    at: Mapping[str, _Place],
    rows: list[list[_Place]],
    channels: list[list[_Segment]],
    back: frozenset[str],
) -> Layout:
    boxes: dict[str, Box] = {}
    points: dict[str, list[Point]] = {}
    y = 0
    for row, channel in zip(rows, channels, strict=True):
        for place in row:
            if at.get(place.name) is place:
                boxes[place.name] = Box(place.left, y, place.width)
        y += BOX_HEIGHT
        tracks = _set_tracks(channel)
        for segment in channel:
            # The line starts in the row under the box and ends in the row above the next one.
            line = points.setdefault(segment.edge, [])
            line.append((segment.x1, y))
            if segment.track >= 0:
                line += [(segment.x1, y + 1 + segment.track), (segment.x2, y + 1 + segment.track)]
            line.append((segment.x2, y + 1 + tracks))
        y += tracks + 2 if channel else 0
    width = max((p.left + p.width for row in rows for p in row), default=0)
    width = max([width, *(x + 1 for line in points.values() for x, _ in line)])
    routes = {edge: tuple(reversed(line)) if edge in back else tuple(line) for edge, line in points.items()}
    return Layout(width, y, boxes, routes, back)

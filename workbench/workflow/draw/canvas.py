"""The full canvas and the view around one node, as lines of styled spans with the place of every box."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from rich.cells import cell_len

from workbench.errors import UserError
from workbench.workflow.draw.layout import Box, Layout, Point, lay_out
from workbench.workflow.draw.model import (
    ASCII,
    UNICODE,
    Glyphs,
    Line,
    Lit,
    Span,
    Style,
    edge_number,
    label,
    sign_of,
    style_of,
)
from workbench.workflow.hashing import graph_hash
from workbench.workflow.model import Workflow

LABEL = 28
KEPT = 32
"""Drawings that are remembered."""
_drawn: dict[tuple[object, ...], Canvas] = {}
UP, DOWN, LEFT, RIGHT = 1, 2, 4, 8


@dataclass(frozen=True, slots=True)
class Canvas:
    """A drawing to pan over: its lines (all `width` cells wide) and where each node's box stands in them."""

    lines: tuple[Line, ...]
    boxes: Mapping[str, Box]
    width: int
    height: int

    def node_at(self, x: int, y: int) -> str | None:
        """The node whose box holds a cell, for clicks."""
        for node, box in self.boxes.items():
            if box.x <= x < box.x + box.width and box.y <= y < box.y + box.height:
                return node
        return None


@dataclass(slots=True)
class _Cell:
    bits: int = 0
    text: str = ""
    style: Style = ""
    lit: bool = False


class _Grid:
    """Cells that lines and texts are put into; lines that meet become junctions."""

    def __init__(self, width: int, height: int, glyphs: Glyphs) -> None:
        self.rows = [[_Cell() for _ in range(width)] for _ in range(height)]
        self.glyphs = glyphs

    def line(self, start: Point, end: Point, style: Style, lit: bool) -> None:
        (x1, y1), (x2, y2) = start, end
        step_x, step_y = (x2 > x1) - (x2 < x1), (y2 > y1) - (y2 < y1)
        leave = {(0, 1): DOWN, (0, -1): UP, (1, 0): RIGHT, (-1, 0): LEFT}.get((step_x, step_y), 0)
        enter = {DOWN: UP, UP: DOWN, RIGHT: LEFT, LEFT: RIGHT}.get(leave, 0)
        x, y = x1, y1
        while True:
            cell = self.rows[y][x]
            cell.bits |= (leave if (x, y) != (x2, y2) else 0) | (enter if (x, y) != (x1, y1) else 0)
            if lit or not cell.lit:
                cell.style, cell.lit = style, lit
            if (x, y) == (x2, y2):
                return
            x, y = x + step_x, y + step_y

    def text(self, x: int, y: int, text: str, style: Style, lit: bool) -> None:
        """Put text over what is there. A wide character takes two cells, the second one empty."""
        for char in text:
            width = cell_len(char)
            if width == 0 or x + width > len(self.rows[y]):
                continue
            for offset in range(width):
                cell = self.rows[y][x + offset]
                cell.bits, cell.text, cell.style, cell.lit = 0, "" if offset else char, style, lit
                if offset:
                    cell.bits = -1
            x += width

    def lines(self) -> tuple[Line, ...]:
        return tuple(Line(tuple(self._spans(row))) for row in self.rows)

    def _spans(self, row: list[_Cell]) -> list[Span]:
        spans: list[Span] = []
        for cell in row:
            signs = self.glyphs.lit if cell.lit else self.glyphs.lines
            char = cell.text or ("" if cell.bits < 0 else signs[cell.bits])
            style: Style = cell.style if char.strip() else ""
            lit = cell.lit and bool(char.strip())
            if spans and (spans[-1].style, spans[-1].lit) == (style, lit):
                spans[-1] = Span(spans[-1].text + char, style, lit)
            else:
                spans.append(Span(char, style, lit))
        return spans


def canvas(workflow: Workflow, highlight: Collection[str] = (), *, ascii_only: bool = False) -> Canvas:
    """The whole graph, boxes in layers from the start downwards. `highlight` holds the edge ids of a path.

    An edge out of a hub bears the number it has in the outline. UserError if the graph is too large for one canvas.
    """
    return _draw(workflow, workflow, highlight, ASCII if ascii_only else UNICODE, None)


def ego(
    workflow: Workflow, node: str, radius: int = 1, highlight: Collection[str] = (), *, ascii_only: bool = False
) -> Canvas:
    """The nodes at most `radius` edges away from `node`, either way. `+3` in a box counts edges that are not shown.

    Raises UserError for an unknown node.
    """
    if node not in workflow.nodes:
        raise UserError(f"{workflow.name} has no node '{label(node, 60)}' (known: {', '.join(workflow.nodes)})")
    near = {node}
    for _ in range(radius):
        near |= {end for e in workflow.edges if {e.source, e.target} & near for end in (e.source, e.target)}
    part = replace(
        workflow,
        nodes={name: found for name, found in workflow.nodes.items() if name in near},
        edges=tuple(e for e in workflow.edges if e.source in near and e.target in near),
        start=workflow.start if workflow.start in near else node,
    )
    return _draw(workflow, part, highlight, ASCII if ascii_only else UNICODE, node)


def titles(workflow: Workflow, part: Workflow, glyphs: Glyphs) -> dict[str, str]:
    """What stands in each box: the role's sign, the id, a mark for a self-loop and the count of edges left out."""
    shown = {edge.id for edge in part.edges}
    hidden = Counter(end for e in workflow.edges if e.id not in shown for end in {e.source, e.target})
    loops = {e.source for e in part.edges if e.source == e.target}
    found = {}
    for node in part.nodes:
        marks = (f" {glyphs.loop}" if node in loops else "") + (f" +{hidden[node]}" if hidden[node] else "")
        found[node] = f"{sign_of(workflow, node, glyphs)} {label(node, LABEL)}{marks}"
    return found


def _draw(whole: Workflow, part: Workflow, highlight: Collection[str], glyphs: Glyphs, centre: str | None) -> Canvas:
    """A drawing, remembered by the graph's hash and what else it depends on."""
    key = (graph_hash(whole), tuple(part.nodes), frozenset(highlight), glyphs, centre)
    if (known := _drawn.get(key)) is None:
        known = _paint(whole, part, highlight, glyphs, centre)
        if len(_drawn) >= KEPT:
            _drawn.clear()
        _drawn[key] = known
    return known


def _paint(whole: Workflow, part: Workflow, highlight: Collection[str], glyphs: Glyphs, centre: str | None) -> Canvas:
    names = titles(whole, part, glyphs)
    layout = lay_out(part, {node: cell_len(name) + 2 for node, name in names.items()})
    lit = Lit.of(whole, highlight)
    grid = _Grid(layout.width + 2, layout.height, glyphs)
    for edge in sorted(part.edges, key=lambda e: e.id in lit.edges):
        _route(grid, layout, whole, edge.id, edge.id in lit.edges)
    for node, box in layout.boxes.items():
        style: Style = "centre" if node == centre else style_of(whole, node)
        _box(grid, box, names[node], style, node in lit.nodes)
    return Canvas(grid.lines(), layout.boxes, layout.width + 2, layout.height)


def _route(grid: _Grid, layout: Layout, workflow: Workflow, edge: str, lit: bool) -> None:
    points = layout.routes.get(edge)
    if points is None:
        return
    style: Style = "back" if edge in layout.back else "edge"
    for start, end in pairwise(points):
        grid.line(start, end, style, lit)
    x, y = points[-1]
    grid.text(x, y, grid.glyphs.up if edge in layout.back else grid.glyphs.down, style, lit)
    number = edge_number(workflow, workflow.edge[edge])
    if number:
        grid.text(points[0][0] + 1, points[0][1], number, "label", lit)


def _box(grid: _Grid, box: Box, title: str, style: Style, lit: bool) -> None:
    right, bottom = box.x + box.width - 1, box.y + box.height - 1
    corners = [(box.x, box.y), (right, box.y), (right, bottom), (box.x, bottom), (box.x, box.y)]
    for start, end in pairwise(corners):
        grid.line(start, end, style, lit)
    left = (box.width - cell_len(title)) // 2
    grid.text(box.x + left, box.y + 1, title, style, lit)

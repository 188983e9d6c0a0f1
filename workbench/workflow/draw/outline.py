"""The outline: node after node in layers, each with the edges that lead in and out. Readable at any size."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from workbench.workflow.draw.layers import Layers, layers
from workbench.workflow.draw.model import ASCII, UNICODE, Glyphs, Line, Lit, Span, edge_number, label, sign_of, style_of
from workbench.workflow.model import Edge, Workflow


def outline(workflow: Workflow, highlight: Collection[str] = (), *, ascii_only: bool = False) -> list[Line]:
    """Layers from the start downwards: a line a node, then a line a way in and out. Edges that lead back are marked.

    `highlight` holds the edge ids of a path. Every line says which node it belongs to, edge lines also which edge.
    """
    glyphs = ASCII if ascii_only else UNICODE
    layout = layers(workflow)
    lit = Lit.of(workflow, highlight)
    incoming: dict[str, list[Edge]] = {node: [] for node in workflow.nodes}
    for edge in workflow.edges:
        incoming[edge.target].append(edge)
    lines: list[Line] = []
    for rank, row in enumerate(layout.rows()):
        for node in row:
            lines += _node(workflow, node, rank, incoming[node], layout, lit, glyphs)
    return lines


def _node(
    workflow: Workflow, node: str, rank: int, incoming: list[Edge], layout: Layers, lit: Lit, glyphs: Glyphs
) -> Iterator[Line]:
    on_path = node in lit.nodes
    spans = [
        Span(f"{rank + 1:>3} ", "dim"),
        Span(f"{sign_of(workflow, node, glyphs)} ", style_of(workflow, node), on_path),
        Span(label(node), style_of(workflow, node), on_path),
        Span(f"  {_kind(workflow, node)}", "dim"),
    ]
    yield Line(tuple(spans), node)
    if incoming:
        spans = [Span(f"      {glyphs.into} ", "edge", any(e.id in lit.edges for e in incoming))]
        for position, edge in enumerate(incoming):
            mark = f" {glyphs.back}" if edge.id in layout.back else ""
            spans.append(Span(", " if position else "", "dim"))
            spans.append(Span(label(edge.source) + mark, "back" if mark else "edge", edge.id in lit.edges))
        yield Line(tuple(spans), node)
    width = max((len(edge.target) for edge in workflow.out[node]), default=0)
    for edge in workflow.out[node]:
        yield _out(workflow, edge, width, layout, edge.id in lit.edges, glyphs)


def _out(workflow: Workflow, edge: Edge, width: int, layout: Layers, on_path: bool, glyphs: Glyphs) -> Line:
    leads_back = edge.id in layout.back
    arrow = glyphs.loop if edge.source == edge.target else glyphs.back if leads_back else glyphs.forth
    number = edge_number(workflow, edge)
    spans = [
        Span(f"    {number:>1} {arrow} ", "back" if leads_back else "edge", on_path),
        Span(label(edge.target).ljust(min(width, 40)), "back" if leads_back else "edge", on_path),
    ]
    if edge.condition:
        spans.append(Span(f"  {label(edge.condition)}", "label", on_path))
    return Line(tuple(spans), edge.source, edge.id)


def _kind(workflow: Workflow, node: str) -> str:
    found = workflow.nodes[node]
    words = ["start"] if node == workflow.start else []
    if found.role == "terminal":
        outcome = label(found.outcome or "no outcome", 40)
        words.append("terminal" if outcome == node else f"terminal: {outcome}")
    else:
        words.append(style_of(workflow, node))
    return ", ".join(words)

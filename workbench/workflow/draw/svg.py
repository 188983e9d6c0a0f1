"""The full canvas as an SVG file of its own: no script, no fonts or files from elsewhere, both colour schemes."""

from __future__ import annotations

from collections.abc import Collection
from xml.sax.saxutils import escape, quoteattr

from rich.cells import cell_len

from workbench.workflow.draw.canvas import titles
from workbench.workflow.draw.layout import Layout, lay_out
from workbench.workflow.draw.model import UNICODE, Lit, edge_number, label, style_of
from workbench.workflow.model import Edge, Workflow

CELL = (9, 18)
MARGIN = 12
STYLE = """
svg { background: #ffffff; color: #24292f } text { font: 14px ui-monospace, monospace; fill: currentColor }
rect { fill: #f6f8fa; stroke: #57606a } .hub { fill: #fff8c5 } .user { fill: #ddf4ff } .terminal { fill: #dafbe1 }
path { fill: none; stroke: #57606a; stroke-width: 1.3 } .back { stroke-dasharray: 5 3 } .number { font-size: 11px }
.lit { stroke: #cf222e; stroke-width: 2.6 } marker path { fill: #57606a; stroke: none }
@media (prefers-color-scheme: dark) { svg { background: #0d1117; color: #e6edf3 } rect { fill: #161b22 }
.hub { fill: #3b2f00 } .user { fill: #0c2d48 } .terminal { fill: #0f2f1a } }
"""


def svg(workflow: Workflow, highlight: Collection[str] = ()) -> str:
    """The whole graph as SVG text; `highlight` holds the edge ids of a path. Edge conditions show as tool tips.

    Raises UserError if the graph is too large for one canvas.
    """
    names = titles(workflow, workflow, UNICODE)
    layout = lay_out(workflow, {node: cell_len(name) + 2 for node, name in names.items()})
    lit = Lit.of(workflow, highlight)
    width, height = layout.width * CELL[0] + 2 * MARGIN, layout.height * CELL[1] + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img" aria-label={quoteattr(label(workflow.title))}>',
        f"<title>{escape(label(workflow.title))}</title><style>{STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0 0 8 4 0 8z"/></marker></defs>',
    ]
    parts += [_edge(workflow, edge, layout, edge.id in lit.edges) for edge in workflow.edges]
    parts += [_node(workflow, node, names[node], layout, node in lit.nodes) for node in workflow.nodes]
    return "\n".join([*(part for part in parts if part), "</svg>\n"])


def _edge(workflow: Workflow, edge: Edge, layout: Layout, lit: bool) -> str:
    corners = layout.routes.get(edge.id)
    if corners is None:
        return ""
    points = [(MARGIN + x * CELL[0] + CELL[0] // 2, MARGIN + y * CELL[1] + CELL[1] // 2) for x, y in corners]
    # Cells end half a row short of the boxes at both ends.
    down = -1 if edge.id in layout.back else 1
    points[0] = (points[0][0], points[0][1] - down * CELL[1] // 2)
    points[-1] = (points[-1][0], points[-1][1] + down * CELL[1] // 2)
    classes = " ".join(c for c, on in (("back", edge.id in layout.back), ("lit", lit)) if on)
    line = "M" + " ".join(f"{x} {y}" for x, y in points)
    tip = label(f"{edge.source} → {edge.target}" + (f": {edge.condition}" if edge.condition else ""), 300)
    number = edge_number(workflow, edge)
    x, y = points[0]
    text = f'<text class="number" x="{x + 4}" y="{y + (14 if down > 0 else -6)}">{number}</text>' if number else ""
    return f'<g><title>{escape(tip)}</title><path class="{classes}" marker-end="url(#tip)" d="{line}"/>{text}</g>'


def _node(workflow: Workflow, node: str, name: str, layout: Layout, lit: bool) -> str:
    box = layout.boxes[node]
    x, y = MARGIN + box.x * CELL[0], MARGIN + box.y * CELL[1]
    width, height = box.width * CELL[0], box.height * CELL[1]
    tip = label(f"{node}: {workflow.nodes[node].prompt}", 300)
    return (
        f"<g><title>{escape(tip)}</title>"
        f'<rect class="{style_of(workflow, node)}{" lit" if lit else ""}" x="{x}" y="{y}" width="{width}" '
        f'height="{height}" rx="{height // 2 if workflow.nodes[node].role == "terminal" else 4}"/>'
        f'<text x="{x + width // 2}" y="{y + height // 2 + 5}" text-anchor="middle">{escape(name)}</text></g>'
    )

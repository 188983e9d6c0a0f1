"""draw.io (diagrams.net) XML, plain and compressed, read and written."""

from __future__ import annotations

import base64
import re
import urllib.parse
import zlib
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from workbench.errors import UserError
from workbench.workflow.draw.layout import lay_out
from workbench.workflow.exchange.chart import Chart, Kind, Link, one_line, plain_text
from workbench.workflow.exchange.xml import local, parse
from workbench.workflow.model import Workflow

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

MAX_INFLATED = 20_000_000
_CONTAINERS = ("swimlane", "group", "table", "shape=partialrectangle", "shape=tablerow")
_KINDS: tuple[tuple[str, Kind], ...] = (
    ("rhombus", "decision"), ("shape=mxgraph.flowchart.decision", "decision"), ("mxgraph.bpmn.gateway", "decision"),
    ("shape=mxgraph.flowchart.start", "start"), ("shape=startstate", "start"), ("shape=mxgraph.flowchart.terminator", ""),
    ("shape=endstate", "terminal"), ("shape=doubleellipse", "terminal"), ("ellipse;shape=doubleellipse", "terminal"),
    ("shape=parallelogram", "user"), ("shape=manualinput", "user"),
)  # fmt: skip


def read(text: str) -> Chart:
    """Read the first page that has a drawing. Raises UserError for what is no draw.io file."""
    root = parse(text)
    if local(root) == "mxGraphModel":
        pages = [("", root)]
    elif local(root) == "mxfile":
        pages = [(d.get("name") or "", _model(d)) for d in root if local(d) == "diagram"]
    else:
        raise UserError(f"not a draw.io file: its root is <{local(root)}>, not <mxfile> or <mxGraphModel>")
    drawn = [(name, page) for name, page in pages if any(cell.get("vertex") == "1" for cell in page.iter("mxCell"))]
    if not drawn:
        raise UserError("this draw.io file has no shapes on any page")
    linked = [page for page in drawn if any(cell.get("edge") == "1" for cell in page[1].iter("mxCell"))]
    title, page = (linked or drawn)[0]
    chart = Chart(title="" if re.fullmatch(r"Page-\d+", title) else title)
    for name, other in pages:
        if other is not page:
            chart.lose(f"the page '{name}' (only the first page with arrows is read)")
    _page(page, chart)
    return chart


def _model(diagram: Element) -> Element:
    if len(diagram):
        return diagram[0]
    if not (diagram.text or "").strip():
        return diagram
    try:
        raw = base64.b64decode((diagram.text or "").strip(), validate=False)
        inflater = zlib.decompressobj(-15)
        data = inflater.decompress(raw, MAX_INFLATED)
        if inflater.unconsumed_tail:
            raise UserError(f"a compressed page is larger than {MAX_INFLATED // 1_000_000} MB")
        return parse(urllib.parse.unquote(data.decode("utf-8")))
    except (ValueError, zlib.error):
        raise UserError("a page of this draw.io file is compressed in a way that cannot be read; "
                        "save it with File > Properties > Compressed off") from None  # fmt: skip


def _cells(page: Element) -> dict[str, tuple[Element, str, dict[str, str]]]:
    """Cells by id with their labels and own attributes; `object` and `UserObject` wrap a cell and carry both."""
    found: dict[str, tuple[Element, str, dict[str, str]]] = {}
    for element in page.iter():
        if local(element) in ("object", "UserObject"):
            cell = next((child for child in element if local(child) == "mxCell"), None)
            if cell is not None:
                found[element.get("id", "")] = (cell, plain_text(element.get("label", "")), dict(element.attrib))
        elif local(element) == "mxCell" and element.get("id") is not None:
            found[element.get("id", "")] = (element, plain_text(element.get("value", "")), {})
    return found


def _page(page: Element, chart: Chart) -> None:
    cells = _cells(page)
    edges = [id for id, (cell, _, _) in cells.items() if cell.get("edge") == "1"]
    linked = {cells[e][0].get(end) for e in edges for end in ("source", "target")}
    for id, (cell, label, own) in cells.items():
        style = (cell.get("style") or "").lower()
        if cell.get("vertex") != "1" or cell.get("parent") in edges or "edgelabel" in style:
            continue
        if any(word in style for word in _CONTAINERS) and id not in linked:
            chart.lose(f"the container '{label or id}' (what is in it is kept)")
        elif id not in linked and (style.startswith("text;") or "shape=note" in style or "shape=image" in style):
            chart.lose(f"the text '{label}'" if label else "a picture")
        else:
            _shape(chart, id, label, style, own, cells)
    for id in edges:
        cell, label, _ = cells[id]
        parts = [cells[c][1] for c in cells if cells[c][0].get("parent") == id]
        label = " ".join(part for part in (label, *parts) if part)
        source, target = cell.get("source"), cell.get("target")
        if source not in chart.shapes or target not in chart.shapes or source is None or target is None:
            chart.lose(f"an arrow{f' ({label})' if label else ''} that is not connected at both ends")
            continue
        chart.links.append(Link(source, target, label))


def _shape(
    chart: Chart,
    id: str,
    label: str,
    style: str,
    own: dict[str, str],
    cells: dict[str, tuple[Element, str, dict[str, str]]],
) -> None:
    shape = chart.shape(id)
    shape.label = label
    kinds: dict[str, Kind] = {"agent": "agent", "user": "user", "terminal": "terminal"}
    shape.kind = kinds.get(own.get("role", ""), next((kind for word, kind in _KINDS if word in style), ""))
    shape.prompt, shape.outcome = one_line(own.get("prompt", "")), own.get("outcome", "")
    shape.start = own.get("start") == "true"
    parent = cells.get(cells[id][0].get("parent") or "")
    shape.lane = parent[1] if parent else ""
    if own.get("link"):
        chart.lose("links to other pages")


def write(workflow: Workflow) -> str:
    """An uncompressed draw.io file, laid out in layers; roles and prompts are kept as the shapes' own data."""
    layout = lay_out(workflow, {node: max(14, len(node) + 4) for node in workflow.nodes})
    lines = [f'<mxfile host="workbench"><diagram name={quoteattr(workflow.title)} id="page"><mxGraphModel><root>',
             '<mxCell id="0"/><mxCell id="1" parent="0"/>']  # fmt: skip
    for node in workflow.nodes.values():
        role = "hub" if node.id in workflow.hubs else node.role
        style = {"hub": "rhombus;", "user": "shape=parallelogram;perimeter=parallelogramPerimeter;fixedSize=1;",
                 "terminal": "ellipse;shape=doubleEllipse;"}.get(role, "rounded=1;")  # fmt: skip
        box = layout.boxes[node.id]
        own = {"id": node.id, "label": node.id, "role": node.role, "prompt": node.prompt, "outcome": node.outcome or ""}
        own["start"] = "true" if node.id == workflow.start else ""
        told = " ".join(f"{key}={quoteattr(value)}" for key, value in own.items() if value)
        lines.append(
            f'<object {told}><mxCell style="{style}whiteSpace=wrap;html=1;" vertex="1" parent="1"><mxGeometry '
            f'x="{box.x * 10}" y="{box.y * 26}" width="{box.width * 10}" height="60" as="geometry"/></mxCell></object>'
        )
    for i, edge in enumerate(workflow.edges):
        lines.append(
            f'<mxCell id="edge-{i}" value={quoteattr(escape(edge.condition))} style="edgeStyle=orthogonalEdgeStyle;html=1;" edge="1" '
            f'parent="1" source={quoteattr(edge.source)} target={quoteattr(edge.target)}>'
            '<mxGeometry relative="1" as="geometry"/></mxCell>'
        )
    return "\n".join([*lines, "</root></mxGraphModel></diagram></mxfile>"]) + "\n"

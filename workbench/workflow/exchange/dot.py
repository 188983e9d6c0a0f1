"""Graphviz DOT, read with pydot and written. Attributes beside the usual ones carry what a drawing cannot."""

from __future__ import annotations

import contextlib
import io
import re
from typing import Any

from workbench.errors import UserError
from workbench.text import clean_line
from workbench.workflow.exchange.chart import Chart, Kind, Link, plain_text
from workbench.workflow.model import Workflow

MAX_CHARACTERS = 500_000
_SHAPES: dict[str, Kind] = {
    "diamond": "decision", "Mdiamond": "start", "doublecircle": "terminal", "Msquare": "terminal", "point": "start",
    "parallelogram": "user", "doubleoctagon": "terminal",
}  # fmt: skip
_KNOWN = {"label", "xlabel", "shape", "role", "prompt", "outcome", "start"}
_IGNORED = {"id", "pos", "height", "width", "weight", "minlen", "constraint", "group", "rank", "margin", "tooltip"}


def read(text: str) -> Chart:
    """Read a graph. Raises UserError where it is no DOT, too large or undirected."""
    import pydot

    if len(text) > MAX_CHARACTERS or _depth(text) > 60:
        raise UserError("this DOT file is too large or nested too deep to be a flowchart")
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        try:
            graphs = pydot.graph_from_dot_data(text)
        except Exception as error:  # the parser raises whatever comes up within it
            raise UserError(f"not valid DOT: {clean_line(str(error), 120)}") from None
    if not graphs:
        raise UserError(
            f"not valid DOT: {clean_line(' '.join(said.getvalue().split(chr(10))[-2:]), 120) or 'no graph'}"
        )
    chart = Chart(title=_bare(graphs[0].get("label") or ""))
    if len(graphs) > 1:
        chart.lose(f"{len(graphs) - 1} more graphs in the file")
    if graphs[0].get_type() != "digraph":
        chart.lose("the graph is undirected: every line is read as an arrow from left to right")
    _take(graphs[0], chart, "", {}, graphs[0].get_type() == "digraph")
    return chart


def _depth(text: str) -> int:
    depth = most = 0
    for char in text:
        depth += (char == "{") - (char == "}")
        most = max(most, depth)
    return most


def _bare(value: object) -> str:
    text = str(value)
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1].replace('\\"', '"')
    elif text.startswith("<") and text.endswith(">"):
        text = text[1:-1]
    return plain_text(re.sub(r"\\[nlr]", " ", text))


def _name(value: object) -> str:
    """A node's name without quotes and without a port."""
    text = str(value)
    quoted = re.match(r'^"((?:[^"\\]|\\.)*)"', text)
    return quoted[1] if quoted else text.split(":", 1)[0]


def _take(graph: Any, chart: Chart, lane: str, defaults: dict[str, str], directed: bool) -> None:
    defaults = dict(defaults)
    for node in graph.get_nodes():
        name, attributes = _name(node.get_name()), {k: str(v) for k, v in node.get_attributes().items()}
        if name in ("node", "edge", "graph"):
            defaults |= attributes if name == "node" else {}
        elif name not in ("\\n", ""):
            _shape(chart, name, defaults | attributes, lane)
    for edge in graph.get_edges():
        ends = [_ends(end) for end in (edge.get_source(), edge.get_destination())]
        attributes = {k: str(v) for k, v in edge.get_attributes().items()}
        if attributes.get("style", "").strip('"') == "invis":
            chart.lose("invisible edges")
            continue
        label = _bare(attributes.get("label") or attributes.get("xlabel") or attributes.get("headlabel") or "")
        for source in ends[0]:
            for target in ends[1]:
                for name in (source, target):
                    if name not in chart.shapes:
                        _shape(chart, name, defaults, lane)
                swap = attributes.get("dir", "").strip('"') == "back"
                chart.links.append(Link(target, source, label) if swap else Link(source, target, label))
                if attributes.get("dir", "").strip('"') == "both":
                    chart.links.append(Link(target, source, label))
        if set(attributes) & {"color", "style", "penwidth", "fontcolor", "arrowhead"}:
            chart.lose("colours and styles")
    for part in graph.get_subgraphs():
        inner = _bare(part.get("label") or "")
        if str(part.get_name()).strip('"').startswith("cluster"):
            chart.lose(f"the cluster '{inner or _name(part.get_name())}' (its nodes are kept)")
        _take(part, chart, inner or lane, defaults, directed)


def _ends(end: Any) -> list[str]:
    """An end of an edge is a name, or a whole subgraph."""
    return list(dict.fromkeys(_name(name) for name in end["nodes"])) if hasattr(end, "keys") else [_name(end)]


def _shape(chart: Chart, name: str, attributes: dict[str, str], lane: str) -> None:
    shape = chart.shape(name)
    label = attributes.get("label", "").strip('"')
    if label and label != "\\N":
        shape.label = _bare(attributes["label"])
    elif not shape.label and attributes.get("xlabel"):
        shape.label = _bare(attributes["xlabel"])
    elif not shape.label and re.search(r"[^\w]", name):
        shape.label = _bare(name)
    role = attributes.get("role", "").strip('"')
    kinds: dict[str, Kind] = {"agent": "agent", "user": "user", "terminal": "terminal"}
    shape.kind = kinds.get(role, _SHAPES.get(attributes.get("shape", "").strip('"'), shape.kind))
    shape.prompt = _bare(attributes["prompt"]) if "prompt" in attributes else shape.prompt
    shape.outcome = _bare(attributes["outcome"]) if "outcome" in attributes else shape.outcome
    shape.start = shape.start or attributes.get("start", "").strip('"') == "true"
    shape.lane = shape.lane or lane
    if "URL" in attributes or "href" in attributes:
        chart.lose("links to other pages")
    if set(attributes) - _KNOWN - _IGNORED - {"URL", "href"}:
        chart.lose("colours and styles")


def write(workflow: Workflow) -> str:
    """A digraph that `dot` draws; read back, it has the same nodes, roles, prompts, edges and conditions."""
    lines = [f"digraph {_quote(workflow.name)} {{", f"  label={_quote(workflow.title)}; labelloc=t; rankdir=TB;"]
    for node in workflow.nodes.values():
        role = "hub" if node.id in workflow.hubs else node.role
        form = {"hub": "diamond", "user": "parallelogram", "terminal": "doublecircle"}.get(role, "box")
        fields = {"shape": form, "role": node.role, "prompt": node.prompt, "outcome": node.outcome or ""}
        fields["start"] = "true" if node.id == workflow.start else ""
        told = ", ".join(f"{key}={_quote(value)}" for key, value in fields.items() if value)
        lines.append(f"  {_quote(node.id)} [{told}];")
    for edge in workflow.edges:
        label = f" [label={_quote(edge.condition)}]" if edge.condition else ""
        lines.append(f"  {_quote(edge.source)} -> {_quote(edge.target)}{label};")
    return "\n".join([*lines, "}"]) + "\n"


def _quote(text: str) -> str:
    line = clean_line(text).replace("\\", "/").replace('"', '\\"').replace("&", "&amp;").replace("<", "&lt;")
    return f'"{line}"'

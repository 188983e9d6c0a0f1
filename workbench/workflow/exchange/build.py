"""From a drawn chart to a workflow that loads, with marks where a person must still say something."""

from __future__ import annotations

import re
from dataclasses import dataclass

from workbench.errors import UserError
from workbench.workflow.check_words import TODO
from workbench.workflow.exchange.chart import Chart, Shape
from workbench.workflow.model import Edge, Node, Role, Workflow

_USER = re.compile(r"(?i)\b(user|customer|caller|client|guest|patient|student)\b")
_ROLE = re.compile(r"(?i)^(user|customer|caller|client|agent|bot|assistant|system)\s*:\s*")


@dataclass(frozen=True, slots=True)
class Imported:
    """A workflow read from another format; `to_fill_in` and `lost` are lines for the person who goes on with it."""

    workflow: Workflow
    format: str
    to_fill_in: tuple[str, ...]
    lost: tuple[str, ...]


def to_workflow(chart: Chart, format: str, name: str) -> Imported:
    """Make a workflow of what was drawn. Raises UserError if there is no node."""
    if not chart.shapes:
        raise UserError(f"no flowchart found in this {format} file: it has no nodes")
    ids = _ids(chart)
    out: dict[str, int] = dict.fromkeys(chart.shapes, 0)
    into = dict.fromkeys(chart.shapes, 0)
    for link in chart.links:
        out[link.source] += 1
        into[link.target] += link.source != link.target
    todo = ["instruction: one line that tells the agent what it is"]
    start = _start(chart, into, todo)
    nodes = {ids[s.id]: _node(ids[s.id], s, out[s.id], todo) for s in chart.shapes.values()}
    edges: list[Edge] = []
    for link in chart.links:
        id = f"{ids[link.source]}>{ids[link.target]}"
        twins = sum(edge.source == ids[link.source] and edge.target == ids[link.target] for edge in edges)
        condition = link.label
        if not condition and out[link.source] > 1:
            condition = f"{TODO}: say when this is taken"
            todo.append(f"edge {id}: its condition")
        edges.append(Edge(f"{id}#{twins + 1}" if twins else id, ids[link.source], ids[link.target], condition))
    if not any(node.role == "terminal" for node in nodes.values()):
        todo.append("a terminal: no node without a way out was drawn")
    title = chart.title or name.replace("_", " ").capitalize()
    workflow = Workflow(_slug(name) or "imported", title, f"{TODO}: one line that tells the agent what it is", nodes,
                        tuple(edges), ids[start])  # fmt: skip
    return Imported(workflow, format, tuple(todo), tuple(chart.lost))


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_").lower()[:40].strip("_")


def _ids(chart: Chart) -> dict[str, str]:
    """Ids that the format admits: the drawing's own if they are words, else made from the labels."""
    found: dict[str, str] = {}
    for shape in chart.shapes.values():
        own = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_\-]{1,79}", shape.id) and not re.search(
            r"[0-9a-fA-F_\-]{12,}|\d{2,}$", shape.id
        )
        base = shape.id if own else _slug(shape.label) or _slug(shape.id) or "node"
        name, n = base, 2
        while name in found.values():
            name, n = f"{base}_{n}", n + 1
        found[shape.id] = name
    return found


def _start(chart: Chart, into: dict[str, int], todo: list[str]) -> str:
    marked = [s.id for s in chart.shapes.values() if s.start] or [
        s.id for s in chart.shapes.values() if s.kind == "start"
    ]
    sources = marked or [id for id, n in into.items() if n == 0]
    if len(sources) != 1:
        todo.append(f"the start: {len(sources) or 'no'} nodes could be it")
    return (sources or list(chart.shapes))[0]


def _node(id: str, shape: Shape, ways: int, todo: list[str]) -> Node:
    role = _role(shape, ways)
    if shape.kind in ("", "start", "decision") and role != "terminal" and not _ROLE.match(shape.label):
        todo.append(f"node {id}: its role (taken for {role})")
    prompt = shape.prompt or _ROLE.sub("", shape.label)
    if not prompt:
        prompt = f"{TODO}: say what is done here"
        todo.append(f"node {id}: its prompt")
    outcome = (shape.outcome or _slug(shape.label) or id) if role == "terminal" else None
    return Node(id, role, prompt, outcome=outcome)


def _role(shape: Shape, ways: int) -> Role:
    if shape.kind == "terminal" or (ways == 0 and shape.kind not in ("user", "agent")):
        return "terminal" if ways == 0 else "agent"
    if shape.kind in ("user", "agent"):
        return "user" if shape.kind == "user" else "agent"
    told = _ROLE.match(shape.label)
    if told:
        return "user" if _USER.match(told.group(1)) else "agent"
    return "user" if ways == 1 and _USER.search(shape.lane) else "agent"

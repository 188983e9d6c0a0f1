"""LangGraph: a graph's exported JSON read; a trusted Python file run apart to export it; a runnable file written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from workbench.errors import UserError
from workbench.secrets import environment
from workbench.text import clean_line
from workbench.workflow.exchange.chart import Chart, Kind, Link, one_line
from workbench.workflow.model import Workflow

START, END = "__start__", "__end__"
TIMEOUT_S = 60
_EXPORT = """
import json, runpy, sys
space = runpy.run_path(sys.argv[1], run_name="exported")
for value in [value for value in space.values() if not isinstance(value, type)]:
    if hasattr(value, "get_graph"):
        break
    if hasattr(value, "compile") and hasattr(value, "add_node"):
        value = value.compile()
        break
else:
    sys.exit("no graph found: the file must hold a StateGraph or a compiled graph in a variable")
print("\\0" + json.dumps(value.get_graph().to_json(), default=str))
"""


def read(text: str) -> Chart:
    """Read `graph.get_graph().to_json()`, or node-link JSON. Raises UserError for other JSON."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"not valid JSON: {clean_line(str(error), 120)}") from None
    links = data.get("edges", data.get("links")) if isinstance(data, dict) else None
    nodes = data.get("nodes") if isinstance(data, dict) else None
    if not isinstance(nodes, list) or not isinstance(links, list):
        raise UserError("not a graph: expected {'nodes': […], 'edges': […]}, as get_graph().to_json() writes")
    chart = Chart(
        title=one_line(str(data.get("graph", {}).get("title", ""))) if isinstance(data.get("graph"), dict) else ""
    )
    for node in nodes:
        if isinstance(node, dict) and "id" in node:
            _shape(chart, node)
    for link in links:
        ends = [str(link.get(end)) for end in ("source", "target")] if isinstance(link, dict) else ["", ""]
        if not set(ends) <= set(chart.shapes):
            chart.lose(f"an edge that is not connected at both ends ({ends[0]} → {ends[1]})")
            continue
        label = link.get("condition") or link.get("data") or link.get("label") or ""
        chart.links.append(Link(ends[0], ends[1], one_line(label) if isinstance(label, str) else ""))
    return without_markers(chart)


def _shape(chart: Chart, node: dict[str, Any]) -> None:
    shape = chart.shape(str(node["id"]))
    data = node.get("data")
    name = data.get("name") if isinstance(data, dict) else None
    shape.label = one_line(str(node.get("label") or name or node["id"])).replace("_", " ").strip()
    kinds: dict[str, Kind] = {"agent": "agent", "user": "user", "terminal": "terminal"}
    shape.kind = kinds.get(str(node.get("role")), "")
    shape.prompt, shape.outcome = one_line(str(node.get("prompt") or "")), str(node.get("outcome") or "")
    shape.start = node.get("start") is True
    if isinstance(node.get("metadata"), dict) and node["metadata"]:
        chart.lose("metadata of nodes")


def without_markers(chart: Chart) -> Chart:
    """The chart without LangGraph's `__start__`; `__end__` becomes the terminal."""
    first = [link.target for link in chart.links if link.source == START]
    if START in chart.shapes and len(first) == 1:
        del chart.shapes[START]
        chart.links = [link for link in chart.links if link.source != START]
        chart.shapes[first[0]].start = True
    if END in chart.shapes:
        chart.shapes[END].kind, chart.shapes[END].label = "terminal", "end"
    return chart


def read_python(path: Path) -> Chart:
    """Run a Python file in a process of its own and read the graph it holds. Only for files that are trusted."""
    command = [sys.executable, "-c", _EXPORT, str(path)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            cwd=path.parent,
            env=environment(keys=False),
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"still running after {TIMEOUT_S} s; export its graph as JSON instead") from None
    if done.returncode != 0 or "\0" not in done.stdout:
        why = (done.stderr.strip().splitlines() or ["it printed no graph"])[-1]
        raise UserError(f"its graph could not be read: {clean_line(why, 160)}")
    return read(done.stdout.rpartition("\0")[2])


def write_json(workflow: Workflow) -> str:
    """Node-link JSON as `networkx.node_link_graph(data, edges="edges")` reads it, with roles, prompts and conditions."""
    nodes = []
    for node in workflow.nodes.values():
        told = {"id": node.id, "role": node.role, "prompt": node.prompt, "outcome": node.outcome}
        nodes.append({k: v for k, v in told.items() if v} | ({"start": True} if node.id == workflow.start else {}))
    edges = [
        {"source": e.source, "target": e.target, "key": e.id} | ({"condition": e.condition} if e.condition else {})
        for e in workflow.edges
    ]
    graph = {"name": workflow.name, "title": workflow.title, "instruction": workflow.instruction}
    data = {"directed": True, "multigraph": True, "graph": graph, "nodes": nodes, "edges": edges}
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def write_python(workflow: Workflow) -> str:
    """A Python file that runs the workflow with LangGraph on any OpenAI-compatible model."""
    nodes = {n.id: {"role": n.role, "prompt": n.prompt} for n in workflow.nodes.values()}
    edges = {n: [(e.target, e.condition, bool(e.say)) for e in workflow.out[n]] for n in workflow.nodes}
    template = (Path(__file__).parent / "langgraph_template.py.txt").read_text(encoding="utf-8")
    fields = {"TITLE": clean_line(workflow.title).replace('"', "'").replace("\\", "/"), "INSTRUCTION": repr(workflow.instruction),
              "START": repr(workflow.start), "NODES": _literal(nodes), "EDGES": _literal(edges)}  # fmt: skip
    for name, value in fields.items():
        template = template.replace(f"@{name}@", value)
    return template


def _literal(table: dict[str, Any]) -> str:
    return "{\n" + "".join(f"    {key!r}: {value!r},\n" for key, value in table.items()) + "}"

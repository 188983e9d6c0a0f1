"""Drawings: every node and edge shown once, back edges marked, paths highlighted, nothing overlapping, clean text."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from workbench.errors import UserError
from workbench.text import clean
from workbench.workflow.draw import Canvas, canvas, ego, outline, svg
from workbench.workflow.draw.layers import layers
from workbench.workflow.draw.layout import lay_out, spread
from workbench.workflow.load import load_workflow, parse_workflow
from workbench.workflow.model import Edge, Node, Workflow
from workbench.workflow.paths import PathSpace

SHIPPED = ("travel_booking", "zoom_support", "insurance_claims")


def some_graph(seed: int, nodes: int = 9, edges: int = 16) -> Workflow:
    """A random graph with loops, self-loops and parallel edges."""
    rng = random.Random(seed)
    names = [f"n{i}" for i in range(nodes)]
    pairs = [(rng.choice(names), rng.choice(names)) for _ in range(edges)]
    links = tuple(Edge(f"e{i}", a, b, f"condition {i}") for i, (a, b) in enumerate(pairs))
    return Workflow("g", "G", "i", {n: Node(n, "agent", "p") for n in names}, links, "n0")


@pytest.mark.parametrize("name", SHIPPED)
def test_the_outline_shows_every_node_and_edge_once(name: str) -> None:
    workflow = load_workflow(name)
    lines = outline(workflow)
    assert Counter(line.edge for line in lines if line.edge) == Counter(e.id for e in workflow.edges)
    assert {line.node for line in lines} == set(workflow.nodes)
    assert all(line.text == clean(line.text) and "\n" not in line.text for line in lines)
    first = next(line for line in lines)
    assert first.node == workflow.start
    assert "start" in first.text


def test_the_outline_marks_back_edges_hubs_and_the_path() -> None:
    workflow = load_workflow("travel_booking")
    path = PathSpace(workflow)[3]
    lines = {line.edge: line for line in outline(workflow, path) if line.edge}
    assert "↺" in lines["handle_response>assess"].text
    assert "↺" not in lines["assess>present"].text
    assert "1 →" in lines["assess>user_info"].text
    assert all(any(span.lit for span in lines[edge].spans) == (edge in path) for edge in lines)
    text = "\n".join(line.text for line in outline(workflow, path, ascii_only=True))
    assert text.isascii()


@pytest.mark.parametrize("seed", range(40))
def test_layers_lead_downwards_but_for_back_edges(seed: int) -> None:
    workflow = some_graph(seed)
    found = layers(workflow)
    for edge in workflow.edges:
        if edge.id in found.back:
            assert found.rank[edge.source] >= found.rank[edge.target]
        else:
            assert found.rank[edge.source] < found.rank[edge.target]


@pytest.mark.parametrize("seed", range(60))
def test_the_layout_overlaps_nothing_and_its_routes_connect(seed: int) -> None:
    workflow = some_graph(seed, nodes=4 + seed % 12, edges=6 + seed % 25)
    layout = lay_out(workflow, dict.fromkeys(workflow.nodes, 6))
    cells = Counter(
        (x, y) for b in layout.boxes.values() for x in range(b.x, b.x + b.width) for y in range(b.y, b.y + b.height)
    )
    assert set(cells.values()) == {1}
    assert all(0 <= x < layout.width and 0 <= y < layout.height for x, y in cells)
    for edge in workflow.edges:
        if edge.source == edge.target:
            assert edge.id not in layout.routes
            continue
        route = layout.routes[edge.id]
        source, target = layout.boxes[edge.source], layout.boxes[edge.target]
        below = edge.id not in layout.back
        assert route[0][1] == (source.y + source.height if below else source.y - 1)
        assert route[-1][1] == (target.y - 1 if below else target.y + target.height)
        assert source.x < route[0][0] < source.x + source.width - 1
        assert target.x < route[-1][0] < target.x + target.width - 1
        for (x1, y1), (x2, y2) in pairwise(route):
            assert x1 == x2 or y1 == y2
            between = {(x, y) for x in range(min(x1, x2), max(x1, x2) + 1) for y in range(min(y1, y2), max(y1, y2) + 1)}
            assert not between & set(cells)
    starts = Counter(route[i] for route in layout.routes.values() for i in (0, -1))
    assert max(starts.values(), default=1) == 1


def test_spread_keeps_order_and_gaps() -> None:
    found = spread([5.0, 1.0, 1.0, 20.0], [2.0, 2.0, 2.0])
    assert all(b - a >= 2 - 1e-9 for a, b in pairwise(found))
    assert sum(found[:3]) == pytest.approx(7.0)
    assert found[3] == 20.0


def titles_at(drawn: Canvas) -> None:
    for node, box in drawn.boxes.items():
        assert node in drawn.lines[box.y + 1].text[box.x : box.x + box.width]
        assert drawn.node_at(box.x + 1, box.y + 1) == node


@pytest.mark.parametrize("name", SHIPPED)
def test_the_canvas_is_a_full_rectangle_with_every_box(name: str) -> None:
    workflow = load_workflow(name)
    path = PathSpace(workflow)[7]
    drawn = canvas(workflow, path)
    assert {len(line.text) for line in drawn.lines} == {drawn.width}
    assert len(drawn.lines) == drawn.height
    assert set(drawn.boxes) == set(workflow.nodes)
    titles_at(drawn)
    heads = sum(line.text.count("▼") + line.text.count("▲") for line in drawn.lines)
    assert heads == sum(e.source != e.target for e in workflow.edges)
    lit = {node for node, box in drawn.boxes.items() if drawn.lines[box.y].text[box.x] == "┏"}
    assert lit == {workflow.start, *(workflow.edge[e].target for e in path)}
    assert drawn.node_at(10_000, 0) is None
    assert "".join(line.text for line in canvas(workflow, path, ascii_only=True).lines).isascii()


def test_the_view_around_a_node() -> None:
    workflow = load_workflow("travel_booking")
    near = ego(workflow, "assess", 1)
    assert set(near.boxes) == {
        "assess", "user_request", "user_info", "user_clarify", "present", "escalated", "handle_response",
    }  # fmt: skip
    titles_at(near)
    assert any("present +1" in line.text for line in near.lines)
    assert {span.style for line in near.lines for span in line.spans} >= {"centre", "hub", "user"}
    assert set(near.boxes) < set(ego(workflow, "assess", 2).boxes)
    with pytest.raises(UserError, match="no node 'nowhere'"):
        ego(workflow, "nowhere")


def test_a_graph_too_large_for_a_canvas_is_refused() -> None:
    with pytest.raises(UserError, match="too large for one canvas"):
        canvas(some_graph(1, nodes=3000, edges=9000))


def test_hostile_names_and_conditions_are_harmless() -> None:
    bad = "x\x1b[2J\u202e日本語[/b]</title>"
    nodes = {bad: Node(bad, "agent", bad), "end": Node("end", "terminal", "p", outcome=bad)}
    workflow = Workflow("g", bad, "i", nodes, (Edge("a", bad, "end", bad), Edge("b", bad, bad, bad)), bad)
    for lines in (outline(workflow, ["a"]), canvas(workflow, ["a"]).lines, ego(workflow, "end").lines):
        text = "\n".join(line.text for line in lines)
        assert text == clean(text)
    assert "↻" in "\n".join(line.text for line in outline(workflow))
    ElementTree.fromstring(svg(workflow, ["a"]))


def test_svg_is_xml_with_every_node_and_edge() -> None:
    workflow = load_workflow("insurance_claims")
    root = ElementTree.fromstring(svg(workflow, PathSpace(workflow)[0]))
    space = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f".//{space}rect")) == len(workflow.nodes)
    assert len(root.findall(f".//{space}g/{space}path")) == len(workflow.edges)
    assert root.findall(f".//{space}rect[@class='user lit']")
    assert not root.findall(f".//{space}script")


def test_unreachable_parts_are_drawn_too() -> None:
    text = "name: a\ninstruction: i\nnodes:\n- {id: a, role: agent, start: true}\n- {id: b, role: user}\n- {id: c, role: user}\n"
    workflow = parse_workflow(text + "edges:\n- {from: b, to: c}\n- {from: c, to: b}\n")
    assert set(canvas(workflow).boxes) == {"a", "b", "c"}
    assert {line.node for line in outline(workflow)} == {"a", "b", "c"}

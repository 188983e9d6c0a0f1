"""Hashes follow meaning: layout, order of keys, comments and lines do not count, everything said does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from workbench.workflow.hashing import (
    canonical,
    digest,
    edge_hash,
    node_hash,
    path_hash,
    variable_hash,
    workflow_hash,
)
from workbench.workflow.model import Condition, Edge, Node, Phrasing, Pool, Variable, Workflow


def small(**changes: object) -> Workflow:
    nodes = {
        "ask": Node("ask", "agent", "Ask.", say=(Phrasing(Pool(("Well?",), ("So?",))),), line=3),
        "done": Node("done", "terminal", "Bye.", outcome="success", line=9),
    }
    edges = (
        Edge("one", "ask", "done", "First.", Condition(moves=("yes",)), line=12),
        Edge("two", "ask", "done", "Second.", Condition(otherwise=True), line=13),
    )
    city = Variable("city", "text", values=("Oslo", "Rome"))
    whole = Workflow("small", "Small", "Be helpful.", nodes, edges, "ask", {"city": city}, source="a.yaml")
    return replace(whole, **changes)  # type: ignore[arg-type]


def test_digest_is_sixteen_hexadecimal_digits_of_canonical_json() -> None:
    assert canonical({"b": (1, "é"), "a": None}) == '{"a":null,"b":[1,"é"]}'
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert len(digest("x")) == 16
    assert int(digest("x"), 16) >= 0


def test_what_has_no_canonical_form_is_refused() -> None:
    with pytest.raises(TypeError, match="set"):
        digest({1, 2})
    with pytest.raises(ValueError, match="Out of range"):
        digest(float("nan"))


def test_place_and_order_do_not_count() -> None:
    workflow = small()
    nodes = {name: replace(node, line=99) for name, node in reversed(workflow.nodes.items())}
    moved = small(nodes=nodes, edges=tuple(reversed(workflow.edges)), source="elsewhere.yaml")
    assert workflow_hash(moved) == workflow_hash(workflow)
    assert node_hash(moved, "ask") == node_hash(workflow, "ask")
    assert edge_hash(moved, "one") == edge_hash(workflow, "one")


def test_every_saying_counts_where_it_is_said_and_nowhere_else() -> None:
    workflow = small()
    other = small(nodes={**workflow.nodes, "ask": replace(workflow.nodes["ask"], prompt="Ask politely.")})
    assert workflow_hash(other) != workflow_hash(workflow)
    assert node_hash(other, "ask") != node_hash(workflow, "ask")
    assert node_hash(other, "done") == node_hash(workflow, "done")
    assert edge_hash(other, "one") == edge_hash(workflow, "one")
    turned = small(edges=(replace(workflow.edges[0], when=Condition(moves=("no",))), workflow.edges[1]))
    assert edge_hash(turned, "one") != edge_hash(workflow, "one")
    assert edge_hash(turned, "two") == edge_hash(workflow, "two")
    cities = small(variables={"city": Variable("city", "text", values=("Rome", "Oslo"))})
    assert variable_hash(cities, "city") != variable_hash(workflow, "city")


def test_a_path_is_made_of_its_edges_in_order() -> None:
    workflow = small()
    assert path_hash(workflow, ["one", "two"]) != path_hash(workflow, ["two", "one"])
    assert path_hash(workflow, iter(["one"])) == path_hash(workflow, ("one",))
    with pytest.raises(KeyError):
        path_hash(workflow, ["none"])

"""Layers of a directed graph with cycles: which edges lead back, and how far down each node stands."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from workbench.workflow.model import Edge, Workflow


@dataclass(frozen=True, slots=True)
class Layers:
    """`rank` is the layer of each node (0 at the top), `back` the ids of the edges that close a loop."""

    rank: dict[str, int]
    back: frozenset[str]

    def rows(self) -> list[list[str]]:
        """Nodes by layer, each layer in the order of the file."""
        rows: list[list[str]] = [[] for _ in range(max(self.rank.values(), default=-1) + 1)]
        for node, rank in self.rank.items():
            rows[rank].append(node)
        return rows


def layers(workflow: Workflow) -> Layers:
    """Rank by the longest way from the start without back edges; unreachable nodes start at the top.

    A back edge is one that leads to a node still open in a depth-first walk (from the start, edges in file order).
    """
    back, finished = _walk(workflow)
    rank = dict.fromkeys(workflow.nodes, 0)
    for node in reversed(finished):
        for edge in workflow.out[node]:
            if edge.id not in back:
                rank[edge.target] = max(rank[edge.target], rank[node] + 1)
    return Layers(rank, frozenset(back))


def _walk(workflow: Workflow) -> tuple[set[str], list[str]]:
    """Back edges and the nodes in the order in which a depth-first walk leaves them. Iterative: chains may be long."""
    back: set[str] = set()
    finished: list[str] = []
    state: dict[str, bool] = {}  # True while open
    for root in (workflow.start, *workflow.nodes):
        if root in state:
            continue
        state[root] = True
        stack: list[tuple[str, Iterator[Edge]]] = [(root, iter(workflow.out[root]))]
        while stack:
            node, edges = stack[-1]
            edge = next(edges, None)
            if edge is None:
                state[node] = False
                finished.append(node)
                stack.pop()
            elif edge.target not in state:
                state[edge.target] = True
                stack.append((edge.target, iter(workflow.out[edge.target])))
            elif state[edge.target]:
                back.add(edge.id)
    return back, finished

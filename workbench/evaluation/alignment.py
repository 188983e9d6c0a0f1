"""The cheapest alignment of a trace with a procedure (conformance checking): Dijkstra on their product.

A step that both make costs nothing, a message that the graph does not have costs 1, a place that speaks in the graph
and not in the trace costs 1; silent places cost nothing. Priorities are small whole numbers, so they are kept in buckets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Literal

from workbench.evaluation.trace import Event
from workbench.workflow.model import Workflow

Kind = Literal["both", "trace", "graph", "silent"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an alignment: `both` (0), only in the `trace` (1), only in the `graph` (1), or `silent` (0).

    `event` is the index of the trace's event, `unit` the place that speaks in the graph, `edge` and `node` the edge
    taken and the node entered by it; None where the step has none.
    """

    kind: Kind
    event: int | None = None
    unit: str | None = None
    edge: str | None = None
    node: str | None = None


@dataclass(frozen=True, slots=True)
class Alignment:
    """The steps of a cheapest alignment, its cost, and how many states the search took up."""

    steps: tuple[Step, ...]
    cost: int
    expanded: int


@dataclass(frozen=True, slots=True)
class _Move:
    """A transition of the procedure: what is said on the way (None: nothing), by whom, and where it leads."""

    target: int
    unit: str | None
    is_user: bool
    edge: str | None
    node: str | None


class Procedure:
    """A workflow as a transition system whose transitions speak: one position a node, one an edge."""

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        names = ["", *workflow.nodes, *(edge.id for edge in workflow.edges)]
        at = {name: index for index, name in enumerate(names)}
        self.moves: list[list[_Move]] = [[] for _ in names]

        def enter(node_id: str) -> _Move:
            node = workflow.nodes[node_id]
            is_user = node.role == "user"
            return _Move(at[node_id], node_id if is_user or node.say else None, is_user, None, node_id)

        self.moves[0].append(enter(workflow.start))
        for edge in workflow.edges:
            self.moves[at[edge.source]].append(_Move(at[edge.id], edge.id if edge.say else None, False, edge.id, None))
            self.moves[at[edge.id]].append(enter(edge.target))
        self.final = frozenset(at[t] for t in workflow.terminals)
        self.shortest = self.align(()).cost
        """Visible steps of the shortest walk from the start to a terminal."""

    def align(self, events: Sequence[Event], *, finished: bool = True) -> Alignment:
        """A cheapest alignment of the events with a walk from the start to a terminal (or, unfinished, to anywhere).

        States are (events consumed, position): at most (len(events) + 1) × (nodes + edges + 1) are expanded.
        ValueError if no terminal can be reached.
        """
        n, width = len(events), len(self.moves)
        unit = (
            n + 1
        )  # a priority is cost × unit + messages left out: of equally cheap alignments the one that explains most
        best: dict[int, int] = {0: 0}
        came: dict[int, tuple[int, Kind, _Move | None]] = {}
        buckets: dict[int, list[int]] = {0: [0]}
        keys = [0]
        done: set[int] = set()

        def reach(state: int, key: int, source: int, kind: Kind, move: _Move | None) -> None:
            if key < best.get(state, 1 << 60):
                best[state] = key
                came[state] = (source, kind, move)
                if key not in buckets:
                    buckets[key] = []
                    heappush(keys, key)
                buckets[key].append(state)

        while keys:
            key = keys[0]
            if not buckets[key]:
                del buckets[heappop(keys)]
                continue
            state = buckets[key].pop()
            if state in done:
                continue
            done.add(state)
            i, position = divmod(state, width)
            if i == n and (position in self.final or not finished):
                return Alignment(_steps(came, state, width), key // unit, len(done))
            for move in self.moves[position]:
                here = i * width + move.target
                if move.unit is None:
                    reach(here, key, state, "silent", move)
                    continue
                reach(here, key + unit, state, "graph", move)
                if i < n and _same(events[i], move):
                    reach(here + width, key, state, "both", move)
            if i < n:
                reach(state + width, key + unit + 1, state, "trace", None)
        raise ValueError("no terminal can be reached")


def _same(event: Event, move: _Move) -> bool:
    if event.is_user != move.is_user:
        return False
    return event.unit == move.unit or (event.is_user and event.unit is None)


def _steps(came: dict[int, tuple[int, Kind, _Move | None]], state: int, width: int) -> tuple[Step, ...]:
    steps: list[Step] = []
    while state in came:
        source, kind, move = came[state]
        event = source // width if kind in ("both", "trace") else None
        steps.append(
            Step(kind, event, move.unit if move else None, move.edge if move else None, move.node if move else None)
        )
        state = source
    return tuple(reversed(steps))

"""How fast a conversation is aligned with its procedure: a noisy trace of 40 turns on each shipped workflow, beside
networkx's Dijkstra on the same product of trace and graph, built for the occasion."""

from __future__ import annotations

from random import Random

from common import Finding, beside, main

from workbench.evaluation.alignment import Procedure
from workbench.evaluation.trace import Event
from workbench.workflow.load import load_workflow
from workbench.workflow.model import Workflow
from workbench.workflow.paths import PathSpace, path_nodes

TURNS = 40


def noisy_trace(workflow: Workflow, turns: int, rng: Random) -> tuple[Event, ...]:
    """The visible events of long paths in a row, cut to `turns`, with a fifth of them lost, doubled or unreadable."""
    space = PathSpace(workflow)
    events: list[Event] = []
    while len(events) < turns:
        path = max((space[rng.randrange(space.count())] for _ in range(8)), key=len)
        for node in (workflow.nodes[n] for n in path_nodes(workflow, path)):
            if node.role == "user" or node.say:
                unit = None if rng.random() < 0.1 and node.role != "user" else node.id
                events += [Event(len(events), node.role == "user", unit)] * rng.choice((1, 1, 1, 1, 1, 1, 1, 1, 0, 2))
    return tuple(events[:turns])


def by_networkx(procedure: Procedure, events: tuple[Event, ...]) -> int:
    """The cheapest cost by the same definition, as one would write it with a graph library."""
    import networkx as nx

    graph = nx.DiGraph()
    width = len(procedure.moves)

    def edge(a: tuple[int, int], b: tuple[int, int], cost: int) -> None:
        known = graph.get_edge_data(a, b)
        if known is None or known["weight"] > cost:
            graph.add_edge(a, b, weight=cost)

    for i in range(len(events) + 1):
        for position in range(width):
            here = (i, position)
            if i < len(events):
                edge(here, (i + 1, position), 1)
            if i == len(events) and position in procedure.final:
                graph.add_edge(here, "end", weight=0)
            for move in procedure.moves[position]:
                if move.unit is None:
                    edge(here, (i, move.target), 0)
                    continue
                edge(here, (i, move.target), 1)
                if i < len(events):
                    event = events[i]
                    fits = event.unit == move.unit or (event.is_user and event.unit is None)
                    if event.is_user == move.is_user and fits:
                        edge(here, (i + 1, move.target), 0)
    return int(nx.dijkstra_path_length(graph, (0, 0), "end"))


def measure(quick: bool) -> list[Finding]:
    findings = []
    for name in ("travel_booking", "zoom_support", "insurance_claims"):
        workflow = load_workflow(name)
        procedure, rng = Procedure(workflow), Random(1)
        events = noisy_trace(workflow, TURNS, rng)
        assert procedure.align(events).cost == by_networkx(procedure, events)
        mine, _, ratio = beside(
            lambda p=procedure, e=events: p.align(e),
            lambda p=procedure, e=events: by_networkx(p, e),
            5 if quick else 21,
        )
        findings.append(
            Finding(f"{name}: a trace of {TURNS} turns aligned", mine * 1000, "ms", "networkx dijkstra", ratio)
        )
    return findings


if __name__ == "__main__":
    main(measure, __doc__ or "")

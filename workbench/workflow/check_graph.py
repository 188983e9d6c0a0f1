"""Checks on the graph: what can be reached, what ends, and the four rules that make messages alternate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from workbench.text import clean_line
from workbench.workflow.check_problem import Finding, Places
from workbench.workflow.model import Workflow

Neighbours = Mapping[str, Iterable[str]]


def check_graph(workflow: Workflow, places: Places) -> Iterator[Finding]:
    """Findings on reachability, loops and the order of roles."""
    forward = {n: [e.target for e in workflow.out[n]] for n in workflow.nodes}
    backward: dict[str, list[str]] = {n: [] for n in workflow.nodes}
    for edge in workflow.edges:
        backward[edge.target].append(edge.source)
    yield from _reach(workflow, places, forward, backward)
    yield from _roles(workflow, places)


def reachable(roots: Iterable[str], neighbours: Neighbours) -> set[str]:
    """Every node to which a way leads from `roots`, they themselves included."""
    found = set(roots)
    queue = list(found)
    while queue:
        for other in neighbours[queue.pop()]:
            if other not in found:
                found.add(other)
                queue.append(other)
    return found


def _reach(workflow: Workflow, places: Places, forward: Neighbours, backward: Neighbours) -> Iterator[Finding]:
    if not workflow.terminals:
        yield Finding("WF060", ("nodes",), "there is no terminal", "add a node with 'role: terminal' and an outcome")
    found = reachable([workflow.start], forward)
    for node in workflow.nodes:
        if node not in found and places.sure_start and node not in places.doubtful:
            yield Finding(
                "WF013",
                places.node(node),
                f"'{node}' cannot be reached from the start '{workflow.start}'",
                "add an edge that leads to it, or delete it",
            )
    dead = [n.id for n in workflow.nodes.values() if n.role != "terminal" and not workflow.out[n.id]]
    for node in dead:
        if node not in places.doubtful:
            yield Finding(
                "WF014",
                places.node(node),
                f"dead end: no edge leads out of '{node}'",
                "add an edge, or make it a terminal",
            )
    if not workflow.terminals:
        return
    lost = set(workflow.nodes) - reachable({*workflow.terminals, *places.doubtful} & set(workflow.nodes), backward)
    to_dead_end = reachable(dead, backward)
    stranded = (lost & to_dead_end) - set(dead)
    for node in workflow.nodes:
        if node in stranded:
            yield Finding(
                "WF015",
                places.node(node),
                f"no way leads from '{node}' to a terminal",
                "mend the dead end it runs into, or add an edge",
            )
    looping = lost - to_dead_end
    order = {node: i for i, node in enumerate(workflow.nodes)}
    for first in workflow.nodes:
        if first not in looping:
            continue
        loop = reachable([first], forward) | (reachable([first], backward) & looping)
        names = clean_line(", ".join(sorted(loop, key=order.__getitem__)), 300)
        yield Finding(
            "WF016",
            places.node(first),
            f"loop without an exit: {names} never reach a terminal",
            "add an edge out of the loop",
        )
        looping -= loop


def _roles(workflow: Workflow, places: Places) -> Iterator[Finding]:
    nodes = workflow.nodes
    for node in nodes.values():
        out = workflow.out[node.id]
        if node.role == "terminal":
            if out:
                yield Finding(
                    "WF017",
                    places.edge(out[0].id),
                    f"an edge leads out of the terminal '{node.id}'",
                    "delete the edge, or give the node another role",
                )
            if not node.outcome:
                yield Finding(
                    "WF018",
                    places.node(node.id),
                    f"the terminal '{node.id}' has no outcome",
                    "add 'outcome: success' (abandoned, escalated, …)",
                )
        elif node.outcome:
            yield Finding(
                "WF017",
                places.node(node.id, "outcome"),
                f"'{node.id}' has an outcome but is no terminal",
                "delete the outcome, or make it a terminal",
            )
        if node.moves and node.role != "user":
            yield Finding(
                "WF017",
                places.node(node.id, "moves"),
                f"'{node.id}' has moves but is no user node",
                "delete the moves, or make it a user node",
            )
        if node.role == "user":
            if len(out) > 1:
                yield Finding(
                    "WF020",
                    places.edge(out[1].id),
                    f"{len(out)} edges lead out of the user node '{node.id}'",
                    "lead it to one agent node, and branch there",
                )
            if node.say:
                yield Finding(
                    "WF017",
                    places.node(node.id, "say"),
                    f"the user node '{node.id}' has 'say'",
                    "put a user's wordings under 'moves'",
                )
        for edge in out:
            if node.role == "user" and nodes[edge.target].role == "user":
                yield Finding(
                    "WF021",
                    places.edge(edge.id),
                    f"the user node '{node.id}' leads to the user node '{edge.target}'",
                    "put an agent node between them",
                )
        if (
            node.role == "agent"
            and len(out) == 1
            and nodes[out[0].target].role != "user"
            and node.id not in places.doubtful
        ):
            role = nodes[out[0].target].role
            yield Finding(
                "WF022",
                places.edge(out[0].id),
                f"'{node.id}' is no hub but leads to the {role} node '{out[0].target}'",
                "lead it to a user node, or merge the two",
            )

"""Did the conversation follow the procedure? Fitness of the walk, and whether each hub took the branch it had to.

Both come from one alignment (`alignment.py`) of the labelled trace with the graph. A perfect walk through wrong
branches has fitness 1, so neither figure is read without the other, and neither without the labeller's accuracy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from workbench.evaluation.alignment import Procedure, Step
from workbench.evaluation.trace import Event, Trace
from workbench.workflow.model import Value, Workflow
from workbench.workflow.situation import Situation, decide


@dataclass(frozen=True, slots=True)
class HubChoice:
    """A hub that the conversation came to. `taken` None: the agent said something that is no branch of it.

    `demanded` is the edge that the conditions demand after what the user has said, None if none applies there.
    `message` is the index of the message that made the choice.
    """

    hub: str
    taken: str | None
    demanded: str | None
    message: int | None

    @property
    def is_right(self) -> bool:
        """The branch taken is the one demanded."""
        return self.taken is not None and self.taken == self.demanded


@dataclass(frozen=True, slots=True)
class Adherence:
    """How a conversation went along the graph.

    fitness = 1 − cost ÷ (trace length + shortest model path), in 0…1. `skipped` are the places of the graph that were
    passed over in silence, `extra` the messages (indexes) that have no place in it; `nodes` and `edges` are the walk of
    the alignment, which always goes on to a terminal; `walked` are those of its edges that the conversation really took.
    """

    fitness: float
    cost: int
    trace_length: int
    shortest: int
    nodes: tuple[str, ...]
    edges: tuple[str, ...]
    walked: tuple[str, ...]
    skipped: tuple[str, ...]
    extra: tuple[int, ...]
    hubs: tuple[HubChoice, ...]
    situations: tuple[Situation, ...]
    """For every event of the trace, the situation in which it was spoken."""

    @property
    def hub_choice(self) -> float | None:
        """Share of the hubs passed where the right branch was taken; None if no hub was reached."""
        return sum(h.is_right for h in self.hubs) / len(self.hubs) if self.hubs else None


@dataclass(frozen=True, slots=True)
class Coverage:
    """What a set of walks has seen of the graph: shares in 0…1, and what is missing."""

    nodes: float
    edges: float
    hub_choices: float
    missing_nodes: tuple[str, ...]
    missing_edges: tuple[str, ...]


def adherence(procedure: Procedure, variables: Mapping[str, Value], trace: Trace) -> Adherence:
    """Align a trace and judge every hub. `variables` are the scenario's values at the start ({} if there is no
    scenario).

    ValueError if the graph has no way to a terminal.
    """
    found = procedure.align(trace.events)
    steps, hubs, situations = _judge(procedure.workflow, variables, trace.events, list(found.steps))
    return Adherence(
        fitness=1.0 - found.cost / (len(trace.events) + procedure.shortest),
        cost=found.cost,
        trace_length=len(trace.events),
        shortest=procedure.shortest,
        nodes=tuple(s.node for s in steps if s.node is not None),
        edges=tuple(s.edge for s in steps if s.edge is not None),
        walked=_walked(steps),
        skipped=tuple(s.unit for s in steps if s.kind == "graph" and s.unit is not None),
        extra=tuple(trace.events[s.event].message for s in steps if s.kind == "trace" and s.event is not None),
        hubs=tuple(hubs),
        situations=tuple(situations),
    )


def _walked(steps: Sequence[Step]) -> tuple[str, ...]:
    """The edges that the conversation took: those that were spoken, and silent ones between two places that were.

    An edge into or out of a place that was passed over is none: the alignment only needed it to reach a terminal.
    """
    speaking = [k for k, s in enumerate(steps) if s.unit is not None]
    taken: list[str] = []
    for k, step in enumerate(steps):
        if step.edge is None:
            continue
        before = next((steps[i].kind for i in reversed(speaking) if i <= k), "both")  # neither the start nor the end
        after = next((steps[i].kind for i in speaking if i >= k), "both")  # needs a word
        if step.kind == "both" or before == after == "both":
            taken.append(step.edge)
    return tuple(taken)


def _judge(
    workflow: Workflow, variables: Mapping[str, Value], events: Sequence[Event], steps: list[Step]
) -> tuple[list[Step], list[HubChoice], list[Situation]]:
    """Go along the alignment with the situation the user has really made, and ask at every hub what it demanded.

    Where several silent ways lead to what was said, the text cannot tell them apart: if the demanded way is among them,
    it is taken to have been walked. Returns the steps with that settled.
    """
    situation = Situation(variables)
    node = ""
    choices: list[HubChoice] = []
    situations: list[Situation] = []
    index = settled = 0
    while index < len(steps):
        if node in workflow.hubs and steps[index].edge is not None and index >= settled:
            settled = _settle(workflow, situation, node, steps, index)
        step = steps[index]
        if step.event is not None and events[step.event].is_user:
            situation = _heard(workflow, situation, events[step.event], step.node or node)
        if step.edge is not None and node in workflow.hubs:
            was_made, message = _evidence(events, steps, index)
            if was_made is not None:
                demanded = decide(workflow, node, situation)
                taken = step.edge if was_made else None
                choices.append(HubChoice(node, taken, demanded.id if demanded else None, message))
        if step.node is not None:
            node = step.node
            situation = situation.entered(node)
        if step.event is not None:
            situations.append(situation)
        index += 1
    return steps, choices, situations


def _settle(workflow: Workflow, situation: Situation, hub: str, steps: list[Step], index: int) -> int:
    """Replace the silent way from `hub` (step `index`) to the next spoken place by the demanded one if it leads there
    too.

    Returns the index of that spoken place: up to it the way is settled.
    """
    spoken = next((k for k in range(index, len(steps)) if steps[k].unit is not None), None)
    if spoken is None:
        return len(steps)
    way, unit = _demanded_way(workflow, situation, hub)
    if unit != steps[spoken].unit:
        return spoken
    aside = [s for s in steps[index:spoken] if s.kind == "trace"]
    steps[index:spoken] = [*aside, *way]
    return index + len(aside) + len(way)


def _demanded_way(workflow: Workflow, situation: Situation, node: str) -> tuple[list[Step], str | None]:
    """The silent steps that the conditions demand from `node` on, and the first place that speaks after them."""
    way: list[Step] = []
    for _ in range(2 * len(workflow.nodes)):
        edge = decide(workflow, node, situation)
        if edge is None:
            break
        if edge.say:
            return way, edge.id
        way.append(Step("silent", edge=edge.id))
        target = workflow.nodes[edge.target]
        if target.say or target.role == "user":
            return way, target.id
        way.append(Step("silent", node=target.id))
        node, situation = target.id, situation.entered(target.id)
        if target.role == "terminal":
            break
    return way, None


def _evidence(events: Sequence[Event], steps: Sequence[Step], index: int) -> tuple[bool | None, int | None]:
    """Whether the branch taken at step `index` was spoken: the next place that speaks in the graph is in the trace too.

    (False, message): something else was said there, or the place was passed over. (None, None): the talk had ended.
    """
    following = next((s for s in steps[index:] if s.unit is not None), None)
    if following is not None and following.kind == "both" and following.event is not None:
        return True, events[following.event].message
    before = next((k for k in range(index - 1, -1, -1) if steps[k].kind == "both"), -1)
    for step in steps[before + 1 :]:
        if step.event is not None and not events[step.event].is_user:
            return False, events[step.event].message
    return None, None


def _heard(workflow: Workflow, situation: Situation, event: Event, node: str) -> Situation:
    """The situation after a user's message: its move (none, if it is not known) and what move and deviation set."""
    where = workflow.nodes.get(event.unit or node)
    move = next((m for m in where.moves if m.id == event.move), None) if where else None
    added = next((d for d in workflow.deviations if d.id == event.deviation), None)
    sets = [assignment for assignment in (move.sets if move else {}, added.sets if added else {}) if assignment]
    known = [s for s in sets if all(source in situation.variables for source in s.values())]
    return situation.after_move(event.move or "", *known)


def must_precede(workflow: Workflow) -> tuple[tuple[str, str], ...]:
    """(a, b): every way to b leads through a. The graph's own order rules, between nodes that speak.

    Computed from the dominator tree; "b never before a" is the same rule read the other way round.
    """
    import networkx as nx

    graph = nx.DiGraph((e.source, e.target) for e in workflow.edges)
    above = nx.immediate_dominators(graph, workflow.start)
    speaking = {n.id for n in workflow.nodes.values() if n.role != "user" and n.say}
    rules = []
    for node in sorted(speaking & set(graph)):
        dominator = above.get(node, workflow.start)
        while dominator not in (None, workflow.start, node):
            if dominator in speaking:
                rules.append((dominator, node))
            dominator = above[dominator]
    return tuple(sorted(rules))


def broken_rules(rules: Iterable[tuple[str, str]], events: Sequence[Event]) -> tuple[tuple[str, str], ...]:
    """The rules (a, b) of which b was said without a before it."""
    said = [e.unit for e in events if not e.is_user]
    return tuple((a, b) for a, b in rules if b in said and a not in said[: said.index(b)])


def coverage(workflow: Workflow, walks: Iterable[Sequence[str]]) -> Coverage:
    """What the walks (edge ids) have seen of nodes, edges and hub choices; a workflow without hubs counts as
    covered."""
    taken = {edge for walk in walks for edge in walk}
    edges = [workflow.edge[e] for e in taken]
    nodes = {e.source for e in edges} | {e.target for e in edges}
    choices = [e.id for hub in workflow.hubs for e in workflow.out[hub]]
    return Coverage(
        nodes=len(nodes) / len(workflow.nodes),
        edges=len(taken) / len(workflow.edges),
        hub_choices=sum(c in taken for c in choices) / len(choices) if choices else 1.0,
        missing_nodes=tuple(n for n in workflow.nodes if n not in nodes),
        missing_edges=tuple(e.id for e in workflow.edges if e.id not in taken),
    )

"""Scenarios: a path turned into variables and a plan, and a plan walked back into its path."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

from workbench.dialogue.model import PlannedMove, Scenario
from workbench.dialogue.speech import find_deviation
from workbench.dialogue.variables import Wanted, draw
from workbench.errors import UserError
from workbench.workflow.hashing import digest, workflow_hash
from workbench.workflow.model import Deviation, Edge, Split, Value, Workflow
from workbench.workflow.situation import Situation, decide

TRIES = 400
DEVIATION_SHARE = 1 / 3
"""Share of scenarios that get an added deviation where one fits; moves such as a vague request come on top."""


def scenario_for_path(
    workflow: Workflow, path: Sequence[str], split: Split, seed: int, deviation_share: float = DEVIATION_SHARE
) -> Scenario:
    """A scenario whose expected path is `path` (edge ids). Raises UserError if none is found.

    Values and wording come from `split`'s own share; the same arguments give the same scenario.
    """
    rng = Random(f"{seed}|{split}|{'|'.join(path)}")
    edges = [workflow.edge[e] for e in path]
    wanted = _wanted(edges)
    for _ in range(TRIES):
        variables = draw(workflow, split, rng, wanted)
        if variables is None:
            continue
        plan = _plan(workflow, edges, Situation(variables), rng)
        if plan is None:
            continue
        if rng.random() < deviation_share:
            plan = _deviate(workflow, edges, variables, plan, rng)
        persona = rng.choice([p.id for p in workflow.personas])
        return make_scenario(workflow, split, seed, variables, persona, plan)
    raise UserError(f"{workflow.name}: no scenario takes the path {' '.join(path)}; its hub conditions cannot all hold")


def make_scenario(
    workflow: Workflow,
    split: Split,
    seed: int,
    variables: dict[str, Value],
    persona: str,
    plan: tuple[PlannedMove, ...],
) -> Scenario:
    """A scenario with its id and the kinds of deviation it holds."""
    kinds = set()
    for planned in plan:
        added = find_deviation(workflow, planned.deviation)
        kinds |= {added.kind if added else None, workflow.nodes[planned.node].move(planned.move).deviation}
    moves = [[p.node, p.visit, p.move, p.deviation] for p in plan]
    workflow_id = workflow_hash(workflow)
    return Scenario(
        id=digest([workflow_id, split, seed, variables, persona, moves]),
        workflow_id=workflow_id,
        split=split,
        seed=seed,
        variables=variables,
        persona=persona,
        plan=plan,
        deviations=tuple(sorted(kind for kind in kinds if kind)),
    )


def expected_path(workflow: Workflow, scenario: Scenario) -> tuple[str, ...]:
    """The edge ids an agent that follows the procedure takes. Raises UserError if the plan leads nowhere."""
    path = tuple(e.id for e in _walk(workflow, Situation(scenario.variables), scenario.plan))
    if not path or workflow.nodes[workflow.edge[path[-1]].target].role != "terminal":
        raise UserError(f"{workflow.name}: the plan of scenario {scenario.id} does not reach a terminal")
    return path


def expected_terminal(workflow: Workflow, scenario: Scenario) -> str:
    """Id of the terminal at the end of the expected path."""
    return workflow.edge[expected_path(workflow, scenario)[-1]].target


def _walk(workflow: Workflow, situation: Situation, plan: Sequence[PlannedMove]) -> Iterator[Edge]:
    """Follow the procedure with the user's plan until a terminal, an undecided hub or an unplanned user node."""
    planned = {(p.node, p.visit): p for p in plan}
    node = workflow.nodes[workflow.start]
    while node.role != "terminal":
        situation = situation.entered(node.id)
        if node.role == "user":
            step = planned.get((node.id, situation.visits[node.id]))
            if step is None:
                return
            added = find_deviation(workflow, step.deviation)
            situation = situation.after_move(step.move, node.move(step.move).sets, added.sets if added else {})
        edge = decide(workflow, node.id, situation)
        if edge is None:
            return
        yield edge
        node = workflow.nodes[edge.target]


def _wanted(edges: Sequence[Edge]) -> Wanted:
    """Values demanded by the conditions on the path, intersected (a hint for drawing; the walk decides)."""
    wanted: dict[str, frozenset[Value]] = {}
    for edge in edges:
        for name, values in (edge.when.variables if edge.when else {}).items():
            wanted[name] = wanted.get(name, frozenset(values)) & frozenset(values)
    return wanted


def _plan(
    workflow: Workflow, edges: Sequence[Edge], situation: Situation, rng: Random
) -> tuple[PlannedMove, ...] | None:
    """Moves under which every hub on the path takes the path's edge; None if these variables admit none."""
    plan: list[PlannedMove] = []
    i = 0
    while i < len(edges):
        node = workflow.nodes[edges[i].source]
        situation = situation.entered(node.id)
        if node.role == "user":
            stretch = _agent_stretch(workflow, edges, i + 1)
            moves = [m for m in node.moves if _leads(workflow, situation.after_move(m.id, m.sets), edges, stretch)]
            if not moves:
                return None
            move = rng.choice(moves)
            plan.append(PlannedMove(node.id, situation.visits[node.id], move.id))
            situation = situation.after_move(move.id, move.sets)
        elif decide(workflow, node.id, situation) != edges[i]:
            return None
        i += 1
    return tuple(plan)


def _agent_stretch(workflow: Workflow, edges: Sequence[Edge], start: int) -> range:
    """Indexes of the edges out of agent nodes from `start` to the next user node or the end."""
    end = start
    while end < len(edges) and workflow.nodes[edges[end].source].role == "agent":
        end += 1
    return range(start, end)


def _leads(workflow: Workflow, situation: Situation, edges: Sequence[Edge], stretch: range) -> bool:
    """Whether every hub of the stretch decides for the path's edge in this situation."""
    for i in stretch:
        situation = situation.entered(edges[i].source)
        if decide(workflow, edges[i].source, situation) != edges[i]:
            return False
    return True


def _deviate(
    workflow: Workflow,
    edges: Sequence[Edge],
    variables: dict[str, Value],
    plan: tuple[PlannedMove, ...],
    rng: Random,
) -> tuple[PlannedMove, ...]:
    """The plan with one added deviation, drawn first by kind so that rare kinds are not crowded out, if one fits."""
    fitting: dict[str, list[tuple[int, Deviation]]] = {}
    for i, planned in enumerate(plan):
        for deviation in workflow.deviations:
            if planned.node in deviation.at and planned.move in (deviation.at[planned.node] or (planned.move,)):
                fitting.setdefault(deviation.kind, []).append((i, deviation))
    for kind in rng.sample(sorted(fitting), len(fitting)):
        i, deviation = rng.choice(fitting[kind])
        step = PlannedMove(plan[i].node, plan[i].visit, plan[i].move, deviation.id)
        changed = (*plan[:i], step, *plan[i + 1 :])
        if list(_walk(workflow, Situation(variables), changed)) == list(edges):
            return changed
    return plan

"""Deciding exactly: which condition holds at a hub, which phrasing fits, what a text says with its values filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from workbench.workflow.model import Condition, Edge, Move, Phrasing, Pool, Value, Workflow

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a condition may read: current variable values, the user's last move, visits of every node so far."""

    variables: Mapping[str, Value]
    move: str | None = None
    visits: Mapping[str, int] = field(default_factory=dict)

    def entered(self, node: str) -> Situation:
        """The situation after one more visit of `node`."""
        return replace(self, visits={**self.visits, node: self.visits.get(node, 0) + 1})

    def after_move(self, move: str, *sets: Mapping[str, str]) -> Situation:
        """The situation after the user's move; each of `sets` maps a variable to the one whose value it takes."""
        variables = dict(self.variables)
        for assignment in sets:
            variables.update({name: variables[other] for name, other in assignment.items()})
        return replace(self, variables=variables, move=move)


def holds(condition: Condition | None, situation: Situation, node: str) -> bool:
    """Whether a condition holds at `node` (`otherwise` alone counts as true: see `decide` for its order)."""
    if condition is None:
        return True
    if condition.moves and situation.move not in condition.moves:
        return False
    if condition.visits and situation.visits.get(node, 0) not in condition.visits:
        return False
    values = situation.variables
    if any(values.get(name) not in wanted for name, wanted in condition.variables.items()):
        return False
    return all(_within(values.get(name), low, high) for name, (low, high) in condition.bounds.items())


def _within(value: Value | None, low: int | None, high: int | None) -> bool:
    return isinstance(value, int) and (low is None or value >= low) and (high is None or value <= high)


def decide(workflow: Workflow, node: str, situation: Situation) -> Edge | None:
    """The edge the procedure demands out of `node`: the first whose condition holds, else the `otherwise` edge.

    None if no edge applies (the situation is outside the procedure, or the node is a terminal).
    """
    edges = workflow.out[node]
    if len(edges) == 1:
        return edges[0]
    fallback: Edge | None = None
    for edge in edges:
        if edge.when is not None and edge.when.otherwise:
            fallback = fallback or edge
        elif edge.when is not None and holds(edge.when, situation, node):
            return edge
    return fallback


def choose(phrasings: Sequence[Phrasing], situation: Situation, node: str) -> Pool | None:
    """The pool of the first phrasing whose `when` holds; None if there is none (a silent place)."""
    return next((p.pool for p in phrasings if holds(p.when, situation, node)), None)


def placeholders(text: str) -> tuple[str, ...]:
    """Names of the variables a phrasing states, in order, without repetition."""
    return tuple(dict.fromkeys(_PLACEHOLDER.findall(text)))


def fill(text: str, variables: Mapping[str, Value]) -> str:
    """The phrasing with its values. Raises KeyError if a variable has no value."""
    return _PLACEHOLDER.sub(lambda match: str(variables[match.group(1)]), text)


def find_move(workflow: Workflow, node: str, move: str) -> Move:
    """The move `move` of the user node `node`; KeyError if unknown."""
    return workflow.nodes[node].move(move)

"""What is known at each point of a conversation: the user's last move, and which variables have been said.

Both are read off the graph by running facts along its edges until nothing changes (a data-flow analysis), once for
each last move, so that "the user gave the dates" is not lost at a hub where several moves meet.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from workbench.workflow.model import Condition, Edge, Phrasing, Workflow
from workbench.workflow.situation import placeholders

EVIDENT = "?"
"""Prefix of a variable that is not said but shows in the user's wording (its phrasings depend on it)."""


@dataclass(frozen=True, slots=True)
class Known:
    """Variables said before a point: on every way to it (`always`), on some way to it (`ever`)."""

    always: frozenset[str]
    ever: frozenset[str]

    def evident(self, variable: str) -> bool:
        """Whether every way has shown the variable's value, in words or by the choice of words."""
        return variable in self.always or EVIDENT + variable in self.always


Facts = dict[str, dict[str | None, Known]]
"""Node → the user's last move (None before the first) → what is known on arrival."""


def admits(condition: Condition | None, move: str | None) -> bool:
    """Whether the condition can hold after this move, variables and visits aside."""
    return condition is None or not condition.moves or move in condition.moves


def ways(workflow: Workflow, node: str, move: str | None) -> list[Edge]:
    """The edges that can be taken out of a node after this move; the first certain one shuts out the rest."""
    found: list[Edge] = []
    rest: list[Edge] = []
    for edge in workflow.out[node]:
        when = edge.when
        if when is not None and when.otherwise:
            rest.append(edge)
        elif admits(when, move):
            found.append(edge)
            if when is not None and not (when.visits or when.variables or when.bounds):
                return found
    return found + rest


def flow(workflow: Workflow) -> Facts:
    """What is known on arrival at every node that can be reached."""
    start = frozenset(placeholders(workflow.context))
    facts: Facts = {node: {} for node in workflow.nodes}
    facts[workflow.start][None] = Known(start, start)
    queue: list[tuple[str, str | None]] = [(workflow.start, None)]
    while queue:
        node, move = queue.pop()
        for target, last, known in _next(workflow, node, move, facts[node][move]):
            before = facts[target].get(last)
            merged = known if before is None else Known(before.always & known.always, before.ever | known.ever)
            if merged != before:
                facts[target][last] = merged
                queue.append((target, last))
    return facts


def _next(workflow: Workflow, node: str, move: str | None, known: Known) -> Iterable[tuple[str, str | None, Known]]:
    if workflow.nodes[node].role != "user" or not workflow.nodes[node].moves:
        return [(edge.target, move, known) for edge in ways(workflow, node, move)]
    found = []
    for spoken in workflow.nodes[node].moves:
        after = after_move(workflow, node, spoken.id, known)
        found += [(edge.target, spoken.id, after) for edge in workflow.out[node]]
    return found


def after_move(workflow: Workflow, node: str, move: str, known: Known) -> Known:
    """What is known after the user's message. A move without wordings (an LLM speaks) is taken to say everything."""
    spoken = workflow.nodes[node].move(move)
    everything = frozenset(workflow.variables)
    says = said(spoken.say) if spoken.say else Known(everything, everything)
    always, ever = set(known.always | says.always), set(known.ever | says.ever)
    for deviation in workflow.deviations:
        if node in deviation.at and (not deviation.at[node] or move in deviation.at[node]):
            ever |= said((Phrasing(deviation.say),)).ever
    for name, value in spoken.sets.items():
        for facts in (always, ever):
            (facts.add if value in facts else facts.discard)(name)
    return Known(frozenset(always), frozenset(ever))


def said(phrasings: Iterable[Phrasing]) -> Known:
    """Variables that every wording, and that some wording, of these pools states or makes evident."""
    texts = [frozenset(placeholders(text)) for p in phrasings for text in (*p.pool.training, *p.pool.evaluation)]
    shown = {EVIDENT + name for p in phrasings if p.when for name in (*p.when.variables, *p.when.bounds)}
    always = frozenset.intersection(*texts) if texts else frozenset()
    return Known(always | shown, frozenset(shown).union(*texts))

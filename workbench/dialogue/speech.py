"""What is said at each step: the one place where nodes, moves and pools of phrasings become messages.

An agent's message carries every agent node from the one it enters to the next user node or terminal, silent hubs
included; a message's `edges` are the edges that lead into its nodes, so the messages' edges in order are the path.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from workbench.dialogue.model import Message, PlannedMove
from workbench.errors import UserError
from workbench.workflow.model import Deviation, Edge, Pool, Split, Value, Workflow
from workbench.workflow.situation import Situation, choose, decide, fill, placeholders


@dataclass(frozen=True, slots=True)
class Spoken:
    """A message, the edge that leads on from it (None after a terminal) and the situation it leaves behind."""

    message: Message
    edge: Edge | None
    situation: Situation


def agent_message(
    workflow: Workflow, edge: Edge | None, situation: Situation, wording: Split, rng: Random, reply: Pool | None = None
) -> Spoken:
    """Speak from the node `edge` leads to (the start node if None) until the user is to speak or the end is reached.

    Every hub on the way is decided exactly from `situation`. `reply` is put first (the answer to an aside).
    Raises UserError if no condition holds at a hub.
    """
    node = workflow.nodes[edge.target if edge else workflow.start]
    nodes: list[str] = []
    edges: list[str] = []
    parts: list[str] = []
    facts: dict[str, Value] = {}

    def say(pool: Pool | None) -> None:
        if pool and (phrasings := pool.of(wording)):
            template = rng.choice(phrasings)
            parts.append(fill(template, situation.variables))
            facts.update({name: situation.variables[name] for name in placeholders(template)})

    say(reply)
    while node.role != "user":
        situation = situation.entered(node.id)
        nodes.append(node.id)
        if edge:
            edges.append(edge.id)
        say(choose(node.say, situation, node.id))
        if node.role == "terminal":
            edge = None
            break
        edge = decide(workflow, node.id, situation)
        if edge is None:
            raise UserError(f"{workflow.name}: no condition holds at '{node.id}' after the move '{situation.move}'")
        say(choose(edge.say, situation, node.id))
        node = workflow.nodes[edge.target]
    return Spoken(Message("agent", " ".join(parts), tuple(nodes), tuple(edges), facts=facts), edge, situation)


def user_message(
    workflow: Workflow,
    edge: Edge,
    situation: Situation,
    planned: PlannedMove,
    persona: str,
    wording: Split,
    rng: Random,
) -> Spoken:
    """The user's message at the user node `edge` leads to: the planned move, its deviation, the persona's manner."""
    node = workflow.nodes[edge.target]
    situation = situation.entered(node.id)
    move = node.move(planned.move)
    deviation = find_deviation(workflow, planned.deviation)
    text, facts = realise(workflow, planned, situation, persona, wording, rng)
    message = Message("user", text, (node.id,), (edge.id,), move.id, planned.deviation or move.deviation, facts)
    after = situation.after_move(move.id, move.sets, deviation.sets if deviation else {})
    return Spoken(message, workflow.out[node.id][0], after)


def realise(
    workflow: Workflow, planned: PlannedMove, situation: Situation, persona: str, wording: Split, rng: Random
) -> tuple[str, dict[str, Value]]:
    """Words for a planned move and the facts they state."""
    move = workflow.nodes[planned.node].move(planned.move)
    pool = choose(move.say, situation, planned.node)
    if pool is None or not pool.of(wording):
        raise UserError(f"{workflow.name}: the move '{move.id}' of '{planned.node}' has no phrasing that applies")
    templates = [rng.choice(pool.of(wording))]
    manner = next((p.before.of(wording) for p in workflow.personas if p.id == persona), ())
    if manner and rng.random() < 0.5:
        templates.insert(0, rng.choice(manner))
    if deviation := find_deviation(workflow, planned.deviation):
        templates.append(rng.choice(deviation.say.of(wording)))
    names = [name for template in templates for name in placeholders(template)]
    return " ".join(fill(t, situation.variables) for t in templates), {n: situation.variables[n] for n in names}


def find_deviation(workflow: Workflow, name: str | None) -> Deviation | None:
    """The deviation with this id, None for None. Raises UserError for an unknown id."""
    if name is None:
        return None
    for deviation in workflow.deviations:
        if deviation.id == name:
            return deviation
    raise UserError(f"{workflow.name}: no deviation '{name}'")


def path_of(messages: Sequence[Message]) -> tuple[str, ...]:
    """The edge ids that a dialogue's messages took, in order."""
    return tuple(edge for message in messages for edge in message.edges)

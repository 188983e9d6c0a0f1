"""The `scripted` writer: realises a scenario's path from the workflow file's phrasings, with no model at all."""

from __future__ import annotations

from random import Random

from workbench.dialogue.model import Dialogue, Message, Scenario
from workbench.dialogue.speech import agent_message, find_deviation, path_of, user_message
from workbench.errors import UserError
from workbench.workflow.hashing import digest, path_hash
from workbench.workflow.model import Split, Workflow
from workbench.workflow.situation import Situation

WRITER = "scripted"


def write(workflow: Workflow, scenario: Scenario, repetition: int = 0, agent_wording: Split = "train") -> Dialogue:
    """The dialogue of a scenario: the user speaks in the wording of its split, the agent in `agent_wording`.

    The agent's side of train and dev alike is the training pool: it is the manner of speaking that is to be learnt,
    so a held-out loss on it compares like with like. Raises UserError if the plan does not reach a terminal.
    """
    rng = Random(f"{scenario.id}|{repetition}")
    planned = {(p.node, p.visit): p for p in scenario.plan}
    spoken = agent_message(workflow, None, Situation(scenario.variables), agent_wording, rng)
    messages: list[Message] = [spoken.message]
    while spoken.edge is not None:
        node = spoken.edge.target
        step = planned.get((node, spoken.situation.visits.get(node, 0) + 1))
        if step is None:
            raise UserError(f"{workflow.name}: scenario {scenario.id} has no move for '{node}'")
        spoken = user_message(workflow, spoken.edge, spoken.situation, step, scenario.persona, scenario.split, rng)
        messages.append(spoken.message)
        added = find_deviation(workflow, step.deviation)
        reply = added.reply if added else None
        spoken = agent_message(workflow, spoken.edge, spoken.situation, agent_wording, rng, reply)
        messages.append(spoken.message)
    path = path_of(messages)
    return Dialogue(
        id=digest([path_hash(workflow, path), scenario.id, WRITER, agent_wording, scenario.seed, repetition]),
        workflow_id=scenario.workflow_id,
        scenario=scenario,
        path=path,
        terminal=messages[-1].nodes[-1],
        writer=WRITER,
        repetition=repetition,
        messages=tuple(messages),
    )

"""The path pass-rate while a model learns: a few dev scenarios talked through with it, batched turn by turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.agents.compiled import system_text
from workbench.agents.conversation import Limits, limits_for
from workbench.agents.users import AgendaUser
from workbench.dialogue.datasets import find_dataset
from workbench.dialogue.model import Message, Scenario
from workbench.dialogue.scripted import write
from workbench.errors import UserError
from workbench.evaluation.assess import Assessor
from workbench.home import Home
from workbench.store import connect
from workbench.store.datasets import dataset_dialogues
from workbench.store.rows import MessageRow
from workbench.store.workflows import get_workflow
from workbench.training.answering import Answer, Probe, ProbeReport
from workbench.workflow.hashing import workflow_hash
from workbench.workflow.load import load_workflow
from workbench.workflow.model import Workflow

Generate = Callable[[Sequence[list[dict[str, str]]]], list[str]]
"""Chats that end before an assistant's turn → its next messages."""
SHOWN = 2
"""So many fixed dev scenarios are answered turn by turn, to be read before and after."""


@dataclass(slots=True)
class _Talk:
    """One conversation in the making."""

    scenario: Scenario
    user: AgendaUser
    messages: list[MessageRow] = field(default_factory=list)
    ended_by: str = ""


def path_probe(home: Home, dataset: str, n: int = 8) -> Probe:
    """The trainer's probe (`"probe": "workbench.evaluation.probe:path_probe"`): pass-rate over `n` of the data set's
    dev scenarios.

    A conversation passes if it ends at the right terminal and every hub took the branch demanded. Raises UserError if
    the workflow is no longer the one of the data set.
    """
    workflow, scenarios = _dev_scenarios(home, dataset)
    assessor = Assessor(workflow)
    chosen = scenarios[:n]

    def probe(answer: Answer) -> ProbeReport:
        rate = path_pass_rate(assessor, chosen, answer) if chosen else None
        return ProbeReport(rate, len(chosen), samples(workflow, scenarios[:SHOWN], answer))

    return probe


def _dev_scenarios(home: Home, dataset: str) -> tuple[Workflow, list[Scenario]]:
    with connect(home, readonly=True) as rec:
        row = find_dataset(rec, dataset)
        stored = get_workflow(rec, row.workflow_id)
        source = stored.source if stored and stored.source else str(row.manifest["workflow"])
        workflow = load_workflow(source)
        if workflow_hash(workflow) != row.workflow_id:
            raise UserError(f"{source} has changed since data set {row.name} was built; build the data set again")
        return workflow, [dialogue.scenario for dialogue, _ in dataset_dialogues(rec, row.id, "dev")]


def path_pass_rate(assessor: Assessor, scenarios: Sequence[Scenario], generate: Generate) -> float:
    """Share of the scenarios whose conversation goes right; all of them are talked through side by side.

    A conversation ends, as not passed, with the first message that the labeller cannot place.
    """
    limits = limits_for(assessor.workflow)
    users = {s.id: AgendaUser(assessor.workflow, s, assessor.labeller) for s in scenarios}
    talks = [_Talk(s, users[s.id]) for s in scenarios]
    while open_talks := [t for t in talks if not t.ended_by]:
        chats = [_chat(assessor.workflow, t.messages) for t in open_talks]
        for talk, text in zip(open_talks, generate(chats), strict=True):
            if assessor.labeller.label(text) is None:
                talk.ended_by = "unknown"  # it cannot pass any more; a model not yet trained would ramble to the limit
            else:
                _turn(talk, text, limits)
    return sum(t.ended_by != "unknown" and _passes(assessor, t) for t in talks) / len(talks) if talks else 0.0


def samples(workflow: Workflow, scenarios: Sequence[Scenario], generate: Generate) -> tuple[dict[str, Any], ...]:
    """Every agent turn of the scenarios' dialogues, answered after the true history: the same each time, to compare."""
    dialogues = [write(workflow, s) for s in scenarios]
    turns = [(d, i) for d, talk in enumerate(dialogues) for i, m in enumerate(talk.messages) if m.role == "agent"]
    chats = [_chat(workflow, dialogues[d].messages[:i]) for d, i in turns]
    said = dict(zip(turns, generate(chats), strict=True))
    shown = []
    for d, dialogue in enumerate(dialogues):
        chat = _chat(workflow, dialogue.messages)[1:]
        lines = [m | ({"answer": said[d, i]} if (d, i) in said else {}) for i, m in enumerate(chat)]
        shown.append({"title": f"dev scenario {d + 1}, to {dialogue.terminal}", "messages": lines})
    return tuple(shown)


def _turn(talk: _Talk, text: str, limits: Limits) -> None:
    """The agent says `text`, the user answers; sets `ended_by` when the talk is over."""
    talk.messages.append(MessageRow("agent", text))
    if len(talk.messages) >= limits.messages:
        talk.ended_by = "messages"
        return
    history = [Message(m.role, m.text) for m in talk.messages]
    said = asyncio.run(talk.user.answer(history))
    if said.text:
        seen = {"question": said.node, "simulated": True}
        talk.messages.append(MessageRow("user", said.text, move=said.move, deviation=said.deviation, label=seen))
    if said.ended:
        talk.ended_by = "gave_up" if said.ended == "gave_up" else "user"
    elif len(talk.messages) >= limits.messages:
        talk.ended_by = "messages"


def _passes(assessor: Assessor, talk: _Talk) -> bool:
    found = assessor.assess(talk.scenario, talk.messages, talk.ended_by)
    return found.is_right_terminal and all(h.is_right for h in found.adherence.hubs)


def _chat(workflow: Workflow, messages: Sequence[Message | MessageRow]) -> list[dict[str, str]]:
    roles = {"agent": "assistant", "user": "user"}
    system = {"role": "system", "content": system_text(workflow)}
    return [system, *({"role": roles[m.role], "content": m.text} for m in messages)]

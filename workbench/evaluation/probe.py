"""The path pass-rate while a model learns: a few dev scenarios talked through with it, batched turn by turn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.agents.compiled import system_text
from workbench.agents.conversation import Limits, limits_for
from workbench.agents.users import AgendaUser
from workbench.dialogue.generation import Order, planned_scenarios
from workbench.dialogue.model import Message, Scenario
from workbench.dialogue.scripted import write
from workbench.evaluation.assess import Assessor
from workbench.store.rows import MessageRow
from workbench.training.answering import Answer, Probe, ProbeReport
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


def path_probe(workflow_name: str, n: int = 12, seed: int = 7) -> Probe:
    """A probe for the trainer (`"probe": "workbench.evaluation.probe:path_probe"`): pass-rate over `n` dev scenarios.

    A conversation passes if it ends at the right terminal and every hub took the branch demanded.
    """
    workflow = load_workflow(workflow_name)
    assessor = Assessor(workflow)
    scenarios = list(planned_scenarios(workflow, Order(workflow.name, dev=max(n, SHOWN), seed=seed), "dev"))

    def probe(answer: Answer) -> ProbeReport:
        rate = path_pass_rate(assessor, scenarios[:n], answer)
        return ProbeReport(rate, len(scenarios[:n]), samples(workflow, scenarios[:SHOWN], answer))

    return probe


def path_pass_rate(assessor: Assessor, scenarios: Sequence[Scenario], generate: Generate) -> float:
    """Share of the scenarios whose conversation goes right; all of them are talked through side by side."""
    limits = limits_for(assessor.workflow)
    users = {s.id: AgendaUser(assessor.workflow, s, assessor.labeller) for s in scenarios}
    talks = [_Talk(s, users[s.id]) for s in scenarios]
    while open_talks := [t for t in talks if not t.ended_by]:
        chats = [_chat(assessor.workflow, t.messages) for t in open_talks]
        for talk, text in zip(open_talks, generate(chats), strict=True):
            _turn(talk, text, limits)
    return sum(_passes(assessor, t) for t in talks) / len(talks) if talks else 0.0


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

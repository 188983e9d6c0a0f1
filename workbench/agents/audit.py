"""What a simulated user got wrong by itself: an agent must not pay for its user's errors unnoticed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from workbench.agents.conversation import Conversation, Spoken
from workbench.dialogue.labeller import Labeller
from workbench.dialogue.model import Scenario
from workbench.dialogue.slots import Slots
from workbench.workflow.model import Workflow

_META = re.compile(r"###|\bas an ai\b|\blanguage model\b|^\s*(assistant|agent|customer|user)\s*:", re.I | re.M)
"""Words by which a model steps out of its part."""
_SURE = 0.9
"""A user's words that read so surely as one of the agent's messages are taken for the agent's part …"""
_RATHER_A_USER = 0.5
"""… unless they are likelier a user's."""


@dataclass(frozen=True, slots=True)
class Audit:
    """Counts over one conversation.

    Errors of the user's own: `misheard` (answered another question than the graph asked, where the true node is known),
    `off_plan` (another move than planned for that asking), `invented` (told a date, an amount, a listed name or a closed
    choice that is neither its scenario's nor the agent's), `left_early` (took for a closing what was none, or gave up on
    a message that makes sense), `left_role` (spoke as the agent or about its instructions). `improvised` answers lie
    beyond the plan, and `not_understood` messages may be either side's fault: both are reported, neither is an error.
    """

    answers: int
    misheard: int
    off_plan: int
    invented: int
    left_early: int
    left_role: int
    improvised: int
    not_understood: int

    @property
    def errors(self) -> int:
        """The user's own errors."""
        return self.misheard + self.off_plan + self.invented + self.left_early + self.left_role


class Auditor:
    """Audits the simulated users of one workflow's conversations."""

    def __init__(self, workflow: Workflow, labeller: Labeller) -> None:
        self._workflow, self._labeller, self._slots = workflow, labeller, Slots(workflow)

    def audit(self, scenario: Scenario, conversation: Conversation) -> Audit:
        """Compare what the user did with its scenario and, where the agent holds the graph, with the true nodes."""
        said = [m for m in conversation.messages if m.role == "user"]
        return Audit(
            answers=len(said),
            misheard=sum(bool(m.question and m.nodes and m.nodes[0] != m.question) for m in said),
            off_plan=_off_plan(scenario, said),
            invented=self._inventions(scenario, conversation.messages),
            left_early=int(self._left_early(conversation)),
            left_role=sum(self._leaves_role(m.text) for m in said),
            improvised=sum(not m.planned and m.question is not None for m in said),
            not_understood=sum(m.question is None for m in said),
        )

    def _inventions(self, scenario: Scenario, messages: Sequence[Spoken]) -> int:
        """User messages that state a value which neither the scenario holds nor the agent has said."""
        own = {_same(str(value)) for value in scenario.variables.values()}
        heard: set[str] = set()
        count = 0
        for message in messages:
            values = {_same(words) for kind, words in self._slots.find(message.text) if kind != "number"}
            if message.role == "agent":
                heard |= values
            else:
                count += bool(values - own - heard)
        return count

    def _left_early(self, conversation: Conversation) -> bool:
        spoken = [m for m in conversation.messages if m.role == "agent"]
        if conversation.ended_by not in ("user", "gave_up") or not spoken:
            return False
        last = spoken[-1]
        if last.nodes and conversation.ended_by == "user":
            return last.nodes[-1] not in self._workflow.terminals
        label = self._labeller.label(last.text)
        return label is not None and label.act.terminal is None

    def _leaves_role(self, text: str) -> bool:
        if _META.search(text):
            return True
        label = self._labeller.label(text)
        return label is not None and label.score >= _SURE and self._labeller.by_user(text) < _RATHER_A_USER


def _off_plan(scenario: Scenario, said: Sequence[Spoken]) -> int:
    planned = {(p.node, p.visit): p.move for p in scenario.plan}
    visits: dict[str, int] = {}
    count = 0
    for message in said:
        if message.question:
            visits[message.question] = visits.get(message.question, 0) + 1
            due = planned.get((message.question, visits[message.question]))
            count += due is not None and message.move != due
    return count


def _same(words: str) -> str:
    return " ".join(words.split()).casefold()

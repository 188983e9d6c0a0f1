"""What a simulated user got wrong by itself: an agent must not pay for its user's errors unnoticed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from workbench.agents.conversation import Conversation
from workbench.dialogue.model import Scenario
from workbench.workflow.model import Workflow


@dataclass(frozen=True, slots=True)
class Audit:
    """Counts over one conversation.

    Errors of the user's own: `misheard` (answered another question than the graph asked, where the true node is known),
    `off_plan` (another move than planned for that asking), `invented` (a value of the workflow's that is not its
    scenario's), `left_early` (took for a closing what was none). `improvised` answers lie beyond the plan, and
    `not_understood` messages may be either side's fault: both are reported, neither counts as an error.
    """

    answers: int
    misheard: int
    off_plan: int
    invented: int
    left_early: int
    improvised: int
    not_understood: int

    @property
    def errors(self) -> int:
        """The user's own errors."""
        return self.misheard + self.off_plan + self.invented + self.left_early


def audit(workflow: Workflow, scenario: Scenario, conversation: Conversation) -> Audit:
    """Compare what the user did with its scenario and, where the agent holds the graph, with the true nodes."""
    said = [m for m in conversation.messages if m.role == "user"]
    planned = {(p.node, p.visit): p.move for p in scenario.plan}
    visits: dict[str, int] = {}
    off_plan = 0
    for message in said:
        if message.question:
            visits[message.question] = visits.get(message.question, 0) + 1
            due = planned.get((message.question, visits[message.question]))
            off_plan += due is not None and message.move != due
    spoken = [m for m in conversation.messages if m.role == "agent"]
    at = spoken[-1].nodes if spoken else ()
    return Audit(
        answers=len(said),
        misheard=sum(bool(m.question and m.nodes and m.nodes[0] != m.question) for m in said),
        off_plan=off_plan,
        invented=sum(_invents(workflow, scenario, m.text) for m in said),
        left_early=int(conversation.ended_by == "user" and bool(at) and at[-1] not in workflow.terminals),
        improvised=sum(not m.planned and m.question is not None for m in said),
        not_understood=sum(m.question is None for m in said),
    )


def _invents(workflow: Workflow, scenario: Scenario, text: str) -> bool:
    """Whether a listed value of an open variable stands in `text` though no variable of the scenario has it."""
    own = {str(value).casefold() for value in scenario.variables.values()}
    folded = text.casefold()
    return any(
        re.search(rf"\b{re.escape(value)}\b", folded)
        for variable in workflow.variables.values()
        if variable.type == "text"
        for value in (str(v).casefold() for v in variable.values)
        if value not in own and value in folded
    )

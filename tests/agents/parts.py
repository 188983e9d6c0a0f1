"""Small local parts: a model that answers from a script, and a user that walks its plan."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

from workbench.agents.base import UserTurn
from workbench.dialogue.model import Message, Scenario
from workbench.dialogue.speech import find_deviation, realise
from workbench.models.client import Reply, Request, Usage
from workbench.workflow.model import Workflow
from workbench.workflow.situation import Situation


class ScriptedClient:
    """Answers every call by a function of the request; keeps the requests."""

    def __init__(self, answer: Callable[[Request], str], model: str = "scripted") -> None:
        self.model = model
        self.answer = answer
        self.requests: list[Request] = []

    async def complete(self, request: Request) -> Reply:
        self.requests.append(request)
        text = self.answer(request)
        words = len(text.split())
        reason = "length" if words > request.max_tokens else "end"
        return Reply(text, reason, Usage(10, words), 0.5, 0.2, 0.001, self.model)

    async def stream(self, request: Request) -> AsyncIterator[str | Reply]:
        reply = await self.complete(request)
        for piece in reply.text.splitlines(keepends=True) or [""]:
            yield piece
        yield reply

    async def close(self) -> None:
        pass


class PlanUser:
    """Answers in the order of the scenario's plan, whatever it is asked (only for agents that keep to the path)."""

    name = "plan"

    def __init__(self, workflow: Workflow, scenario: Scenario) -> None:
        self.workflow, self.scenario = workflow, scenario
        self.situation = Situation(scenario.variables)
        self.random = random.Random(1)
        self.left = list(scenario.plan)

    async def answer(self, history: Sequence[Message]) -> UserTurn:
        step = self.left.pop(0)
        self.situation = self.situation.entered(step.node)
        text, facts = realise(
            self.workflow, step, self.situation, self.scenario.persona, self.scenario.split, self.random
        )
        move = self.workflow.nodes[step.node].move(step.move)
        added = find_deviation(self.workflow, step.deviation)
        self.situation = self.situation.after_move(move.id, move.sets, added.sets if added else {})
        return UserTurn(text, step.node, step.move, step.deviation, facts)


def choosing(edges: Iterable[str], workflow: Workflow) -> Callable[[Request], str]:
    """An answer function that takes these edges at the hubs, in order, and speaks a fixed line elsewhere."""
    hub_edges = iter([e for e in edges if workflow.edge[e].source in workflow.hubs])
    return lambda request: workflow.edge[next(hub_edges)].condition if request.choices else "Certainly."

"""The oracle: follows the graph, decides every hub exactly, speaks the evaluation wording. A report's ceiling."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

from workbench.agents.base import AgentFailure, AgentTurn, UserTurn
from workbench.dialogue.model import Scenario
from workbench.dialogue.speech import Spoken, agent_message
from workbench.errors import UserError
from workbench.workflow.model import Edge, Pool, Workflow
from workbench.workflow.situation import Situation


class Oracle:
    """Knows the scenario's values and is told the user's true moves (`inform`). One conversation each."""

    name = "oracle"

    def __init__(self, workflow: Workflow, scenario: Scenario) -> None:
        self._workflow = workflow
        self._split = scenario.split
        self._random = random.Random(f"oracle:{scenario.id}")
        self._situation = Situation(scenario.variables)
        self._edge: Edge | None = None
        self._asked = AgentTurn("")
        self._told: UserTurn | None = None

    def inform(self, turn: UserTurn) -> None:
        """What the user really does with its message."""
        self._told = turn

    async def open(self) -> AgentTurn:
        """The message at the start node."""
        return self._speak(None, None)

    async def reply(self, text: str) -> AgentTurn:
        """Take the user's true move and follow the graph to the next user node.

        A user that did not answer the question is asked it again. Raises AgentFailure where no edge applies.
        """
        told, self._told = self._told, None
        if told is None or self._edge is None:
            raise AgentFailure("the oracle must be told the user's move")
        node = self._workflow.nodes[self._edge.target]
        if told.move is None or told.node != node.id:
            return self._asked
        move = node.move(told.move)
        added = next((d for d in self._workflow.deviations if d.id == told.deviation), None)
        situation = self._situation.entered(node.id)
        self._situation = situation.after_move(move.id, move.sets, added.sets if added else {})
        return self._speak(self._workflow.out[node.id][0], added.reply if added else None)

    async def stream(self, text: str | None) -> AsyncIterator[str | AgentTurn]:
        """The whole text at once, then the turn."""
        turn = await self.open() if text is None else await self.reply(text)
        yield turn.text
        yield turn

    async def close(self) -> None:
        """Nothing is held."""

    def _speak(self, edge: Edge | None, reply: Pool | None) -> AgentTurn:
        try:
            spoken = agent_message(self._workflow, edge, self._situation, self._split, self._random, reply)
        except UserError as error:
            raise AgentFailure(str(error)) from None
        self._situation, self._edge = spoken.situation, spoken.edge
        self._asked = _turn(spoken)
        return self._asked


def _turn(spoken: Spoken) -> AgentTurn:
    message, edge = spoken.message, spoken.edge
    return AgentTurn(
        message.text,
        nodes=message.nodes,
        edges=message.edges,
        awaits=edge.target if edge else None,
        via=edge.id if edge else None,
        ended=edge is None,
    )

"""The oracle: follows the graph, decides every hub exactly, speaks the evaluation wording. A report's ceiling."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

from workbench.agents.base import AgentFailure, AgentTurn, UserTurn
from workbench.dialogue.model import Scenario
from workbench.workflow.model import Edge, Phrasing, Pool, Workflow
from workbench.workflow.situation import Situation, choose, decide, fill


class Oracle:
    """Knows the scenario's values and is told the user's true moves (`inform`). One conversation each."""

    name = "oracle"

    def __init__(self, workflow: Workflow, scenario: Scenario) -> None:
        self._workflow = workflow
        self._split = scenario.split
        self._random = random.Random(f"oracle:{scenario.id}")
        self._situation = Situation(scenario.variables)
        self._node: str | None = None
        self._asked = ""
        self._told: UserTurn | None = None

    def inform(self, turn: UserTurn) -> None:
        """What the user really does with its message."""
        self._told = turn

    async def open(self) -> AgentTurn:
        """The message at the start node."""
        return self._walk([], self._workflow.start, [])

    async def reply(self, text: str) -> AgentTurn:
        """Take the user's true move and follow the graph to the next user node.

        A user that did not answer the question is asked it again. Raises AgentFailure where no edge applies.
        """
        told, self._told = self._told, None
        if told is None or self._node is None:
            raise AgentFailure("the oracle must be told the user's move")
        if told.move is None or told.node != self._node:
            return AgentTurn(self._asked, nodes=(), edges=(), awaits=self._node)
        parts = self._hear(self._node, told.move, told.deviation)
        edge = self._decide(self._node)
        return self._walk(parts + self._say(edge.say, edge.source), edge.target, [edge.id])

    async def stream(self, text: str | None) -> AsyncIterator[str | AgentTurn]:
        """The whole text at once, then the turn."""
        turn = await self.open() if text is None else await self.reply(text)
        yield turn.text
        yield turn

    async def close(self) -> None:
        """Nothing is held."""

    def _hear(self, node: str, move_id: str, deviation_id: str | None) -> list[str]:
        """Apply the move and the deviation; the deviation's reply is the first part of what is said next."""
        move = self._workflow.nodes[node].move(move_id)
        deviation = next((d for d in self._workflow.deviations if d.id == deviation_id), None)
        sets = [move.sets, deviation.sets] if deviation else [move.sets]
        self._situation = self._situation.after_move(move.id, *sets)
        return self._pick(deviation.reply) if deviation else []

    def _decide(self, node: str) -> Edge:
        edge = decide(self._workflow, node, self._situation)
        if edge is None:
            raise AgentFailure(f"no edge applies at {node} after the move {self._situation.move}")
        return edge

    def _walk(self, parts: list[str], target: str, edges: list[str]) -> AgentTurn:
        """Speak from `target` on, up to the next user node or terminal."""
        nodes: list[str] = []
        while True:
            node = self._workflow.nodes[target]
            self._situation = self._situation.entered(target)
            if node.role == "user":
                self._node, self._asked = target, " ".join(parts)
                return AgentTurn(self._asked, nodes=tuple(nodes), edges=tuple(edges), awaits=target)
            nodes.append(target)
            parts += self._say(node.say, target)
            if node.role == "terminal":
                return AgentTurn(" ".join(parts), nodes=tuple(nodes), edges=tuple(edges), ended=True)
            if len(nodes) > 2 * len(self._workflow.nodes):
                raise AgentFailure(f"the graph runs in circles at {target} without a user node")
            edge = self._decide(target)
            edges.append(edge.id)
            parts += self._say(edge.say, edge.source)
            target = edge.target

    def _say(self, phrasings: tuple[Phrasing, ...], node: str) -> list[str]:
        pool = choose(phrasings, self._situation, node)
        return self._pick(pool) if pool else []

    def _pick(self, pool: Pool) -> list[str]:
        wording = pool.of(self._split)
        return [fill(self._random.choice(wording), self._situation.variables)] if wording else []

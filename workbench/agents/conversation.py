"""Holding one conversation between an agent and a user, and the record of what was said, by whom, at what price."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from workbench.agents.base import Agent, AgentFailure, AgentTurn, Informed, User, UserTurn
from workbench.dialogue.model import Message, Speaker
from workbench.errors import ServiceError
from workbench.models.client import StopReason, Usage
from workbench.models.ledger import BudgetSpent
from workbench.store.rows import MessageRow
from workbench.workflow.model import Value, Workflow

EndedBy = Literal["agent", "user", "gave_up", "messages", "cut", "failure", "error", "stopped"]
"""Who or what ended it: `agent` reached a terminal it knows of; `user` left after the agent had closed; `gave_up` the
user did not understand; `messages` and `cut` are the two limits; `failure` is the agent's own, `error` the
infrastructure's; `stopped` means that the caller asked for it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Where a conversation is stopped, which counts as the agent's failure. `messages` counts both sides'.

    `reply_tokens` is handed to the agents when they are built; a reply that reached it ends the conversation (`cut`)
    unless `stop_on_cut` is off, as in a live chat.
    """

    messages: int
    reply_tokens: int = 120
    stop_on_cut: bool = True


def limits_for(workflow: Workflow) -> Limits:
    """The limits of every evaluation: the workflow's longest path plus 4 messages, 120 tokens a reply."""
    from workbench.workflow.paths import PathSpace

    return Limits(messages=max(PathSpace(workflow).by_steps()) + 4)


@dataclass(frozen=True, slots=True)
class Spoken:
    """One message of a conversation. `at` is the UTC epoch second when it was complete, other times are seconds.

    `nodes`, `edges` are the true steps where the agent holds a graph (empty elsewhere). `question`, `move`, `deviation`
    and `facts` belong to a simulated user's message: what it understood, what it did, what it told.
    """

    role: Speaker
    text: str
    at: float
    nodes: tuple[str, ...] = ()
    edges: tuple[str, ...] = ()
    question: str | None = None
    move: str | None = None
    deviation: str | None = None
    planned: bool = True
    facts: Mapping[str, Value] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    calls: int = 0
    cost: float | None = 0.0
    latency_s: float = 0.0
    ttft_s: float | None = None
    stop_reason: StopReason = "end"
    malformed: int = 0
    read: Mapping[str, object] | None = None
    """What a labeller read in an agent's words, where somebody asked one."""

    def message(self) -> Message:
        """The same as a dialogue's message."""
        return Message(self.role, self.text, self.nodes, self.edges, self.move, self.deviation, self.facts)

    def row(self) -> MessageRow:
        """The same as a row of the record; `label` of a simulated user is the question it read in the agent's words."""
        heard = {"question": self.question, "planned": self.planned} if self.question else self.read
        return MessageRow(
            role=self.role,
            text=self.text,
            nodes=self.nodes,
            edges=self.edges,
            move=self.move,
            deviation=self.deviation,
            facts=self.facts,
            usage=asdict(self.usage),
            calls=self.calls,
            latency_s=self.latency_s if self.role == "agent" else None,
            ttft_s=self.ttft_s,
            cost=self.cost,
            label=heard,
            created=self.at,
        )


@dataclass(frozen=True, slots=True)
class Conversation:
    """A finished conversation. `terminal` is the agent's own knowledge, None where it has none or got nowhere."""

    agent: str
    user: str
    started: float
    messages: tuple[Spoken, ...]
    ended_by: EndedBy
    terminal: str | None = None
    error: str | None = None

    @property
    def is_missing(self) -> bool:
        """Infrastructure failed or someone stopped it: missing data, never the agent's failure."""
        return self.ended_by in ("error", "stopped")

    @property
    def seconds(self) -> float:
        """Wall time from opening to the last message."""
        return self.messages[-1].at - self.started if self.messages else 0.0

    def totals(self) -> dict[str, Any]:
        """The agent's sums for the record: tokens, dollars (None if any price is unknown), calls, seconds, messages."""
        spoken = [m for m in self.messages if m.role == "agent"]
        usage = sum((m.usage for m in spoken), Usage())
        costs = [m.cost for m in spoken]
        users = [m.cost for m in self.messages if m.role == "user"]
        return {
            "messages": len(self.messages),
            "input": usage.input,
            "output": usage.output,
            "cache_read": usage.cache_read,
            "cache_write": usage.cache_write,
            **cost_sums(costs),
            "user_cost": None if None in users else sum(c or 0.0 for c in users),
            "calls": sum(m.calls for m in spoken),
            "model_s": sum(m.latency_s for m in spoken),
            "seconds": self.seconds,
            "malformed": sum(m.malformed for m in spoken),
            "cut": sum(m.stop_reason == "length" for m in spoken),
        }


def cost_sums(costs: Sequence[float | None]) -> dict[str, float | None]:
    """`cost` is all that an agent's messages cost, None if any is unknown; `known_cost` what is known of it."""
    known = sum(c for c in costs if c is not None)
    return {"cost": None if None in costs else known, "known_cost": known}


def agent_message(turn: AgentTurn, at: float) -> Spoken:
    """An agent's turn as a message of the record."""
    return Spoken(
        role="agent",
        text=turn.text,
        at=at,
        nodes=turn.nodes or (),
        edges=turn.edges or (),
        usage=turn.usage,
        calls=turn.calls,
        cost=turn.cost,
        latency_s=turn.latency_s,
        ttft_s=turn.ttft_s,
        stop_reason=turn.stop_reason,
        malformed=turn.malformed,
    )


def user_message(turn: UserTurn, at: float, asked: AgentTurn) -> Spoken:
    """A user's turn as a message; `asked` is the agent's turn before it, which may know where it truly waits."""
    return Spoken(
        role="user",
        text=turn.text,
        at=at,
        nodes=(asked.awaits,) if asked.awaits else (),
        edges=(asked.via,) if asked.via else (),
        question=turn.node,
        move=turn.move,
        deviation=turn.deviation,
        planned=turn.planned,
        facts=turn.facts,
        usage=turn.usage,
        cost=turn.cost,
    )


OnMessage = Callable[[Spoken], Awaitable[None]]


async def hold(
    agent: Agent,
    user: User,
    limits: Limits,
    *,
    on_message: OnMessage | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Conversation:
    """Let `agent` and `user` talk until one of them ends it or a limit stops it.

    `on_message` gets each message as soon as it is complete (to store or to show it); `stopping` is asked before every
    turn. ServiceError and AgentFailure end the conversation and are told in it; any other exception propagates, and so
    does BudgetSpent, which says nothing about this conversation.
    """
    talk = _Talk(agent, user, limits, on_message, stopping)
    started = time.time()
    error: str | None = None
    try:
        ended_by = await talk.run()
    except BudgetSpent:
        raise
    except ServiceError as failure:
        ended_by, error = "error", str(failure)
    except AgentFailure as failure:
        ended_by, error = "failure", str(failure)
    return Conversation(agent.name, user.name, started, tuple(talk.messages), ended_by, talk.terminal, error)


class _Talk:
    def __init__(
        self, agent: Agent, user: User, limits: Limits, on_message: OnMessage | None, stopping: Callable[[], bool]
    ) -> None:
        self.agent, self.user, self.limits = agent, user, limits
        self.on_message, self.stopping = on_message, stopping
        self.messages: list[Spoken] = []
        self.terminal: str | None = None

    async def say(self, message: Spoken) -> None:
        self.messages.append(message)
        if self.on_message:
            await self.on_message(message)

    async def run(self) -> EndedBy:
        turn = await self.agent.open()
        while True:
            if turn.text or not turn.ended:
                await self.say(agent_message(turn, time.time()))
            elif self.messages and turn.nodes:  # a terminal that says nothing belongs to the message before it
                last = self.messages[-1]
                self.messages[-1] = replace(last, nodes=last.nodes + turn.nodes, edges=last.edges + (turn.edges or ()))
            if turn.ended:
                self.terminal = turn.nodes[-1] if turn.nodes else None
                return "agent"
            if turn.stop_reason == "length" and self.limits.stop_on_cut:
                return "cut"
            if len(self.messages) >= self.limits.messages:
                return "messages"
            if self.stopping():
                return "stopped"
            said = await self.user.answer([Message(m.role, m.text) for m in self.messages])  # text alone, never nodes
            if said.text:
                await self.say(user_message(said, time.time(), turn))
            if said.ended:
                return "gave_up" if said.ended in ("gave_up", "out_of_scope") else "user"
            if len(self.messages) >= self.limits.messages:
                return "messages"
            if self.stopping():
                return "stopped"
            if isinstance(self.agent, Informed):
                self.agent.inform(said)
            turn = await self.agent.reply(said.text)

"""What every agent and every user of a conversation looks like, whatever speaks inside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from workbench.dialogue.model import Message
from workbench.models.client import Reply, StopReason, Usage
from workbench.workflow.model import Value

UserEnd = Literal["closed", "gave_up", "goodbye", "transferred", "out_of_scope"]
"""Why a user leaves: the agent has closed, the user did not understand it twice, the user itself is done, it was handed
over to a person, or it was asked for what its scenario does not hold."""


class AgentFailure(Exception):
    """The agent itself broke down (it runs in circles, say): counted against it, unlike ServiceError."""


@dataclass(frozen=True, slots=True)
class AgentTurn:
    """One spoken message of an agent and all that it took.

    `calls` counts model calls, those at hubs included; `cost` is in US dollars, None where a price is unknown; `ttft_s`
    is the time to the first token, None where the text came whole. `nodes` are the true steps of the message (silent
    hubs and the terminal included) and `edges` the edges that lead into them, None where the agent holds no graph;
    `awaits` is the user node it then waits at, `via` the edge that leads there. `malformed` counts answers at hubs that
    were none of the options (each was asked again; where the last one was malformed too, the hub took its `otherwise`
    or first edge).
    """

    text: str
    usage: Usage = field(default_factory=Usage)
    calls: int = 0
    latency_s: float = 0.0
    ttft_s: float | None = None
    cost: float | None = 0.0
    nodes: tuple[str, ...] | None = None
    ended: bool = False
    edges: tuple[str, ...] | None = None
    awaits: str | None = None
    via: str | None = None
    stop_reason: StopReason = "end"
    malformed: int = 0


@dataclass(frozen=True, slots=True)
class UserTurn:
    """One message of a user. `node` and `move` are what it answers and how, None where it did not understand.

    `facts` maps a variable to the value told in the text. With `ended` the user says this (if it says anything) and
    goes.
    """

    text: str
    node: str | None = None
    move: str | None = None
    deviation: str | None = None
    facts: Mapping[str, Value] = field(default_factory=dict)
    ended: UserEnd | None = None
    usage: Usage = field(default_factory=Usage)
    cost: float | None = 0.0
    planned: bool = True


class Agent(Protocol):
    """Holds one conversation: it opens, then replies to each message of the user. One caller at a time."""

    name: str

    async def open(self) -> AgentTurn:
        """The first message. Raises ServiceError (infrastructure) or AgentFailure, as does `reply`."""
        ...

    async def reply(self, text: str) -> AgentTurn:
        """The answer to the user's message."""
        ...

    def stream(self, text: str | None) -> AsyncIterator[str | AgentTurn]:
        """As `open` (None) or `reply`, but the text in chunks as they come and the turn as the last item."""
        ...

    async def close(self) -> None:
        """Release what the conversation holds; the client it was given stays open."""
        ...


@runtime_checkable
class Informed(Protocol):
    """An agent that is told what the user really did (the oracle): called before `reply` with the user's true turn."""

    def inform(self, turn: UserTurn) -> None:
        """Take note of the user's move and deviation."""
        ...


@runtime_checkable
class Rejoining(Protocol):
    """An agent that keeps its own books and can be brought to where a conversation was (orchestrated)."""

    async def restore(self, messages: Sequence[Message]) -> None:
        """Stand where these messages have been said and the user's answer is awaited, or before the opening where none
        have. Raises UserError if it cannot."""
        ...

    @property
    def passing(self) -> tuple[str, ...]:
        """The steps of the message in the making, as far as it has come."""
        ...


class User(Protocol):
    """The other side: sees the messages so far, says the next one."""

    name: str

    async def answer(self, history: Sequence[Message]) -> UserTurn:
        """The user's next message; the last of `history` is the agent's. Raises ServiceError."""
        ...


@dataclass(slots=True)
class Meter:
    """Sums what the model calls of one message took; `into` makes the turn."""

    usage: Usage = field(default_factory=Usage)
    calls: int = 0
    latency_s: float = 0.0
    ttft_s: float | None = None
    cost: float | None = 0.0
    malformed: int = 0
    spoken: bool = False

    def add(self, reply: Reply, *, spoken: bool) -> None:
        """Count one call. Time to first token runs until the first call that *speaks* gave its first token."""
        if spoken and not self.spoken:
            self.spoken = True
            self.ttft_s = None if reply.ttft_s is None else self.latency_s + reply.ttft_s
        self.usage += reply.usage
        self.calls += _count(reply, "calls", 1)
        self.malformed += _count(reply, "malformed", 0)
        self.latency_s += reply.latency_s
        self.cost = None if self.cost is None or reply.cost is None else self.cost + reply.cost

    def turn(self, text: str, stop_reason: StopReason) -> AgentTurn:
        """The turn that these calls made; the caller adds what it knows of the graph."""
        return AgentTurn(
            text,
            usage=self.usage,
            calls=self.calls,
            latency_s=self.latency_s,
            ttft_s=self.ttft_s,
            cost=self.cost,
            stop_reason=stop_reason,
            malformed=self.malformed,
        )


def _count(reply: Reply, what: str, default: int) -> int:
    """What a reply's detail counts (`calls` and `malformed` of a choice that was asked for more than once)."""
    found = reply.detail.get(what, default)
    return found if isinstance(found, int) else default


async def last_turn(pieces: AsyncIterator[str | AgentTurn]) -> AgentTurn:
    """The turn a stream ends in."""
    turn: AgentTurn | None = None
    async for piece in pieces:
        if isinstance(piece, AgentTurn):
            turn = piece
    if turn is None:
        raise AgentFailure("the agent ended without a turn")
    return turn

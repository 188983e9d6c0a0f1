"""One agent in a live conversation: what it is told, in order; what it says, as it comes; how it fails and goes on."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Protocol

from workbench.agents.base import Agent, AgentFailure, AgentTurn, Informed, Rejoining, User, UserTurn
from workbench.agents.compiled import ChatAgent
from workbench.agents.conversation import Conversation, EndedBy, Limits, Spoken, agent_message, user_message
from workbench.agents.live_client import STOPPED
from workbench.dialogue.model import Message
from workbench.errors import UserError
from workbench.models.client import Usage
from workbench.store.rows import MessageRow
from workbench.workflow.hashing import digest

State = Literal["ready", "answering", "failed", "ended"]
CHUNK_SECONDS = 0.08
"""Chunks of a stream are gathered for so long: four columns at 50 tokens a second stay under 50 events a second."""
HUMAN = "human"


class Keeper(Protocol):
    """Where a column's messages go."""

    def publish(self, type_: str, data: Mapping[str, Any]) -> None:
        """Tell everyone who watches, and the event file."""
        ...

    async def keep(self, column: Column, first: int, messages: Sequence[Spoken]) -> None:
        """Write messages from index `first` on to the record, with the conversation as it is now."""
        ...

    def remake(self, column: Column) -> tuple[Agent, User | None]:
        """The column's agent and simulated user anew, as before the first message."""
        ...

    async def locate(self, messages: Sequence[MessageRow]) -> Place:
        """Where a conversation stands in the graph, as far as its texts tell."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """The walk so far, where the conversation stands, and the nodes of the last message."""

    nodes: tuple[str, ...] = ()
    edges: tuple[str, ...] = ()
    at: str | None = None
    read: tuple[str, ...] = ()


@dataclass(slots=True)
class _Input:
    """What the agent has to answer: None as text is the opening. `told` means that it stands in the messages."""

    turn: UserTurn | None
    by: str
    told: bool = False


class Column:
    """Talks to one agent. All methods belong to the event loop's thread."""

    def __init__(
        self,
        index: int,
        agent: Agent,
        conversation_id: str,
        keeper: Keeper,
        *,
        user: User | None = None,
        limits: Limits | None = None,
        understand: Callable[[str, str | None], UserTurn] | None = None,
    ) -> None:
        self.index, self.agent, self.conversation_id = index, agent, conversation_id
        self._keeper, self._user, self._limits, self._understand = keeper, user, limits, understand
        self.messages: list[Spoken] = []
        self.state: State = "ready"
        self.ended_by: EndedBy | None = None
        self.error: str | None = None
        self.terminal: str | None = None
        self.started = time.time()
        self.speakers: set[str] = set()
        """Who has spoken to the agent: "human", a simulated user's name, or both."""
        self._taken_over = False
        """Whether somebody did something while the simulated user thought: what it says then is not said."""
        self.diverged = False
        """Whether it was ever spoken to alone, or set back alone: it no longer hears what the others hear."""
        self.branch_of: str | None = None
        self.turns: dict[int, AgentTurn] = {}
        """The agent's turns by message index."""
        self._wanted: tuple[int, str | None] | None = None
        self._inbox: deque[str] = deque()
        self._auto: float = 0
        self._pending: _Input | None = _Input(None, HUMAN, told=True)
        self._wake = asyncio.Event()
        self._reply: asyncio.Task[AgentTurn] | None = None
        self._partial = ""
        self._asked = 0.0
        self._first: float | None = None
        """The monotonic clock when the reply was asked for, and seconds from then to its first words."""

    def say(self, text: str, *, alone: bool = False) -> None:
        """A human's message; it takes over from the simulated user, and waits while a reply is in the making."""
        if self.state != "ended":
            self._take_over(alone)
            self._put(text)
            if self.state == "failed" and self._pending is None:  # the simulated user's failure, not the agent's
                self.state = "ready"
            self._show()

    def _put(self, text: str) -> None:
        """Told at once, so that it is not lost if this process dies before it is said."""
        self._inbox.append(text)
        self._keeper.publish("queued", {"column": self.index, "text": text})

    def autopilot(self, steps: int | None, *, alone: bool = False) -> None:
        """Let the simulated user say `steps` messages, or go on to the end (None); 0 takes over from it.

        UserError if there is none.
        """
        if steps == 0:
            self._take_over()
        elif self._user is None:
            raise UserError("autopilot needs a simulated user and a scenario: start the chat with both")
        elif self.state != "ended":
            self.diverged |= alone
            self._auto = float("inf") if steps is None else steps
            self._wake.set()
        self._show()

    def _take_over(self, alone: bool = False) -> None:
        """What a simulated user would say next is not wanted any more."""
        self._auto, self._taken_over = 0, True
        self.diverged |= alone
        self._wake.set()

    def stop_reply(self) -> None:
        """Cut the reply in the making; a chat agent keeps what it has said, another one can be asked again."""
        if self._reply:
            self._reply.cancel()

    def retry(self, *, alone: bool = False) -> None:
        """Ask a failed column again for the reply it owes, any other one for its last reply anew (see `go_back`)."""
        if self.state == "failed":
            self._set("ready")
            self._wake.set()
        elif self.state != "answering" and (last := max(self.turns, default=None)) is not None:
            self.go_back(last, alone=alone)

    def go_back(self, idx: int, text: str | None = None, *, alone: bool = False) -> None:
        """Go on from the first `idx` messages, as a new conversation; the old one stays in the record as it is.

        A user's message at the end of them is answered anew; after an agent's, `text` is said if it is given. Raises
        UserError if there are not so many messages.
        """
        if not 0 <= idx <= len(self.messages):
            raise UserError(f"there are {len(self.messages)} messages: none to go back to before number {idx + 1}")
        if text is not None and (not idx or self.messages[idx - 1].role == "user"):
            raise UserError("only a user's message can be said anew")
        self._take_over(alone)
        self._wanted = (idx, text)
        self.stop_reply()

    async def end(self, why: EndedBy = "stopped") -> None:
        """End this column's conversation."""
        if self.state != "ended":
            self.ended_by = why
            self._take_over()
            self._inbox.clear()
            self._set("ended")
            self.stop_reply()
            await self._keep(len(self.messages), [])

    async def run(self) -> None:
        """Open, then answer whatever comes; an ended conversation waits for somebody to go back in it."""
        await self._keep(len(self.messages), [])
        while True:
            self._wake.clear()
            if self._wanted:
                await self._back(*self._wanted)
            elif self.state in ("failed", "ended"):
                await self._wake.wait()
            elif self._pending is not None or await self._next_input():
                await self._answer()
            elif self.state == "ready" and not self._inbox and not self._auto:
                await self._wake.wait()

    async def restore(
        self,
        messages: Sequence[Spoken],
        turns: Mapping[int, AgentTurn],
        ended_by: EndedBy | None,
        queued: Sequence[str] = (),
    ) -> None:
        """Take up a conversation that another process began: what was said, how far the agent had come, what waits."""
        self.messages, self.turns = list(messages), dict(turns)
        if ended_by:
            self.ended_by, self.state = ended_by, "ended"
            return
        self._inbox.extend(queued)
        await self._take_up()

    async def _back(self, idx: int, text: str | None) -> None:
        """Do what `go_back` asked for."""
        self._wanted = None
        if self.state != "ended":  # what is left behind is a conversation of its own
            self.ended_by, self.state = "stopped", "ended"
            await self._keep(len(self.messages), [])
        old, self.branch_of = self.conversation_id, self.conversation_id
        self.conversation_id = digest([old, idx, text, time.time()])
        self.messages, self.turns = self.messages[:idx], {n: t for n, t in self.turns.items() if n < idx}
        self.ended_by = self.error = self.terminal = None
        self.started = time.time()
        self._inbox.clear()
        await self.agent.close()
        self.agent, self._user = self._keeper.remake(self)
        data = {"idx": idx, "conversation": self.conversation_id, "of": old}
        self._keeper.publish("branch", {"column": self.index, **data})
        await self._keep(0, self.messages)
        try:
            await self._take_up()
        except UserError as error:
            self._fail(str(error))
            return
        if text is not None:
            self._put(text)
        self._set("ready")

    async def _take_up(self) -> None:
        """Bring agent and simulated user to the end of `messages`; a user's last message is owed an answer."""
        owes = not self.messages or self.messages[-1].role == "user"
        done = self.messages[:-1] if owes else self.messages
        if isinstance(self.agent, ChatAgent):
            self.agent.restore([m.message() for m in done])
        elif done and isinstance(self.agent, Informed):
            await self._walk_again(self.agent, done)
        elif isinstance(self.agent, Rejoining):
            await self.agent.restore([m.message() for m in done])
        await self._remind_user(done)
        self._pending = None
        if owes:
            said = self.messages[-1] if self.messages else None
            turn = UserTurn(said.text, said.question, said.move, said.deviation) if said else None
            self._pending = _Input(turn, HUMAN, told=True)

    async def _walk_again(self, agent: Any, done: Sequence[Spoken]) -> None:
        """Bring an agent that knows the graph and needs no model to where it was."""
        turn = await agent.open()
        for message in done:
            if message.role == "user":
                told = UserTurn(message.text, message.question, message.move, message.deviation)
                if told.move is None and self._understand:  # somebody typed it
                    told = self._understand(message.text, turn.awaits)
                agent.inform(told)
                turn = await agent.reply(message.text)

    async def _remind_user(self, done: Sequence[Spoken]) -> None:
        """A simulated user without a model counts what it was asked: let it hear the talk again."""
        if self._user and self._user.name == "agenda":
            history = [Message(m.role, m.text) for m in done]
            for position, message in enumerate(done):
                if message.role == "user" and message.question:
                    await self._user.answer(history[:position])

    @property
    def _last(self) -> AgentTurn:
        """The agent's newest turn."""
        return self.turns[max(self.turns)] if self.turns else AgentTurn("")

    async def _next_input(self) -> bool:
        """Take the next human message, or have the simulated user make one; False if there is nothing to do."""
        if self._inbox:
            text = self._inbox.popleft()
            self._pending = _Input(UserTurn(text), HUMAN)
            return True
        if not self._auto or self._user is None:
            return False
        if self._limits and len(self.messages) >= self._limits.messages:
            await self.end("messages")
            return False
        self._auto, self._taken_over = self._auto - 1, False
        try:
            turn = await self._user.answer([Message(m.role, m.text) for m in self.messages])
        except UserError as error:
            if not self._taken_over:
                self._auto += 1  # it is asked again when the column is
                self._fail(f"the simulated user failed: {error}")
            return False
        if self._taken_over:
            return False
        if turn.text:
            self._pending = _Input(turn, self._user.name)
            if turn.ended:
                await self._tell(self._pending)
        if turn.ended:
            await self.end("gave_up" if turn.ended == "gave_up" else "user")
            return False
        return bool(turn.text)

    async def _tell(self, given: _Input) -> None:
        assert given.turn is not None
        message = user_message(given.turn, time.time(), self._last)
        given.told = True
        self.speakers.add(given.by)
        self.messages.append(message)
        data = {"idx": len(self.messages) - 1, "text": message.text, "by": given.by, **_user_data(message)}
        self._keeper.publish("said", {"column": self.index, **data})
        await self._keep(len(self.messages) - 1, [message])

    async def _answer(self) -> None:
        given = self._pending
        assert given is not None
        if not given.told:
            await self._tell(given)
        self._set("answering")
        if given.turn and isinstance(self.agent, Informed):
            typed = given.turn.move is None and given.by == HUMAN and self._understand
            self.agent.inform(typed(given.turn.text, self._last.awaits) if typed else given.turn)
        self._partial, self._asked, self._first = "", time.monotonic(), None
        self._reply = asyncio.create_task(self._stream(given.turn.text if given.turn else None))
        try:
            await asyncio.wait({self._reply})
        finally:
            reply, self._reply = self._reply, None
            reply.cancel()
        if self.state == "ended" or self._wanted:
            return
        if reply.cancelled():
            await self._cut()
        elif error := reply.exception():
            if not isinstance(error, UserError | AgentFailure):
                raise error
            self._fail(str(error))
        else:
            self._pending = None
            await self._hear(reply.result())

    async def _cut(self) -> None:
        """The reply was stopped by hand: a chat agent's words so far stand as its message."""
        if isinstance(self.agent, ChatAgent) and self._partial:
            took = time.monotonic() - self._asked
            turn = AgentTurn(
                self._partial, calls=1, latency_s=took, ttft_s=self._first, cost=None, stop_reason="stopped"
            )
            self.agent.restore([*(m.message() for m in self.messages), Message("agent", turn.text)])
            self._pending = None
            await self._hear(turn)
        else:
            self._fail(STOPPED)

    async def _hear(self, turn: AgentTurn) -> None:
        message = agent_message(turn, time.time())
        spoken = bool(turn.text or not turn.ended)
        if spoken:
            self.messages.append(message)
            await self._keep(len(self.messages) - 1, [message])
        self.turns[len(self.messages) - 1] = turn
        if turn.ended:
            self.terminal = turn.nodes[-1] if turn.nodes else None
        data = {"idx": len(self.messages) - 1, "text": turn.text, **_agent_data(turn), "totals": self.totals()}
        self._keeper.publish("turn", {"column": self.index, **data})
        if not turn.ended:
            self._set("ready")  # at once: whoever retries or ends while the place is read means this turn
        await self._locate(turn)
        if turn.ended:
            await self.end("agent")

    async def _locate(self, turn: AgentTurn) -> None:
        """Say where the conversation stands: an agent that holds a graph knows it, for others the texts are read."""
        if turn.nodes is not None:
            walk = [m for m in self.messages if m.nodes]
            nodes = tuple(n for m in walk for n in m.nodes)
            nodes += tuple(n for n in (turn.awaits,) if n)
            place = Place(nodes, tuple(e for m in walk for e in m.edges), nodes[-1] if nodes else None, turn.nodes)
        else:
            place = await self._keeper.locate([m.row() for m in self.messages])
            read = replace(self.messages[-1], read={"nodes": list(place.read)})
            self.messages[-1] = read
            await self._keep(len(self.messages) - 1, [read])
        data = asdict(place) | {"known": turn.nodes is not None, "idx": len(self.messages) - 1}
        self._keeper.publish("place", {"column": self.index, **data})

    async def _stream(self, text: str | None) -> AgentTurn:
        gathered: list[str] = []
        loop, timer = asyncio.get_running_loop(), None

        def flush() -> None:
            nonlocal timer
            timer = None
            if gathered:
                passing = list(self.agent.passing) if isinstance(self.agent, Rejoining) else []
                data = {"nodes": passing} if passing else {}
                self._keeper.publish("chunk", {"column": self.index, "text": "".join(gathered), **data})
                gathered.clear()

        try:
            async for piece in self.agent.stream(text):
                if isinstance(piece, AgentTurn):
                    return piece
                if self._first is None:
                    self._first = time.monotonic() - self._asked
                self._partial += piece
                gathered.append(piece)
                timer = timer or loop.call_later(CHUNK_SECONDS, flush)
        finally:
            if timer:
                timer.cancel()
            flush()
        raise AgentFailure("the reply ended without a turn")

    def totals(self) -> dict[str, Any]:
        """The running sums of this column."""
        return self.conversation().totals()

    def conversation(self) -> Conversation:
        """The conversation as it is now ("stopped" while it goes on)."""
        return Conversation(
            self.agent.name,
            self._user.name if self._user else HUMAN,
            self.started,
            tuple(self.messages),
            self.ended_by or "stopped",
            self.terminal,
            self.error,
        )

    def _fail(self, error: str) -> None:
        self.error = error
        self._set("failed")

    def _set(self, state: State) -> None:
        self.state = state
        if state == "answering":
            self.error = None
        self._show()

    def _show(self) -> None:
        auto = -1 if self._auto == float("inf") else int(self._auto)
        owes = self.state == "ready" and self._pending is not None  # whoever waits for it must not take it for done
        state = "answering" if owes else self.state
        data: dict[str, Any] = {"column": self.index, "state": state, "queued": len(self._inbox), "auto": auto}
        if self.diverged:
            data["diverged"] = True
        if self.ended_by:
            data |= {"ended_by": self.ended_by, "terminal": self.terminal}
        if self.error and self.state == "failed":
            data["error"] = self.error
        self._keeper.publish("state", data)

    def _keep(self, first: int, messages: Sequence[Spoken]) -> Awaitable[None]:
        return self._keeper.keep(self, first, messages)


def _user_data(message: Spoken) -> dict[str, Any]:
    names = ("nodes", "edges", "question", "move", "deviation", "planned", "facts", "cost")
    return {name: getattr(message, name) for name in names} | {"usage": asdict(message.usage)}


def _agent_data(turn: AgentTurn) -> dict[str, Any]:
    data = {f: getattr(turn, f) for f in AgentTurn.__slots__ if f not in ("text", "usage")}
    return data | {"usage": asdict(turn.usage)}


def spoken_of(event: Mapping[str, Any]) -> Spoken:
    """The message behind a `said` or `turn` event."""
    role: Literal["user", "agent"] = "user" if event["type"] == "said" else "agent"
    names = ("question", "move", "deviation", "planned", "facts", "calls", "cost", "latency_s", "ttft_s", "malformed")
    given = {name: event[name] for name in names if name in event}
    return Spoken(
        role,
        event["text"],
        event["t"],
        nodes=tuple(event["nodes"] or ()),
        edges=tuple(event["edges"] or ()),
        usage=Usage(**event["usage"]),
        stop_reason=event.get("stop_reason", "end"),
        **given,
    )


def turn_of(event: Mapping[str, Any]) -> AgentTurn:
    """The agent's turn behind a `turn` event."""
    names = ("calls", "latency_s", "ttft_s", "cost", "ended", "awaits", "via", "stop_reason", "malformed")
    given = {name: event[name] for name in names}
    nodes = None if event["nodes"] is None else tuple(event["nodes"])
    edges = None if event["edges"] is None else tuple(event["edges"])
    return AgentTurn(event["text"], Usage(**event["usage"]), nodes=nodes, edges=edges, **given)

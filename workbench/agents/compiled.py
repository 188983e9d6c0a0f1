"""The compiled agent: a model, the workflow's one-line instruction, the talk so far, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from workbench.agents.base import AgentTurn, Meter
from workbench.dialogue.model import Message
from workbench.models.client import ChatMessage, Client, Reply, Request
from workbench.workflow.model import Workflow


@dataclass(slots=True)
class ChatAgent:
    """Sends a fixed system text, `preamble` and the whole history at every turn; knows no nodes and no end.

    Every request prolongs the one before, so that a server's prefix cache serves all but the newest message. A turn
    that raises leaves the history as it was: the same call again is the retry.
    """

    name: str
    client: Client
    system: str
    reply_tokens: int = 120
    seed: int | None = None
    purpose: str = "agent"
    owner: str = ""
    preamble: tuple[ChatMessage, ...] = ()
    stop: tuple[str, ...] = ()
    history: list[ChatMessage] = field(default_factory=list)

    async def open(self) -> AgentTurn:
        """The first message: an empty history is what the compiled model was trained to open from."""
        return self._finished([], await self.client.complete(self._request([])))

    async def reply(self, text: str) -> AgentTurn:
        """The next message after the user's `text`."""
        said = [ChatMessage("user", text)]
        return self._finished(said, await self.client.complete(self._request(said)))

    async def stream(self, text: str | None) -> AsyncIterator[str | AgentTurn]:
        """Chunks of the next message, then the turn."""
        said = [] if text is None else [ChatMessage("user", text)]
        async for piece in self.client.stream(self._request(said)):
            yield self._finished(said, piece) if isinstance(piece, Reply) else piece

    async def close(self) -> None:
        """Nothing is held."""

    def restore(self, messages: Sequence[Message]) -> None:
        """Take up a conversation that was begun elsewhere (a restart, a branch): these messages have been said."""
        self.history = [ChatMessage("assistant" if m.role == "agent" else "user", m.text) for m in messages]

    def _request(self, said: Sequence[ChatMessage]) -> Request:
        messages = (ChatMessage("system", self.system), *self.preamble, *self.history, *said)
        return Request(
            messages,
            self.reply_tokens,
            seed=self.seed,
            stop=self.stop,
            purpose=self.purpose,
            owner=self.owner,
            streamed=True,
        )

    def _finished(self, said: Sequence[ChatMessage], reply: Reply) -> AgentTurn:
        self.history += [*said, ChatMessage("assistant", reply.text)]
        meter = Meter()
        meter.add(reply, spoken=True)
        return meter.turn(reply.text, reply.stop_reason)


def compiled_agent(
    client: Client, workflow: Workflow, *, name: str = "compiled", reply_tokens: int = 120, owner: str = ""
) -> ChatAgent:
    """The agent as it was trained: `instruction` (and the workflow's `context`, if any) is all that it is told."""
    return ChatAgent(name, client, system_text(workflow), reply_tokens, purpose="agent:compiled", owner=owner)


def system_text(workflow: Workflow) -> str:
    """The system message of training and serving (see `workbench.dialogue.model.chat_messages`)."""
    return f"{workflow.instruction}\n{workflow.context}" if workflow.context else workflow.instruction

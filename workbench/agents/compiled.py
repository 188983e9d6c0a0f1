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
    """Sends a fixed system text, `preamble` and the whole history at every turn; knows neither nodes nor an end of its
    own.

    Every request is a prolongation of the one before, so that a server's prefix cache serves all but the newest
    message.
    """

    name: str
    client: Client
    system: str
    reply_tokens: int = 120
    seed: int | None = None
    purpose: str = "agent"
    owner: str = ""
    preamble: tuple[ChatMessage, ...] = ()
    history: list[ChatMessage] = field(default_factory=list)

    async def open(self) -> AgentTurn:
        """The first message: an empty history is what the model was trained to open from."""
        return await self._turn()

    async def reply(self, text: str) -> AgentTurn:
        """The next message after the user's `text`."""
        self.history.append(ChatMessage("user", text))
        return await self._turn()

    async def stream(self, text: str | None) -> AsyncIterator[str | AgentTurn]:
        """Chunks of the next message, then the turn."""
        if text is not None:
            self.history.append(ChatMessage("user", text))
        async for piece in self.client.stream(self._request()):
            if isinstance(piece, Reply):
                yield self._finished(piece)
            else:
                yield piece

    async def close(self) -> None:
        """Nothing is held."""

    def restore(self, messages: Sequence[Message]) -> None:
        """Take up a conversation that was begun elsewhere (a restart, a branch): these messages have been said."""
        self.history = [ChatMessage("assistant" if m.role == "agent" else "user", m.text) for m in messages]

    async def _turn(self) -> AgentTurn:
        return self._finished(await self.client.complete(self._request()))

    def _request(self) -> Request:
        messages = (ChatMessage("system", self.system), *self.preamble, *self.history)
        return Request(messages, self.reply_tokens, seed=self.seed, purpose=self.purpose, owner=self.owner)

    def _finished(self, reply: Reply) -> AgentTurn:
        self.history.append(ChatMessage("assistant", reply.text))
        meter = Meter()
        meter.add(reply, spoken=True)
        return meter.turn(reply.text, stop_reason=reply.stop_reason)


def compiled_agent(
    client: Client, workflow: Workflow, *, name: str = "compiled", reply_tokens: int = 120, owner: str = ""
) -> ChatAgent:
    """The agent as it was trained: `instruction` (and the workflow's `context`, if any) is all that it is told."""
    return ChatAgent(name, client, system_text(workflow), reply_tokens, purpose="agent:compiled", owner=owner)


def system_text(workflow: Workflow) -> str:
    """The system message of training and serving (see `workbench.dialogue.model.chat_messages`)."""
    return f"{workflow.instruction}\n{workflow.context}" if workflow.context else workflow.instruction

"""The orchestrated agent: LangGraph leads, a model speaks at every node and chooses at every hub.

One graph node per workflow node, and one for every edge that speaks; user nodes `interrupt()`; a hub's router makes one
classifier call among the conditions of its edges, so that the graph cannot be left. Importing this module imports
langgraph (over a second): `workbench.agents.names` does it when it is needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.errors import GraphRecursionError
from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt
from langsmith.run_helpers import tracing_context

from workbench.agents.base import AgentFailure, AgentTurn, Meter, last_turn
from workbench.agents.prompts import KICK_OFF, choice_note, options_of, orchestrated_system, speak_note
from workbench.dialogue.model import Message
from workbench.errors import UserError
from workbench.models.client import ChatMessage, Client, Reply, Request, StopReason
from workbench.workflow.model import Edge, Node, Workflow


class State(TypedDict):
    """What a checkpoint keeps (plain dicts and lists: sqlite checkpoints turn tuples into lists)."""

    history: list[dict[str, str]]
    spoken: list[str]
    """Parts of the agent's message in the making, or of the one that waits for its answer."""
    visits: dict[str, int]


@dataclass(slots=True)
class _Turn:
    """What happens between two interrupts; the graph's nodes write here what no checkpoint needs."""

    sink: Callable[[str], None] | None = None
    meter: Meter = field(default_factory=Meter)
    nodes: list[str] = field(default_factory=list)
    edges: list[str] = field(default_factory=list)
    stop_reason: StopReason = "end"
    tokens: int = 0


class OrchestratedAgent:
    """One conversation, `thread` its id. With `checkpoints` (an sqlite file) `open` after a restart joins it again.

    With `free_choice` the model writes its choice at a hub as free text, even where its server could constrain it.
    """

    def __init__(
        self,
        client: Client,
        workflow: Workflow,
        *,
        thread: str,
        name: str = "orchestrated",
        reply_tokens: int = 120,
        stop: tuple[str, ...] = (),
        checkpoints: Path | None = None,
        owner: str = "",
        free_choice: bool = False,
    ) -> None:
        self.name = name
        self._free_choice = free_choice
        self._client, self._workflow, self._owner = client, workflow, owner
        self._reply_tokens, self._stop = reply_tokens, stop
        self._system = ChatMessage("system", orchestrated_system(workflow))
        self._checkpoints = checkpoints
        limit = len(workflow.nodes) + len(workflow.edges) + 2
        self._thread: dict[str, Any] = {"thread_id": thread}
        self._config: dict[str, Any] = {"configurable": self._thread, "recursion_limit": limit}
        self._stack = AsyncExitStack()
        self._graph: Any = None
        self._turn = _Turn()
        self._broken = False

    async def open(self) -> AgentTurn:
        """The first message, or, where the thread has a checkpoint, the message that waits for its answer."""
        return await last_turn(self._advance(None, streaming=False))

    async def reply(self, text: str) -> AgentTurn:
        """Resume at the user node with `text`; after an error the same call goes on from where it broke."""
        return await last_turn(self._advance(text, streaming=False))

    def stream(self, text: str | None) -> AsyncIterator[str | AgentTurn]:
        """Chunks of all that is spoken up to the next user node, then the turn."""
        return self._advance(text, streaming=True)

    @property
    def passing(self) -> tuple[str, ...]:
        """The graph nodes of the message in the making, as far as it has come."""
        return tuple(self._turn.nodes)

    async def restore(self, messages: Sequence[Message]) -> None:
        """Stand where these messages have been said: the newest checkpoint with just this history (time travel).

        No messages mean the beginning: the thread's checkpoints are dropped, and `open` speaks anew. Raises UserError if
        there is none, as for a conversation of another process without a checkpoint file.
        """
        graph = await self._compiled()
        if not messages:
            await graph.checkpointer.adelete_thread(self._thread["thread_id"])
            return
        wanted = [("assistant" if m.role == "agent" else "user", m.text) for m in messages]
        async for snapshot in graph.aget_state_history({"configurable": self._thread}):
            if not snapshot.interrupts:
                continue
            said = [(m["role"], m["content"]) for m in snapshot.values["history"]]
            if [*said, ("assistant", " ".join(snapshot.values["spoken"]))] == wanted:
                self._config["configurable"] = dict(snapshot.config["configurable"])
                return
        raise UserError(f"{self.name} has no checkpoint of this turn: begin a new conversation")

    async def close(self) -> None:
        """Close the checkpoint file."""
        await self._stack.aclose()
        self._graph = None

    async def _advance(self, text: str | None, *, streaming: bool) -> AsyncIterator[str | AgentTurn]:
        graph = await self._compiled()
        chunks: asyncio.Queue[str | None] = asyncio.Queue()
        self._turn = _Turn(chunks.put_nowait if streaming else None)
        task = asyncio.create_task(self._invoke(graph, text))
        task.add_done_callback(lambda _: chunks.put_nowait(None))
        try:
            while (chunk := await chunks.get()) is not None:
                yield chunk
            yield await task
        finally:
            task.cancel()

    async def _invoke(self, graph: Any, text: str | None) -> AgentTurn:
        given: Any = {"history": [], "spoken": [], "visits": {}} if text is None else Command(resume=text)
        if text is None or self._broken:
            snapshot = await graph.aget_state(self._config)
            if text is None and snapshot.interrupts:
                return self._finished(snapshot.values, snapshot.interrupts[0].value)
            if self._broken and snapshot.next and not snapshot.interrupts:
                given = None  # the answer was taken before it broke: go on from there
        self._broken = True
        try:
            with tracing_context(enabled=False):
                state = await graph.ainvoke(given, self._config, durability="exit")
        except GraphRecursionError:
            raise AgentFailure(f"{self.name} went in circles without coming to a user node") from None
        finally:
            self._config["configurable"] = self._thread  # whatever was done from an older checkpoint is the newest now
        self._broken = False
        waiting = state.get("__interrupt__")
        return self._finished(state, waiting[0].value if waiting else None)

    def _finished(self, state: State, awaits: str | None) -> AgentTurn:
        turn = self._turn
        edges = tuple(turn.edges)
        via = edges[-1] if awaits and edges else None
        return replace(
            turn.meter.turn(" ".join(state["spoken"]), turn.stop_reason),
            nodes=tuple(turn.nodes),
            edges=edges[:-1] if via else edges,
            awaits=awaits,
            via=via,
            ended=awaits is None,
        )

    async def _compiled(self) -> Any:
        if self._graph is None:
            saver: Any = InMemorySaver()
            if self._checkpoints:
                from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

                saver = await self._stack.enter_async_context(AsyncSqliteSaver.from_conn_string(str(self._checkpoints)))
            self._graph = self._build().compile(checkpointer=saver)
        return self._graph

    def _build(self) -> Any:
        flow = self._workflow
        graph: Any = StateGraph(State)
        graph.add_edge(START, flow.start)
        for node in flow.nodes.values():
            graph.add_node(node.id, self._user_node(node) if node.role == "user" else self._agent_node(node))
            out = flow.out[node.id]
            if node.role == "terminal":
                graph.add_edge(node.id, END)
            elif node.id in flow.hubs:
                ways = {edge.id: _speaker(edge) if edge.say else edge.target for edge in out}
                graph.add_conditional_edges(node.id, self._router(node), ways)
            else:
                graph.add_edge(node.id, out[0].target)
        for edge in flow.edges:
            if edge.say and edge.source in flow.hubs:
                graph.add_node(_speaker(edge), self._edge_node(edge))
                graph.add_edge(_speaker(edge), edge.target)
        return graph

    def _user_node(self, node: Node) -> Callable[[State], Awaitable[dict[str, Any]]]:
        async def listen(state: State) -> dict[str, Any]:
            text = interrupt(node.id)  # on resume the node runs again from its top: nothing may stand before this line
            self._turn.edges.append(self._workflow.out[node.id][0].id)
            said = [{"role": "assistant", "content": " ".join(state["spoken"])}, {"role": "user", "content": text}]
            return {"history": state["history"] + said, "spoken": [], "visits": _visited(state, node.id)}

        return listen

    def _agent_node(self, node: Node) -> Callable[[State], Awaitable[dict[str, Any]]]:
        is_hub = node.id in self._workflow.hubs
        speaks = bool(node.say) or (node.role == "agent" and not is_hub)

        async def act(state: State) -> dict[str, Any]:
            part = await self._speak(state, node) if speaks else []
            self._turn.nodes.append(node.id)
            if not is_hub and node.role == "agent":
                self._turn.edges.append(self._workflow.out[node.id][0].id)
            return {"spoken": state["spoken"] + part, "visits": _visited(state, node.id)}

        return act

    def _edge_node(self, edge: Edge) -> Callable[[State], Awaitable[dict[str, Any]]]:
        async def act(state: State) -> dict[str, Any]:
            return {"spoken": state["spoken"] + await self._speak(state, edge)}

        return act

    def _router(self, hub: Node) -> Callable[[State], Awaitable[str]]:
        options = options_of(self._workflow, hub.id)

        async def choose(state: State) -> str:
            note = choice_note(hub, tuple(options), state["visits"][hub.id])
            request = self._request(state, note, purpose="hub", max_tokens=60, choices=tuple(options))
            reply = await self._client.complete(request)
            self._turn.meter.add(reply, spoken=False)
            edge = _chosen(reply.text, options)
            if edge is None:
                self._turn.meter.malformed += "malformed" not in reply.detail  # counted by whoever asked again
                edge = next((e for e in options.values() if e.when and e.when.otherwise), next(iter(options.values())))
            self._turn.edges.append(edge.id)
            return edge.id

        return choose

    async def _speak(self, state: State, place: Node | Edge) -> list[str]:
        """One model call for this place's part of the message; nothing once the reply's token limit is spent."""
        turn = self._turn
        left = self._reply_tokens - turn.tokens
        if left <= 0:
            turn.stop_reason = "length"
            return []
        note = speak_note(self._workflow, place, state["spoken"])
        request = self._request(state, note, purpose="speak", max_tokens=left)
        reply = await self._say(request, first=not state["spoken"])
        turn.meter.add(reply, spoken=True)
        turn.tokens += reply.usage.output
        if turn.stop_reason == "end":
            turn.stop_reason = reply.stop_reason
        return [reply.text.strip()] if reply.text.strip() else []

    async def _say(self, request: Request, *, first: bool) -> Reply:
        sink = self._turn.sink
        if sink is None:
            return await self._client.complete(request)
        if not first:
            sink(" ")
        async for piece in self._client.stream(request):
            if isinstance(piece, Reply):
                return piece
            sink(piece)
        raise AgentFailure(f"{self.name}: the model's stream ended without a reply")

    def _request(
        self, state: State, note: str, *, purpose: str, max_tokens: int, choices: tuple[str, ...] = ()
    ) -> Request:
        talk = [KICK_OFF, *(ChatMessage(m["role"], m["content"]) for m in state["history"])]  # type: ignore[arg-type]
        talk[-1] = replace(talk[-1], content=f"{talk[-1].content}\n\n{note}")
        return Request(
            (self._system, *talk),
            max_tokens,
            stop=() if choices else self._stop,
            choices=choices,
            free=bool(choices) and self._free_choice,
            purpose=f"agent:orchestrated:{purpose}",
            owner=self._owner,
            streamed=not choices,
        )


def _speaker(edge: Edge) -> str:
    """The graph node that speaks an edge's words (LangGraph reserves `|` and `:` in names)."""
    return f"{edge.source}>{edge.id.replace(':', '_').replace('|', '_')}"


def _visited(state: State, node: str) -> dict[str, int]:
    return {**state["visits"], node: state["visits"].get(node, 0) + 1}


def _chosen(text: str, options: dict[str, Edge]) -> Edge | None:
    """The option a reply names: exactly, or as the only one that stands in it; None is a malformed choice."""
    said = text.strip().strip("-\"' ").casefold()
    folded = {words.casefold(): edge for words, edge in options.items()}
    if said in folded:
        return folded[said]
    within = [edge for words, edge in folded.items() if words.rstrip(".") in said]
    return within[0] if len(within) == 1 else None

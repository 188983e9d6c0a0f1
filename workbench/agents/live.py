"""The process that holds a live conversation (job kind `chat`): one to four agents, a socket, a record of every
message.

It outlives its clients: they join over a Unix socket (0600) whose place stands in the job folder's `live.json`, and get
every event with its number from events.jsonl, then those that follow. Started again, it goes on where it was. The
protocol is JSON lines, described in `workbench.agents.live_client`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.agents.base import Agent, AgentTurn, User, UserTurn
from workbench.agents.conversation import Spoken, limits_for
from workbench.agents.live_client import LINE_LIMIT, Event, recorded_events
from workbench.agents.live_column import HUMAN, Column, Place, spoken_of, turn_of
from workbench.agents.names import AgentName, build_agent, parse_name
from workbench.dialogue.generation import keep_workflow
from workbench.dialogue.model import Scenario
from workbench.errors import UserError
from workbench.home import take_after_folder
from workbench.jobs import JobContext
from workbench.jobs.kinds import entry_point
from workbench.models.client import Client
from workbench.models.ledger import RetryPolicy
from workbench.models.open import LateClient, open_client
from workbench.store import Record, connect
from workbench.store.conversations import put_conversation
from workbench.store.rows import CallRow, ConversationRow, MessageRow, VoteRow
from workbench.store.scenarios import get_scenario
from workbench.workflow.hashing import digest, workflow_hash
from workbench.workflow.load import load_workflow

if TYPE_CHECKING:
    from workbench.dialogue.labeller import Labeller

LINGER_SECONDS = 2.0
"""How long the process stays when all columns have ended and nobody is connected."""
IDLE_SECONDS = 900.0
"""How long it stays when nobody is connected and nothing happens; whoever speaks to it later starts it again."""
LOCATOR = "workbench.evaluation.position:Locator"
"""Who reads where a conversation stands: above this room, so it is named and looked up like a job's entry point."""
ATTEMPTS = 4
"""How often a call is tried that may pass later: a person waits, and can ask again with one key."""
_LONGEST_SOCKET_PATH = 100
_TICK_S = 0.1
_QUEUE = 20_000


def main(ctx: JobContext) -> dict[str, Any]:
    """Hold the conversation that `ctx.args` names (see `launch_chat`) until it ends, is left alone or is stopped."""
    return asyncio.run(_Live(ctx).run())


class _Book:
    """The record, written by one thread of its own so that a busy database never holds up a reply."""

    def __init__(self, ctx: JobContext) -> None:
        self._thread = ThreadPoolExecutor(1, "record")
        self._record = self._thread.submit(connect, ctx.home).result()

    def submit(self, work: Callable[[Record], object]) -> asyncio.Future[object]:
        """Do `work` with the record, in order."""
        return asyncio.wrap_future(self._thread.submit(work, self._record))

    def call(self, row: CallRow) -> None:
        """Enter a model call into the ledger; may be called from any thread."""
        from workbench.store.calls import put_calls

        self._thread.submit(put_calls, self._record, [row])

    def close(self) -> None:
        """Finish what was submitted."""
        self._thread.submit(self._record.close)
        self._thread.shutdown()


class _Live:
    def __init__(self, ctx: JobContext) -> None:
        self._ctx = ctx
        self._args = ctx.args
        self._workflow = load_workflow(str(self._args["workflow"]))
        self._names = [parse_name(str(name)) for name in self._args["agents"]]
        self._past = recorded_events(ctx.folder)
        self._seq = self._past[-1]["seq"] if self._past else 0
        self._watchers: set[asyncio.Queue[Event | None]] = set()
        self._active = time.monotonic()
        self._book = _Book(ctx)
        self._clients: dict[tuple[int, str], Client] = {}
        self._labeller: Labeller | None = None
        self._locator: Callable[[Sequence[MessageRow]], Any] | None = None
        self._columns: list[Column] = []
        self._scenario: Scenario | None = None
        self._reading = asyncio.Lock()

    async def run(self) -> dict[str, Any]:
        place, scratch = _socket_place(self._ctx.folder)
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._book.submit(self._prepare)
            self._columns = [self._column(index, name) for index, name in enumerate(self._names)]
            for column in self._columns:
                await self._restore(column)
            self.publish("hello", self._hello())
            place.unlink(missing_ok=True)
            server = await asyncio.start_unix_server(self._serve, place, limit=LINE_LIMIT)
            take_after_folder(place, self._ctx.folder)
            live = self._ctx.folder / "live.json"
            live.write_text(json.dumps({"socket": str(place), "pid": os.getpid()}))
            tasks = [asyncio.create_task(column.run()) for column in self._columns]
            await self._until_over(tasks)
        finally:
            (self._ctx.folder / "live.json").unlink(missing_ok=True)
            await self._leave(tasks)
            place.unlink(missing_ok=True)
            if scratch:
                scratch.rmdir()
        server.close()
        return {"conversations": [c.conversation_id for c in self._columns]}

    def publish(self, type_: str, data: Mapping[str, Any]) -> None:
        """Number an event, write it down, hand it to everyone who watches."""
        self._seq += 1
        self._active = time.monotonic()
        self._ctx.event(type_, seq=self._seq, **data)
        event = {"seq": self._seq, "t": time.time(), "type": type_, **data}
        for queue in list(self._watchers):
            if queue.qsize() > _QUEUE:  # it does not read: it may join again from where it was
                self._watchers.discard(queue)
                queue.put_nowait(None)
            else:
                queue.put_nowait(event)

    async def keep(self, column: Column, first: int, messages: Sequence[Spoken]) -> None:
        """Write messages and the state of their conversation to the record."""
        from workbench.store.conversations import put_conversation_messages

        row, rows = self._row(column), [m.row() for m in messages]

        def write(rec: Record) -> None:
            with rec.write():
                put_conversation(rec, row)
                put_conversation_messages(rec, row.id, rows, first)

        await self._book.submit(write)

    def _prepare(self, rec: Record) -> None:
        keep_workflow(rec, self._workflow)
        if wanted := self._args.get("scenario"):
            self._scenario = get_scenario(rec, str(wanted))
            if self._scenario is None:
                raise UserError(f'no scenario "{wanted}" in the record: generate dialogues or run an evaluation first')

    def _column(self, index: int, name: AgentName) -> Column:
        thread = digest([self._ctx.id, index])
        agent = self._agent(index, name, thread)
        user = self._user(index, thread)
        return Column(
            index,
            agent,
            thread,
            self,
            user=user,
            limits=limits_for(self._workflow) if user else None,
            understand=self._understand,
        )

    def remake(self, column: Column) -> tuple[Agent, User | None]:
        """A column's agent and simulated user anew, for a conversation that goes on from an earlier message."""
        thread = digest([self._ctx.id, column.index])
        return self._agent(column.index, self._names[column.index], thread), self._user(column.index, thread)

    async def locate(self, messages: Sequence[MessageRow]) -> Place:
        """Read where a conversation stands; in a thread, since the reader is fitted at the first call."""

        def find() -> Place:
            if self._locator is None:
                self._locator = entry_point(LOCATOR)(self._workflow, self._reader())
            found = self._locator(messages)
            return Place(found.nodes, found.edges, found.at, found.read)

        async with self._reading:
            return await asyncio.to_thread(find)

    def _agent(self, index: int, name: AgentName, thread: str) -> Agent:
        return build_agent(
            name,
            self._workflow,
            self._client(index, name.model) if name.model else None,
            thread=thread,
            scenario=self._scenario,
            checkpoints=self._ctx.folder / "checkpoints.sqlite",
        )

    def _user(self, index: int, thread: str) -> User | None:
        wanted = self._args.get("user")
        if wanted is None:
            return None
        if self._scenario is None:
            raise UserError("a simulated user needs a scenario: choose one (--scenario ID)")
        if wanted == "agenda":
            from workbench.agents.users import AgendaUser

            return AgendaUser(self._workflow, self._scenario, self._reader(), int(self._args.get("seed") or 0))
        from workbench.agents.llm_user import LlmUser

        client = self._client(index, str(wanted).partition(":")[2])
        seed = int(self._args.get("seed") or 0)
        return LlmUser(client, self._workflow, self._scenario, self._reader(), seed=seed, owner=thread)

    def _client(self, index: int, model: str) -> Client:
        """A column's client for a model; what it has to wait for is told in that column."""
        if (index, model) not in self._clients:

            def tell(line: str) -> None:
                self.publish("waiting", {"column": index, "text": line})

            home, record, policy = self._ctx.home, self._book.call, RetryPolicy(ATTEMPTS)
            late = LateClient(model, lambda: open_client(model, home, record, policy=policy, tell=tell))
            self._clients[index, model] = late
        return self._clients[index, model]

    def _reader(self) -> Labeller:
        if self._labeller is None:
            from workbench.dialogue.labeller import Labeller

            self._labeller = Labeller(self._workflow)
        return self._labeller

    def _understand(self, text: str, awaits: str | None) -> UserTurn:
        """What a human's typed message does, for an agent that must be told."""
        return UserTurn(text, awaits, self._reader().move(text, awaits) if awaits else None)

    async def _restore(self, column: Column) -> None:
        """Take up what the events of earlier attempts tell of a column."""
        said: list[Spoken] = []
        turns: dict[int, AgentTurn] = {}
        queued: list[str] = []
        ended: Event | None = None
        started = next((e["t"] for e in self._past if e["type"] == "hello"), column.started)
        for event in (e for e in self._past if e.get("column") == column.index):
            if event["type"] == "branch":
                del said[event["idx"] :]
                started = event["t"]
                turns = {n: t for n, t in turns.items() if n < event["idx"]}
                column.conversation_id, column.branch_of, ended = event["conversation"], event["of"], None
                queued.clear()
            elif event["type"] == "queued":
                queued.append(event["text"])
            elif event["type"] == "said":
                column.speakers.add(event["by"])
                if queued and event["by"] == HUMAN:
                    del queued[0]
                said.append(spoken_of(event))
            elif event["type"] == "turn":
                if event["text"] or not event["ended"]:
                    said.append(spoken_of(event))
                turns[len(said) - 1] = turn_of(event)
            elif event["type"] == "state":
                ended = event if "ended_by" in event else None
                column.diverged |= bool(event.get("diverged"))
        if said or queued:
            column.terminal = ended.get("terminal") if ended else None
            column.started = started
            await column.restore(said, turns, ended["ended_by"] if ended else None, queued)

    def _hello(self) -> dict[str, Any]:
        agents = [
            {"column": c.index, "name": n.text, "conversation": c.conversation_id}
            for c, n in zip(self._columns, self._names, strict=True)
        ]
        names = ("scenario", "user", "seed", "blind")
        return {"agents": agents, "workflow": self._workflow.name, **{n: self._args.get(n) for n in names}}

    def _row(self, column: Column) -> ConversationRow:
        over = column.state == "ended"
        return ConversationRow(
            id=column.conversation_id,
            comparison_id=None,
            agent=self._names[column.index].text,
            condition=self._names[column.index].kind,
            scenario_id=self._scenario.id if self._scenario else None,
            workflow_id=workflow_hash(self._workflow),
            seed=int(self._args.get("seed") or 0),
            status="done" if over else "running",
            terminal=column.terminal,
            ended_by=column.ended_by,
            totals=column.totals(),
            provenance=self._provenance(column),
            created=column.started,
        )

    def _provenance(self, column: Column) -> dict[str, Any]:
        known = {"job": self._ctx.id, "user": "+".join(sorted(column.speakers)), "live": True, "column": column.index}
        told = {"diverged": column.diverged, "branch_of": column.branch_of, "blind": self._args.get("blind")}
        return known | {name: value for name, value in told.items() if value}

    async def _until_over(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        alone = time.monotonic()
        while not self._ctx.stopping:
            for task in tasks:
                if task.done() and (error := task.exception()):
                    raise error
            now = time.monotonic()
            if self._watchers:
                alone = now
            over = all(c.state == "ended" for c in self._columns)
            if over and now - alone > LINGER_SECONDS:
                return
            if now - max(alone, self._active) > IDLE_SECONDS:
                return
            await asyncio.sleep(_TICK_S)

    async def _leave(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for queue in self._watchers:
            queue.put_nowait(None)
        for column in self._columns:
            await column.agent.close()
        for client in self._clients.values():
            await client.close()
        await asyncio.to_thread(self._book.close)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client: its first line says from where on it wants the events; then it sends what it wants done."""
        queue: asyncio.Queue[Event | None] = asyncio.Queue()
        sender: asyncio.Task[None] | None = None
        try:
            after = int(json.loads(await reader.readline())["after"])
            self._watchers.add(queue)  # from here on the queue misses nothing; what came before is in the file
            for event in recorded_events(self._ctx.folder):
                if after < event["seq"]:
                    _write(writer, event)
            sender = asyncio.create_task(_send(queue, writer))
            while line := await reader.readline():
                await self._obey(json.loads(line), queue)
        except (ConnectionError, ValueError, KeyError, TypeError, RecursionError):
            return
        finally:
            self._watchers.discard(queue)
            if sender:
                sender.cancel()
            writer.close()

    async def _obey(self, message: Mapping[str, Any], queue: asyncio.Queue[Event | None]) -> None:
        wanted = message.get("to")
        chosen = [c for c in self._columns if wanted is None or c.index in wanted]
        if message.get("op") == "back":  # columns that never came so far stay as they are
            chosen = [c for c in chosen if len(c.messages) >= int(message["idx"])] or chosen
        alone = any(c not in chosen and c.state != "ended" for c in self._columns)
        try:
            if message["op"] == "vote":
                await self._vote(message)
            for column in chosen:
                match message["op"]:
                    case "say":
                        column.say(str(message["text"]), alone=alone)
                    case "auto":
                        steps = None if message["steps"] is None else int(message["steps"])
                        column.autopilot(steps, alone=alone)
                    case "stop":
                        column.stop_reply()
                    case "retry":
                        column.retry(alone=alone)
                    case "back":
                        text = message.get("text")
                        column.go_back(int(message["idx"]), None if text is None else str(text), alone=alone)
                    case "end":
                        await column.end()
        except UserError as error:
            queue.put_nowait({"seq": self._seq, "t": time.time(), "type": "refused", "error": str(error)})

    async def _vote(self, message: Mapping[str, Any]) -> None:
        """Keep a vote on these conversations and tell everyone; with it a blind comparison is over."""
        from workbench.store.chat_votes import put_vote

        choice, note = str(message["choice"]), str(message.get("note") or "")
        if choice not in ("tie", "bad", *map(str, range(len(self._columns)))):
            raise UserError(f'no choice "{choice}": the number of a column, tie or bad')
        row = VoteRow(
            id=digest([self._ctx.id, self._seq, time.time()]),
            job=self._ctx.id,
            workflow_id=workflow_hash(self._workflow),
            agents=tuple(n.text for n in self._names),
            conversations=tuple(c.conversation_id for c in self._columns),
            winner=int(choice) if choice.isdigit() else None,
            verdict="win" if choice.isdigit() else choice,
            note=note,
            blind=bool(self._args.get("blind")),
            voter=str(message.get("voter") or ""),
        )
        await self._book.submit(lambda rec: put_vote(rec, row))
        self.publish("vote", {"choice": choice, "note": note})


async def _send(queue: asyncio.Queue[Event | None], writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while (event := await queue.get()) is not None:
            _write(writer, event)
            await writer.drain()
    writer.close()


def _write(writer: asyncio.StreamWriter, event: Mapping[str, Any]) -> None:
    writer.write(json.dumps(event).encode() + b"\n")


def _socket_place(folder: Path) -> tuple[Path, Path | None]:
    """Where to listen: a deep folder does not fit a socket address, so a private temporary one takes its place."""
    place = folder / "live.sock"
    if len(os.fsencode(place)) <= _LONGEST_SOCKET_PATH:
        return place, None
    scratch = Path(tempfile.mkdtemp(prefix="workbench-"))
    return scratch / "live.sock", scratch

"""The client's side of a live conversation: launch it, join it, speak in it, leave it and join again.

A conversation is held by a job of kind `chat` (see `workbench.agents.live`); leaving never ends it. Every event is a
dict with `seq` (1, 2, …), `t` (UTC epoch seconds), `type` and, where it concerns one agent, `column` (its number):

- `hello {agents: [{column, name, conversation}], workflow, scenario, user, seed, blind}`: first event of every attempt;
- `queued {column, text}`: somebody's message has come and waits for its turn; `said` follows when it is said, also by the
  next process if this one dies before. A branch and the end of the column take back what waits;
- `said {column, idx, text, by}`: a user's message ("human" or a simulated user's name), with `move`, `facts` … if
  simulated;
- `chunk {column, text, nodes?}`: more of the reply in the making (at most about twelve a second and column), with the
  graph nodes passed so far where the agent holds a graph;
- `turn {column, idx, text, usage, calls, cost, latency_s, ttft_s, nodes, edges, awaits, ended, stop_reason, totals}`;
- `place {column, idx, nodes, edges, at, read, known}`: where the conversation stands after that turn; `known` says that
  the agent itself knows it, else it is read from the texts by the labeller and alignment;
- `state {column, state, queued, auto, diverged?, ended_by?, error?}`: state is ready, answering, failed or ended. A failed
  column keeps its text so far and waits for `retry`;
- `waiting {column, text}`: a service could not answer and is asked again in a moment; the next chunk or state ends it;
- `branch {column, idx, conversation, of}`: the column goes on from its first `idx` messages as a new conversation;
- `vote {choice, note}`: somebody has judged: the number of a column, "tie" or "bad".
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from workbench.agents.names import parse_name
from workbench.errors import ServiceError, UserError
from workbench.home import Home
from workbench.jobs import ENDED, Job, launch, status
from workbench.models.server.ensure import model_path

Event = dict[str, Any]
LINE_LIMIT = 1 << 20
"""Longest line of the protocol, in bytes."""
MOST_AGENTS = 4
LEAVE_SECONDS = 2.0
"""So long a client that leaves waits for the other side to have heard everything."""
STOPPED = "stopped: ask again for the reply, or end the conversation"
"""The error of a column whose reply was stopped before its first word."""
_POLL_S = 0.05


def failure_words(error: str, *, unnamed: bool) -> str:
    """Why a column could not answer; before the vote of a blind comparison not in a service's words, which tell who it is."""
    return "it could not answer" if error and unnamed and error != STOPPED else error


def launch_chat(
    home: Home,
    agents: Sequence[str],
    workflow: str,
    *,
    scenario: str | None = None,
    user: str | None = None,
    seed: int = 0,
    session: str | None = None,
    blind: bool = False,
) -> Job:
    """Start the process that holds a conversation with one to four agents side by side.

    `workflow` is a name or a file, `scenario` an id of the record, `user` "agenda" or "llm:MODEL" (needed for
    autopilot). The same `session` joins the conversation of that name; None makes a new one. `blind` shuffles the agents:
    clients show no names before a vote. Raises UserError.
    """
    if not 1 <= len(agents) <= MOST_AGENTS:
        raise UserError(f"{len(agents)} agents: name one to {MOST_AGENTS} to talk to side by side")
    for name in map(parse_name, agents):
        if name.model and name.model.startswith("local/"):
            model_path(home, name.model.removeprefix("local/"))
    if user is not None and user != "agenda" and not user.startswith("llm:"):
        raise UserError(f'no simulated user "{user}": choose agenda or llm:MODEL')
    shown = list(agents)
    if blind:
        if len(agents) < 2:
            raise UserError("a blind comparison needs two agents or more")
        secrets.SystemRandom().shuffle(shown)
    args = {
        "agents": shown,
        "workflow": workflow,
        "scenario": scenario,
        "user": user,
        "seed": seed,
        "session": session or secrets.token_hex(4),
        **({"blind": True} if blind else {}),
    }
    return launch(home, "chat", args, f"Blind chat, {len(shown)} agents" if blind else f"Chat with {', '.join(agents)}")


class LiveClient:
    """One connection to a live conversation. `last` is the number of the newest event seen: join `after` it again."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, after: int) -> None:
        self._reader, self._writer = reader, writer
        self.last = after

    @classmethod
    async def join(cls, home: Home, job_id: str, *, after: int = 0, timeout: float = 60.0) -> LiveClient:
        """Connect to the job's process, waiting for it to listen; events from `after` + 1 on follow, however old.

        Raises ServiceError if the job ended or did not listen within `timeout` seconds.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            try:
                where = json.loads((home.jobs / job_id / "live.json").read_text())["socket"]
                reader, writer = await asyncio.open_unix_connection(where, limit=LINE_LIMIT)
            except (OSError, ValueError, KeyError):
                now = await asyncio.to_thread(status, home, job_id)
                if now.state in ENDED:
                    raise ServiceError(f"the conversation {job_id} is over ({now.error or now.state})") from None
                if asyncio.get_running_loop().time() > deadline:
                    raise ServiceError(
                        f"the conversation {job_id} does not answer (see {now.folder}/log.txt)"
                    ) from None
                await asyncio.sleep(_POLL_S)
                continue
            client = cls(reader, writer, after)
            await client._send(op="join", after=after)
            return client

    async def events(self) -> AsyncIterator[Event]:
        """Events as they come, until the process ends or the line is cut."""
        while True:
            try:
                line = await self._reader.readline()
            except (ConnectionError, ValueError):
                return
            if not line.endswith(b"\n"):
                return
            event: Event = json.loads(line)
            self.last = int(event["seq"])
            yield event

    async def say(self, text: str, to: Sequence[int] | None = None) -> None:
        """A user's message to the columns `to`, or to all. One that is still answering takes it next."""
        await self._send(op="say", text=text, to=to)

    async def auto(self, steps: int | None = None, to: Sequence[int] | None = None) -> None:
        """Let the simulated user speak: `steps` messages, or to the end (None); 0 takes over from it."""
        await self._send(op="auto", steps=steps, to=to)

    async def stop_reply(self, to: Sequence[int] | None = None) -> None:
        """Cut the reply in the making."""
        await self._send(op="stop", to=to)

    async def retry(self, to: Sequence[int] | None = None) -> None:
        """Ask failed columns for the reply they owe, the others for their last reply anew."""
        await self._send(op="retry", to=to)

    async def back(self, idx: int, text: str | None = None, to: Sequence[int] | None = None) -> None:
        """Go on from the first `idx` messages, saying `text` next if it is given; the old conversations stay."""
        await self._send(op="back", idx=idx, text=text, to=to)

    async def vote(self, choice: str, note: str = "", voter: str = "") -> None:
        """Judge: the number of the best column, "tie" or "bad" (all of them are)."""
        await self._send(op="vote", choice=choice, note=note, voter=voter)

    async def end(self, to: Sequence[int] | None = None) -> None:
        """End the conversation of these columns; the process goes when all have ended and nobody is connected."""
        await self._send(op="end", to=to)

    async def close(self) -> None:
        """Leave. The conversation goes on, and hears all that was sent: closing on unread events would cut that off."""
        # A RuntimeError says that somebody else is reading, and so leaves nothing unread.
        with contextlib.suppress(OSError, TimeoutError, RuntimeError):
            self._writer.write_eof()
            async with asyncio.timeout(LEAVE_SECONDS):
                while await self._reader.read(1 << 16):
                    pass
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _send(self, **message: object) -> None:
        try:
            self._writer.write(json.dumps(message).encode() + b"\n")
            await self._writer.drain()
        except ConnectionError:
            raise ServiceError("the process that holds the conversation is gone: join it again") from None


def draw_scenario(home: Home, workflow: str, seed: int = 0, persona: str | None = None) -> str:
    """Put a test scenario drawn with `seed` (a path chosen uniformly) into the record and return its id.

    `persona` takes the place of the drawn one. Raises UserError if the workflow has no such persona.
    """
    from workbench.dialogue.generation import keep_workflow
    from workbench.dialogue.scenarios import scenario_for_path
    from workbench.store import connect
    from workbench.store.scenarios import put_scenarios
    from workbench.workflow.load import load_workflow
    from workbench.workflow.paths import PathSpace

    flow = load_workflow(workflow)
    made = scenario_for_path(flow, PathSpace(flow).sample(1, seed)[0], "test", seed)
    with connect(home) as record:
        keep_workflow(record, flow)
        put_scenarios(record, [made])
    return with_persona(home, workflow, made.id, persona) if persona else made.id


def with_persona(home: Home, workflow: str, scenario: str, persona: str) -> str:
    """The scenario of the record as another persona lives it; put into the record, its id returned.

    Raises UserError if the workflow has no such persona or the record no such scenario.
    """
    from workbench.dialogue.scenarios import make_scenario
    from workbench.store import connect
    from workbench.store.scenarios import get_scenario, put_scenarios
    from workbench.workflow.load import load_workflow

    flow = load_workflow(workflow)
    known = [p.id for p in flow.personas]
    if persona not in known:
        raise UserError(f'{flow.name} has no persona "{persona}": choose one of {", ".join(known)}')
    with connect(home) as record:
        found = get_scenario(record, scenario)
        if found is None:
            raise UserError(f'no scenario "{scenario}" in the record')
        made = make_scenario(flow, found.split, found.seed, dict(found.variables), persona, found.plan)
        put_scenarios(record, [made])
    return made.id


def workflow_of(home: Home, agents: Sequence[str], otherwise: str = "travel_booking") -> str:
    """The workflow that the first compiled run among `agents` was made from (its file or name), else `otherwise`."""
    from workbench.store import connect
    from workbench.store.find import find
    from workbench.store.runs import get_run
    from workbench.store.workflows import get_workflow

    with connect(home) as record:
        for name in map(parse_name, agents):
            if name.kind != "compiled" or not name.model:
                continue
            with contextlib.suppress(UserError):
                run = get_run(record, find(record, "run", name.model.removeprefix("local/")))
                row = get_workflow(record, run.workflow_id) if run and run.workflow_id else None
                if row:
                    return row.source if row.source and Path(row.source).exists() else row.name
    return otherwise


def recorded_events(folder: Path) -> list[Event]:
    """All live events that a job's folder holds, in order, of all attempts: what a replay needs."""
    from workbench.jobs.events import all_events

    return [event for event in all_events(folder / "events.jsonl") if "seq" in event]

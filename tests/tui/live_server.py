"""A live conversation's process as the chat pane sees it: a Unix socket with numbered events, and a job's folder."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.home import Home

JOB = "c" * 16


class LiveServer:
    """Answers every `say` in as many chunks as there are words; keeps all events for those who join later."""

    def __init__(
        self, home: Home, agents: tuple[str, ...], reply: str = "a reply in words", *, blind: bool = False
    ) -> None:
        self.home, self.agents, self.reply, self.blind = home, agents, reply, blind
        self.events: list[dict[str, Any]] = []
        self.received: list[dict[str, Any]] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._idx = [0] * len(agents)
        self._server: asyncio.Server | None = None
        self._scratch = Path()

    async def __aenter__(self) -> LiveServer:
        folder = self.home.jobs / JOB
        folder.mkdir(parents=True)
        job = {
            "kind": "chat",
            "title": "chat",
            "args": {},
            "created": time.time(),
            "attempt": 1,
            "command": None,
            "cwd": "/",
        }
        (folder / "job.json").write_text(json.dumps(job))
        far = {"attempt": 1, "at": time.time(), "host": "elsewhere", "boot": "x", "pid": 1, "started": 1.0}
        (folder / "process.json").write_text(json.dumps(far))
        (folder / "heartbeat").touch()
        self._scratch = Path(tempfile.mkdtemp(prefix="live"))  # a test's own folder is too deep for a socket's address
        socket = self._scratch / "s"
        self._server = await asyncio.start_unix_server(self._client, socket)
        (folder / "live.json").write_text(json.dumps({"socket": str(socket)}))
        named = [{"column": n, "name": agent, "conversation": str(n)} for n, agent in enumerate(self.agents)]
        self.tell("hello", agents=named, workflow="travel_booking", blind=self.blind)
        for column in range(len(self.agents)):
            self.turn(column, f"Hello from {self.agents[column]}")
        return self

    async def __aexit__(self, *_: object) -> None:
        for writer in self._writers:
            writer.close()
        assert self._server
        self._server.close()
        shutil.rmtree(self._scratch)

    def tell(self, kind: str, **data: Any) -> None:
        event = {"seq": len(self.events) + 1, "t": time.time(), "type": kind, **data}
        self.events.append(event)
        for writer in self._writers:
            self._write(writer, event)

    def turn(self, column: int, text: str, cost: float | None = 0.001) -> None:
        self.tell("state", column=column, state="answering", queued=0, auto=0)
        for word in text.split():
            self.tell("chunk", column=column, text=word + " ")
        usage = {"input": 100, "output": 10, "cache_read": 0, "cache_write": 0}
        totals = {**usage, "cost": None if cost is None else cost * (column + 1), "model_s": 0.5, "messages": 1}
        data = {
            "usage": usage,
            "calls": 1,
            "cost": cost,
            "latency_s": 0.5,
            "ttft_s": 0.1,
            "nodes": ["greet"],
            "totals": totals,
        }
        self.tell("turn", column=column, idx=self._idx[column], text=text, **data)
        self._idx[column] += 1
        self.tell("state", column=column, state="ready", queued=0, auto=0)

    def place(self, column: int, nodes: list[str], *, known: bool = False) -> None:
        """Where a column stands."""
        data = {"nodes": nodes, "edges": [], "at": nodes[-1], "read": nodes[-2:-1], "known": known}
        self.tell("place", column=column, idx=self._idx[column] - 1, **data)

    async def stream(self, rate: float, until: asyncio.Event, batch: int = 4) -> None:
        """All columns answer at once, `rate` tokens a second each, in chunks of `batch` tokens, until told to stop."""
        for column in range(len(self.agents)):
            self.tell("state", column=column, state="answering", queued=0, auto=0)
        words = itertools.cycle(("token", "after", "another", "until", "the", "line", "is", "full"))
        while not until.is_set():
            for column in range(len(self.agents)):
                self.tell("chunk", column=column, text="".join(f"{next(words)} " for _ in range(batch)))
            await asyncio.sleep(batch / rate)

    def _write(self, writer: asyncio.StreamWriter, event: Mapping[str, Any]) -> None:
        writer.write(json.dumps(event).encode() + b"\n")

    async def _client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            message = json.loads(line)
            self.received.append(message)
            if message["op"] == "join":
                for event in self.events[message["after"] :]:
                    self._write(writer, event)
                self._writers.append(writer)
            elif message["op"] == "say":
                for column in message["to"] or range(len(self.agents)):
                    self.tell("said", column=column, idx=self._idx[column], text=message["text"], by="human")
                    self._idx[column] += 1
                    self.turn(column, self.reply)
            elif message["op"] == "vote":
                self.tell("vote", choice=message["choice"], note=message["note"])

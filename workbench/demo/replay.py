"""Plays a recorded demo: its events and rows appear in an empty home as they did in the run, in three minutes or less.

Nothing is computed and no model is asked. Every job's folder looks as if the job ran on another machine, so that the app
and the command line watch it as they watch any job.
"""

from __future__ import annotations

import heapq
import json
import os
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, TextIO

from workbench.agents.replay import paced
from workbench.demo.recording import RecordedJob, Recording
from workbench.home import Home, make_folder, open_private
from workbench.jobs.folder import write_json
from workbench.numbers import finite
from workbench.store.carry import TABLES, RowDict
from workbench.store.record import Record, connect

CUT = {
    "workflow": 6.0,
    "dialogues": 14.0,
    "dataset": 7.0,
    "base": 4.0,
    "training": 55.0,
    "serving": 5.0,
    "evaluation": 32.0,
}
"""Seconds that a stage takes at speed 1; others take 5."""
READING = 12.0
"""Seconds for the results before the chat."""
CHAT = 42.0
CHAT_TITLE, CHAT_WHY = "Talk to it", "The compiled model beside its rivals, as they really answered; no model runs now."
_TICK = 0.1
_BEAT = 5.0
_OWNED = {
    "messages": "owner_id",
    "dataset_items": "dataset_id",
    "verdicts": "conversation_id",
    "measures": "conversation_id",
}
"""Tables whose rows come with the row that owns them, and the column that names it."""
_AT_ONCE = ("workflows", "scenarios")
_GROWING = ("runs", "comparisons")
"""Rows that are there from the beginning of their work and say what came out at its end."""


@dataclass(order=True)
class _Due:
    at: float
    number: int
    do: Callable[[], None] = field(compare=False)


def length(speed: float) -> float:
    """Seconds a replay takes."""
    return (sum(CUT.values()) + READING + CHAT) / speed


class Player:
    """Plays a recording into a home that must be empty; `run` returns at its end or when `stopping()`."""

    def __init__(self, recording: Recording, home: Home, speed: float = 1.0) -> None:
        self._recording, self._home, self._speed = recording, home, speed
        self._queue: list[_Due] = []
        self._numbers = count()
        self._running: dict[str, float] = {}
        self._knots = _knots(recording.demo)
        self._end = self._knots[-1][1]
        self._batch: dict[str, list[RowDict]] = {}
        self._rec: Record | None = None
        self._stages = sum(e["type"] == "stage" and e["state"] == "running" for e in recording.demo.events)

    def begin(self) -> None:
        """Make what is there from the start: the record with its workflow, and the demo's job."""
        with connect(self._home.make()) as self._rec:
            for table in _AT_ONCE:
                self._rec.put(table, self._recording.rows.get(table, ()), key=TABLES[table])
        self._open(self._recording.demo)
        self._schedule()

    def run(self, stopping: Callable[[], bool] = lambda: False) -> None:
        """Let everything happen at its time."""
        started = time.monotonic()
        with connect(self._home) as self._rec:
            while self._queue and not stopping():
                now = (time.monotonic() - started) * self._speed
                while self._queue and self._queue[0].at <= now:
                    heapq.heappop(self._queue).do()
                self._flush()
                self._beat()
                time.sleep(_TICK)
            self._flush()

    # What happens when ------------------------------------------------------------------------------------------

    def _schedule(self) -> None:
        self._stage_events()
        for job in self._recording.stages:
            self._job(job, [(self._at(float(e["t"])), self._left(e)) for e in job.events])
        self._rows()
        self._chats()

    def _at(self, t: float) -> float:
        """When something of the time `t` of the run happens in the replay, by the stage it fell into."""
        times = [knot[0] for knot in self._knots]
        n = min(max(bisect_right(times, t) - 1, 0), len(times) - 2)
        (t0, a0), (t1, a1) = self._knots[n : n + 2]
        return min(max(a0 + (t - t0) / max(t1 - t0, 1e-9) * (a1 - a0), 0.0), self._end)

    def _left(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """The event with the time left as it is in the replay, which is shorter than the run."""
        if not event.get("eta_s"):
            return event
        t = float(event["t"])
        return {**event, "eta_s": (self._at(t + event["eta_s"]) - self._at(t)) / self._speed}

    def _put(self, at: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._queue, _Due(at, next(self._numbers), do))

    def _stage_events(self) -> None:
        """The demo's own events; its end comes after the chat, which is a stage of its own."""
        demo, last = self._recording.demo, None
        for event in demo.events:
            if event["type"] == "done":
                continue
            at = self._at(float(event["t"]))
            if event["type"] == "stage":
                event = {**event, "total": self._stages + bool(self._recording.chats)}
                if event["index"] == self._stages - 1 and event["state"] == "done":
                    last = event
                    continue
            self._put(at, lambda e=event: self._write(demo.id, self._left(e)))  # type: ignore[misc]
        if last:
            self._put(self._end + READING, lambda: self._write(demo.id, last))

    def _chats(self) -> None:
        """The first chat as it was held; the others lie in the record."""
        demo, talks = self._recording.demo, self._recording.chats
        start = self._end + READING
        over = start + 1.0
        if talks:
            stage = {
                "type": "stage",
                "index": self._stages,
                "total": self._stages + 1,
                "name": "chat",
                "title": CHAT_TITLE,
            }
            self._put(start, lambda: self._write(demo.id, {**stage, "state": "running", "why": CHAT_WHY}))
            clock, timed = 0.0, []
            for pause, event in paced([e for e in talks[0].events if "seq" in e]):
                clock += min(pause, 3.0)
                timed.append((clock, event))
            pace = min(1.0, (CHAT - 4.0) / max(clock, 1e-9))
            self._job(talks[0], [(start + at * pace, e) for at, e in timed])
            over = start + CHAT
            for talk in talks[1:]:
                self._job(talk, [(start, e) for e in talk.events])
            self._put(over, lambda: self._write(demo.id, {**stage, "state": "done"}))
        self._put(over + 0.1, lambda: self._close(demo))

    def _job(self, job: RecordedJob, timed: Sequence[tuple[float, Mapping[str, Any]]]) -> None:
        if not timed:
            return
        begin, end = timed[0][0], timed[-1][0]
        self._put(begin, lambda: self._open(job))
        for at, event in timed:
            if event["type"] != "done":
                self._put(at, lambda e=event: self._write(job.id, e))  # type: ignore[misc]
        lines = job.log.splitlines(keepends=True)
        for n, line in enumerate(lines):
            self._put(begin + (end - begin) * n / len(lines), lambda text=line: self._log(job.id, text))  # type: ignore[misc]
        self._put(end + 0.05, lambda: self._close(job))

    def _rows(self) -> None:
        rows = self._recording.rows
        for table in ("dialogues", "datasets", "conversations", "chat_votes", "chats"):
            for row in rows.get(table, ()):
                at = self._end if table in ("chat_votes", "chats") else self._at(finite(row["created"]) or 0.0)
                self._put(at, lambda t=table, r=row: self._add(t, r))  # type: ignore[misc]
        owned: dict[str, dict[str, list[RowDict]]] = {}
        for table, column in _OWNED.items():
            for row in rows.get(table, ()):
                owned.setdefault(str(row[column]), {}).setdefault(table, []).append(row)
        self._owned = owned
        ends = {"runs": "training", "comparisons": "evaluation"}
        stages = {e["name"]: float(e["t"]) for e in self._recording.demo.events if e.get("state") == "done"}
        for table in _GROWING:
            for row in rows.get(table, ()):
                begun = {**row, "status": "running", "summary": "{}"}
                self._put(self._at(finite(row["created"]) or 0.0), lambda t=table, r=begun: self._add(t, r))  # type: ignore[misc]
                self._put(self._at(stages[ends[table]]) - 0.2, lambda t=table, r=row: self._add(t, r))  # type: ignore[misc]

    # What is done -----------------------------------------------------------------------------------------------

    def _add(self, table: str, row: RowDict) -> None:
        self._batch.setdefault(table, []).append(row)

    def _flush(self) -> None:
        """Write the rows that have become due, owners before what they own, in one transaction."""
        batch, self._batch = self._batch, {}
        if not batch or self._rec is None:
            return
        now = time.time()
        with self._rec.write():
            for table in TABLES:
                fresh = [{**row, "created": now} if "created" in row else row for row in batch.get(table, ())]
                if fresh:
                    self._rec.put(table, fresh, key=TABLES[table], conflict="update")
                for row in fresh:
                    for owned, rows in self._owned.get(str(row.get("id")), {}).items():
                        batch.setdefault(owned, []).extend(rows)

    def _open(self, job: RecordedJob) -> None:
        folder = self._home.jobs / job.id
        make_folder(folder)
        told = {**job.job, "created": time.time(), "attempt": 1, "command": None, "cwd": ""}
        write_json(folder / "job.json", told)
        who = {"attempt": 1, "at": time.time(), "host": "recording", "boot": "-", "pid": 1, "start": "-"}
        _appending(folder / "heartbeat").close()
        write_json(folder / "process.json", who)
        self._running[job.id] = time.monotonic()

    def _write(self, job: str, event: Mapping[str, Any]) -> None:
        line = json.dumps({**event, "t": time.time()}, sort_keys=True)
        with _appending(self._home.jobs / job / "events.jsonl") as events:
            events.write(line + "\n")

    def _log(self, job: str, text: str) -> None:
        with _appending(self._home.jobs / job / "log.txt") as log:
            log.write(text)

    def _close(self, job: RecordedJob) -> None:
        result = job.done.get("result") or {}
        self._write(job.id, {"type": "done", "result": result})
        done = {"attempt": 1, "at": time.time(), "state": job.done.get("state", "done"), "result": result}
        write_json(self._home.jobs / job.id / "done.json", done)
        self._running.pop(job.id, None)

    def _beat(self) -> None:
        now = time.monotonic()
        for job, last in self._running.items():
            if now - last > _BEAT:
                os.utime(self._home.jobs / job / "heartbeat")
                self._running[job] = now


def _appending(file: Path) -> TextIO:
    return open(open_private(file, os.O_WRONLY | os.O_APPEND), "a", encoding="utf-8")


def _knots(demo: RecordedJob) -> list[tuple[float, float]]:
    """(time in the run, second of the replay) at the stages' borders."""
    clock = 0.0
    knots: list[tuple[float, float]] = []
    for name, begin, end in _spans(demo):
        knots.append((begin, clock))
        clock += CUT.get(name, 5.0)
        last = end
    return [*knots, (last, clock)]


def _spans(demo: RecordedJob) -> Iterator[tuple[str, float, float]]:
    begun: dict[str, float] = {}
    for event in demo.events:
        if event["type"] == "stage" and event["state"] == "running":
            begun[event["name"]] = float(event["t"])
        elif event["type"] == "stage":
            yield event["name"], begun[event["name"]], float(event["t"])

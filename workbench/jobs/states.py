"""What state a job is in, read from its folder alone."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from workbench.errors import UserError
from workbench.home import Home
from workbench.jobs.events import last_events
from workbench.jobs.folder import Job, folders, job_folder, read_identity, read_job, read_json
from workbench.jobs.identity import host
from workbench.jobs.kinds import KINDS, Kind
from workbench.jobs.memory_end import killed_since
from workbench.numbers import finite
from workbench.text import clean_line

State = Literal["queued", "running", "stopping", "stopped", "done", "failed", "lost", "unknown"]
ENDED: frozenset[State] = frozenset({"stopped", "done", "failed", "lost"})
"""Nothing runs any more; the same command again goes on (or, after "done", returns at once)."""

FRESH_SECONDS = 30.0
"""A heartbeat younger than this proves that the job is there; hosts' clocks may differ by some seconds."""
_LAUNCHING_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is. `rate` is units a second in this session; `data` what the job added."""

    done: float
    total: float | None
    unit: str
    rate: float | None = None
    data: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job at this moment. Times are UTC epoch seconds; `eta_s` is seconds left, None if it cannot be told.

    `error` is one line for "failed" and "lost"; `exit_code` of a failed job is 2 for what the user must mend, 3 for a
    service or the budget, None for the rest; `seen` is the last sign of life; `result` what the job returned.
    `place` is a queued job's place among those that wait for the same device (1: the next).
    """

    id: str
    kind: str
    title: str
    state: State
    folder: Path
    created: float
    attempt: int = 0
    progress: Progress | None = None
    stage: str | None = None
    eta_s: float | None = None
    started: float | None = None
    ended: float | None = None
    seen: float | None = None
    host: str | None = None
    pid: int | None = None
    error: str | None = None
    exit_code: int | None = None
    result: Mapping[str, Any] = field(default_factory=dict)
    place: int | None = None


def status(home: Home, job_id: str) -> JobStatus:
    """The state of a job, given its id or the beginning of it. Raises UserError if there is no such job."""
    folder = job_folder(home, job_id)
    return job_status(read_job(folder))


def jobs(home: Home, kind: str | None = None) -> list[JobStatus]:
    """All jobs of `home`, newest first; a damaged folder is listed as lost."""
    found = [_listed(folder) for folder in folders(home)]
    return sorted((j for j in found if kind in (None, j.kind)), key=lambda j: (j.created, j.id), reverse=True)


def job_state(job: Job) -> tuple[State, str | None]:
    """The state alone, with the line that explains it: cheap enough to be asked ten times a second."""
    process = read_json(job.folder / "process.json")
    done = read_json(job.folder / "done.json")  # after process.json: what ended in between is seen as ended
    if done.get("attempt") == job.attempt:
        return _ended_state(done), done.get("error")
    state, error = _running(job, process) if process.get("attempt") == job.attempt else _waiting(job)
    return ("stopping" if state in ("queued", "running") and (job.folder / "stop").exists() else state), error


def job_status(job: Job) -> JobStatus:
    """All that the job's folder shows now."""
    state, error = job_state(job)
    done = read_json(job.folder / "done.json")
    ended = done.get("at") if state in ENDED and done.get("attempt") == job.attempt else None
    process = read_json(job.folder / "process.json")
    mine = process if process.get("attempt") == job.attempt else {}
    seen = _modified(job.folder / "heartbeat")
    last = last_events(job.folder / "events.jsonl", ("progress", "stage", "queue"))
    progress = last.get("progress")
    place = int(last.get("queue", {}).get("place") or 0) if state == "running" else 0
    if place:
        state = "queued"
    live = state in ("running", "stopping")
    if live and progress and progress["t"] < last.get("stage", progress)["t"]:
        progress = None  # of the stage before
    return JobStatus(
        id=job.id,
        kind=job.kind,
        title=job.title,
        state=state,
        folder=job.folder,
        created=job.created,
        attempt=job.attempt,
        progress=_progress(progress) if progress else None,
        stage=clean_line(str(last["stage"].get("name", ""))) if "stage" in last else None,
        eta_s=finite(progress.get("eta_s")) if progress and live else None,
        started=mine.get("at"),
        ended=ended if ended is not None or state != "lost" else seen,
        seen=seen,
        host=mine.get("host"),
        pid=mine.get("pid"),
        error=None if error is None else clean_line(str(error)),
        exit_code=done.get("exit_code") if state == "failed" else None,
        result=done.get("result") or {} if state in ("done", "stopped") else {},
        place=place or None,
    )


def _listed(folder: Path) -> JobStatus:
    try:
        return job_status(read_job(folder))
    except UserError as error:
        return JobStatus(folder.name, "?", folder.name, "lost", folder, _modified(folder) or 0.0, error=str(error))


def _ended_state(done: Mapping[str, Any]) -> State:
    state = done.get("state")
    return state if state in ("done", "stopped") else "failed"


def _running(job: Job, process: Mapping[str, Any]) -> tuple[State, str | None]:
    who = read_identity(process)
    if who is not None and who.near:
        return ("running", None) if who.alive else ("lost", _gone(job, process))
    seen = _modified(job.folder / "heartbeat")
    if seen is not None and time.time() - seen < FRESH_SECONDS:
        return "running", None
    if who is not None and who.host == host():
        return "lost", "this machine was started anew while the job ran: run the same command again to go on"
    where = clean_line(who.host, 80) if who else "another host"
    return "unknown", f"no sign of life from {where}, which cannot be asked from here"


def _waiting(job: Job) -> tuple[State, str | None]:
    """No process of this attempt has reported yet."""
    launched = read_json(job.folder / "launched.json")
    if launched.get("attempt") != job.attempt:
        fresh = time.time() - (_modified(job.folder / "job.json") or 0.0) < _LAUNCHING_SECONDS
        return ("queued", None) if fresh else ("lost", "it was never started: run the same command again")
    if launched.get("launcher"):
        code = _launcher_exit(job)
        return (
            ("failed", f"the launcher ended with code {code}: {last_log_line(job.folder)}")
            if code
            else ("queued", None)
        )
    who = read_identity(launched)
    if who is None or (who.near and not who.alive):
        return "lost", _gone(job)
    return "queued", None


def _launcher_exit(job: Job) -> int:
    try:
        return int((job.folder / f"launcher.{job.attempt}.exit").read_text())
    except (OSError, ValueError):
        return 0


def _gone(job: Job, process: Mapping[str, Any] | None = None) -> str:
    if process and killed_since(process.get("oom_kills")):
        smaller = KINDS.get(job.kind, Kind("")).smaller.format(id=job.id)
        return f"its process is gone, probably for lack of memory (the kernel ended one for that since it began): {smaller}"
    line = last_log_line(job.folder)
    return f"its process is gone without a word{f' (log: {line})' if line else ''}: run the same command again to go on"


def last_log_line(folder: Path) -> str:
    """The last line of the log that is not empty, cleaned; "" if there is none."""
    try:
        with (folder / "log.txt").open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 4096))
            lines = log.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    return next((clean_line(line, 200) for line in reversed(lines) if line.strip()), "")


def _progress(event: Mapping[str, Any]) -> Progress:
    known = ("t", "type", "done", "total", "unit", "rate", "eta_s")
    data = {k: v for k, v in event.items() if k not in known}
    done, total, rate = (finite(event.get(name)) for name in ("done", "total", "rate"))
    return Progress(done or 0, total, str(event.get("unit", "")), rate, data)


def _modified(file: Path) -> float | None:
    try:
        return file.stat().st_mtime
    except OSError:
        return None

"""Stopping a job, waiting for one, and reading what it reports."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable

from workbench.home import Home
from workbench.jobs.events import Event, newest_events, read_events
from workbench.jobs.folder import Job, ask_to_stop, job_folder, read_identity, read_job, read_json, take, write_json
from workbench.jobs.launcher import reap
from workbench.jobs.states import ENDED, JobStatus, State, job_state, job_status

GRACE_SECONDS = 30.0
_POLL_SECONDS = 0.1


def stop(home: Home, job_id: str, kill_after: float | None = GRACE_SECONDS) -> JobStatus:
    """Ask a job to end cleanly; after `kill_after` seconds kill its whole process group. None only asks, at once.

    A job on another host is asked through its folder and never killed from here. One that still waits at a scheduler ends
    at once: whenever its turn comes, it finds that out and does nothing. Returns the state reached.
    """
    job = read_job(job_folder(home, job_id))
    if job_state(job)[0] in ENDED:
        return job_status(job)
    ask_to_stop(job.folder)
    if _give_up_waiting(job):
        return job_status(job)
    _signal(job, signal.SIGTERM)
    if kill_after is None:
        return job_status(job)
    deadline = time.monotonic() + kill_after
    while _state(job) not in ENDED and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    if _state(job) not in ENDED and _signal(job, signal.SIGKILL):
        _note_end(
            job,
            10.0,
            begun=True,
            error=f"killed, because it did not stop within {kill_after:g} s; what it had saved is kept",
        )
    return job_status(job)


def wait(
    home: Home,
    job_id: str,
    on_event: Callable[[Event], None] | None = None,
    timeout: float | None = None,
    offset: int = 0,
) -> JobStatus:
    """Wait until nothing of the job runs any more (or its host is out of sight, or `timeout` seconds are over).

    `on_event` gets every event of the job from byte `offset` on, in order, those of earlier attempts included.
    """
    folder = job_folder(home, job_id)
    deadline = None if timeout is None else time.monotonic() + timeout
    while True:
        job = read_job(folder)
        state = _state(job)  # before the events, so that none is missed after the end
        begin = offset
        events, offset = read_events(folder / "events.jsonl", offset) if on_event else ([], offset)
        for event in events:
            assert on_event is not None
            on_event(event)
        over = (state in ENDED or state == "unknown") and offset == begin
        if over or (deadline is not None and time.monotonic() >= deadline):
            return job_status(job)
        time.sleep(_POLL_SECONDS)


def tail_events(home: Home, job_id: str, offset: int = 0) -> tuple[list[Event], int]:
    """The events from byte `offset` on, and the offset to ask from next: the same when there is nothing more."""
    return read_events(job_folder(home, job_id) / "events.jsonl", offset)


def newest(home: Home, job_id: str, count: int, types: Iterable[str] = ()) -> tuple[list[Event], int]:
    """A job's last `count` events (of `types`), oldest first, and the offset that `tail_events` goes on from."""
    return newest_events(job_folder(home, job_id) / "events.jsonl", count, types)


def _state(job: Job) -> State:
    reap()
    return job_state(job)[0]


def _signal(job: Job, number: signal.Signals) -> bool:
    """Signal the job's process (SIGKILL: its whole group) if it runs on this host; True if it was there."""
    process = read_json(job.folder / "process.json")
    who = read_identity(process)
    if who is None or process.get("attempt") != job.attempt or not who.near or not who.alive:
        return False
    with contextlib.suppress(ProcessLookupError):
        if number == signal.SIGKILL and os.getpgid(who.pid) == who.pid:
            os.killpg(who.pid, number)
        else:
            os.kill(who.pid, number)
    return True


def _give_up_waiting(job: Job) -> bool:
    """End a job that a launcher has taken and nothing has begun, and the launcher with it if it waits here (`srun`)."""
    launched = read_json(job.folder / "launched.json")
    waits = launched.get("attempt") == job.attempt and launched.get("launcher")
    if not waits or read_json(job.folder / "process.json").get("attempt") == job.attempt:
        return False
    if not _note_end(job, 0.0, begun=False, error="stopped before the launcher had started it"):
        return False
    who = read_identity(launched)
    if who is not None and who.near and who.alive:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(who.pid, signal.SIGTERM)
    return True


def _note_end(job: Job, patience: float, *, begun: bool, error: str) -> bool:
    """Write the end that the job could not write, unless there is one; the job's lock is free when nothing runs.

    With `begun` false only if the attempt has still not begun once the lock is held."""
    handle = take(job.folder / "lock", patience)
    if handle is None:
        return False
    try:
        if not begun and read_json(job.folder / "process.json").get("attempt") == job.attempt:
            return False
        if read_json(job.folder / "done.json").get("attempt") != job.attempt:
            end = {"attempt": job.attempt, "at": time.time(), "state": "stopped", "error": error}
            write_json(job.folder / "done.json", end)
        return True
    finally:
        os.close(handle)

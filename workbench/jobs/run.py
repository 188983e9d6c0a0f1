"""The process of a job: `python -P -m workbench.jobs.run FOLDER`. Holds the job's lock from first to last."""

from __future__ import annotations

import errno
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from workbench.errors import UserError
from workbench.home import Home, umask_in
from workbench.jobs.context import Heartbeat, JobContext, Stopped
from workbench.jobs.events import EventWriter
from workbench.jobs.folder import Job, read_job, read_json, take, write_json
from workbench.jobs.identity import identity
from workbench.jobs.kinds import entry_point
from workbench.jobs.memory_end import oom_kills
from workbench.secrets import redacted
from workbench.store.encode import from_json, to_json
from workbench.text import clean_line

_PATIENCE = 15.0
"""Seconds to wait for a process of the same job that is just ending."""
_RESERVE = 1 << 16


def main(folder: Path) -> int:
    """Do the job in `folder`; returns the exit code (0 done or stopped, 1 failed, 3 somebody else is at it)."""
    os.umask(umask_in(folder))
    if take(folder / "lock", _PATIENCE) is None:
        print("another process of this job is still running; it goes on alone", file=sys.stderr)
        return 3
    job = read_job(folder)
    if read_json(folder / "done.json").get("attempt") == job.attempt:
        print("this job has ended already, or was stopped while it waited", file=sys.stderr)
        return 0
    me = identity()
    assert me is not None, "this process runs"
    write_json(
        folder / "process.json", {**me.as_dict(), "attempt": job.attempt, "at": time.time(), "oom_kills": oom_kills()}
    )
    (folder / ".reserve").write_bytes(bytes(_RESERVE))
    with Heartbeat(folder / "heartbeat"):
        return _work(job)


def _work(job: Job) -> int:
    try:
        events = EventWriter(job.folder / "events.jsonl")
        context = JobContext(Home(job.folder.parent.parent), job.folder, job.args, events)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: context.ask_to_stop())
        state, outcome = _attempt(job, context)
        context.event("stop" if state == "stopped" else state, **outcome)
    except OSError as error:
        state, outcome = "failed", {"error": _line(error, job.folder)}
    (job.folder / ".reserve").unlink(missing_ok=True)  # room for the last word on a full disk
    write_json(job.folder / "done.json", {"attempt": job.attempt, "at": time.time(), "state": state, **outcome})
    return int(state == "failed")


def _attempt(job: Job, context: JobContext) -> tuple[str, dict[str, Any]]:
    try:
        context.event("start", attempt=job.attempt, pid=os.getpid(), kind=job.kind, title=job.title)
        context.check()
        result: dict[str, Any] = from_json(to_json(entry_point(job.kind)(context) or {}))
    except Stopped:
        return "stopped", {"result": {}}
    except UserError as error:
        return "failed", {"error": redacted(clean_line(str(error))), "exit_code": error.exit_code}
    except BaseException as error:
        print(redacted(traceback.format_exc()), file=sys.stderr, flush=True)
        return "failed", {"error": _line(error, job.folder)}
    return ("stopped" if context.stopping else "done"), {"result": result}


def _line(error: BaseException, folder: Path) -> str:
    # Libraries written in Rust (safetensors, tokenizers) pass on the system's words, not its number.
    if any(os.strerror(number) in str(error) for number in (errno.ENOSPC, errno.EDQUOT)):
        where = getattr(error, "filename", None) or folder
        return f"the disk is full ({where}): free some space and run the same command again; finished work is kept"
    if isinstance(error, MemoryError):
        return "out of memory: make the batch smaller or use a larger machine"
    return redacted(clean_line(f"{type(error).__name__}: {error}")) + f" (see {folder / 'log.txt'})"


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

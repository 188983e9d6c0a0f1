"""A job's folder: the truth about the job. Small JSON files, each replaced as a whole by its one writer.

job.json       what is to be done, and the number of the attempt     (whoever launches, under launch.lock)
launched.json  the process that was started for that attempt         (whoever launches, under launch.lock)
process.json   the process that does the work                        (the job, which holds `lock`)
heartbeat      its modification time says that the job is there      (the job)
events.jsonl   what happened, one line an event                      (the job)
stop           its presence asks for a clean end                     (anyone)
settings.json  what may be changed while it runs                     (anyone, under settings.lock)
done.json      how the attempt ended                                 (the job; who killed it, holding `lock`)
log.txt        standard output and error
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import UserError
from workbench.home import Home, open_private
from workbench.jobs.identity import Identity
from workbench.text import clean_line

_ID = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done. `attempt` counts the processes started for it; `joined` says that none had to be started."""

    id: str
    kind: str
    title: str
    args: Mapping[str, Any]
    folder: Path
    created: float
    attempt: int = 0
    command: tuple[str, ...] | None = None
    cwd: str = ""
    joined: bool = False


def job_folder(home: Home, job_id: str) -> Path:
    """The folder of a job, by its id or the unique beginning of one. Raises UserError if there is none or several."""
    exact = home.jobs / job_id
    if _ID.fullmatch(job_id) and exact.is_dir():
        return exact
    shown = clean_line(job_id, 60)
    matches = [f for f in folders(home) if f.name.startswith(job_id)] if len(job_id) >= 4 else []
    if len(matches) > 1:
        raise UserError(f'several jobs begin with "{shown}": give more of the id')
    if not matches:
        raise UserError(f'no job "{shown}" under {home.jobs}: `workbench jobs list` shows them')
    return matches[0]


def folders(home: Home) -> list[Path]:
    """The folders of all jobs."""
    try:
        return [f for f in home.jobs.iterdir() if _ID.fullmatch(f.name) and (f / "job.json").exists()]
    except FileNotFoundError:
        return []


def read_job(folder: Path) -> Job:
    """What a folder's job is. Raises UserError if job.json is missing or damaged."""
    data = read_json(folder / "job.json")
    try:
        command = data["command"]
        return Job(
            id=folder.name,
            kind=str(data["kind"]),
            title=str(data["title"]),
            args=data["args"],
            folder=folder,
            created=float(data["created"]),
            attempt=int(data["attempt"]),
            command=None if command is None else tuple(command),
            cwd=str(data["cwd"]),
        )
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UserError(f"{folder / 'job.json'} is damaged: remove the folder or restore the file") from error


def write_job(job: Job) -> None:
    """Write job.json."""
    names = ("kind", "title", "args", "created", "attempt", "command", "cwd")
    write_json(job.folder / "job.json", {name: getattr(job, name) for name in names})


def read_json(file: Path) -> dict[str, Any]:
    """A small JSON file; {} if it is missing or is no JSON object."""
    try:
        data = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def write_json(file: Path, data: Mapping[str, object]) -> None:
    """Replace a small JSON file as a whole, safely against a power cut; readers see the old or the new one."""
    part = file.with_name(f"{file.name}.{os.getpid()}.part")
    try:
        with open(open_private(part, os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8") as out:
            json.dump(data, out, sort_keys=True, indent=1)
            out.flush()
            os.fsync(out.fileno())
        part.replace(file)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def ask_to_stop(folder: Path) -> None:
    """Leave the file that asks the job in `folder` for a clean end."""
    os.close(open_private(folder / "stop", os.O_WRONLY))


def read_identity(data: Mapping[str, Any]) -> Identity | None:
    """The identity in a launched.json or process.json, None if there is none."""
    try:
        return Identity(str(data["host"]), str(data["boot"]), int(data["pid"]), str(data["start"]))
    except (KeyError, TypeError, ValueError):
        return None


@contextlib.contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the lock file, waiting for it."""
    handle = open_private(file, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def take(file: Path, patience: float) -> int | None:
    """Take the lock file within `patience` seconds and keep it until the returned descriptor is closed; else None.

    The system gives it back when the process ends, however it ends.
    """
    handle = open_private(file, os.O_RDWR)
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return handle
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(handle)
                return None
            time.sleep(0.05)

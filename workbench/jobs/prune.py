"""What can be deleted without losing anything that was made: found first, deleted only if nobody is at it."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from workbench.home import Home
from workbench.jobs.folder import job_folder, read_job, take
from workbench.jobs.states import ENDED, JobStatus, job_state, jobs
from workbench.store import connect
from workbench.store.runs import runs

_REMAINS_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Prunable:
    """A file or folder that may go, its size on disk, and why; `job_id` is "" for what belongs to no job."""

    path: Path
    bytes: int
    why: str
    job_id: str = ""


def prunable(home: Home, older_than_days: float = 7.0) -> list[Prunable]:
    """What may go, largest first.

    That is: checkpoints of trainings that are done; folders of ended jobs whose products are in the record or that made
    none, once they are old enough; what was left behind by commands that were killed. Never: models of recorded runs,
    trainings that can be resumed, anything that runs or may run.
    """
    with connect(home, readonly=True) as rec:
        kept = {run.job_id for run in runs(rec)}
    oldest = time.time() - older_than_days * 86400
    found = [item for job in jobs(home) if job.state in ENDED for item in _of_job(job, job.id in kept, oldest)]
    return sorted([*found, *_remains(home)], key=lambda item: item.bytes, reverse=True)


def prune(home: Home, items: Iterable[Prunable]) -> list[Prunable]:
    """Delete `items` and return those that are gone. A job that has come back to life meanwhile keeps its files."""
    return [item for item in items if _delete(home, item)]


def _of_job(job: JobStatus, recorded: bool, oldest: float) -> Iterator[Prunable]:
    ended = job.ended or job.seen or job.created
    if job.kind == "train" and (recorded or job.state in ("done", "stopped")):
        folder = job.folder / "checkpoints"
        if job.state == "done" and folder.is_dir():
            yield Prunable(folder, size(folder), "checkpoints of a training that is done", job.id)
    elif not recorded and ended < oldest:
        yield Prunable(job.folder, size(job.folder), f"{job.kind} job, {job.state}, nothing refers to it", job.id)


def _remains(home: Home) -> Iterator[Prunable]:
    """Half-written things of commands that were killed over an hour ago."""
    patterns = ("jobs/.unpack-*", "jobs/*/*.part", "*.part", "models/*.part")
    for path in (path for pattern in patterns for path in home.root.glob(pattern)):
        if path.lstat().st_mtime < time.time() - _REMAINS_SECONDS:
            yield Prunable(path, size(path), "left behind by a command that was killed")


def _delete(home: Home, item: Prunable) -> bool:
    if not item.job_id:
        _remove(item.path)
        return True
    folder = job_folder(home, item.job_id)
    handle = take(folder / "lock", 0.0)
    if handle is None:
        return False
    try:
        if job_state(read_job(folder))[0] not in ENDED:
            return False
        _remove(item.path)
        return True
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def size(path: Path) -> int:
    """Bytes on disk of a file or of everything in a folder; links count as themselves."""
    if not path.is_dir() or path.is_symlink():
        return path.lstat().st_blocks * 512
    inside = (Path(parent) / name for parent, folders, files in os.walk(path) for name in (*folders, *files))
    return sum(entry.lstat().st_blocks * 512 for entry in inside)

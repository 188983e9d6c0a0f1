from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from tests.fakes.record import WORKFLOW, make_sample_record, sample_id
from workbench.home import Home
from workbench.jobs import Job, launch, wait
from workbench.jobs.folder import read_json, write_job, write_json
from workbench.jobs.identity import start_time
from workbench.jobs.launcher import reap
from workbench.jobs.prune import prunable, prune
from workbench.store.rows import RunRow
from workbench.store.runs import put_run


def made(home: Home, kind: str, state: str, job_id: str, days: float = 30) -> Path:
    """A job's folder as an earlier command left it."""
    folder = home.jobs / job_id
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "step").write_bytes(bytes(100_000))
    (folder / "best").mkdir()
    at = time.time() - days * 86400
    write_job(Job(job_id, kind, "t", {}, folder, at, 1))
    write_json(folder / "done.json", {"attempt": 1, "at": at, "state": state})
    return folder


def test_only_what_nothing_needs_goes(home: Home) -> None:
    with make_sample_record(home) as rec:
        put_run(rec, RunRow("unfinished", "u", "bbbbbbbb", None, WORKFLOW))
    recorded = made(home, "train", "done", sample_id("job"))
    unfinished = made(home, "train", "failed", "bbbbbbbb")
    resumable = made(home, "train", "stopped", "cccccccc")
    broken = made(home, "train", "failed", "dddddddd")
    old = made(home, "evaluate", "done", "eeeeeeee")
    young = made(home, "evaluate", "done", "ffffffff", days=1)
    remains = home.jobs / ".unpack-x"
    remains.mkdir()
    os.utime(remains, (1, 1))
    fresh = home.jobs / ".unpack-y"
    fresh.mkdir()

    items = prunable(home)
    assert {item.path for item in items} == {recorded / "checkpoints", broken, old, remains}
    assert [item.bytes for item in items] == sorted((item.bytes for item in items), reverse=True)
    assert all(item.path.exists() for item in items)
    assert prune(home, items) == items
    assert not any(item.path.exists() for item in items)
    assert (recorded / "best").is_dir()
    assert all(folder.exists() for folder in (unfinished, resumable, young, fresh, home.database))
    assert prunable(home) == []


def test_a_job_that_came_back_keeps_its_files(home: Home, until: Callable[[Callable[[], object]], None]) -> None:
    job = launch(home, "tests.jobs.work:count", {"to": 1}, "t")
    wait(home, job.id, timeout=60)
    pid = read_json(job.folder / "process.json")["pid"]
    until(lambda: reap() or start_time(pid) is None)  # it has written its last word, but may not be gone yet
    items = prunable(home, 0.0)
    done = job.folder / "done.json"
    kept = done.read_bytes()
    done.unlink()
    write_job(Job(job.id, job.kind, "t", job.args, job.folder, job.created, 2))
    assert prune(home, items) == []
    done.write_bytes(kept)
    write_job(job)
    assert prune(home, items) == items
    assert not job.folder.exists()

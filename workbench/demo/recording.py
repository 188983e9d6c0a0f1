"""A recording of a demo run that was really made: rows of its record and the events of its jobs, without any model.

One small zip file, shipped with the package and played by `workbench.demo.replay`:

manifest.json            when it was made, the demo's job, the chats
rows/<table>.jsonl       as in a pack (`workbench.store.pack`)
jobs/<id>/…              job.json, events.jsonl, log.txt, done.json of the demo, its stages and the chats
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from workbench.errors import UserError
from workbench.home import Home
from workbench.jobs import ENDED, jobs
from workbench.jobs.events import all_events
from workbench.jobs.folder import read_json
from workbench.store.carry import TABLES, RowDict, Selection, closure, rows_out
from workbench.store.chats import chats
from workbench.store.record import Record, connect

FORMAT = 1
SHIPPED = "recording.zip"
_LEFT_OUT = ("calls", "jobs")
_KINDS = ("demo", "generate", "train", "evaluate", "chat")


@dataclass(frozen=True)
class RecordedJob:
    """One job: what it was, its events with their times, its log, how it ended."""

    id: str
    job: Mapping[str, Any]
    events: tuple[Mapping[str, Any], ...]
    log: str
    done: Mapping[str, Any]


@dataclass(frozen=True)
class Recording:
    """A run, ready to be played. `demo` is the job of the whole; `chats` are the live conversations after it."""

    recorded: float
    demo: RecordedJob
    stages: tuple[RecordedJob, ...]
    chats: tuple[RecordedJob, ...]
    rows: Mapping[str, tuple[RowDict, ...]]


def write_recording(home: Home, out: Path, hide: Sequence[str] = ()) -> int:
    """Record the newest finished demo of `home` with its chats; bytes written. `hide` are texts to be left out (paths).

    Raises UserError if no demo has ended there.
    """
    found = [job for job in reversed(jobs(home)) if job.kind in _KINDS and job.state in ENDED]
    demos = [job for job in found if job.kind == "demo" and job.state == "done"]
    if not demos:
        raise UserError(f"no finished demo in {home.root}: `workbench demo --no-tui` makes one")
    demo = demos[-1]
    parts = {str(e["job"]) for e in all_events(demo.folder / "events.jsonl") if "job" in e}
    kept = [job for job in found if job.id in parts or job.id == demo.id or job.kind == "chat"]

    def shown(text: str) -> str:
        for secret in sorted(hide, key=len, reverse=True):
            text = text.replace(secret.rstrip("/") + "/", "").replace(secret, ".")
        return text

    part = out.with_name(f"{out.name}.part")
    with connect(home, readonly=True) as rec, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as zip_:
        for table, lines in _lines(rec, demo.result):
            zip_.writestr(f"rows/{table}.jsonl", shown(lines))
        for job in kept:
            told = {k: v for k, v in read_json(job.folder / "job.json").items() if k not in ("command", "cwd")}
            zip_.writestr(f"jobs/{job.id}/job.json", shown(json.dumps(told)))
            for name in ("events.jsonl", "log.txt", "done.json"):
                file = job.folder / name
                zip_.writestr(f"jobs/{job.id}/{name}", shown(file.read_text("utf-8") if file.exists() else ""))
        held = {job.id for job in kept}
        talks = [c.job for c in reversed(chats(rec)) if c.job in held]
        manifest = {"format": FORMAT, "recorded": demo.created, "demo": demo.id, "chats": talks}
        zip_.writestr("manifest.json", json.dumps(manifest))
    part.replace(out)
    return out.stat().st_size


def _lines(rec: Record, result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Rows of the run's tables as JSON lines; of conversations those of its comparison and the live ones."""
    chosen = closure(rec, Selection(runs=frozenset({result["run"]}), comparisons=frozenset({result["comparison"]})))
    live = {
        str(row["id"])
        for row in rows_out(rec, "conversations", closure(rec, Selection()))
        if row["comparison_id"] is None and row["workflow_id"] in chosen["workflows"]
    }
    chosen["conversations"] |= live
    chosen["scenarios"] |= closure(rec, Selection())["scenarios"]
    for table in TABLES:
        if table not in _LEFT_OUT:
            yield table, "".join(json.dumps(row) + "\n" for row in rows_out(rec, table, chosen))


def read_recording(file: Path | None = None) -> Recording:
    """The recording in `file`, else the shipped one. Raises UserError if it is none or cannot be read."""
    if file is None:
        with as_file(files("workbench.demo") / SHIPPED) as shipped:
            return read_recording(shipped)
    try:
        with zipfile.ZipFile(file) as zip_:
            manifest = json.loads(zip_.read("manifest.json"))
            if manifest["format"] != FORMAT:
                raise UserError(f"{file} was recorded by another version: make it anew (benchmarks/record_demo.py)")
            ids = sorted({name.split("/")[1] for name in zip_.namelist() if name.startswith("jobs/")})
            found = {job: _job(zip_, job) for job in ids}
            names = {name[5:-6] for name in zip_.namelist() if name.startswith("rows/")}
            rows = {table: tuple(_json_lines(zip_.read(f"rows/{table}.jsonl"))) for table in TABLES if table in names}
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise UserError(f"there is no recording to play in {file} ({error})") from error
    talks = tuple(found.pop(job) for job in manifest["chats"])
    demo = found.pop(manifest["demo"])
    return Recording(float(manifest["recorded"]), demo, tuple(found.values()), talks, rows)


def _job(zip_: zipfile.ZipFile, job: str) -> RecordedJob:
    def text(name: str) -> str:
        return zip_.read(f"jobs/{job}/{name}").decode()

    events = tuple(_json_lines(text("events.jsonl").encode()))
    return RecordedJob(
        job, json.loads(text("job.json")), events, text("log.txt"), json.loads(text("done.json") or "{}")
    )


def _json_lines(data: bytes) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in data.splitlines() if line.strip())

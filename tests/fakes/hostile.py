"""A home in which every text that anyone could have written is hostile: the record, jobs, logs, notes, a workflow file."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import yaml

from tests.fakes.comparison import make_comparison
from tests.fakes.record import START, WORKFLOW, make_sample_record, sample_id
from workbench.home import Home
from workbench.store import connect
from workbench.store.calls import put_calls
from workbench.store.rows import CallRow

FIXED = {
    "id", "canonical", "seed", "created", "kind", "role", "status", "split", "decision", "verdict", "owner_kind", "subject_kind",
    "rubric_hash", "subject_hash", "folder", "price_date", "request", "summary", "config", "criterion", "condition", "judge",
}  # fmt: skip
"""Columns that hold no free text: ids, closed lists, and names by which a summary finds its figures (it has its own words)."""


def make_hostile(home: Home, words: str) -> None:
    """Fill a home; `words` stand at the end of every text."""
    make_sample_record(home, 8).close()
    with connect(home) as rec:
        make_comparison(rec, 4, 3, 2, words=words, name=f"compared {words}")
        put_calls(rec, [CallRow(sample_id("hostile"), "agent", words, error=words, cost=0.5)])
    _taint(home, words)
    _job(home, "d" * 16, words)


def _taint(home: Home, words: str) -> None:
    """Put the words behind every value of every text column, and into every string of the JSON ones."""
    with sqlite3.connect(home.database) as db:
        db.execute("PRAGMA foreign_keys = OFF")
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        kept_by_triggers = ("held_counts",)
        for table in (n for n in names if not ("_fts" in n or n.startswith("sqlite_") or n in kept_by_triggers)):
            columns = [c[1] for c in db.execute(f"PRAGMA table_info({table})") if c[2] == "TEXT"]
            free = [
                c for c in columns if c not in FIXED and not c.endswith("_id") and (table, c) != ("measures", "name")
            ]
            key = "rowid" if "rowid" in [c[1] for c in db.execute(f"PRAGMA table_info({table})")] else None
            if not free or key is None:
                continue
            for row in db.execute(f"SELECT rowid, {', '.join(free)} FROM {table}").fetchall():
                new = [value if value is None else _tainted(value, words) for value in row[1:]]
                db.execute(f"UPDATE {table} SET {', '.join(f'{c} = ?' for c in free)} WHERE rowid = ?", (*new, row[0]))
        db.execute("UPDATE workflows SET name = name || ?, title = title || ? WHERE id = ?", (words, words, WORKFLOW))


def _tainted(value: str, words: str) -> str:
    try:
        data = json.loads(value)
    except ValueError:
        data = value
    return json.dumps(_walk(data, words)) if isinstance(data, dict | list) else f"{value} {words}"


def _walk(data: Any, words: str) -> Any:
    if isinstance(data, dict):
        return {name: _walk(value, words) for name, value in data.items()}
    if isinstance(data, list):
        return [_walk(value, words) for value in data]
    return f"{data} {words}" if isinstance(data, str) else data


def _job(home: Home, job: str, words: str) -> None:
    """A failed run and a running demo whose every word is hostile."""
    for name, kind, state in ((job, "train", "failed"), ("e" * 16, "train", "done"), ("f" * 16, "demo", "")):
        folder = home.jobs / name
        folder.mkdir(parents=True)
        facts = {
            "kind": kind,
            "title": words,
            "args": {"name": words},
            "created": START,
            "attempt": 1,
            "command": [words],
            "cwd": words,
        }
        (folder / "job.json").write_text(json.dumps(facts), "utf-8")
        shown = [{"title": words, "messages": [
            {"role": "user", "content": words}, {"role": "assistant", "content": words, "answer": words}]}]  # fmt: skip
        events: list[dict[str, Any]] = [
            {"t": START, "type": "start", "device": words, "precision": words},
            {
                "t": START,
                "type": "stage",
                "index": 0,
                "total": 2,
                "name": words,
                "title": words,
                "why": words,
                "state": "running",
            },
            {"t": START, "type": "progress", "done": 1, "total": 4, "unit": words, "what": words},
            {"t": START, "type": "metric", "step": 1, "steps": 2, "loss": 1.0, "tokens_per_s": 3.0, words[:40]: 1.0},
            {"t": START, "type": "metric", "step": 2, "steps": 2, "loss": 0.5, "tokens_per_s": 3.0},
            {"t": START, "type": "eval", "step": 2, "dev_loss": 0.4, "pass_rate": 0.5},
            {"t": START, "type": "sample", "step": 0, "samples": shown},
            {"t": START, "type": "sample", "step": 2, "samples": shown},
            {"t": START, "type": words, "what": words},
        ]
        (folder / "events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events), "utf-8")
        (folder / "log.txt").write_text(f"{words}\nstep {words}\n", "utf-8")
        (folder / "note.txt").write_text(words, "utf-8")
        if state:
            done = {"attempt": 1, "at": START + 9, "state": state, "result": {"name": words}, "error": words}
            (folder / "done.json").write_text(json.dumps(done), "utf-8")


def hostile_workflow(source: Path, target: Path, words: str) -> None:
    """A workflow whose titles, prompts, conditions, values and phrasings end in the words."""
    spoken = {
        "title",
        "description",
        "prompt",
        "condition",
        "training",
        "evaluation",
        "values",
        "instruction",
        "context",
    }

    def walk(data: Any, name: str = "") -> Any:
        if isinstance(data, dict):
            return {key: walk(value, key) for key, value in data.items()}
        if isinstance(data, list):
            return [walk(value, name) for value in data]
        return f"{data} {words}" if isinstance(data, str) and name in spoken else data

    target.write_text(json.dumps(walk(yaml.safe_load(source.read_text("utf-8")))), "utf-8")

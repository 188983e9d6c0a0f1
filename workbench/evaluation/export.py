"""The conversations of a comparison for programs: a row each, as CSV, JSONL or Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workbench.store import parquet
from workbench.store.conversations import ConversationFilter, conversation_messages, conversations
from workbench.store.record import Record
from workbench.store.rows import ConversationRow
from workbench.store.verdicts import measures, verdicts
from workbench.text import cell

_KEPT = ("judge", "criterion", "score", "evidence", "rubric_hash", "rep")
_TYPES: dict[type, str] = {float: "REAL", int: "INTEGER", bool: "BOOLEAN", str: "TEXT"}
"""What `store.parquet` calls the kinds."""


def conversation_rows(rec: Record, comparison_id: str) -> Iterator[dict[str, Any]]:
    """A mapping a conversation: who, which scenario, how it ended, measures, verdicts with evidence, cost, messages.

    Read one conversation at a time.
    """
    for row in conversations(rec, ConversationFilter(comparison_id=comparison_id)):
        yield _known(rec, row) | {
            "messages": [
                {
                    "role": m.role,
                    "text": m.text,
                    "label": (m.label or {}).get("act"),
                    "nodes": list(m.nodes),
                    "move": m.move,
                }
                for m in conversation_messages(rec, row.id)
            ],
        }


def _known(rec: Record, row: ConversationRow) -> dict[str, Any]:
    """All but what was said."""
    keys = ("id", "condition", "agent", "scenario_id", "rep", "status", "terminal", "ended_by")
    return {k: getattr(row, k) for k in keys} | {
        "totals": dict(row.totals),
        "measures": {m.name: m.value for m in measures(rec, row.id)},
        "verdicts": [{k: v for k, v in asdict(found).items() if k in _KEPT} for found in verdicts(rec, row.id)],
    }


def write_jsonl(rec: Record, comparison_id: str, file: Path) -> None:
    """Everything, transcripts included, a line a conversation."""
    with file.open("w", encoding="utf-8") as out:
        for found in conversation_rows(rec, comparison_id):
            out.write(json.dumps(found, ensure_ascii=False) + "\n")


def write_csv(rec: Record, comparison_id: str, file: Path) -> None:
    """Scalars only. No cell can start a formula."""
    names = list(_columns(rec, comparison_id))
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow([cell(name) for name in names])
        writer.writerows([cell(row.get(name)) for name in names] for row in _flat_rows(rec, comparison_id))


def write_parquet(rec: Record, comparison_id: str, file: Path) -> None:
    """The same columns as CSV, with their types; what is text in one row and a number in another is text in all."""
    columns = _columns(rec, comparison_id)
    rows = (
        {name: None if (value := row.get(name)) is None else kind(value) for name, kind in columns.items()}
        for row in _flat_rows(rec, comparison_id)
    )
    parquet.write_parquet(file, {name: _TYPES[kind] for name, kind in columns.items()}, rows)


def _columns(rec: Record, comparison_id: str) -> dict[str, type]:
    """Every column that a conversation has, with the type that holds all its values."""
    kinds: dict[str, set[type]] = {}
    for row in _flat_rows(rec, comparison_id):
        for name, value in row.items():
            kinds.setdefault(name, set()).update(() if value is None else (type(value),))
    return {name: _common(found) for name, found in kinds.items()}


def _common(kinds: set[type]) -> type:
    if len(kinds) == 1:
        return next(iter(kinds))
    return float if kinds == {int, float} else str


def _flat_rows(rec: Record, comparison_id: str) -> Iterator[dict[str, Any]]:
    for row in conversations(rec, ConversationFilter(comparison_id=comparison_id)):
        yield _flat(_known(rec, row))


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """One level of scalars: measures, scores by judge and totals as columns; no transcript."""
    flat = {k: v for k, v in row.items() if k not in ("totals", "measures", "verdicts")}
    flat |= row["measures"]
    for v in row["verdicts"]:
        column = f"{v['judge']}:{v['criterion']}" + (f":{v['rep']}" if v["rep"] else "")
        flat[column] = v["score"]
    return flat | {k: v for k, v in row["totals"].items() if isinstance(v, int | float | str | None)}

"""The conversations of a comparison for programs: a row each, as CSV, JSONL or Parquet.

However many there are, the memory is that of one window of them, and what is written is the record as it was at the
beginning.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.evaluation.tables import rubric_by_judge
from workbench.store import parquet
from workbench.store.conversations import (
    ConversationFilter,
    conversation_messages,
    iterate_conversations,
    total_kinds,
)
from workbench.store.record import Record
from workbench.store.verdicts import asked, measured, measures, verdicts
from workbench.text import cell

_WHO = {
    "id": "TEXT",
    "condition": "TEXT",
    "agent": "TEXT",
    "scenario_id": "TEXT",
    "rep": "INTEGER",
    "status": "TEXT",
    "terminal": "TEXT",
    "ended_by": "TEXT",
}
"""Columns that every conversation has, with what `store.parquet` calls their kinds."""
_KINDS = {"real": "REAL", "integer": "INTEGER", "true": "BOOLEAN", "false": "BOOLEAN", "text": "TEXT"}
_AS: dict[str, Callable[[Any], object]] = {"REAL": float, "INTEGER": int, "BOOLEAN": bool, "TEXT": str}


@dataclass(frozen=True, slots=True)
class _Table:
    """What a comparison's flat table holds: its columns with their kinds, and whose verdicts count."""

    columns: Mapping[str, str]
    rubrics: Mapping[str, str]
    """Judge → the rubric in force; verdicts under another one are left out, as in every figure."""


def conversation_rows(rec: Record, comparison_id: str) -> Iterator[dict[str, Any]]:
    """A mapping a conversation: who, which scenario, how it ended, measures, verdicts with evidence, cost, messages."""
    for row in iterate_conversations(rec, ConversationFilter(comparison_id=comparison_id)):
        yield {
            **{name: getattr(row, name) for name in _WHO},
            "totals": dict(row.totals),
            "measures": {m.name: m.value for m in measures(rec, row.id)},
            "verdicts": [
                {
                    "judge": v.judge,
                    "criterion": v.criterion,
                    "score": v.score,
                    "evidence": v.evidence,
                    "rubric_hash": v.rubric_hash,
                    "rep": v.rep,
                }
                for v in verdicts(rec, row.id)
            ],
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


def write_jsonl(rec: Record, comparison_id: str, file: Path) -> None:
    """Everything, transcripts included, a line a conversation."""
    with rec.snapshot(), file.open("w", encoding="utf-8") as out:
        for found in conversation_rows(rec, comparison_id):
            out.write(json.dumps(found, ensure_ascii=False) + "\n")


def write_csv(rec: Record, comparison_id: str, file: Path) -> None:
    """Scalars only. No cell can start a formula."""
    with rec.snapshot(), file.open("w", encoding="utf-8", newline="") as out:
        table = _table(rec, comparison_id)
        writer = csv.writer(out)
        writer.writerow([cell(name) for name in table.columns])
        rows = _flat_rows(rec, comparison_id, table)
        writer.writerows([cell(row.get(name)) for name in table.columns] for row in rows)


def write_parquet(rec: Record, comparison_id: str, file: Path) -> None:
    """The same columns as CSV, with their types; what is text in one row and a number in another is text in all."""
    with rec.snapshot():
        table = _table(rec, comparison_id)
        rows = (
            {n: None if (value := row.get(n)) is None else _AS[kind](value) for n, kind in table.columns.items()}
            for row in _flat_rows(rec, comparison_id, table)
        )
        parquet.write_parquet(file, table.columns, rows)


def _table(rec: Record, comparison_id: str) -> _Table:
    """Read from the record's own sums, so that no row is gone through twice."""
    rubrics = rubric_by_judge(rec, comparison_id)
    figures = [
        *measured(rec, comparison_id),
        *(_column(j, c, rep) for j, c, rubric, rep in asked(rec, comparison_id) if rubrics.get(j) == rubric),
    ]
    totals = {name: _kind(kinds) for name, kinds in total_kinds(rec, comparison_id).items()}
    columns = _WHO | dict.fromkeys(figures, "REAL") | {name: kind for name, kind in totals.items() if kind}
    return _Table(columns, rubrics)


def _kind(kinds: set[str]) -> str | None:
    """The kind that holds all values; None for lists and mappings, which no cell can hold."""
    found = {_KINDS.get(kind) for kind in kinds - {"null"}}
    if None in found:
        return None
    if len(found) == 1:
        return found.pop()
    return "REAL" if found == {"REAL", "INTEGER"} else "TEXT"


def _column(judge: str, criterion: str, rep: int) -> str:
    return f"{judge}:{criterion}" + (f":{rep}" if rep else "")


def _flat_rows(rec: Record, comparison_id: str, table: _Table) -> Iterator[dict[str, Any]]:
    """One level of scalars: measures, scores by judge and totals as columns; no transcript."""
    for row in iterate_conversations(rec, ConversationFilter(comparison_id=comparison_id)):
        yield {
            **{name: getattr(row, name) for name in _WHO},
            **{m.name: m.value for m in measures(rec, row.id)},
            **{
                _column(v.judge, v.criterion, v.rep): v.score
                for v in verdicts(rec, row.id)
                if v.rubric_hash == table.rubrics.get(v.judge)
            },
            **row.totals,
        }

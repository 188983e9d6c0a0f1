"""The conversations of a comparison for programs: a row each, as CSV, JSONL or Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workbench.store.conversations import ConversationFilter, conversation_messages, conversations
from workbench.store.record import Record
from workbench.store.verdicts import measures, verdicts
from workbench.text import cell

_KEPT = ("judge", "criterion", "score", "evidence", "rubric_hash", "rep")


def conversation_rows(rec: Record, comparison_id: str) -> Iterator[dict[str, Any]]:
    """A mapping a conversation: who, which scenario, how it ended, measures, verdicts with evidence, cost, messages.

    Read one conversation at a time.
    """
    for row in conversations(rec, ConversationFilter(comparison_id=comparison_id)):
        keys = ("id", "condition", "agent", "scenario_id", "rep", "status", "terminal", "ended_by")
        yield {k: getattr(row, k) for k in keys} | {
            "totals": dict(row.totals),
            "measures": {m.name: m.value for m in measures(rec, row.id)},
            "verdicts": [{k: v for k, v in asdict(found).items() if k in _KEPT} for found in verdicts(rec, row.id)],
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
    with file.open("w", encoding="utf-8") as out:
        for found in conversation_rows(rec, comparison_id):
            out.write(json.dumps(found, ensure_ascii=False) + "\n")


def write_csv(rec: Record, comparison_id: str, file: Path) -> None:
    """Scalars only. No cell can start a formula."""
    flat = [_flat(row) for row in conversation_rows(rec, comparison_id)]
    names = list(dict.fromkeys(key for row in flat for key in row))
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out)
        writer.writerow([cell(name) for name in names])
        writer.writerows([cell(row.get(name)) for name in names] for row in flat)


def write_parquet(rec: Record, comparison_id: str, file: Path) -> None:
    """The same columns as CSV, with their types."""
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    flat = [_flat(row) for row in conversation_rows(rec, comparison_id)]
    names = list(dict.fromkeys(key for row in flat for key in row))
    Dataset.from_list([{name: row.get(name) for name in names} for row in flat]).to_parquet(str(file))


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """One level of scalars: measures, scores by judge and totals as columns; no transcript."""
    flat = {k: v for k, v in row.items() if k not in ("totals", "measures", "verdicts", "messages")}
    flat |= row["measures"]
    for v in row["verdicts"]:
        column = f"{v['judge']}:{v['criterion']}" + (f":{v['rep']}" if v["rep"] else "")
        flat[column] = v["score"]
    return flat | {k: v for k, v in row["totals"].items() if isinstance(v, int | float | str | None)}

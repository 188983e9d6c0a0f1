"""Messages that lie outside SQLite, in Parquet files under `runs/cold/`, and still open like any others.

What figures are made of (conversations, measures, verdicts, the ledger) stays in the record; the words themselves, by far
the largest part, can go. A file is sorted by owner within each kind, so that one look at its footer says which of its
row groups hold a conversation. Nothing writes to a cold file; what stands in the record goes before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from workbench.store.record import Record

FOLDER = "cold"


def cold_files(rec: Record) -> list[Path]:
    """The record's cold files."""
    return sorted((rec.file.parent / FOLDER).glob("*.parquet"))


def cold_messages(rec: Record, owner: str, owner_id: str) -> list[dict[str, Any]]:
    """The rows of one dialogue or conversation, in order; empty if it is not in any cold file."""
    for file in cold_files(rec):
        found: list[dict[str, Any]] = []
        for number, group in enumerate(_groups(str(file))):
            if any(kind == owner and low <= owner_id <= high for kind, low, high in group):
                found += [r for r in _group(str(file), number) if (r["owner_kind"], r["owner_id"]) == (owner, owner_id)]
        if found:
            return found
    return []


def all_cold(rec: Record, owner: str, among: set[str]) -> Iterator[dict[str, Any]]:
    """The cold rows of many owners of a kind, an owner's together and in order, none twice."""
    seen: set[str] = set()
    for file in cold_files(rec):
        here, wanted = set[str](), among - seen
        for number, group in enumerate(_groups(str(file))):
            if any(kind == owner for kind, _, _ in group):
                for row in _group(str(file), number):
                    if row["owner_kind"] == owner and row["owner_id"] in wanted:
                        here.add(row["owner_id"])
                        yield row
        seen |= here


@lru_cache(maxsize=64)
def _groups(file: str) -> list[list[tuple[str, str, str]]]:
    """For each row group the kinds it holds with the first and the last owner; a group may lie across the kinds' border."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as source:
        names = source.schema_arrow.names
        kind, owner = names.index("owner_kind"), names.index("owner_id")
        found = []
        for number in range(source.metadata.num_row_groups):
            group = source.metadata.row_group(number)
            kinds, owners = group.column(kind).statistics, group.column(owner).statistics
            found.append([(k, owners.min, owners.max) for k in dict.fromkeys((kinds.min, kinds.max))])
    return found


@lru_cache(maxsize=4)
def _group(file: str, number: int) -> list[dict[str, Any]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as source:
        rows: list[dict[str, Any]] = source.read_row_group(number).to_pylist()
    return rows

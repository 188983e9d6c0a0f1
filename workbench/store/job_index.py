"""The index of jobs: only where their folders lie. The folders are the truth; the index can be rebuilt from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from workbench.store.record import Record
from workbench.store.rows import JobRow


def put_jobs(rec: Record, rows: Iterable[JobRow]) -> None:
    """Keep lines of the index, or bring them up to date."""
    rec.put("jobs", (asdict(row) for row in rows), conflict="update")


def job_rows(rec: Record, kind: str | None = None) -> list[JobRow]:
    """The jobs of the index, newest first."""
    sql = "SELECT id, kind, folder, title, created FROM jobs WHERE kind = coalesce(?, kind)"
    return [JobRow(**dict(row)) for row in rec.query(f"{sql} ORDER BY created DESC, rowid DESC", (kind,))]

"""The ledger: one row a model call, failed attempts included."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from sqlite3 import Row

from workbench.store.encode import storable
from workbench.store.record import Record
from workbench.store.rows import CallRow, CallTotal
from workbench.store.select import Where


def put_calls(rec: Record, rows: Iterable[CallRow]) -> int:
    """Add calls to the ledger, or bring rows of calls that were in flight up to date; returns how many."""
    return rec.put("calls", (_values(row) for row in rows), conflict="update")


def calls(rec: Record, owner_kind: str | None = None, owner_id: str | None = None, limit: int = 1000) -> list[CallRow]:
    """The newest calls, newest first."""
    where = _where(owner_kind, owner_id, None)
    rows = rec.query(f"SELECT * FROM calls{where} ORDER BY rowid DESC LIMIT ?", [*where.arguments, limit])
    return [_row(row) for row in rows]


def answered(rec: Record, request: str) -> CallRow | None:
    """The newest call with this `request` whose reply is still kept, or None."""
    sql = "SELECT * FROM calls WHERE request = ? AND reply IS NOT NULL ORDER BY rowid DESC LIMIT 1"
    row = rec.one(sql, (request,))
    return _row(row) if row else None


def in_flight(rec: Record, job: str, error: str) -> list[CallRow]:
    """The calls of a job that stand at `error`, oldest first: begun and not ended, as far as the record knows."""
    rows = rec.query("SELECT * FROM calls WHERE job = ? AND error = ? ORDER BY rowid", (job, error))
    return [_row(row) for row in rows]


def forget_replies(rec: Record, owner_kind: str, owner_id: str) -> int:
    """Drop the answers kept for an owner, once what they made is in the record; the calls themselves stay."""
    sql = "UPDATE calls SET reply = NULL WHERE owner_kind = ? AND owner_id = ? AND reply IS NOT NULL"
    return rec.execute(sql, (owner_kind, owner_id))


def counted(rec: Record, job: str) -> float:
    """US dollars of a job that count against its budget: costs, and the most that calls without one can have cost."""
    row = rec.one("SELECT total(coalesce(cost, reserved)) AS dollars FROM calls WHERE job = ?", (job,))
    return float(row["dollars"]) if row else 0.0


def call_totals(
    rec: Record,
    owner_kind: str | None = None,
    owner_id: str | None = None,
    since: float | None = None,
    job: str | None = None,
) -> list[CallTotal]:
    """Sums by purpose and model, of all calls, one owner's or one job's, from `since` (UTC epoch seconds) on."""
    where = _where(owner_kind, owner_id, since)
    where.equal({"job": job})
    sql = f"""SELECT purpose, model, count(*) AS calls, count(error) AS errors,
                     sum(cost IS NULL) AS unpriced, sum(input) AS input, sum(output) AS output,
                     sum(cache_read) AS cache_read, sum(cache_write) AS cache_write, total(cost) AS cost,
                     total(latency) AS latency
              FROM calls{where} GROUP BY purpose, model ORDER BY purpose, model"""
    return [CallTotal(**dict(row)) for row in rec.query(sql, where.arguments)]


def spent(rec: Record, owner_kind: str | None = None, owner_id: str | None = None, since: float | None = None) -> float:
    """US dollars of all calls whose price is known."""
    where = _where(owner_kind, owner_id, since)
    row = rec.one(f"SELECT total(cost) AS dollars FROM calls{where}", where.arguments)
    return float(row["dollars"]) if row else 0.0


def spent_on_dataset(rec: Record, dataset_id: str) -> float | None:
    """US dollars of the calls that wrote a data set's dialogues: 0 if none did, None if one has no known price."""
    sql = """SELECT total(cost) AS cost, coalesce(sum(cost IS NULL AND error IS NULL), 0) AS unpriced FROM calls
             WHERE owner_kind = 'dialogue' AND owner_id IN (SELECT dialogue_id FROM dataset_items WHERE dataset_id = ?)"""
    row = rec.one(sql, (dataset_id,))
    return float(row["cost"]) if row and not row["unpriced"] else None


def _row(row: Row) -> CallRow:
    return CallRow(**{field.name: row[field.name] for field in fields(CallRow)})


def _values(row: CallRow) -> dict[str, object]:
    texts = {name: storable(text) for name in ("error", "reply") if (text := getattr(row, name)) is not None}
    return {field.name: getattr(row, field.name) for field in fields(row)} | texts


def _where(owner_kind: str | None, owner_id: str | None, since: float | None) -> Where:
    where = Where()
    where.equal({"owner_kind": owner_kind, "owner_id": owner_id})
    if since is not None:
        where.add("created >= ?", since)
    return where

"""The ledger: one row a model call, failed attempts included."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, fields

from workbench.store.encode import storable
from workbench.store.record import Record
from workbench.store.rows import CallRow, CallTotal
from workbench.store.select import Where


def put_calls(rec: Record, rows: Iterable[CallRow]) -> int:
    """Add calls to the ledger; returns how many were new."""
    return rec.put("calls", ({**asdict(r), "error": None if r.error is None else storable(r.error)} for r in rows))


def calls(rec: Record, owner_kind: str | None = None, owner_id: str | None = None, limit: int = 1000) -> list[CallRow]:
    """The newest calls, newest first."""
    where = _where(owner_kind, owner_id, None)
    rows = rec.query(f"SELECT * FROM calls{where} ORDER BY rowid DESC LIMIT ?", [*where.arguments, limit])
    names = [f.name for f in fields(CallRow)]
    return [CallRow(**{name: row[name] for name in names}) for row in rows]


def call_totals(
    rec: Record, owner_kind: str | None = None, owner_id: str | None = None, since: float | None = None
) -> list[CallTotal]:
    """Sums by purpose and model, of all calls or of one owner's, from the time `since` (UTC epoch seconds) on."""
    where = _where(owner_kind, owner_id, since)
    sql = f"""SELECT purpose, model, count(*) AS calls, count(error) AS errors,
                     sum(cost IS NULL) AS unpriced, sum(input) AS input, sum(output) AS output,
                     sum(cache_read) AS cache_read, sum(cache_write) AS cache_write, total(cost) AS cost,
                     total(latency) AS latency
              FROM calls{where} GROUP BY purpose, model ORDER BY purpose, model"""
    return [CallTotal(**dict(row)) for row in rec.query(sql, where.arguments)]


def spent(rec: Record, owner_kind: str | None = None, owner_id: str | None = None, since: float | None = None) -> float:
    """US dollars of all calls whose price is known."""
    return sum(total.cost for total in call_totals(rec, owner_kind, owner_id, since))


def _where(owner_kind: str | None, owner_id: str | None, since: float | None) -> Where:
    where = Where()
    where.equal({"owner_kind": owner_kind, "owner_id": owner_id})
    if since is not None:
        where.add("created >= ?", since)
    return where

"""Comparisons: agents evaluated on the same scenarios."""

from __future__ import annotations

from collections.abc import Mapping

from workbench.store.encode import from_json, to_json
from workbench.store.record import Record, Row
from workbench.store.rows import ComparisonRow
from workbench.store.select import Where


def put_comparison(rec: Record, row: ComparisonRow) -> None:
    """Keep a comparison, or bring it up to date (all but the time it was created)."""
    values = {
        "id": row.id, "workflow_id": row.workflow_id, "name": row.name, "config": to_json(row.config),
        "status": row.status, "summary": to_json(row.summary), "created": row.created,
    }  # fmt: skip
    rec.put("comparisons", [values], conflict="update")


def set_comparison(rec: Record, comparison_id: str, status: str, summary: Mapping[str, object] | None = None) -> None:
    """Change a comparison's status, and its summary if one is given."""
    text = None if summary is None else to_json(summary)
    sql = "UPDATE comparisons SET status = ?, summary = coalesce(?, summary) WHERE id = ?"
    rec.execute(sql, (status, text, comparison_id))


def get_comparison(rec: Record, comparison_id: str) -> ComparisonRow | None:
    """The comparison with this id, or None."""
    row = rec.one("SELECT * FROM comparisons WHERE id = ?", (comparison_id,))
    return _comparison(row) if row else None


def comparisons(rec: Record, workflow_id: str | None = None) -> list[ComparisonRow]:
    """All comparisons, newest first."""
    where = Where()
    where.equal({"workflow_id": workflow_id})
    rows = rec.query(f"SELECT * FROM comparisons{where} ORDER BY created DESC, rowid DESC", where.arguments)
    return [_comparison(row) for row in rows]


def _comparison(row: Row) -> ComparisonRow:
    return ComparisonRow(
        id=row["id"],
        workflow_id=row["workflow_id"],
        name=row["name"],
        config=from_json(row["config"]),
        status=row["status"],
        summary=from_json(row["summary"]),
        created=row["created"],
    )

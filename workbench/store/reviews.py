"""Reviews of dialogues: only ever added; the latest of a dialogue counts."""

from __future__ import annotations

from collections.abc import Iterable

from workbench.store.encode import from_json, storable, to_json
from workbench.store.record import Record, Row
from workbench.store.rows import ReviewRow
from workbench.store.select import Where


def put_reviews(rec: Record, rows: Iterable[ReviewRow]) -> int:
    """Add reviews; returns how many were new. Their dialogues must be in the record."""
    return rec.put("reviews", (_columns(row) for row in rows))


def reviews(rec: Record, dialogue_id: str | None = None, reviewer: str | None = None) -> list[ReviewRow]:
    """Reviews in the order in which they were given."""
    where = Where()
    where.equal({"dialogue_id": dialogue_id, "reviewer": reviewer})
    rows = rec.query(f"SELECT * FROM reviews{where} ORDER BY created, rowid", where.arguments)
    return [_review(row) for row in rows]


def review_counts(rec: Record, workflow_id: str | None = None) -> dict[str, int]:
    """How many dialogues have each decision as their latest; the key "none" counts those without a review."""
    where = Where()
    where.equal({"d.workflow_id": workflow_id})
    latest = "SELECT r.decision FROM reviews r WHERE r.dialogue_id = d.id ORDER BY r.created DESC, r.rowid DESC LIMIT 1"
    sql = (
        f"SELECT coalesce(({latest}), 'none') AS decision, count(*) AS n FROM dialogues d{where} GROUP BY 1 ORDER BY 1"
    )
    return {row["decision"]: row["n"] for row in rec.query(sql, where.arguments)}


def _columns(row: ReviewRow) -> dict[str, object]:
    return {
        "id": row.id,
        "dialogue_id": row.dialogue_id,
        "reviewer": storable(row.reviewer),
        "decision": row.decision,
        "tags": to_json(row.tags),
        "note": storable(row.note),
        "created": row.created,
    }


def _review(row: Row) -> ReviewRow:
    tags = tuple(from_json(row["tags"]))
    return ReviewRow(row["id"], row["dialogue_id"], row["reviewer"], row["decision"], tags, row["note"], row["created"])

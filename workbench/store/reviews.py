"""Reviews of dialogues and conversations: only ever added; the newest of each reviewer counts.

Triggers of the schema keep two tables that follow from them: `votes` (the newest decision of each reviewer, "none" when
taken back) and `review_states` (of each subject: what settled a disagreement, else the decision of more than half of its
reviewers, else "split").
"""

from __future__ import annotations

from collections.abc import Iterable

from workbench.store.encode import from_json, storable, to_json
from workbench.store.record import Record, Row
from workbench.store.rows import ReviewRow, SubjectKind
from workbench.store.select import Where

HAS_SAID = "EXISTS (SELECT 1 FROM votes m WHERE m.subject_kind = r.subject_kind AND m.subject_id = r.subject_id AND m.reviewer = ?)"
"""A condition on a row `r` with a subject: that the reviewer in the argument has said something about it, or has asked to
be shown what others did. Only then may others' decisions be shown to this reviewer."""


def put_reviews(rec: Record, rows: Iterable[ReviewRow]) -> int:
    """Add reviews; returns how many were new. Their dialogues and conversations must be in the record."""
    return rec.put("reviews", (_columns(row) for row in rows))


def reviews(
    rec: Record, subject_id: str | None = None, reviewer: str | None = None, kind: SubjectKind | None = None
) -> list[ReviewRow]:
    """Reviews in the order in which they were given."""
    where = Where()
    where.equal({"subject_kind": kind, "subject_id": subject_id, "reviewer": reviewer})
    rows = rec.query(f"SELECT * FROM reviews{where} ORDER BY created, rowid", where.arguments)
    return [_review(row) for row in rows]


def comparison_reviews(rec: Record, comparison_id: str) -> list[ReviewRow]:
    """The reviews of a comparison's conversations, in the order in which they were given."""
    sql = """SELECT r.* FROM reviews r JOIN conversations c ON c.id = r.subject_id
             WHERE r.subject_kind = 'conversation' AND c.comparison_id = ? ORDER BY r.created, r.rowid"""
    return [_review(row) for row in rec.query(sql, (comparison_id,))]


def newest_review(rec: Record, reviewer: str, kind: SubjectKind | None = None) -> ReviewRow | None:
    """The reviewer's newest decision that has not been taken back, and that is no taking back itself."""
    where = Where()
    where.equal({"reviewer": reviewer, "subject_kind": kind})
    where.add("undoes IS NULL AND decision <> 'none'")
    where.add("id NOT IN (SELECT undoes FROM reviews WHERE reviewer = ? AND undoes IS NOT NULL)", reviewer)
    row = rec.one(f"SELECT * FROM reviews{where} ORDER BY created DESC, rowid DESC LIMIT 1", where.arguments)
    return _review(row) if row else None


def votes(rec: Record, kind: SubjectKind, subjects: Iterable[str]) -> dict[str, dict[str, str]]:
    """Of each of these subjects that has any: the decision of each reviewer, those taken back left out."""
    sql = (
        "SELECT subject_id, reviewer, decision FROM votes WHERE subject_kind = ? AND decision <> 'none' "
        "AND subject_id IN (SELECT value FROM json_each(?)) ORDER BY created"
    )
    found: dict[str, dict[str, str]] = {}
    for row in rec.query(sql, (kind, to_json(list(subjects)))):
        found.setdefault(row["subject_id"], {})[row["reviewer"]] = row["decision"]
    return found


def known_reviewers(rec: Record, kind: SubjectKind) -> list[str]:
    """Who has reviewed anything, by name."""
    rows = rec.query("SELECT DISTINCT reviewer FROM votes WHERE subject_kind = ? ORDER BY reviewer", (kind,))
    return [row["reviewer"] for row in rows]


def hidden_from(rec: Record, kind: SubjectKind, reviewer: str) -> set[str]:
    """Subjects that others have decided on and of which this reviewer has said nothing yet."""
    sql = f"SELECT DISTINCT subject_id FROM votes r WHERE subject_kind = ? AND decision <> 'none' AND NOT {HAS_SAID}"
    return {row["subject_id"] for row in rec.query(sql, (kind, reviewer))}


def review_states(rec: Record, kind: SubjectKind, *states: str) -> dict[str, str]:
    """Subjects by their state (pass, flag, fix or split); only these states, if any are named."""
    where = Where()
    where.add("subject_kind = ?", kind)
    if states:
        where.add("state IN (SELECT value FROM json_each(?))", to_json(states))
    else:
        where.add("state <> 'none'")
    return {r["subject_id"]: r["state"] for r in rec.query(f"SELECT * FROM review_states{where}", where.arguments)}


def review_counts(rec: Record, workflow_id: str | None = None, kind: SubjectKind = "dialogue") -> dict[str, int]:
    """How many dialogues (or conversations) are in each state; the key "none" counts those without a review."""
    where, of = Where(), Where()
    where.add("s.subject_kind = ?", kind)
    where.add("s.state <> 'none'")
    if workflow_id is not None:
        of.add("workflow_id = ?", workflow_id)
        where.add(f"s.subject_id IN (SELECT id FROM {kind}s WHERE workflow_id = ?)", workflow_id)
    total = rec.one(f"SELECT count(*) AS n FROM {kind}s{of}", of.arguments)
    rows = rec.query(
        f"SELECT s.state, count(*) AS n FROM review_states s{where} GROUP BY 1 ORDER BY 1", where.arguments
    )
    counts = {row["state"]: row["n"] for row in rows}
    unseen = (total["n"] if total else 0) - sum(counts.values())
    return dict(sorted({**counts, **({"none": unseen} if unseen else {})}.items()))


def _columns(row: ReviewRow) -> dict[str, object]:
    return {
        "id": row.id,
        "subject_kind": row.subject_kind,
        "subject_id": row.subject_id,
        "subject_hash": row.subject_hash,
        "reviewer": storable(row.reviewer),
        "decision": row.decision,
        "tags": to_json(row.tags),
        "note": storable(row.note),
        "copy_id": row.copy_id,
        "undoes": row.undoes,
        "settles": int(row.settles),
        "created": row.created,
    }


def _review(row: Row) -> ReviewRow:
    return ReviewRow(
        id=row["id"],
        subject_id=row["subject_id"],
        reviewer=row["reviewer"],
        decision=row["decision"],
        tags=tuple(from_json(row["tags"])),
        note=row["note"],
        created=row["created"],
        subject_kind=row["subject_kind"],
        subject_hash=row["subject_hash"],
        copy_id=row["copy_id"],
        undoes=row["undoes"],
        settles=bool(row["settles"]),
    )

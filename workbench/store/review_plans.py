"""Sampling plans for reviews: frozen lists of subjects by stratum, handed out one at a time under leases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from workbench.errors import UserError
from workbench.store.encode import from_json, to_json
from workbench.store.record import Record, Row
from workbench.store.rows import Json, SubjectKind, now
from workbench.store.select import Where

LEASE_SECONDS = 15 * 60.0

STRATA: dict[SubjectKind, dict[str, str]] = {
    "dialogue": {
        "terminal": "s.terminal", "writer": "s.writer", "split": "s.split", "status": "s.status",
        "path": "coalesce(s.path_rank, s.path)", "deviations": "s.deviations",
        "persona": "(SELECT json_extract(c.data, '$.persona') FROM scenarios c WHERE c.id = s.scenario_id)",
    },
    "conversation": {
        "agent": "s.agent", "condition": "s.condition", "terminal": "coalesce(s.terminal, 'none')",
        "ended_by": "coalesce(s.ended_by, 'none')", "comparison": "coalesce(s.comparison_id, 'live')",
    },
}  # fmt: skip
"""What a plan's strata may be made of, for each kind of subject."""

_OPEN = "(SELECT count(*) FROM votes v WHERE v.subject_kind = p.subject_kind AND v.subject_id = i.subject_id AND v.decision <> 'none')"


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A sampling plan; `about` says how it was drawn (by, each, share, seed)."""

    id: str
    name: str
    subject_kind: SubjectKind
    workflow_id: str
    about: Json = field(default_factory=dict)
    created: float = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class PlanItem:
    """A subject to review; `reviewers` is how many people are to decide on it, each blind to the others."""

    subject_id: str
    stratum: str
    reviewers: int = 1


@dataclass(frozen=True, slots=True)
class StratumProgress:
    """How far a stratum is: items with a decision, and of those meant for two reviewers the ones that have two."""

    stratum: str
    items: int
    done: int
    twice: int
    twice_done: int


def subjects_by_stratum(
    rec: Record, kind: SubjectKind, by: Sequence[str], workflow_id: str, comparison_id: str | None = None
) -> Iterator[tuple[str, str]]:
    """(subject id, stratum) of every sound dialogue or finished conversation of the workflow. UserError: unknown `by`."""
    known = STRATA[kind]
    if odd := [name for name in by if name not in known]:
        raise UserError(f'cannot draw {kind}s by "{odd[0]}": choose among {", ".join(known)}')
    where = Where()
    where.add("s.workflow_id = ?", workflow_id)
    if kind == "conversation":
        where.add("s.status <> 'running'")
        where.equal({"s.comparison_id": comparison_id})
    columns = ", ".join(f"{known[name]} AS b{n}" for n, name in enumerate(by))
    sql = f"SELECT s.id{', ' if by else ''}{columns} FROM {kind}s s{where} ORDER BY s.rowid"
    for row in rec.stream(sql, where.arguments):
        yield row["id"], " · ".join(str(row[n + 1]) for n in range(len(by))) or "all"


def put_plan(rec: Record, row: PlanRow, items: Iterable[PlanItem]) -> bool:
    """Keep a plan with its items in order, all or nothing; False if it was there already."""
    values = {
        "id": row.id, "name": row.name, "subject_kind": row.subject_kind, "workflow_id": row.workflow_id,
        "about": to_json(row.about), "created": row.created,
    }  # fmt: skip
    with rec.write():
        if not rec.put("review_plans", [values]):
            return False
        rec.put(
            "review_plan_items",
            (
                {
                    "plan_id": row.id,
                    "idx": idx,
                    "subject_id": i.subject_id,
                    "stratum": i.stratum,
                    "reviewers": i.reviewers,
                }
                for idx, i in enumerate(items)
            ),
            key=("plan_id", "idx"),
        )
    return True


def plans(rec: Record, kind: SubjectKind | None = None) -> list[PlanRow]:
    """All plans, newest first."""
    where = Where()
    where.equal({"subject_kind": kind})
    rows = rec.query(f"SELECT * FROM review_plans{where} ORDER BY created DESC, rowid DESC", where.arguments)
    return [_plan(row) for row in rows]


def plan_items(rec: Record, plan_id: str) -> list[PlanItem]:
    """The items of a plan, in the order in which they are handed out."""
    rows = rec.query("SELECT * FROM review_plan_items WHERE plan_id = ? ORDER BY idx", (plan_id,))
    return [PlanItem(row["subject_id"], row["stratum"], row["reviewers"]) for row in rows]


def progress(rec: Record, plan_id: str) -> list[StratumProgress]:
    """How far each stratum of the plan is."""
    rows = rec.query(
        f"SELECT stratum, count(*) AS items, sum(n >= 1) AS done, sum(reviewers > 1) AS twice, "
        f"sum(reviewers > 1 AND n > 1) AS both FROM (SELECT i.stratum, i.reviewers, {_OPEN} AS n "
        "FROM review_plans p JOIN review_plan_items i ON i.plan_id = p.id WHERE p.id = ?) GROUP BY 1 ORDER BY 1",
        (plan_id,),
    )
    return [StratumProgress(r["stratum"], r["items"], r["done"], r["twice"], r["both"]) for r in rows]


def take_next(rec: Record, plan: PlanRow, reviewer: str, at: float, seconds: float = LEASE_SECONDS) -> str | None:
    """Hand out the next item that this reviewer may decide on, under a lease that ends at `at + seconds`.

    Asked again without a decision, the reviewer gets the item after (what was skipped comes again at the end), and the
    lease of the first ends. Nobody gets what others have decided on or hold a lease of, beyond the number of
    reviewers that it needs. None when nothing is left for this reviewer now.
    """
    with rec.write():
        rec.execute("DELETE FROM review_leases WHERE until <= ?", (at,))
        held = rec.one(
            "SELECT i.idx FROM review_leases l JOIN review_plan_items i ON i.plan_id = l.plan_id "
            "AND i.subject_id = l.subject_id WHERE l.reviewer = ? AND l.plan_id = ?",
            (reviewer, plan.id),
        )
        found = rec.one(
            f"SELECT i.subject_id FROM review_plans p JOIN review_plan_items i ON i.plan_id = p.id "
            f"JOIN {plan.subject_kind}s s ON s.id = i.subject_id WHERE p.id = ?1 "
            "AND NOT EXISTS (SELECT 1 FROM votes v WHERE v.subject_kind = p.subject_kind "
            "AND v.subject_id = i.subject_id AND v.reviewer = ?2 AND v.decision <> 'none') "
            # Who was shown what others decided is no independent second reviewer.
            "AND NOT EXISTS (SELECT 1 FROM reviews o WHERE o.subject_kind = p.subject_kind AND o.subject_id = i.subject_id "
            "AND o.reviewer = ?2 AND o.decision = 'none' AND o.undoes IS NULL) "
            f"AND i.reviewers > {_OPEN} + (SELECT count(*) FROM review_leases l WHERE "
            "l.subject_kind = p.subject_kind AND l.subject_id = i.subject_id AND l.reviewer <> ?2) "
            "ORDER BY i.idx <= ?3, i.idx LIMIT 1",
            (plan.id, reviewer, held["idx"] if held else -1),
        )
        rec.execute("DELETE FROM review_leases WHERE reviewer = ? AND plan_id = ?", (reviewer, plan.id))
        if not found:
            return None
        rec.put(
            "review_leases",
            [
                {
                    "subject_kind": plan.subject_kind, "subject_id": found["subject_id"], "reviewer": reviewer,
                    "plan_id": plan.id, "until": at + seconds,
                }
            ],
            key=("subject_kind", "subject_id", "reviewer"),
            conflict="update",
        )  # fmt: skip
        return str(found["subject_id"])


def end_lease(rec: Record, kind: SubjectKind, subject_id: str, reviewer: str) -> None:
    """A decision ends the lease."""
    rec.execute(
        "DELETE FROM review_leases WHERE subject_kind = ? AND subject_id = ? AND reviewer = ?",
        (kind, subject_id, reviewer),
    )


def leases(rec: Record, plan_id: str, at: float) -> dict[str, tuple[str, float]]:
    """Leases of a plan that still hold: reviewer → (subject id, end)."""
    rows = rec.query("SELECT * FROM review_leases WHERE plan_id = ? AND until > ? ORDER BY until", (plan_id, at))
    return {row["reviewer"]: (row["subject_id"], row["until"]) for row in rows}


def _plan(row: Row) -> PlanRow:
    return PlanRow(
        row["id"], row["name"], row["subject_kind"], row["workflow_id"], from_json(row["about"]), row["created"]
    )


def unreviewed_subjects(rec: Record, kind: SubjectKind) -> Iterator[str]:
    """Ids of what nobody has reviewed, the oldest first; running conversations left out."""
    ended = "AND s.status <> 'running' " if kind == "conversation" else ""
    sql = (
        f"SELECT s.id FROM {kind}s s WHERE NOT EXISTS (SELECT 1 FROM review_states r WHERE r.subject_kind = ? "
        f"AND r.subject_id = s.id AND r.state <> 'none') {ended}ORDER BY s.rowid"
    )
    for row in rec.stream(sql, (kind,)):
        yield row["id"]

"""Training runs as the record knows them; their metrics stand in the folders of their jobs."""

from __future__ import annotations

from collections.abc import Mapping

from workbench.store.encode import from_json, to_json
from workbench.store.record import Record, Row
from workbench.store.rows import RunRow
from workbench.store.select import Where


def put_run(rec: Record, row: RunRow) -> None:
    """Keep a run, or bring it up to date (all but the time it was created)."""
    values = {
        "id": row.id, "name": row.name, "job_id": row.job_id, "dataset_id": row.dataset_id,
        "workflow_id": row.workflow_id, "recipe": to_json(row.recipe), "status": row.status,
        "summary": to_json(row.summary), "provenance": to_json(row.provenance), "created": row.created,
    }  # fmt: skip
    rec.put("runs", [values], conflict="update")


def set_run(rec: Record, run_id: str, status: str, summary: Mapping[str, object] | None = None) -> None:
    """Change a run's status, and its summary if one is given."""
    text = None if summary is None else to_json(summary)
    rec.execute("UPDATE runs SET status = ?, summary = coalesce(?, summary) WHERE id = ?", (status, text, run_id))


def set_run_name(rec: Record, run_id: str, name: str) -> None:
    """Give a run another name."""
    rec.execute("UPDATE runs SET name = ? WHERE id = ?", (name, run_id))


def remove_run(rec: Record, run_id: str) -> None:
    """Take a run and its job out of the record; what was said with it stays."""
    with rec.write():
        rec.execute("DELETE FROM jobs WHERE id = (SELECT job_id FROM runs WHERE id = ?)", (run_id,))
        rec.execute("DELETE FROM runs WHERE id = ?", (run_id,))


def get_run(rec: Record, run_id: str) -> RunRow | None:
    """The run with this id, or None."""
    row = rec.one("SELECT * FROM runs WHERE id = ?", (run_id,))
    return _run(row) if row else None


def runs(rec: Record, workflow_id: str | None = None, dataset_id: str | None = None) -> list[RunRow]:
    """All runs, newest first."""
    where = Where()
    where.equal({"workflow_id": workflow_id, "dataset_id": dataset_id})
    return [_run(r) for r in rec.query(f"SELECT * FROM runs{where} ORDER BY created DESC, rowid DESC", where.arguments)]


def _run(row: Row) -> RunRow:
    return RunRow(
        id=row["id"],
        name=row["name"],
        job_id=row["job_id"],
        dataset_id=row["dataset_id"],
        workflow_id=row["workflow_id"],
        recipe=from_json(row["recipe"]),
        status=row["status"],
        summary=from_json(row["summary"]),
        provenance=from_json(row["provenance"]),
        created=row["created"],
    )

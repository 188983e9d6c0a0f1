"""Workflows as they were when something was made from them."""

from __future__ import annotations

from workbench.store.record import Record, Row
from workbench.store.rows import WorkflowRow


def put_workflow(rec: Record, row: WorkflowRow) -> None:
    """Keep a workflow; one with the same id (the same meaning) is kept with its newest name, title and source."""
    values = {
        "id": row.id, "name": row.name, "title": row.title, "source": row.source, "canonical": row.canonical,
        "created": row.created,
    }  # fmt: skip
    rec.put("workflows", [values], conflict="update", fixed=("created", "canonical"))


def get_workflow(rec: Record, workflow_id: str) -> WorkflowRow | None:
    """The workflow with this id, or None."""
    row = rec.one("SELECT * FROM workflows WHERE id = ?", (workflow_id,))
    return _workflow(row) if row else None


def workflows(rec: Record) -> list[WorkflowRow]:
    """All versions of all workflows that something was made from, newest first."""
    return [_workflow(row) for row in rec.query("SELECT * FROM workflows ORDER BY created DESC, rowid DESC")]


def dialogue_workflows(rec: Record) -> dict[str, str]:
    """The names of the workflows that there are dialogues of, by id."""
    rows = rec.query(
        "SELECT id, name FROM workflows w WHERE EXISTS (SELECT 1 FROM dialogues d WHERE d.workflow_id = w.id)"
    )
    return {row["id"]: row["name"] for row in rows}


def _workflow(row: Row) -> WorkflowRow:
    return WorkflowRow(row["id"], row["name"], row["title"], row["canonical"], row["source"], row["created"])

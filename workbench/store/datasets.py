"""Data sets: a manifest and the dialogues that stand in each split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from workbench.dialogue.model import Dialogue
from workbench.store.dialogues import get_dialogue
from workbench.store.encode import from_json, to_json
from workbench.store.record import Record, Row
from workbench.store.rows import DatasetRow
from workbench.store.select import Where
from workbench.workflow.model import Split


def put_dataset(rec: Record, row: DatasetRow, items: Iterable[tuple[str, Split]]) -> bool:
    """Keep a data set with its items (dialogue id, split) in their order, all or nothing; False if it was there."""
    values = {
        "id": row.id, "name": row.name, "workflow_id": row.workflow_id, "manifest": to_json(row.manifest),
        "created": row.created,
    }  # fmt: skip
    with rec.write():
        if not rec.put("datasets", [values]):
            return False
        rec.put(
            "dataset_items",
            (
                {"dataset_id": row.id, "idx": idx, "dialogue_id": dialogue_id, "split": split}
                for idx, (dialogue_id, split) in enumerate(items)
            ),
            key=("dataset_id", "dialogue_id"),
        )
    return True


def get_dataset(rec: Record, dataset_id: str) -> DatasetRow | None:
    """The data set with this id, or None."""
    row = rec.one("SELECT * FROM datasets WHERE id = ?", (dataset_id,))
    return _dataset(row) if row else None


def datasets(rec: Record, workflow_id: str | None = None) -> list[DatasetRow]:
    """All data sets, newest first."""
    where = Where()
    where.equal({"workflow_id": workflow_id})
    rows = rec.query(f"SELECT * FROM datasets{where} ORDER BY created DESC, rowid DESC", where.arguments)
    return [_dataset(row) for row in rows]


def dataset_items(rec: Record, dataset_id: str, split: Split | None = None) -> list[tuple[str, Split]]:
    """(dialogue id, split) in the order in which the data set was built."""
    where = Where()
    where.equal({"dataset_id": dataset_id, "split": split})
    rows = rec.query(f"SELECT dialogue_id, split FROM dataset_items{where} ORDER BY idx", where.arguments)
    return [(row["dialogue_id"], row["split"]) for row in rows]


def dataset_dialogues(rec: Record, dataset_id: str, split: Split | None = None) -> Iterator[tuple[Dialogue, Split]]:
    """Whole dialogues with their splits, in order, with the memory of one."""
    for dialogue_id, where in dataset_items(rec, dataset_id, split):
        dialogue = get_dialogue(rec, dialogue_id)
        if dialogue:
            yield dialogue, where


def dataset_paths(rec: Record, dataset_id: str) -> set[tuple[str, ...]]:
    """The paths (edge ids) of a data set's dialogues, each once."""
    sql = "SELECT DISTINCT d.path FROM dataset_items i JOIN dialogues d ON d.id = i.dialogue_id WHERE i.dataset_id = ?"
    return {tuple(from_json(row["path"])) for row in rec.query(sql, (dataset_id,))}


def dataset_sizes(rec: Record, dataset_id: str) -> dict[str, int]:
    """The number of dialogues in each split."""
    sql = "SELECT split, count(*) AS n FROM dataset_items WHERE dataset_id = ? GROUP BY split"
    return {row["split"]: row["n"] for row in rec.query(sql, (dataset_id,))}


def _dataset(row: Row) -> DatasetRow:
    return DatasetRow(row["id"], row["name"], row["workflow_id"], from_json(row["manifest"]), row["created"])

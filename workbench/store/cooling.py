"""Taking messages out of SQLite, into the files that `cold` reads."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from workbench.errors import UserError
from workbench.home import Home, make_folder, take_after_folder
from workbench.store.carry import Selection, column_types, count_out, drop_warm, ids_of, warm_rows
from workbench.store.cold import FOLDER
from workbench.store.parquet import write_parquet
from workbench.store.progress import Told, telling, untold
from workbench.store.record import Record


def make_cold(rec: Record, home: Home, wanted: Selection, told: Told = untold) -> int:
    """Take the messages of comparisons and data sets out of the record, into a file under `cold/`; returns how many.

    They still open. The file is there before anything is deleted, and the record's own file shrinks; where it is ended half-way,
    the same again goes on. `told` hears how far the writing is, then the deleting. Raises UserError for a comparison that is not finished.
    """
    owners = {
        "dialogue": ids_of(rec, "SELECT dialogue_id FROM dataset_items WHERE dataset_id IN", wanted.datasets),
        "conversation": ids_of(rec, "SELECT id FROM conversations WHERE comparison_id IN", wanted.comparisons),
    }
    if unfinished := ids_of(rec, "SELECT name FROM comparisons WHERE status <> 'done' AND id IN", wanted.comparisons):
        raise UserError(
            f"comparison {sorted(unfinished)[0]} is not finished: its conversations must stay where they are"
        )
    with tempfile.TemporaryDirectory(prefix=".cold-", dir=home.root) as folder:
        file = Path(folder) / "rows"
        total = count_out(rec, "messages", {f"{kind}s": ids for kind, ids in owners.items()})
        rows = telling(warm_rows(rec, owners), told, 0, total)
        count = write_parquet(file, column_types(rec, "messages"), rows)
        if count:
            settle(file, home)
        drop_warm(rec, owners, told)  # also what an earlier one had left, and its room
    return count


def settle(file: Path, home: Home) -> None:
    """Give a cold file its place, by the name that its content makes."""
    with file.open("rb") as source:
        name = hashlib.file_digest(source, "sha256").hexdigest()[:16]
        os.fsync(source.fileno())
    folder = home.root / FOLDER
    make_folder(folder)
    take_after_folder(file, folder)
    file.replace(folder / f"{name}.parquet")

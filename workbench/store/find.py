"""From what a user types (an id, its beginning, a name, "last") to an id."""

from __future__ import annotations

from typing import Literal

from workbench.errors import UserError
from workbench.store.record import Record
from workbench.text import clean_line

Noun = Literal["workflow", "scenario", "dialogue", "dataset", "run", "comparison", "conversation"]
_NAMED = {"workflow", "dataset", "run", "comparison"}
_LEAST = 4
"""Characters of an id that may stand for the whole."""


def find(rec: Record, noun: Noun, wanted: str) -> str:
    """The id that `wanted` means: an id, a name (the newest of that name), "last", or the unique beginning of an id.

    Raises UserError if nothing or more than one thing fits.
    """
    table = f"{noun}s"
    by_name = "name = ?" if noun in _NAMED else "?1 IS NULL"
    row = rec.one(f"SELECT id FROM {table} WHERE id = ?", (wanted,)) or rec.one(
        f"SELECT id FROM {table} WHERE {by_name} ORDER BY created DESC, rowid DESC LIMIT 1", (wanted,)
    )
    if not row and wanted == "last":
        row = rec.one(f"SELECT id FROM {table} ORDER BY created DESC, rowid DESC LIMIT 1")
    if row:
        return str(row["id"])
    shown = clean_line(wanted, 60)
    if len(wanted) >= _LEAST:
        matches = rec.query(f"SELECT id FROM {table} WHERE substr(id, 1, ?) = ? LIMIT 2", (len(wanted), wanted))
        if len(matches) == 1:
            return str(matches[0]["id"])
        if matches:
            raise UserError(f'several {table} begin with "{shown}": give more of the id')
    raise UserError(
        f'no {noun} "{shown}" in {rec.file}: give an id or {"a name" if noun in _NAMED else "its beginning"}'
    )

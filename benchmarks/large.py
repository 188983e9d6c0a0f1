"""Records of any size in minutes: rows that were made once, copied under other ids by SQLite itself."""

from __future__ import annotations

from typing import Literal

from workbench.store.carry import column_types
from workbench.store.record import Record

MADE = 20_000
"""So many dialogues or conversations are made; beyond them they recur, in whole multiples."""


def multiply(rec: Record, kind: Literal["dialogue", "conversation"], times: int) -> None:
    """Have every dialogue or conversation `times` times, with its messages; copy n's id ends in "-n"."""
    said = "idx, role, text, data, created"
    columns = ", ".join(name for name in column_types(rec, f"{kind}s") if name != "id")
    for copy in range(1, times):
        with rec.write():
            rec.execute(
                f"INSERT INTO messages (owner_kind, owner_id, {said}) SELECT owner_kind, owner_id || ?, {said} FROM messages "
                "WHERE owner_kind = ? AND owner_id IN "
                f"(SELECT id FROM {kind}s WHERE instr(id, '-') = 0)",
                (f"-{copy}", kind),
            )
            rec.execute(
                f"INSERT INTO {kind}s (id, {columns}) SELECT id || ?, {columns} FROM {kind}s WHERE instr(id, '-') = 0",
                (f"-{copy}",),
            )

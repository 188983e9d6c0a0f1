"""Messages of dialogues and conversations: one table, one full-text index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal

from workbench.dialogue.model import Message
from workbench.store.cold import cold_messages
from workbench.store.encode import from_json, storable, to_json
from workbench.store.record import Record, Row
from workbench.store.rows import MessageRow

Owner = Literal["dialogue", "conversation"]
_KEY = ("owner_kind", "owner_id", "idx")
_COLUMNS = ("role", "text", "created")


def _defaults(message: Message | MessageRow) -> dict[str, object]:
    return {f.name: getattr(message, f.name) for f in fields(message) if f.name not in _COLUMNS}


_SPARE_MESSAGE = _defaults(Message("user", ""))
_SPARE_ROW = _defaults(MessageRow("user", ""))
"""Fields kept in the JSON column, with the values that need not be written."""


def message_columns(
    owner: Owner, owner_id: str, idx: int, message: Message | MessageRow, at: float
) -> dict[str, object]:
    """A row of the table; only fields that say something go into its JSON."""
    spare = _SPARE_MESSAGE if isinstance(message, Message) else _SPARE_ROW
    data = {name: value for name in spare if (value := getattr(message, name)) != spare[name]}
    return {
        "owner_kind": owner,
        "owner_id": owner_id,
        "idx": idx,
        "role": message.role,
        "text": storable(message.text),
        "data": to_json(data),
        "created": at,
    }


def write_messages(rec: Record, rows: Iterable[Mapping[str, object]], conflict: Literal["keep", "update"]) -> int:
    """Store rows made by `message_columns`."""
    return rec.put("messages", rows, key=_KEY, conflict=conflict, fixed=())


Stored = Row | dict[str, Any]
"""A row of the table, or of a cold file."""


def owned(rec: Record, owner: Owner, owner_id: str) -> Sequence[Stored]:
    """The rows of one dialogue or conversation, in order, wherever they lie."""
    sql = "SELECT * FROM messages WHERE owner_kind = ? AND owner_id = ? ORDER BY idx"
    return rec.query(sql, (owner, owner_id)) or cold_messages(rec, owner, owner_id)


def dialogue_message(row: Stored) -> Message:
    """A row as a dialogue's message."""
    return Message(role=row["role"], text=row["text"], **_data(row))


def conversation_message(row: Stored) -> MessageRow:
    """A row as a conversation's message."""
    return MessageRow(role=row["role"], text=row["text"], created=row["created"], **_data(row))


def _data(row: Stored) -> dict[str, Any]:
    data: dict[str, Any] = from_json(row["data"])
    for name in ("nodes", "edges"):
        if name in data:
            data[name] = tuple(data[name])
    return data

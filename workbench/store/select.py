"""Small helpers to put WHERE clauses and full-text queries together from filters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeVar

from workbench.errors import UserError

WINDOW = 500
"""Rows that are read together where all are gone through one by one."""
T = TypeVar("T")


class Where:
    """Conditions joined by AND, with their arguments in order."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.arguments: list[object] = []

    def add(self, condition: str, *arguments: object) -> None:
        """Add a condition with its arguments."""
        self.parts.append(condition)
        self.arguments.extend(arguments)

    def equal(self, columns: Mapping[str, object]) -> None:
        """Every column whose wanted value is not None must have it."""
        for column, wanted in columns.items():
            if wanted is not None:
                self.add(f"{column} = ?", wanted)

    def contains(self, column: str, items: tuple[str, ...]) -> None:
        """The JSON list of strings in `column` must hold every one of `items`."""
        for item in items:
            self.add(f"instr({column}, json_quote(?)) > 0", item)

    def __str__(self) -> str:
        return f" WHERE {' AND '.join(self.parts)}" if self.parts else ""


def windows(items: Iterable[T]) -> Iterator[list[T]]:
    """The items in handfuls of `WINDOW`, in order: what is read together where all are gone through."""
    source = iter(items)
    return iter(lambda: list(islice(source, WINDOW)), [])


def stride(n: int, most: int) -> int:
    """The step that takes at most `most` of n things, evenly spread."""
    return max(-(-n // most), 1)


def order(sorts: Mapping[str, str], sort: str) -> str:
    """The ORDER BY clause named `sort`; a leading "-" turns it round. Raises UserError for an unknown name."""
    name = sort.removeprefix("-")
    if name not in sorts:
        raise UserError(
            f'cannot sort by "{name}": choose one of {", ".join(sorted(sorts))}, "-" before it turns it round'
        )
    direction = "DESC" if sort.startswith("-") else "ASC"
    keys = [f"{key.strip()} {direction}" for key in sorts[name].split(",")]
    return f" ORDER BY {', '.join(keys)}"


def full_text(words: str) -> str:
    """What a user typed as an FTS5 query: every word must occur, the last may be unfinished; nothing is syntax."""
    quoted = ['"' + word.replace('"', '""').replace("\0", "") + '"' for word in words.split()]
    return " ".join([*quoted[:-1], quoted[-1] + "*"]) if quoted else '""'


def said(
    kind: str, owner: str, words: str, first: int | None = None, newest: bool = False
) -> tuple[str, tuple[object, ...]]:
    """A condition on an owner id column: one of the owner's messages holds all the words.

    With `first` only so many messages are looked at, the oldest or the `newest`: fast however common the words are.
    """
    found = "SELECT rowid FROM messages_fts f WHERE messages_fts MATCH ?"
    if first is not None:
        found += f" ORDER BY rowid {'DESC' if newest else 'ASC'} LIMIT {int(first)}"
    return (
        # CROSS fixes the order: left to itself SQLite may ask the index about every single message.
        f"{owner} IN (SELECT m.owner_id FROM ({found}) x CROSS JOIN messages m ON m.rowid = x.rowid WHERE m.owner_kind = ?)",
        (full_text(words), kind),
    )

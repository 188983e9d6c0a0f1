"""The record for whoever wants to look for themselves: its tables, and any SQL that only reads. Through sqlite-utils."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from workbench.errors import UserError
from workbench.home import Home
from workbench.store.record import connect
from workbench.text import clean_line


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its SQL type, whether it may be null, and what it refers to ("table.column")."""

    name: str
    type: str
    null: bool
    refers_to: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its columns and its number of rows."""

    name: str
    rows: int
    columns: tuple[Column, ...]


def tables(home: Home) -> list[Table]:
    """The record's own tables by name; those behind the full-text index are left out."""
    database = _open(home)
    found = []
    for name in sorted(database.table_names()):
        table = database[name]
        if "_fts" in name:
            continue
        refers = {key.column: f"{key.other_table}.{key.other_column}" for key in table.foreign_keys}
        columns = (Column(c.name, c.type, not c.notnull, refers.get(c.name)) for c in table.columns)
        found.append(Table(name, table.count, tuple(columns)))
    return found


def query(home: Home, sql: str) -> Iterator[dict[str, Any]]:
    """The rows of a SELECT, one by one. Raises UserError for SQL that is wrong, and for all that would write."""
    try:
        yield from _open(home).query(sql)
    except ValueError as error:
        raise UserError("only SQL that reads: begin with SELECT or WITH") from error
    except sqlite3.Error as error:
        hint = "; `workbench record tables` names tables and columns" if "no such" in str(error) else ""
        raise UserError(f"SQL: {clean_line(str(error), 200)}{hint}") from error


def _open(home: Home) -> Any:
    """sqlite-utils over a connection that cannot write, whatever it is told."""
    from sqlite_utils import Database

    connect(home).close()  # made and migrated first
    connection = sqlite3.connect(f"{home.database.as_uri()}?mode=ro", uri=True, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return Database(connection, execute_plugins=False)

"""The record's schema, one numbered SQL script a version; SQLite's `user_version` says which have run."""

from __future__ import annotations

import logging
import os
import sqlite3
from importlib.resources import files
from pathlib import Path

from workbench.errors import UserError
from workbench.home import LARGE_RECORD, open_private
from workbench.text import clean_line

_log = logging.getLogger(__name__)


def scripts() -> tuple[str, ...]:
    """The migrations in order; script i brings the record from version i to i + 1."""
    folder = files("workbench.store") / "schema"
    return tuple(
        f.read_text("utf-8") for f in sorted(folder.iterdir(), key=lambda f: f.name) if f.name.endswith(".sql")
    )


def version(connection: sqlite3.Connection) -> int:
    """The version of the record behind `connection`; 0 for a new file."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, file: Path, steps: tuple[str, ...]) -> None:
    """Bring the record up to date, each step in its own transaction; the caller holds the migration lock.

    A file that already holds data is copied first, to `<file>.v<version>.bak` (0600). Raises UserError if the record
    was made by a newer workbench.
    """
    current = version(connection)
    refuse_newer(current, len(steps), file)
    if 0 < current < len(steps):
        if (size := file.stat().st_size) > LARGE_RECORD:
            name, versions = clean_line(str(file)), f"version {current} to {len(steps)}"
            _log.warning("bringing %s up to date (%s), after a copy of its %.1f GB …", name, versions, size / 1e9)
        _keep_copy(connection, file.with_name(f"{file.name}.v{current}.bak"))
    for number, script in enumerate(steps[current:], start=current + 1):
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
        except sqlite3.Error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def refuse_newer(found: int, known: int, file: Path) -> None:
    """Raise UserError if the record's version `found` is above the newest that this program knows."""
    if found > known:
        raise UserError(
            f"{file} was made by a newer workbench (record version {found}, known {known}): update workbench"
        )


def _keep_copy(connection: sqlite3.Connection, copy: Path) -> None:
    part = copy.with_name(copy.name + ".part")
    part.unlink(missing_ok=True)
    os.close(open_private(part, os.O_EXCL | os.O_WRONLY))
    target = sqlite3.connect(part)
    try:
        connection.backup(target)
    finally:
        target.close()
    part.replace(copy)

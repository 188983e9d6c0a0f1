"""The record: one SQLite file, opened once a thread, written in short transactions by many processes at once.

The standard library's driver is used as it is: sqlite-utils imports pandas and numpy wherever they are installed
(0.8 s, refused for the first screen) and opens deferred transactions, which fail at once under a second writer. It
serves `explore`, where people look into the record for themselves.
"""

from __future__ import annotations

import fcntl
import os
import random
import shutil
import sqlite3
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Literal, Self, TypeVar

from workbench.errors import UserError
from workbench.home import Home, open_private
from workbench.store import migrations
from workbench.store.encode import from_json, to_json
from workbench.store.locality import is_network

BUSY_SECONDS = 30.0
_ATTEMPTS = 6
_SIDE_FILES = 1 << 17
_STEPS = 100_000
"""Of SQLite's machine, between two looks whether a statement is still wanted."""
_MOST_INTEGER = 2**63 - 1

Row = sqlite3.Row
T = TypeVar("T")


class Record:
    """One connection to the record; belongs to the thread that opened it. Use as a context manager, or close it.

    Only modules of this room pass SQL; everyone else calls the typed functions of `workbench.store.*`.
    """

    def __init__(self, connection: sqlite3.Connection, file: Path) -> None:
        self.connection = connection
        self.file = file
        self._depth = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Release the file."""
        self.connection.close()

    def data_version(self) -> int:
        """A number that changes whenever another connection, in this process or any other, has committed."""
        return int(self.connection.execute("PRAGMA data_version").fetchone()[0])

    def stop_when(self, asked: Callable[[], object]) -> None:
        """End a statement with sqlite3.OperationalError ("interrupted") once `asked()`, which is called every few milliseconds
        while it runs, is true."""
        self.connection.set_progress_handler(lambda: int(bool(asked())), _STEPS)

    @contextmanager
    def write(self) -> Iterator[None]:
        """A transaction that takes the write lock at once and waits for it; inside another one it joins that one.

        Keep it short: other processes wait. Everything in it is undone if the block raises.
        """
        if self._depth:
            yield
            return
        self._begin()
        self._depth = 1
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException as error:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            if isinstance(error, sqlite3.DatabaseError):
                _explain(error, self.file)
            raise
        finally:
            self._depth = 0

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Reads in the block see the record as it was at its beginning, whatever others write meanwhile."""
        with self._told():
            self.connection.execute("BEGIN")
        try:
            yield
        finally:
            self.connection.execute("ROLLBACK")

    def stream(self, sql: str, arguments: Sequence[object] = ()) -> Iterator[Row]:
        """The rows of a SELECT one by one, with the memory of one."""
        with self._told():
            yield from self.connection.execute(sql, arguments)

    def query(self, sql: str, arguments: Sequence[object] = ()) -> list[Row]:
        """All rows of a SELECT."""
        with self._told():
            return self.connection.execute(sql, arguments).fetchall()

    def one(self, sql: str, arguments: Sequence[object] = ()) -> Row | None:
        """The first row of a SELECT, or None."""
        with self._told():
            row: Row | None = self.connection.execute(sql, arguments).fetchone()
        return row

    def rowids(self, sql: str, arguments: Sequence[object] = ()) -> array[int]:
        """The column `rowid` of a SELECT, in its order, as a compact array (8 bytes a row).

        SQLite hands them over as one JSON text: twice as fast as a row at a time.
        """
        found = self.one(f"SELECT json_group_array(rowid) FROM ({sql})", arguments)
        assert found is not None, "an aggregate has a row"
        return array("q", from_json(found[0]))

    def by_rowid(self, sql: str, arguments: Sequence[object] = (), *, newest: bool = False) -> array[int]:
        """The same of a SELECT without an order, in the order of the row ids.

        Unsorted, SQLite may read an index and not the wide rows; sorted by row id it would read them all.
        """
        return array("q", sorted(self.rowids(sql, arguments), reverse=newest))

    def window(
        self, sql: str, rowids: Iterable[int], make: Callable[[Row], T], arguments: Sequence[object] = ()
    ) -> list[T]:
        """Rows by row id, in the order asked for; rows deleted meanwhile are left out.

        `sql` selects a column `rowid` and ends in `… IN` so that the list can follow; `arguments` are its own.
        """
        wanted = list(rowids)
        found = self.query(f"{sql} (SELECT value FROM json_each(?))", (*arguments, to_json(wanted)))
        by_rowid = {row["rowid"]: make(row) for row in found}
        return [by_rowid[rowid] for rowid in wanted if rowid in by_rowid]

    def execute(self, sql: str, arguments: Sequence[object] = ()) -> int:
        """Run one writing statement in a transaction and return the number of rows it changed."""
        with self.write():
            return self.connection.execute(sql, arguments).rowcount

    def vacuum(self) -> None:
        """Give the room of deleted rows back to the disk; others wait meanwhile. Row ids stay as they are."""
        with self._told():
            self.connection.execute("VACUUM")
            self.connection.execute(
                "PRAGMA wal_checkpoint(TRUNCATE)"
            ).fetchall()  # until then the file keeps its length

    def put(
        self,
        table: str,
        rows: Iterable[Mapping[str, object]],
        key: Sequence[str] = ("id",),
        conflict: Literal["keep", "update"] = "keep",
        fixed: Sequence[str] = ("created",),
    ) -> int:
        """Insert `rows` (dicts with the same keys) in one transaction and return how many were new or changed.

        A row whose `key` is there already is kept as it is, or brought up to date except for the `fixed` columns; its
        row id stays either way. So a write may be repeated at will.
        """
        batch = list(rows)
        if not batch:
            return 0
        names = tuple(batch[0])
        changed = [n for n in names if n not in key and n not in fixed]
        sets = ", ".join(f"{n} = excluded.{n}" for n in changed)
        action = f"UPDATE SET {sets}" if conflict == "update" and changed else "NOTHING"
        sql = (
            f"INSERT INTO {table} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}) "
            f"ON CONFLICT ({', '.join(key)}) DO {action}"
        )
        with self.write():
            return self.connection.executemany(sql, [tuple(row[n] for n in names) for row in batch]).rowcount

    @contextmanager
    def _told(self) -> Iterator[None]:
        """A fault of the file in one line, where the user can mend it."""
        try:
            yield
        except sqlite3.DatabaseError as error:
            _explain(error, self.file)
            raise

    def _begin(self) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                self.connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                # SQLite's own waiting is not fair: under many writers one may starve for the whole time-out.
                if attempt + 1 == _ATTEMPTS or "locked" not in str(error):
                    _explain(error, self.file)
                    raise
                time.sleep(random.uniform(0.01, 0.2))


def connect(home: Home, *, readonly: bool = False) -> Record:
    """Open the record of `home`, making or migrating it first if need be. One connection a thread.

    Raises UserError if the file is no record, was made by a newer workbench, or cannot be read or written.
    """
    file = home.database
    steps = migrations.scripts()
    try:
        if not file.exists():
            home.make()
        writable = os.access(file if file.exists() else file.parent, os.W_OK) and os.access(file.parent, os.W_OK)
        if (
            not writable and file.exists()
        ):  # a read-only disk, somebody else's home: writing is refused when it is tried
            return Record(_checked(_open_to_look(file), file, len(steps)), file)
        if not file.exists():
            os.close(open_private(file, os.O_RDWR))
        connection = _open(file, "?mode=rw")
        try:
            _prepare(connection, file, steps)
        except sqlite3.OperationalError:
            if not _is_full(file):  # not even room for the side files: what is there can still be read
                raise
            connection.close()
            return Record(_checked(_open_to_look(file), file, len(steps)), file)
    except sqlite3.DatabaseError as error:
        _explain(error, file)
        raise
    except OSError as error:
        raise UserError(f"cannot open the record {file}: {error.strerror or error}") from error
    if readonly:
        connection.execute("PRAGMA query_only = ON")
    return Record(connection, file)


def _open(file: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{file.as_uri()}{mode}", uri=True, timeout=BUSY_SECONDS, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def _open_to_look(file: Path) -> sqlite3.Connection:
    """Where nothing can be written: with what stands in the write-ahead log if SQLite can read it there, else without."""
    connection = _open(file, "?mode=ro")
    try:
        migrations.version(connection)
        return connection
    except sqlite3.OperationalError:
        connection.close()
        return _open(file, "?mode=ro&immutable=1")


def _checked(connection: sqlite3.Connection, file: Path, known: int) -> sqlite3.Connection:
    found = migrations.version(connection)
    migrations.refuse_newer(found, known, file)
    if found < known:
        raise UserError(f"{file} is of version {found} and cannot be brought to {known}: it is not writable")
    return connection


def _prepare(connection: sqlite3.Connection, file: Path, steps: tuple[str, ...]) -> None:
    """Journal mode and schema; both are changed under a lock file, because SQLite does not wait when they clash."""
    journal = "delete" if is_network(file.parent) else "wal"
    if migrations.version(connection) != len(steps) or _journal(connection) != journal:
        with _locked(file.with_name(file.name + ".lock")):
            if _journal(connection) != journal:
                connection.execute(f"PRAGMA journal_mode = {journal}")
            migrations.migrate(connection, file, steps)
    # With the write-ahead log, NORMAL survives any crash of a process; a power cut may lose the last moments only.
    connection.execute(f"PRAGMA synchronous = {'NORMAL' if journal == 'wal' else 'FULL'}")


def _journal(connection: sqlite3.Connection) -> str:
    return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


@contextmanager
def _locked(lock: Path) -> Iterator[None]:
    handle = open_private(lock, os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _is_full(file: Path) -> bool:
    """Whether the disk has no room for the files that SQLite keeps beside the record."""
    return shutil.disk_usage(file.parent).free < _SIDE_FILES


def _explain(error: sqlite3.DatabaseError, file: Path) -> None:
    """Raise a UserError for the faults that a user can mend; return for the rest, which are faults of ours."""
    text = str(error)
    if "not a database" in text or "malformed" in text:
        copies = f"restore a copy ({file.name}.v*.bak) or move it away"
        raise UserError(f"{file} is damaged or no SQLite file ({text}): {copies}") from error
    if "is full" in text or (("readonly" in text or "disk I/O" in text) and _is_full(file)):
        raise UserError(f"the disk that holds {file} is full: free some space and run the command again") from error
    if "locked" in text:
        waited = BUSY_SECONDS * _ATTEMPTS
        raise UserError(
            f"{file} has been locked by another process for over {waited:.0f} s: end it and retry"
        ) from error
    if "readonly" in text or "unable to open" in text or "disk I/O" in text:
        raise UserError(f"cannot use the record {file}: {text}") from error


def integer(value: int | None) -> int | None:
    """`value` if SQLite can hold it (64 bits), else None: ranks in huge path spaces are recomputed from the path."""
    return value if value is not None and -_MOST_INTEGER <= value <= _MOST_INTEGER else None

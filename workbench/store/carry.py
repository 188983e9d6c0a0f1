"""Rows from one record to another with the same ids: what belongs together, out as plain dicts and in again."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass

from workbench.errors import UserError
from workbench.store.cold import all_cold, cold_files
from workbench.store.encode import to_json
from workbench.store.progress import Told, untold
from workbench.store.record import Record
from workbench.store.select import windows

RowDict = dict[str, object]
_PAGES = 2000
"""Of the full-text index, merged in one transaction."""

TABLES: Mapping[str, tuple[str, ...]] = {
    "workflows": ("id",),
    "scenarios": ("id",),
    "dialogues": ("id",),
    "datasets": ("id",),
    "dataset_items": ("dataset_id", "dialogue_id"),
    "runs": ("id",),
    "comparisons": ("id",),
    "conversations": ("id",),
    "reviews": ("id",),
    "review_plans": ("id",),
    "review_plan_items": ("plan_id", "idx"),
    "messages": ("owner_kind", "owner_id", "idx"),
    "verdicts": ("id",),
    "measures": ("conversation_id", "name"),
    "chat_votes": ("id",),
    "chats": ("id",),
    "calls": ("id",),
    "jobs": ("id",),
}
"""Tables in the order in which they can be filled (what is referred to first), with their keys."""

_OWNERS = {
    "review_plan_items": ("plan_id", "review_plans"),
    "dataset_items": ("dataset_id", "datasets"),
    "verdicts": ("conversation_id", "conversations"),
    "measures": ("conversation_id", "conversations"),
    "chat_votes": ("workflow_id", "workflows"),
}
"""Tables that go with the rows of another one: (the column that names the owner, the owner's table)."""

_OF_EITHER = {"messages": "owner", "reviews": "subject"}
"""Tables of which a row belongs to a dialogue or a conversation: the columns' common beginning."""

_FINISHED_WINS = ("runs", "comparisons", "conversations")
"""Rows that change: one that is done replaces one that is not; in all other cases what is there stays."""

_JSON = {
    "path", "nodes", "deviations", "checks", "provenance", "data", "tags", "manifest", "recipe", "summary", "config",
    "totals", "evidence", "detail", "canonical", "about", "agents", "conversations",
}  # fmt: skip


_FOLDERS = {"runs": ("id", "job_id"), "jobs": ("id",), "chats": ("id",), "chat_votes": ("job",)}
"""Columns that lead to a job's folder: nothing but a job's id may stand there, no path."""
_FOLDER = re.compile(r"[0-9a-f]{8,64}")


@dataclass(frozen=True, slots=True)
class Selection:
    """What to carry, by ids; each brings along all that it refers to. A workflow brings all that was made from it."""

    workflows: frozenset[str] = frozenset()
    datasets: frozenset[str] = frozenset()
    runs: frozenset[str] = frozenset()
    comparisons: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.workflows or self.datasets or self.runs or self.comparisons)


Closure = dict[str, set[str]]
"""Table → ids of the rows to carry, complete under foreign keys."""


def closure(rec: Record, wanted: Selection) -> Closure:
    """The ids of all rows that `wanted` (everything, if it is empty) needs to stand on its own."""
    workflows = set(wanted.workflows) if wanted else _ids(rec, "SELECT id FROM workflows")
    of_workflow = "SELECT id FROM {} WHERE workflow_id IN"
    runs = set(wanted.runs) | _ids(rec, of_workflow.format("runs"), workflows)
    datasets = set(wanted.datasets) | _ids(rec, of_workflow.format("datasets"), workflows)
    datasets |= _ids(rec, "SELECT dataset_id FROM runs WHERE id IN", runs)
    comparisons = set(wanted.comparisons) | _ids(rec, of_workflow.format("comparisons"), workflows)
    dialogues = _ids(rec, of_workflow.format("dialogues"), workflows)
    dialogues |= _ids(rec, "SELECT dialogue_id FROM dataset_items WHERE dataset_id IN", datasets)
    conversations = _ids(rec, of_workflow.format("conversations"), workflows)
    conversations |= _ids(rec, "SELECT id FROM conversations WHERE comparison_id IN", comparisons)
    scenarios = _ids(rec, of_workflow.format("scenarios"), workflows)
    scenarios |= _ids(rec, "SELECT scenario_id FROM dialogues WHERE id IN", dialogues)
    scenarios |= _ids(rec, "SELECT scenario_id FROM conversations WHERE id IN", conversations)
    plans = _ids(rec, of_workflow.format("review_plans"), workflows)
    found: Closure = {
        "scenarios": scenarios,
        "dialogues": dialogues,
        "datasets": datasets,
        "runs": runs,
        "comparisons": comparisons,
        "conversations": conversations,
        "review_plans": plans,
    }
    for table, ids in found.items():
        workflows |= _ids(rec, f"SELECT workflow_id FROM {table} WHERE id IN", ids)
    jobs = _ids(rec, "SELECT job_id FROM runs WHERE id IN", runs)
    return {"workflows": workflows, **found, "jobs": jobs if wanted else jobs | _ids(rec, "SELECT id FROM jobs")}


def rows_out(rec: Record, table: str, chosen: Closure) -> Iterator[RowDict]:
    """The rows of `table` that belong to `chosen`, without their row ids."""
    for condition, ids in _parts(rec, table, chosen):
        yield from _rows(rec, table, condition, ids)
    if table == "messages" and cold_files(rec):
        for kind in ("dialogue", "conversation"):
            yield from all_cold(rec, kind, chosen[f"{kind}s"] - _with_messages(rec, kind))


def count_out(rec: Record, table: str, chosen: Closure) -> int:
    """How many rows `rows_out` has, but for messages outside SQLite."""
    counts = f"SELECT count(*) AS n FROM {table} WHERE "
    found = [
        rec.query(f"{counts}{condition} (SELECT value FROM json_each(?))", (to_json(list(ids)),))
        for condition, ids in _parts(rec, table, chosen)
    ]
    return sum(rows[0]["n"] for rows in found)


def _parts(rec: Record, table: str, chosen: Closure) -> Iterator[tuple[str, set[str]]]:
    """The rows of `table` that belong to `chosen`: conditions that end in IN, with the ids that complete them."""
    if owner := _OF_EITHER.get(table):
        for kind, owners in (("dialogue", "dialogues"), ("conversation", "conversations")):
            yield f"{owner}_kind = '{kind}' AND {owner}_id IN", chosen[owners]
    elif table == "chats":  # the names of the jobs that held these conversations
        jobs = "SELECT json_extract(provenance, '$.job') FROM conversations WHERE id IN"
        yield "id IN", _ids(rec, jobs, chosen["conversations"])
    elif table == "calls":
        yield "owner_id IN", set().union(*chosen.values())
    else:
        column, owners = _OWNERS.get(table, ("id", table))
        yield f"{column} IN", chosen[owners]


def rows_in(rec: Record, source: Callable[[str], Iterable[RowDict]]) -> dict[str, int]:
    """Take in the rows that `source(table)` yields, all or nothing; returns how many of each table were new or newer.

    Rows that are here already stay, except that a finished run, comparison or conversation replaces an unfinished one.
    Raises UserError for rows that do not fit the schema.
    """
    counts: dict[str, int] = {}
    with rec.write():
        taken: set[str] = set()
        for table in TABLES:
            rows: Iterator[RowDict] = map(checker(rec, table), source(table))
            if table == "messages":
                kept_out = _with_messages(rec, "conversation") - taken
                rows = (r for r in rows if r["owner_kind"] == "dialogue" or r["owner_id"] not in kept_out)
            counts[table] = _take(rec, table, rows, taken)
    return counts


def _with_messages(rec: Record, kind: str) -> set[str]:
    """The dialogues or conversations whose messages stand in the record itself."""
    return {row[0] for row in rec.query("SELECT DISTINCT owner_id FROM messages WHERE owner_kind = ?", (kind,))}


def _take(rec: Record, table: str, rows: Iterable[RowDict], taken: set[str]) -> int:
    """Insert rows one batch after the other; conversations that were inserted or replaced are added to `taken`."""
    count = 0
    batch: list[RowDict] = []
    for row in rows:
        if table in _FINISHED_WINS:
            count += _take_changing(rec, table, row, taken)
            continue
        batch.append(row)
        if len(batch) == 500:
            count += rec.put(table, batch, key=TABLES[table])
            batch = []
    return count + (rec.put(table, batch, key=TABLES[table]) if batch else 0)


def _take_changing(rec: Record, table: str, row: RowDict, taken: set[str]) -> int:
    here = rec.one(f"SELECT status FROM {table} WHERE id = ?", (row["id"],))
    if here and (here["status"] == "done" or row["status"] != "done"):
        return 0
    rec.put(table, [row], conflict="update")
    if table == "conversations":
        taken.add(str(row["id"]))
        rec.execute("DELETE FROM messages WHERE owner_kind = 'conversation' AND owner_id = ?", (row["id"],))
        rec.execute("DELETE FROM measures WHERE conversation_id = ?", (row["id"],))
    return 1


def checker(rec: Record, table: str) -> Callable[[RowDict], RowDict]:
    """What brings a row into the table's order of columns, and raises UserError for one that cannot be this record's."""
    columns = _columns(rec, table)
    known = set(columns)
    structured, folders = tuple(known & _JSON), _FOLDERS.get(table, ())

    def checked(row: RowDict) -> RowDict:
        if row.keys() != known:
            odd = ", ".join(sorted(row.keys() ^ known)[:3])
            raise UserError(
                f"a row of {table} does not fit this record (columns {odd}): was it made by another version?"
            )
        wrong = [name for name, value in row.items() if not isinstance(value, str | int | float | None)]
        wrong += [name for name in structured if not _is_json(row[name])]
        if wrong:
            raise UserError(
                f"a row of {table} has an impossible value in {wrong[0]}: the file is damaged or was tampered with"
            )
        for name in folders:
            if row[name] is not None and not _FOLDER.fullmatch(str(row[name])):
                raise UserError(f"a row of {table} is refused: its {name} names no job but a place of its own")
        return {name: row[name] for name in columns}

    return checked


def _is_json(value: object) -> bool:
    try:
        json.loads(value if isinstance(value, str) else "?")
    except ValueError:
        return False
    return True


def column_types(rec: Record, table: str) -> dict[str, str]:
    """The columns of a table that are carried, with SQLite's declared types."""
    found = rec.query("SELECT name, type FROM pragma_table_info(?)", (table,))
    return {row["name"]: row["type"] for row in found if row["name"] != "rowid"}


def _columns(rec: Record, table: str) -> list[str]:
    return list(column_types(rec, table))


def _rows(rec: Record, table: str, condition: str, ids: set[str]) -> Iterator[RowDict]:
    sql = f"SELECT {', '.join(_columns(rec, table))} FROM {table} WHERE {condition} (SELECT value FROM json_each(?))"
    if table == "messages":
        sql += " ORDER BY owner_id, idx"  # as cold files want them
    for row in rec.stream(sql, (to_json(sorted(ids)),)):
        yield dict(row)


def warm_rows(rec: Record, owners: Mapping[str, Set[str]]) -> Iterator[RowDict]:
    """The messages of these dialogues and conversations (by kind) that stand in the record itself, in order."""
    for kind in sorted(owners):
        yield from _rows(rec, "messages", f"owner_kind = '{kind}' AND owner_id IN", set(owners[kind]))


def drop_warm(rec: Record, owners: Mapping[str, Set[str]], told: Told = untold) -> None:
    """Delete these messages from the record, and give the room back to the disk. An owner's go together, and so few owners' in
    one transaction that other processes never wait long."""
    done, total = 0, sum(map(len, owners.values()))
    for kind, ids in owners.items():
        sql = f"DELETE FROM messages WHERE owner_kind = '{kind}' AND owner_id IN (SELECT value FROM json_each(?))"
        # In the order of their making, so that neighbours go together: that is many times as fast.
        ordered = rec.query(
            f"SELECT id FROM {kind}s WHERE id IN (SELECT value FROM json_each(?)) ORDER BY rowid", (to_json(list(ids)),)
        )
        for window in windows(row["id"] for row in ordered):
            rec.execute(sql, (to_json(window),))
            told(done := done + len(window), total)
    _merge_index(rec)
    rec.vacuum()


def _merge_index(rec: Record) -> None:
    """Have the full-text index forget what was deleted, which it only notes: as FTS5's "optimize" does, but in short steps."""
    step = -_PAGES
    while True:
        before = rec.connection.total_changes
        rec.execute("INSERT INTO messages_fts (messages_fts, rank) VALUES ('merge', ?)", (step,))
        if rec.connection.total_changes - before < 2:  # FTS5's own sign that there was nothing left to merge
            return
        step = _PAGES


def ids_of(rec: Record, sql: str, among: Set[str]) -> set[str]:
    """The first column of an SQL text that ends in IN, for these ids."""
    return _ids(rec, sql, set(among))


def _ids(rec: Record, sql: str, among: set[str] | None = None) -> set[str]:
    """The first column, without NULLs; `among` completes an SQL text that ends in IN."""
    complete = sql if among is None else f"{sql} (SELECT value FROM json_each(?))"
    arguments = () if among is None else (to_json(sorted(among)),)
    return {row[0] for row in rec.query(complete, arguments) if row[0] is not None}

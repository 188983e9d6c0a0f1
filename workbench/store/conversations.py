"""Conversations with agents: written message by message, listed as arrays of row ids and windows of lines."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from workbench.store.encode import from_json, to_json
from workbench.store.messages import conversation_message, message_columns, owned, write_messages
from workbench.store.record import Record, Row
from workbench.store.rows import ConversationRow, HeldRow, MessageRow
from workbench.store.select import Where, order, said, stride, windows

SORTS = {
    "made": "c.rowid",
    "condition": "c.condition, c.scenario_id, c.rep",
    "scenario": "c.scenario_id, c.condition, c.rep",
    "agent": "c.agent, c.rowid",
    "terminal": "c.terminal, c.rowid",
    "status": "c.status, c.rowid",
    "messages": "(SELECT count(*) FROM messages m WHERE m.owner_kind = 'conversation' AND m.owner_id = c.id), c.rowid",
}
"""Orders of a list; "-" before the name turns it round."""


@dataclass(frozen=True, slots=True)
class ConversationFilter:
    """What a list shows; a field that is None or empty lets everything pass, several must all hold.

    `live` True shows conversations outside any comparison, False those inside one. `criterion` with `judge`, `least`
    and `most` keeps conversations with such a score (a verdict's, or when `judge` is "" the measure of that name).
    """

    comparison_id: str | None = None
    workflow_id: str | None = None
    scenario_id: str | None = None
    agent: str | None = None
    condition: str | None = None
    status: str | None = None
    terminal: str | None = None
    ended_by: str | None = None
    live: bool | None = None
    criterion: str | None = None
    judge: str | None = None
    least: float | None = None
    most: float | None = None
    text: str = ""


def put_conversation(rec: Record, row: ConversationRow, messages: Sequence[MessageRow] = ()) -> None:
    """Keep a conversation, or bring it up to date; `messages`, if given, are its messages from the first on."""
    values = {
        "id": row.id, "comparison_id": row.comparison_id, "agent": row.agent, "condition": row.condition,
        "scenario_id": row.scenario_id, "workflow_id": row.workflow_id, "rep": row.rep, "seed": str(row.seed),
        "status": row.status, "terminal": row.terminal, "ended_by": row.ended_by, "totals": to_json(row.totals),
        "provenance": to_json(row.provenance), "created": row.created,
    }  # fmt: skip
    with rec.write():
        rec.put("conversations", [values], conflict="update")
        put_conversation_messages(rec, row.id, messages)


def put_conversation_messages(
    rec: Record, conversation_id: str, messages: Iterable[MessageRow], first: int = 0
) -> None:
    """Write messages from index `first` on, over what stands there; later messages stay as they are."""
    rows = [
        message_columns("conversation", conversation_id, idx, message, message.created)
        for idx, message in enumerate(messages, first)
    ]
    write_messages(rec, rows, "update")


def held_counts(rec: Record, comparison_id: str) -> list[HeldRow]:
    """How far a comparison is, by condition, from counts that the record keeps."""
    sql = """SELECT condition, agent, n, done, broken
             FROM (SELECT condition, agent, min(rowid) AS first, sum(n) AS n, sum(n * (status = 'done')) AS done,
                          sum(n * (status = 'failed')) AS broken
                   FROM held_counts WHERE comparison_id = ? AND n > 0 GROUP BY condition) ORDER BY first"""
    return [HeldRow(**dict(row)) for row in rec.query(sql, (comparison_id,))]


def ended_counts(rec: Record, comparison_id: str) -> dict[str, dict[str, int]]:
    """Condition → how its finished conversations ended → how many, by name."""
    found: dict[str, dict[str, int]] = {}
    sql = """SELECT condition, coalesce(nullif(ended_by, ''), 'unknown') AS way, count(*) AS n FROM conversations
             WHERE comparison_id = ? AND status = 'done' GROUP BY 1, 2 ORDER BY 1, 2"""
    for row in rec.query(sql, (comparison_id,)):
        found.setdefault(row["condition"], {})[row["way"]] = row["n"]
    return found


def held_scenarios(rec: Record, comparison_id: str, condition: str) -> list[str]:
    """Ids of the scenarios that a condition's conversations have, each once, as they were first met."""
    sql = """SELECT scenario_id FROM conversations
             WHERE comparison_id = ? AND condition = ? AND scenario_id <> '' GROUP BY 1 ORDER BY min(rowid)"""
    return [row["scenario_id"] for row in rec.query(sql, (comparison_id, condition))]


def compared_scenarios(rec: Record, comparison_id: str) -> list[str]:
    """Ids of the scenarios that a comparison's conversations have, each once, in order."""
    sql = "SELECT DISTINCT scenario_id FROM conversations WHERE comparison_id = ? AND scenario_id <> '' ORDER BY 1"
    return [row["scenario_id"] for row in rec.query(sql, (comparison_id,))]


def provenance_values(rec: Record, comparison_id: str, name: str) -> list[str]:
    """The values that the provenance of a comparison's conversations has under a name, in order."""
    sql = """SELECT DISTINCT json_extract(provenance, ?) AS value FROM conversations
             WHERE comparison_id = ? AND json_type(provenance, ?) IS NOT NULL"""
    return sorted(str(row["value"]) for row in rec.query(sql, (f"$.{name}", comparison_id, f"$.{name}")))


def cut_conversation(rec: Record, conversation_id: str, length: int) -> None:
    """Drop the messages from index `length` on: a conversation taken up again before its end."""
    rec.execute(
        "DELETE FROM messages WHERE owner_kind = 'conversation' AND owner_id = ? AND idx >= ?",
        (conversation_id, length),
    )


def get_conversation(rec: Record, conversation_id: str) -> tuple[ConversationRow, list[MessageRow]] | None:
    """A conversation with its messages in order, or None."""
    row = rec.one("SELECT * FROM conversations WHERE id = ?", (conversation_id,))
    return (_row(row), conversation_messages(rec, conversation_id)) if row else None


def conversation_messages(rec: Record, conversation_id: str) -> list[MessageRow]:
    """The messages of a conversation, in order."""
    return [conversation_message(row) for row in owned(rec, "conversation", conversation_id)]


def conversations(rec: Record, wanted: ConversationFilter | None = None, sort: str = "made") -> list[ConversationRow]:
    """The conversations that pass the filter, without their messages."""
    where = _where(wanted or ConversationFilter())
    rows = rec.query(f"SELECT c.* FROM conversations c{where}{order(SORTS, sort)}", where.arguments)
    return [_row(row) for row in rows]


def iterate_conversations(
    rec: Record, wanted: ConversationFilter, sort: str = "made", most: int | None = None
) -> Iterator[ConversationRow]:
    """The same one by one, with the memory of `WINDOW` of them and of everyone's row id; with `most` so many of them
    at the most, evenly spread."""
    rowids = conversation_rowids(rec, wanted, sort)
    if most is not None:
        rowids = rowids[:: stride(len(rowids), most)]
    for window in windows(rowids):
        yield from conversation_rows(rec, window)


def conversations_of(rec: Record, ids: Iterable[str]) -> Iterator[ConversationRow]:
    """The conversations with these ids one by one, without their messages; ids that are not there are left out."""
    for window in windows(ids):
        sql = "SELECT * FROM conversations WHERE id IN (SELECT value FROM json_each(?)) ORDER BY rowid"
        yield from map(_row, rec.query(sql, (to_json(window),)))


def total_kinds(rec: Record, comparison_id: str) -> dict[str, set[str]]:
    """What the conversations of a comparison have totals of, with SQLite's names for the JSON kinds of their values."""
    found: dict[str, set[str]] = {}
    sql = """SELECT t.key AS name, t.type AS kind FROM conversations c, json_each(c.totals) t
             WHERE c.comparison_id = ? GROUP BY 1, 2 ORDER BY min(c.rowid), t.id"""
    for row in rec.query(sql, (comparison_id,)):
        found.setdefault(row["name"], set()).add(row["kind"])
    return found


def conversation_rowids(rec: Record, wanted: ConversationFilter | None = None, sort: str = "-made") -> array[int]:
    """Row ids of the conversations that pass the filter, in the order asked for (see `SORTS`; the newest first)."""
    where = _where(wanted or ConversationFilter())
    if sort in ("made", "-made"):
        return rec.by_rowid(f"SELECT c.rowid FROM conversations c{where}", where.arguments, newest=sort == "-made")
    return rec.rowids(f"SELECT c.rowid FROM conversations c{where}{order(SORTS, sort)}", where.arguments)


def first_conversations(rec: Record, wanted: ConversationFilter, most: int) -> tuple[list[ConversationRow], int]:
    """The first lines of a list, newest first, and how many it has in all."""
    where = _where(wanted)
    rows = rec.query(f"SELECT c.* FROM conversations c{where}{order(SORTS, '-made')} LIMIT ?", [*where.arguments, most])
    count = rec.one(f"SELECT count(*) FROM conversations c{where}", where.arguments)
    return [_row(row) for row in rows], count[0] if count else 0


def conversation_rows(rec: Record, rowids: Iterable[int]) -> list[ConversationRow]:
    """Lines of a list for a window of row ids, in that order."""
    return rec.window("SELECT c.* FROM conversations c WHERE c.rowid IN", rowids, _row)


def conversation_keys(rec: Record, rowids: Iterable[int]) -> dict[int, tuple[str, str | None]]:
    """Row id → (id, scenario) for a window of conversations, without reading the rest of them."""
    found = rec.window("SELECT rowid, id, scenario_id FROM conversations WHERE rowid IN", rowids, tuple)
    return {rowid: (key, scenario) for rowid, key, scenario in found}


def done_conversations(rec: Record, ids: Iterable[str]) -> set[str]:
    """Those of `ids` that have been held to their end: what need not be held again."""
    sql = "SELECT id FROM conversations WHERE id IN (SELECT value FROM json_each(?)) AND status = 'done'"
    return {row["id"] for row in rec.query(sql, (to_json(list(ids)),))}


def _where(wanted: ConversationFilter) -> Where:
    where = Where()
    names = ("comparison_id", "workflow_id", "scenario_id", "agent", "condition", "status", "terminal", "ended_by")
    where.equal({f"c.{name}": getattr(wanted, name) for name in names})
    if wanted.live is not None:
        where.add(f"c.comparison_id IS {'' if wanted.live else 'NOT '}NULL")
    if wanted.criterion:
        _scored(where, wanted, wanted.criterion)
    if wanted.text.strip():
        condition, arguments = said("conversation", "c.id", wanted.text)
        where.add(condition, *arguments)
    return where


def _scored(where: Where, wanted: ConversationFilter, criterion: str) -> None:
    score = Where()
    measure = wanted.judge == ""
    score.add("s.conversation_id = c.id")
    score.add(f"s.{'name' if measure else 'criterion'} = ?", criterion)
    column = "s.value" if measure else "s.score"
    if wanted.judge:
        score.add("s.judge = ?", wanted.judge)
    if wanted.least is not None:
        score.add(f"{column} >= ?", wanted.least)
    if wanted.most is not None:
        score.add(f"{column} <= ?", wanted.most)
    where.add(f"EXISTS (SELECT 1 FROM {'measures' if measure else 'verdicts'} s{score})", *score.arguments)


def _row(row: Row) -> ConversationRow:
    return ConversationRow(
        id=row["id"],
        comparison_id=row["comparison_id"],
        agent=row["agent"],
        condition=row["condition"],
        scenario_id=row["scenario_id"],
        workflow_id=row["workflow_id"],
        rep=row["rep"],
        seed=int(row["seed"]),
        status=row["status"],
        terminal=row["terminal"],
        ended_by=row["ended_by"],
        totals=from_json(row["totals"]),
        provenance=from_json(row["provenance"]),
        created=row["created"],
        rowid=row["rowid"],
    )

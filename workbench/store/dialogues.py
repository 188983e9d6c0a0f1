"""Dialogues: stored whole with their scenarios, listed as arrays of row ids and windows of lines."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from workbench.dialogue.model import Dialogue
from workbench.store.encode import from_json, to_json
from workbench.store.messages import dialogue_message, message_columns, owned, write_messages
from workbench.store.record import Record, Row, integer
from workbench.store.reviews import HAS_SAID
from workbench.store.rows import DialogueEntry, DialogueRow, Json
from workbench.store.scenarios import put_scenarios, scenario_of
from workbench.store.select import Where, order, said
from workbench.workflow.model import Split

BATCH = 200
"""Dialogues a transaction: some ten milliseconds, so that other processes never wait long."""

GLANCE = 2000
"""Messages that a first look at a search reads: a few milliseconds, several screens of rows."""

GLANCE_ROWS = 20_000
"""Dialogues that a first look with a filter reads: some ten milliseconds."""

SORTS = {
    "made": "d.rowid",
    "path": "d.path_rank, d.rowid",
    "steps": "d.steps, d.rowid",
    "messages": "d.message_count, d.rowid",
    "terminal": "d.terminal, d.rowid",
    "writer": "d.writer, d.rowid",
    "split": "d.split, d.rowid",
    "status": "d.status, d.rowid",
    "review": "decision, d.rowid",
}
"""Orders of a list; "-" before the name turns it round."""

_OF = "r.subject_kind = 'dialogue'"
_STATE = "nullif(r.state, 'none')"


@dataclass(frozen=True, slots=True)
class DialogueFilter:
    """What a list shows; a field that is None or empty lets everything pass, several must all hold.

    `review` is a state (pass, flag, fix, split), or "none" for dialogues nobody has reviewed, or "any"; `reviewer` one who
    has a decision on it. `check` is the code of a fault that the checks found, or "any". `text` are words that must
    occur in one message. `nodes`, `edges`, `deviations` and `tags` must all occur.

    `viewer` is the reviewer for whom the list is made (None: nobody in particular): what others have decided on dialogues
    that the viewer has not decided on passes no filter, and copies that they mended are not there. That reviewers
    disagree ("split") anybody may know: both decisions are given then.
    """

    workflow_id: str | None = None
    dataset_id: str | None = None
    scenario_id: str | None = None
    split: Split | None = None
    terminal: str | None = None
    writer: str | None = None
    status: str | None = None
    path_rank: int | None = None
    nodes: tuple[str, ...] = ()
    edges: tuple[str, ...] = ()
    deviations: tuple[str, ...] = ()
    least_steps: int | None = None
    most_steps: int | None = None
    review: str | None = None
    reviewer: str | None = None
    persona: str | None = None
    check: str | None = None
    tags: tuple[str, ...] = ()
    text: str = ""
    viewer: str | None = None


def put_dialogue(rec: Record, dialogue: Dialogue | DialogueEntry) -> bool:
    """Keep one dialogue with its scenario and messages; False if it was there already."""
    return put_dialogues(rec, [dialogue]) > 0


def put_dialogues(rec: Record, dialogues: Iterable[Dialogue | DialogueEntry]) -> int:
    """Keep dialogues in transactions of `BATCH`; returns how many were new. Their workflow must be in the record.

    A dialogue that is there already is left alone (its id hashes all that made it). A generator may be passed: each
    full batch is safe before the next dialogue is asked for.
    """
    new = 0
    for batch in _batches(dialogues):
        with rec.write():
            put_scenarios(rec, (e.dialogue.scenario for e in batch))
            new += rec.put("dialogues", (_columns(e) for e in batch))
            write_messages(
                rec,
                (
                    message_columns("dialogue", e.dialogue.id, idx, message, e.created)
                    for e in batch
                    for idx, message in enumerate(e.dialogue.messages)
                ),
                "keep",
            )
    return new


def known_dialogues(rec: Record, ids: Iterable[str]) -> set[str]:
    """Those of `ids` that are in the record already: what need not be made again."""
    rows = rec.query("SELECT id FROM dialogues WHERE id IN (SELECT value FROM json_each(?))", (to_json(list(ids)),))
    return {row["id"] for row in rows}


def quarantined_rounds(rec: Record, workflow_id: str, writer: str) -> dict[str, int]:
    """The writer's quarantined dialogues that may be written anew, each with how often that has been done: those of which
    no reviewer has said anything and which no data set holds."""
    rows = rec.query(
        "SELECT d.id, coalesce(json_extract(d.provenance, '$.round'), 0) AS round FROM dialogues d "
        "WHERE d.workflow_id = ? AND d.status = 'quarantined' AND d.writer = ? "
        "AND NOT EXISTS (SELECT 1 FROM reviews r WHERE r.subject_kind = 'dialogue' AND r.subject_id = d.id) "
        "AND NOT EXISTS (SELECT 1 FROM dataset_items i WHERE i.dialogue_id = d.id)",
        (workflow_id, writer),
    )
    return {row["id"]: int(row["round"]) for row in rows}


def drop_dialogue(rec: Record, dialogue_id: str) -> None:
    """Take a dialogue out with its messages, to be written anew. It must not be in a data set."""
    rec.execute("DELETE FROM dialogues WHERE id = ?", (dialogue_id,))


def set_checks(rec: Record, dialogue_id: str, status: str, checks: Iterable[object]) -> None:
    """Replace what the checks found about a dialogue; `status` is "ok" or "quarantined"."""
    rec.execute(
        "UPDATE dialogues SET status = ?, checks = ? WHERE id = ?", (status, to_json(list(checks)), dialogue_id)
    )


def rowid_of(rec: Record, dialogue_id: str) -> int | None:
    """The row id of a dialogue: its place in a list of row ids."""
    row = rec.one("SELECT rowid FROM dialogues WHERE id = ?", (dialogue_id,))
    return int(row["rowid"]) if row else None


def same_path(rec: Record, dialogue_id: str, viewer: str | None = None) -> list[str]:
    """Ids of all dialogues on the path of this one that the viewer may see, in the order in which they were made."""
    where = _where(DialogueFilter(viewer=viewer))
    where.add("o.id = ?", dialogue_id)
    rows = rec.query(
        "SELECT d.id FROM dialogues o JOIN dialogues d ON d.workflow_id = o.workflow_id AND d.path_rank IS o.path_rank "
        f"AND d.path = o.path{where} ORDER BY d.rowid",
        where.arguments,
    )
    return [row["id"] for row in rows]


def count_dialogues(rec: Record, wanted: DialogueFilter | None = None) -> int:
    """How many dialogues pass the filter."""
    where = _where(wanted or DialogueFilter())
    row = rec.one(f"SELECT count(*) AS n FROM dialogues d{where}", where.arguments)
    return int(row["n"]) if row else 0


def path_rank_of(rec: Record, dialogue_id: str) -> int | None:
    """The rank of the dialogue's path, None if unknown."""
    row = rec.one("SELECT path_rank FROM dialogues WHERE id = ?", (dialogue_id,))
    return None if row is None or row["path_rank"] is None else int(row["path_rank"])


def provenance_of(rec: Record, dialogue_id: str) -> Json:
    """What a dialogue remembers about its making; empty if it is not there."""
    row = rec.one("SELECT provenance FROM dialogues WHERE id = ?", (dialogue_id,))
    return dict(from_json(row["provenance"])) if row else {}


def get_dialogue(rec: Record, dialogue_id: str) -> Dialogue | None:
    """The whole dialogue, or None."""
    row = rec.one("SELECT * FROM dialogues WHERE id = ?", (dialogue_id,))
    return _dialogue(rec, row) if row else None


def iterate_dialogues(rec: Record, wanted: DialogueFilter | None = None, sort: str = "made") -> Iterator[Dialogue]:
    """Whole dialogues one by one, with the memory of one."""
    for rowid in dialogue_rowids(rec, wanted, sort):
        row = rec.one("SELECT * FROM dialogues WHERE rowid = ?", (rowid,))
        if row:
            yield _dialogue(rec, row)


def dialogue_rowids(rec: Record, wanted: DialogueFilter | None = None, sort: str = "-made") -> array[int]:
    """Row ids of the dialogues that pass the filter, in the order asked for (see `SORTS`; the newest first)."""
    where = _where(wanted or DialogueFilter())
    if sort in ("made", "-made"):
        return rec.by_rowid(f"SELECT d.rowid FROM dialogues d{where}", where.arguments, newest=sort == "-made")
    select, arguments = "SELECT d.rowid", list[object]()
    if sort.endswith("review"):
        decision, arguments = _decision(wanted.viewer if wanted else None)
        select = f"SELECT d.rowid, {decision} AS decision"
    return rec.rowids(f"{select} FROM dialogues d{where}{order(SORTS, sort)}", [*arguments, *where.arguments])


def first_rowids(rec: Record, wanted: DialogueFilter, sort: str = "-made") -> array[int]:
    """The beginning of `dialogue_rowids`: of a search by words from `GLANCE` messages with them, by a filter from `GLANCE_ROWS`
    dialogues, of the whole list so many as `GLANCE`.

    To be shown until the whole list is there: at once, however many pass, but not exact where messages were not added in
    their dialogues' order. Empty in another order than that of making, and where none of them passes.
    """
    if sort.removeprefix("-") != "made":
        return array("q")
    newest = sort.startswith("-")
    where, table = _where(replace(wanted, text="")), "dialogues d"
    if wanted.text.strip():
        condition, arguments = said("dialogue", "d.id", wanted.text, GLANCE, newest)
        where.add(condition, *arguments)
    else:
        most = GLANCE if wanted == DialogueFilter(viewer=wanted.viewer) else GLANCE_ROWS
        where.add(f"d.rowid IN (SELECT d.rowid FROM dialogues d{order(SORTS, sort)} LIMIT {most})")
        table += " NOT INDEXED"  # else SQLite may look through all that pass for these few
    return rec.by_rowid(f"SELECT d.rowid FROM {table}{where}", where.arguments, newest=newest)


def dialogue_rows(rec: Record, rowids: Iterable[int], viewer: str | None = None) -> list[DialogueRow]:
    """Lines of a list for a window of row ids, in that order, as the viewer may see them (see `DialogueFilter`)."""
    decision, arguments = _decision(viewer)
    sql = f"SELECT d.*, {decision} AS decision FROM dialogues d WHERE d.rowid IN"
    return rec.window(sql, rowids, _row, arguments)


def _decision(viewer: str | None) -> tuple[str, list[object]]:
    """An expression for the state of a dialogue `d` as the viewer may see it, and its arguments."""
    shown = _STATE
    if viewer is not None:
        shown = f"CASE WHEN r.state IN ('none', 'split') OR {HAS_SAID} THEN {_STATE} ELSE 'hidden' END"
    found = f"(SELECT {shown} FROM review_states r WHERE {_OF} AND r.subject_id = d.id)"
    return found, [] if viewer is None else [viewer]


def dialogue_counts(rec: Record, column: str, wanted: DialogueFilter | None = None) -> dict[str, int]:
    """How many dialogues have each value of `column`: terminal, writer, split, status, path_rank or steps."""
    if column not in ("terminal", "writer", "split", "status", "path_rank", "steps"):
        raise ValueError(column)
    where = _where(wanted or DialogueFilter())
    rows = rec.query(f"SELECT d.{column}, count(*) FROM dialogues d{where} GROUP BY 1 ORDER BY 1", where.arguments)
    return {str(row[0]): row[1] for row in rows}


def known_writers(rec: Record) -> list[str]:
    """The writers of all dialogues, by name."""
    return [row["writer"] for row in rec.query("SELECT DISTINCT writer FROM dialogues ORDER BY writer")]


def _where(wanted: DialogueFilter) -> Where:
    where = Where()
    names = ("workflow_id", "scenario_id", "split", "terminal", "writer", "status", "path_rank")
    where.equal({f"d.{name}": getattr(wanted, name) for name in names})
    where.contains("d.nodes", wanted.nodes)
    where.contains("d.path", wanted.edges)
    where.contains("d.deviations", wanted.deviations)
    if wanted.least_steps is not None:
        where.add("d.steps >= ?", wanted.least_steps)
    if wanted.most_steps is not None:
        where.add("d.steps <= ?", wanted.most_steps)
    if wanted.dataset_id:
        where.add("d.id IN (SELECT dialogue_id FROM dataset_items WHERE dataset_id = ?)", wanted.dataset_id)
    if wanted.persona is not None:
        where.add(
            "d.scenario_id IN (SELECT id FROM scenarios WHERE json_extract(data, '$.persona') = ?)", wanted.persona
        )
    if wanted.check == "any":
        where.add("d.checks <> '[]'")
    elif wanted.check:
        where.add("""instr(d.checks, '"code":' || json_quote(?)) > 0""", wanted.check)
    _reviewed(where, wanted)
    if wanted.text.strip():
        condition, arguments = said("dialogue", "d.id", wanted.text)
        where.add(condition, *arguments)
    return where


def _reviewed(where: Where, wanted: DialogueFilter) -> None:
    seen: tuple[str, tuple[str, ...]] = ("", ())
    if wanted.viewer is not None:
        seen = f" AND {HAS_SAID}", (wanted.viewer,)
    if wanted.review == "none":
        # By row id, so that an index is read and not the wide rows.
        where.add(
            "d.rowid NOT IN (SELECT x.rowid FROM review_states r JOIN dialogues x ON x.id = r.subject_id "
            f"WHERE {_OF} AND r.state <> 'none')"
        )
    elif wanted.review == "any":
        where.add(f"d.id IN (SELECT r.subject_id FROM review_states r WHERE {_OF} AND r.state <> 'none')")
    elif wanted.review:
        said, viewer = seen if wanted.review != "split" else ("", ())
        states = f"SELECT r.subject_id FROM review_states r WHERE {_OF} AND r.state = ?{said}"
        where.add(f"d.id IN ({states})", wanted.review, *viewer)
    said, viewer = seen
    if wanted.reviewer:
        given = f"SELECT r.subject_id FROM votes r WHERE {_OF} AND r.reviewer = ? AND r.decision <> 'none'{said}"
        where.add(f"d.id IN ({given})", wanted.reviewer, *viewer)
    for tag in wanted.tags:
        tagged = f"SELECT r.subject_id FROM reviews r WHERE {_OF} AND instr(r.tags, json_quote(?)) > 0{said}"
        where.add(f"d.id IN ({tagged})", tag, *viewer)
    if viewer:
        copies = f"SELECT x.rowid FROM reviews r JOIN dialogues x ON x.id = r.copy_id WHERE r.copy_id IS NOT NULL AND NOT {HAS_SAID}"
        where.add(f"d.rowid NOT IN ({copies})", *viewer)


def _batches(dialogues: Iterable[Dialogue | DialogueEntry]) -> Iterator[list[DialogueEntry]]:
    entries = (d if isinstance(d, DialogueEntry) else DialogueEntry(d) for d in dialogues)
    while batch := list(islice(entries, BATCH)):
        yield batch


def _columns(entry: DialogueEntry) -> dict[str, object]:
    dialogue, scenario = entry.dialogue, entry.dialogue.scenario
    return {
        "id": dialogue.id,
        "workflow_id": dialogue.workflow_id,
        "scenario_id": scenario.id,
        "path": to_json(dialogue.path),
        "nodes": to_json([node for message in dialogue.messages for node in message.nodes]),
        "path_rank": integer(entry.path_rank),
        "steps": len(dialogue.path) + 1,
        "message_count": len(dialogue.messages),
        "terminal": dialogue.terminal,
        "writer": dialogue.writer,
        "split": scenario.split,
        "seed": str(scenario.seed),
        "rep": dialogue.repetition,
        "deviations": to_json(scenario.deviations),
        "checks": to_json(entry.checks),
        "status": entry.status,
        "provenance": to_json(entry.provenance),
        "created": entry.created,
    }


def _dialogue(rec: Record, row: Row) -> Dialogue:
    scenario = rec.one("SELECT * FROM scenarios WHERE id = ?", (row["scenario_id"],))
    assert scenario is not None, "foreign keys hold"
    return Dialogue(
        id=row["id"],
        workflow_id=row["workflow_id"],
        scenario=scenario_of(scenario),
        path=tuple(from_json(row["path"])),
        terminal=row["terminal"],
        writer=row["writer"],
        repetition=row["rep"],
        messages=tuple(dialogue_message(m) for m in owned(rec, "dialogue", row["id"])),
    )


def _row(row: Row) -> DialogueRow:
    return DialogueRow(
        rowid=row["rowid"],
        id=row["id"],
        workflow_id=row["workflow_id"],
        scenario_id=row["scenario_id"],
        path_rank=row["path_rank"],
        steps=row["steps"],
        message_count=row["message_count"],
        terminal=row["terminal"],
        writer=row["writer"],
        split=row["split"],
        seed=int(row["seed"]),
        rep=row["rep"],
        deviations=tuple(from_json(row["deviations"])),
        checks=tuple(from_json(row["checks"])),
        status=row["status"],
        decision=row["decision"],
        created=row["created"],
    )

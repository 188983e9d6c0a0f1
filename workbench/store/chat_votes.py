"""Votes on conversations side by side: only ever added; the latest vote on the same conversations counts."""

from __future__ import annotations

from workbench.store.encode import from_json, storable, to_json
from workbench.store.record import Record, Row
from workbench.store.rows import VoteRow
from workbench.store.select import Where


def put_vote(rec: Record, row: VoteRow) -> None:
    """Add a vote; its workflow must be in the record."""
    values = {
        "id": row.id, "job": row.job, "workflow_id": row.workflow_id, "agents": to_json(row.agents),
        "conversations": to_json(row.conversations), "winner": row.winner, "verdict": row.verdict,
        "note": storable(row.note), "blind": int(row.blind), "voter": storable(row.voter), "created": row.created,
    }  # fmt: skip
    rec.put("chat_votes", [values])


def votes(rec: Record, workflow_id: str | None = None, *, blind: bool | None = None) -> list[VoteRow]:
    """The votes that count, in the order in which they were given: of several by one voter on one set of conversations
    the last."""
    where = Where()
    where.equal({"workflow_id": workflow_id, "blind": None if blind is None else int(blind)})
    rows = rec.query(f"SELECT * FROM chat_votes{where} ORDER BY created, rowid", where.arguments)
    latest = {(row["conversations"], row["voter"]): row for row in rows}
    return [_vote(row) for row in rows if latest[row["conversations"], row["voter"]] is row]


def _vote(row: Row) -> VoteRow:
    return VoteRow(
        id=row["id"],
        job=row["job"],
        workflow_id=row["workflow_id"],
        agents=tuple(from_json(row["agents"])),
        conversations=tuple(from_json(row["conversations"])),
        winner=row["winner"],
        verdict=row["verdict"],
        note=row["note"],
        blind=bool(row["blind"]),
        voter=row["voter"],
        created=row["created"],
    )

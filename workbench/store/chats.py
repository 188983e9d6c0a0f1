"""Live conversations side by side, as people look for them: a job's conversations together, under a name."""

from __future__ import annotations

import json

from workbench.errors import UserError
from workbench.store.encode import storable
from workbench.store.record import Record
from workbench.store.rows import ChatRow, now

_LISTED = """
    SELECT json_extract(c.provenance, '$.job') AS job,
        json_group_array(json_array(coalesce(json_extract(c.provenance, '$.column'), c.rowid), c.agent)) AS agents,
        min(c.created) AS created, max(c.status = 'running') AS open, max(w.name) AS workflow,
        sum((SELECT count(*) FROM messages m WHERE m.owner_kind = 'conversation' AND m.owner_id = c.id)) AS messages,
        coalesce(max(n.name), '') AS name, max(json_extract(c.provenance, '$.blind'))
            AND NOT EXISTS (SELECT 1 FROM chat_votes v WHERE v.job = json_extract(c.provenance, '$.job')) AS blind
    FROM conversations c JOIN workflows w ON w.id = c.workflow_id
    LEFT JOIN chats n ON n.id = json_extract(c.provenance, '$.job')
    WHERE c.comparison_id IS NULL AND json_extract(c.provenance, '$.job') IS NOT NULL
    GROUP BY job ORDER BY created DESC
"""


def chats(rec: Record) -> list[ChatRow]:
    """All live conversations, newest first; agents in the order of their columns, branches of a column as one agent."""
    return [
        ChatRow(
            job=row["job"],
            name=row["name"],
            agents=tuple(dict(sorted(json.loads(row["agents"]))).values()),
            workflow=row["workflow"],
            messages=row["messages"],
            open=bool(row["open"]),
            blind=bool(row["blind"]),
            created=row["created"],
        )
        for row in rec.query(_LISTED)
    ]


def name_chat(rec: Record, job: str, name: str) -> None:
    """Give a live conversation a name (an empty one takes it away)."""
    values = {"id": job, "name": storable(name), "created": now()}
    rec.put("chats", [values], conflict="update")


def find_chat(rec: Record, wanted: str) -> ChatRow:
    """The chat of this name, job id, beginning of one, or "last". Raises UserError if there is none or several."""
    known = chats(rec)
    if wanted == "last" and known:
        return known[0]
    found = [c for c in known if wanted in (c.name, c.job)] or [c for c in known if c.job.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    raise UserError(
        f'{"several chats are" if found else "no chat is"} called "{wanted}": `workbench conversations chats`'
    )


def chat_conversations(rec: Record, job: str) -> list[str]:
    """Ids of a chat's conversations in the order of its columns, the newest branch of each."""
    rows = rec.query(
        "SELECT id, json_extract(provenance, '$.column') AS place FROM conversations "
        "WHERE json_extract(provenance, '$.job') = ? ORDER BY created, rowid",
        (job,),
    )
    newest = {row["place"] if row["place"] is not None else row["id"]: row["id"] for row in rows}
    return [newest[place] for place in sorted(newest, key=str)]

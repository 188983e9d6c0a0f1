"""Blind comparisons before their vote: nothing that is shown of one may tell which agent is which."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from workbench.store.record import Record
from workbench.store.rows import ConversationRow, MessageRow

LETTERS = "ABCD"
_TELLING = ("job", "user", "live", "column", "blind", "diverged", "branch_of")
"""What stays of where a conversation comes from."""


def unnamed(number: int) -> str:
    """What the agent in this column is called until the vote."""
    return f"agent {LETTERS[number]}" if 0 <= number < len(LETTERS) else f"agent {number + 1}"


def waits_for_vote(rec: Record, job: str) -> bool:
    """Whether nobody has judged a chat yet."""
    return rec.one("SELECT 1 FROM chat_votes WHERE job = ? LIMIT 1", (job,)) is None


def veiled(rec: Record, rows: Iterable[ConversationRow]) -> list[ConversationRow]:
    """The rows, those of blind chats that wait for their vote without names, figures and places."""
    waiting: dict[str, bool] = {}
    found = []
    for row in rows:
        job = str(row.provenance.get("job", ""))
        if row.provenance.get("blind") and job not in waiting:
            waiting[job] = waits_for_vote(rec, job)
        found.append(_veil(row) if row.provenance.get("blind") and waiting[job] else row)
    return found


def veiled_talk(
    rec: Record, row: ConversationRow, messages: Sequence[MessageRow]
) -> tuple[ConversationRow, list[MessageRow]]:
    """A conversation as it may be shown: of a blind chat that waits for its vote only who said what, and when."""
    (shown,) = veiled(rec, [row])
    if shown is row:
        return row, list(messages)
    return shown, [MessageRow(m.role, m.text, created=m.created) for m in messages]


def _veil(row: ConversationRow) -> ConversationRow:
    known = {name: row.provenance[name] for name in _TELLING if name in row.provenance}
    named = unnamed(int(str(row.provenance.get("column", 0))))
    totals = {name: row.totals[name] for name in ("messages",) if name in row.totals}
    return replace(row, agent=named, condition="blind", terminal=None, totals=totals, provenance=known)

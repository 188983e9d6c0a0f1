"""Reviews as files for people: CSV that no spreadsheet reads as formulas, and Markdown with what was said."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from workbench.dialogue.model import Message
from workbench.errors import UserError
from workbench.store.conversations import conversation_messages
from workbench.store.dialogues import get_dialogue
from workbench.store.record import Record
from workbench.store.reviews import hidden_from, review_states, reviews
from workbench.store.rows import MessageRow, ReviewRow, SubjectKind
from workbench.text import cell, clean_line

COLUMNS = (
    "kind",
    "id",
    "state",
    "reviewer",
    "decision",
    "tags",
    "note",
    "when",
    "hash",
    "copy",
    "takes back",
    "review",
    "settles",
)


def when(at: float) -> str:
    """ISO 8601 in UTC, to the second."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_csv(rows: Iterable[ReviewRow], states: dict[str, str]) -> str:
    """Every row that was ever added, in order, with the state that its subject has now."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for r in rows:
        state = states.get(r.subject_id, "none")
        cells = (
            r.subject_kind, r.subject_id, state, r.reviewer, r.decision, ", ".join(r.tags), r.note, when(r.created),
            r.subject_hash, r.copy_id or "", r.undoes or "", r.id, "yes" if r.settles else "",
        )  # fmt: skip
        writer.writerow([cell(text) for text in cells])
    return out.getvalue()


def to_markdown(rec: Record, kind: SubjectKind, rows: Sequence[ReviewRow], states: dict[str, str]) -> Iterator[str]:
    """A heading a subject, its standing reviews as a list, what was said as quotes; those that differ come first."""
    by_subject: dict[str, dict[tuple[bool, str], ReviewRow]] = {}
    for row in rows:
        by_subject.setdefault(row.subject_id, {})[row.settles, row.reviewer] = row
    yield f"# Reviews of {kind}s\n"
    counts = {state: sum(s == state for s in states.values()) for state in sorted(set(states.values()))}
    yield ", ".join(f"{n:,} {state}" for state, n in counts.items()) + "\n"
    order = sorted(by_subject, key=lambda s: (states.get(s) != "split", states.get(s) == "pass"))
    for subject in order:
        standing = [row for row in by_subject[subject].values() if row.decision != "none"]
        if not standing:
            continue
        yield f"## {subject}: {states.get(subject, 'none')}\n"
        for row in standing:
            tags = f" [{', '.join(row.tags)}]" if row.tags else ""
            note = f": {row.note}" if row.note else ""
            settled = "settled: " if row.settles else ""
            yield _plain(f"- {settled}{row.decision} by {row.reviewer}, {when(row.created)}{tags}{note}")
        yield ""
        for message in messages_of(rec, kind, subject):
            yield f"> **{message.role}** {_plain(message.text)}  "
        yield ""


def messages_of(rec: Record, kind: SubjectKind, subject_id: str) -> Sequence[Message | MessageRow]:
    """What was said in a dialogue or conversation."""
    if kind == "dialogue":
        found = get_dialogue(rec, subject_id)
        return found.messages if found else ()
    return conversation_messages(rec, subject_id)


def export_reviews(rec: Record, kind: SubjectKind, file: Path, viewer: str | None = None) -> tuple[int, int]:
    """Write the reviews of that kind as CSV or Markdown (by the file's ending); returns how many rows are in it, how many not.

    For a `viewer` those of subjects that this reviewer has not decided on are left out. Raises UserError for another
    ending or a file that cannot be written.
    """
    everything, states = reviews(rec, kind=kind), review_states(rec, kind)
    hidden = hidden_from(rec, kind, viewer) if viewer is not None else set()
    rows = [row for row in everything if row.subject_id not in hidden]
    states = {subject: state for subject, state in states.items() if subject not in hidden}
    if file.suffix == ".csv":
        text = to_csv(rows, states)
    elif file.suffix in (".md", ".markdown"):
        text = "\n".join(to_markdown(rec, kind, rows, states)) + "\n"
    else:
        raise UserError(f"{clean_line(file.name, 80)}: reviews are written as .csv or .md")
    try:
        with file.open("w", encoding="utf-8", newline="") as out:
            out.write(text)
    except OSError as error:
        raise UserError(f"cannot write {file}: {error.strerror or error}") from error
    return len(rows), len(everything) - len(rows)


def _plain(text: str) -> str:
    """One line that Markdown shows as it is: no links, images or tags."""
    line = clean_line(text, 4000)
    for char in "\\`*_[]<>|#":
        line = line.replace(char, "\\" + char)
    return line

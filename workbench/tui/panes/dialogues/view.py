"""What the Dialogues pane shows, as plain data: filters from what is typed, rows from the record, one dialogue whole."""

from __future__ import annotations

import getpass
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from workbench.home import Home
from workbench.store.dialogues import SORTS, DialogueFilter, dialogue_rowids, dialogue_rows, get_dialogue
from workbench.store.record import Record, connect
from workbench.store.reviews import put_reviews, review_counts, reviews
from workbench.store.rows import DialogueRow, ReviewRow
from workbench.store.workflows import workflows
from workbench.tui.effects import reader
from workbench.tui.format import ago
from workbench.tui.widgets.messages import bubbles
from workbench.tui.widgets.safe import Line, Span, line
from workbench.tui.widgets.table import Row
from workbench.tui.widgets.transcript import Bubble
from workbench.workflow.hashing import digest
from workbench.workflow.model import SPLITS

HINT = "words said · node:N terminal:T split:S writer:W review:none|pass|flag status:ok|quarantined path:N sort:S"
MARKS: dict[str | None, Span] = {"pass": ("✓", "good"), "flag": ("⚑", "warn"), None: (" ", "dim")}
_WORDS = ("terminal", "writer", "split", "status", "review", "reviewer")


@dataclass(frozen=True, slots=True)
class Asked:
    """A filter as typed, understood; `unknown` are the words that were not."""

    wanted: DialogueFilter
    sort: str = "made"
    workflow: str = ""
    unknown: tuple[str, ...] = ()


def understand(text: str) -> Asked:
    """`terminal:booked review:none Lisbon`: known keys narrow the list, other words must have been said."""
    wanted, sort, workflow, said, unknown = DialogueFilter(), "made", "", [], []
    for word in text.split():
        key, found, value = word.partition(":")
        if not found:
            said.append(word)
        elif key in _WORDS and value and (key != "split" or value in SPLITS):
            wanted = _with(wanted, key, value)
        elif key in ("node", "edge", "deviation") and value:
            wanted = _with(wanted, f"{key}s", (*getattr(wanted, f"{key}s"), value))
        elif key == "path" and value.isdigit():
            wanted = replace(wanted, path_rank=int(value))
        elif key == "sort" and value.removeprefix("-") in SORTS:
            sort = value
        elif key == "workflow" and value:
            workflow = value
        else:
            unknown.append(word)
    return Asked(replace(wanted, text=" ".join(said)), sort, workflow, tuple(unknown))


def _with(wanted: DialogueFilter, name: str, value: Any) -> DialogueFilter:
    return replace(wanted, **{name: value})


@dataclass(frozen=True)
class Found:
    """The list: row ids in order, the cursor's place in it, and counts for the heading."""

    home: Home
    rowids: array[int]
    asked: Asked
    cursor: int = 0
    total: int = 0
    reviewed: int = 0

    def count(self) -> int:
        """How many dialogues pass the filter."""
        return len(self.rowids)

    def window(self, start: int, stop: int) -> Sequence[Row]:
        """Rows by row id: no offset, whatever the length."""
        return [row_of(row) for row in dialogue_rows(reader(self.home), self.rowids[start:stop])]


def find(home: Home, text: str, selected: str | None) -> Found:
    """Search the record; the cursor is on `selected` if it is among the rows."""
    rec, asked = reader(home), understand(text)
    wanted = asked.wanted
    if asked.workflow:
        ids = [w.id for w in workflows(rec) if w.name == asked.workflow or w.id.startswith(asked.workflow)]
        wanted = replace(wanted, workflow_id=ids[0] if ids else asked.workflow)
    rowids = dialogue_rowids(rec, wanted, asked.sort)
    counts = review_counts(rec)
    total = sum(counts.values())
    return Found(home, rowids, asked, _place(rec, rowids, selected), total, total - counts.get("none", 0))


def _place(rec: Record, rowids: array[int], selected: str | None) -> int:
    if selected:
        for start in range(0, len(rowids), 1000):
            for at, row in enumerate(dialogue_rows(rec, rowids[start : start + 1000]), start):
                if row.id == selected:
                    return at
    return 0


def row_of(row: DialogueRow) -> Row:
    """A line of the list."""
    mark: Span = ("✗", "bad") if row.status == "quarantined" else MARKS.get(row.decision, ("•", "dim"))
    path = "?" if row.path_rank is None else str(row.path_rank)
    deviations: Span = (", ".join(row.deviations), "warn")
    return Row(
        row.id,
        (
            mark,
            (path, "dim"),
            str(row.steps),
            row.terminal,
            (row.split, "dim"),
            deviations,
            (row.writer, "dim"),
            (row.id[:8], "dim"),
        ),
    )


@dataclass(frozen=True, slots=True)
class Whole:
    """One dialogue, ready to be shown."""

    id: str
    bubbles: tuple[Bubble, ...]
    about: tuple[Line, ...]
    reviews: tuple[ReviewRow, ...]


def whole(home: Home, dialogue_id: str) -> Whole | None:
    """A dialogue with its scenario and reviews."""
    rec = reader(home)
    found = get_dialogue(rec, dialogue_id)
    if not found:
        return None
    scenario, given = found.scenario, reviews(rec, dialogue_id)
    facts: list[Span] = [("persona ", "dim"), (scenario.persona, "plain")]
    for name, value in scenario.variables.items():
        facts += [(f"  {name} ", "dim"), (str(value), "plain")]
    about: list[Line] = [tuple(facts)]
    if scenario.deviations:
        about.append(line(("△ " + ", ".join(scenario.deviations), "warn")))
    for review in given[-3:]:
        mark = MARKS.get(review.decision, ("•", "dim"))
        tags = f" [{', '.join(review.tags)}]" if review.tags else ""
        about.append(
            line(mark, (f" {review.decision} by {review.reviewer}, {ago(review.created)}{tags}  ", "dim"), review.note)
        )
    return Whole(dialogue_id, bubbles(found.messages), tuple(about), tuple(given))


def reviewer() -> str:
    """Whose reviews these are: the login."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"


def review(home: Home, dialogue_id: str, decision: str, note: str = "") -> str:
    """Append a decision; the newest counts. Returns its id."""
    now = time.time()
    row = ReviewRow(digest([dialogue_id, reviewer(), decision, now]), dialogue_id, reviewer(), decision, (), note, now)
    with connect(home) as rec:
        put_reviews(rec, [row])
    return row.id


def unreviewed(home: Home, text: str, after: int) -> tuple[int, Any] | None:
    """The next dialogue in the list that nobody has reviewed: its place and id."""
    found = find(home, text, None)
    rec, n = reader(home), len(found.rowids)
    order = [*range(after + 1, n), *range(after + 1)]
    for start in range(0, n, 500):
        part = order[start : start + 500]
        for at, row in zip(part, dialogue_rows(rec, [found.rowids[i] for i in part]), strict=False):
            if row.decision is None:
                return at, row.id
    return None

"""What the Dialogues pane shows, as plain data: filters from what is typed, rows from the record, one dialogue whole."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from workbench.errors import UserError
from workbench.home import Home
from workbench.store.dialogues import (
    SORTS,
    DialogueFilter,
    count_dialogues,
    dialogue_rowids,
    dialogue_rows,
    first_rowids,
    get_dialogue,
    rowid_of,
    same_path,
)
from workbench.store.record import Record
from workbench.store.reviews import review_counts, votes
from workbench.store.rows import DialogueRow, Json
from workbench.store.workflows import dialogue_workflows, get_workflow, workflows
from workbench.tui.effects import reader
from workbench.tui.widgets.messages import bubbles
from workbench.tui.widgets.review import MARKS, nearest
from workbench.tui.widgets.safe import Line, Span, line
from workbench.tui.widgets.table import Row
from workbench.tui.widgets.transcript import Bubble
from workbench.workflow.draw.model import Line as Drawn
from workbench.workflow.draw.outline import outline
from workbench.workflow.model import SPLITS, Workflow
from workbench.workflow.recall import recall_workflow

HINT = (
    "words said · workflow:W path:N node:N edge:E terminal:T persona:P writer:W split:S deviation:D check:CODE|any "
    "status:ok|quarantined review:none|any|pass|flag|fix|split reviewer:R tag:T sort:S"
)
_WORDS = ("terminal", "writer", "split", "status", "review", "reviewer", "persona", "check")
_SEVERAL = ("node", "edge", "deviation", "tag")


@dataclass(frozen=True, slots=True)
class Asked:
    """A filter as typed, understood; `unknown` are the words that were not."""

    wanted: DialogueFilter
    sort: str = "made"
    workflow: str = ""
    unknown: tuple[str, ...] = ()

    @property
    def of_reviews(self) -> bool:
        """Whether it asks for what reviewers decided."""
        return bool(self.wanted.review or self.wanted.reviewer or self.wanted.tags)


def understand(text: str) -> Asked:
    """`terminal:booked review:none Lisbon`: known keys narrow the list, other words must have been said."""
    wanted, sort, workflow, said, unknown = DialogueFilter(), "made", "", [], []
    for word in text.split():
        key, found, value = word.partition(":")
        if not found:
            said.append(word)
        elif key in _WORDS and value and (key != "split" or value in SPLITS):
            wanted = _with(wanted, key, value)
        elif key in _SEVERAL and value:
            wanted = _with(wanted, f"{key}s", (*getattr(wanted, f"{key}s"), value))
        elif key == "path" and value.isdecimal():
            wanted = replace(wanted, path_rank=min(int(value), 2**63 - 1))
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
    reviewer: str
    cursor: int = 0
    total: int = 0
    reviewed: int = 0
    hidden: int = 0
    """How many more would pass, were it known to the reviewer what others decided on them."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Of the workflows by their ids, where the record has dialogues of more than one."""
    partial: bool = False
    """Whether these are only the first rows, to be shown until the others are found."""

    def count(self) -> int:
        """How many dialogues pass the filter."""
        return len(self.rowids)

    def place_of(self, rowid: int | None) -> int | None:
        """Where a row stands, None if it is not there."""
        return self.rowids.index(rowid) if rowid is not None and rowid in self.rowids else None

    def window(self, start: int, stop: int) -> Sequence[Row]:
        """Rows by row id: no offset, whatever the length."""
        rec = reader(self.home)
        rows = dialogue_rows(rec, self.rowids[start:stop], self.reviewer)
        given = votes(rec, "dialogue", [row.id for row in rows if row.decision])
        return [row_of(row, given.get(row.id, {}).get(self.reviewer), self.names) for row in rows]


def _resolved(rec: Record, text: str, reviewer: str) -> Asked:
    asked = understand(text)
    asked = replace(asked, wanted=replace(asked.wanted, viewer=reviewer))
    if not asked.workflow:
        return asked
    ids = [w.id for w in workflows(rec) if w.name == asked.workflow or w.id.startswith(asked.workflow)]
    return replace(asked, wanted=replace(asked.wanted, workflow_id=ids[0] if ids else asked.workflow))


def _several(rec: Record) -> dict[str, str]:
    names = dialogue_workflows(rec)
    return names if len(set(names.values())) > 1 else {}


def find(home: Home, text: str, selected: str | None, reviewer: str = "") -> Found:
    """Search the record; the cursor is on `selected` if it is among the rows."""
    rec = reader(home)
    asked = _resolved(rec, text, reviewer)
    rowids = dialogue_rowids(rec, asked.wanted, asked.sort)
    counts = review_counts(rec)
    total = sum(counts.values())
    at = rowid_of(rec, selected) if selected else None
    hidden = 0
    if asked.of_reviews:
        hidden = count_dialogues(rec, replace(asked.wanted, viewer=None)) - len(rowids)
    found = Found(home, rowids, asked, reviewer, 0, total, total - counts.get("none", 0), hidden, _several(rec))
    return replace(found, cursor=found.place_of(at) or 0)


def glance(home: Home, text: str, selected: str | None, reviewer: str = "") -> Found | None:
    """The first rows of a search, or of a list that is opened for the first time, at once however long it is.

    None where the first rows are not what is to be shown, or where none is found at once.
    """
    asked = understand(text)
    if selected and not text:
        return None
    rec = reader(home)
    asked = _resolved(rec, text, reviewer)
    rowids = first_rowids(rec, asked.wanted, asked.sort)
    return Found(home, rowids, asked, reviewer, names=_several(rec), partial=True) if rowids else None


def hidden_ids(home: Home, text: str, reviewer: str) -> list[str]:
    """The dialogues that pass the filter only by what others decided on them, unknown to the reviewer."""
    rec = reader(home)
    wanted = _resolved(rec, text, reviewer).wanted
    shown = set(dialogue_rowids(rec, wanted))
    hidden = [rowid for rowid in dialogue_rowids(rec, replace(wanted, viewer=None)) if rowid not in shown]
    return [row.id for row in dialogue_rows(rec, hidden)]


def holds(found: Found, dialogue_id: str) -> bool:
    """Whether the dialogue is among the rows (then the cursor is on it)."""
    return found.count() > 0 and found.rowids[found.cursor] == rowid_of(reader(found.home), dialogue_id)


def size(home: Home, text: str, reviewer: str = "") -> int:
    """How many dialogues pass the filter now."""
    rec = reader(home)
    return count_dialogues(rec, _resolved(rec, text, reviewer).wanted)


def mark_of(row: DialogueRow, mine: str | None) -> Span:
    """What stands before a row: my decision; else what others decided, a dot as long as that is to stay unknown to me."""
    if row.decision and row.decision != "split" and mine:
        return MARKS.get(mine, MARKS["hidden"])
    if row.decision:
        return MARKS.get(row.decision, MARKS["hidden"])
    return ("✗", "bad") if row.status == "quarantined" else MARKS[None]


def row_of(row: DialogueRow, mine: str | None, names: Mapping[str, str]) -> Row:
    """A line of the list; `names` are those of the workflows where there are several."""
    path = "?" if row.path_rank is None else str(row.path_rank)
    codes = " ".join(dict.fromkeys(str(check.get("code", "?")) for check in row.checks))
    notes: Line = ((codes, "bad"), (" " if codes else "", "plain"), (", ".join(row.deviations), "warn"))
    return Row(
        row.id,
        (
            mark_of(row, mine),
            (path, "dim"),
            str(row.steps),
            row.terminal,
            *([names.get(row.workflow_id, "?")] if names else ()),
            (row.split, "dim"),
            notes,
            (row.writer, "dim"),
            (row.id[:8], "dim"),
        ),
    )


@dataclass(frozen=True, slots=True)
class Whole:
    """One dialogue, ready to be shown."""

    id: str
    workflow_id: str
    path: tuple[str, ...]
    bubbles: tuple[Bubble, ...]
    about: tuple[Line, ...]
    texts: tuple[tuple[str, str], ...]


def whole(home: Home, dialogue_id: str) -> Whole | None:
    """A dialogue with its scenario, the path's place, and what the checks say of every turn."""
    rec = reader(home)
    found, rowid = get_dialogue(rec, dialogue_id), rowid_of(rec, dialogue_id)
    if not found or rowid is None:
        return None
    row = dialogue_rows(rec, [rowid])[0]
    scenario = found.scenario
    facts: list[Span] = [("persona ", "dim"), (scenario.persona, "plain")]
    for name, value in scenario.variables.items():
        facts += [(f"  {name} ", "dim"), (str(value), "plain")]
    about: list[Line] = [place(_workflow(home, found.workflow_id), row, found.path), tuple(facts)]
    if scenario.deviations:
        about.append(line(("△ " + ", ".join(scenario.deviations), "warn")))
    about += [line(("✗ ", "bad"), (str(c.get("what", c.get("code", "?"))), "bad")) for c in _of_whole(row.checks)]
    shown = checked(bubbles(found.messages), row.checks)
    said = tuple((m.role, m.text) for m in found.messages)
    return Whole(dialogue_id, found.workflow_id, found.path, shown, tuple(about), said)


def _of_whole(checks: Iterable[Json]) -> list[Json]:
    return [check for check in checks if not isinstance(check.get("index"), int)]


def checked(shown: Sequence[Bubble], checks: Iterable[Json]) -> tuple[Bubble, ...]:
    """Bubbles with a check mark before what stands beside each, or what is wrong with it."""
    faults: dict[int, list[Span]] = defaultdict(list)
    for check in checks:
        at = check.get("index")
        if isinstance(at, int):
            faults[at].append((f"✗ {check.get('code', '?')} ", "bad"))
    return tuple(
        replace(bubble, margin=(*(faults.get(at) or [("✓ ", "good")]), *bubble.margin))
        for at, bubble in enumerate(shown)
    )


def place(workflow: Workflow | None, row: DialogueRow, path: Sequence[str]) -> Line:
    """Where the path lies in the graph: its number, its length, who wrote it, the choice at each hub."""
    rank = "?" if row.path_rank is None else f"{row.path_rank:,}"
    spans: list[Span] = [("path ", "dim"), (rank, "plain"), (f"  {row.steps} steps  ", "dim")]
    spans.append((f"writer {row.writer}, {row.split}", "dim"))
    if workflow:
        hubs = set(workflow.hubs)
        taken = [workflow.edge[e] for e in path if e in workflow.edge and workflow.edge[e].source in hubs]
        spans.append(("  " + " ".join(f"{e.source}›{e.target}" for e in taken), "warn"))
    return tuple(spans)


def _workflow(home: Home, workflow_id: str) -> Workflow | None:
    row = get_workflow(reader(home), workflow_id)
    return _recalled(row.canonical) if row else None


@lru_cache(maxsize=16)
def _recalled(canonical: str) -> Workflow | None:
    try:
        return recall_workflow(canonical)
    except UserError:
        return None


TONES = {"agent": "agent", "hub": "warn", "user": "user", "terminal": "good", "back": "warn", "label": "plain"}


def drawing(home: Home, shown: Whole) -> tuple[Line, ...]:
    """The workflow as an outline with the dialogue's path lit."""
    workflow = _workflow(home, shown.workflow_id)
    if workflow is None:
        return (line(("the record holds no readable workflow for this dialogue", "dim")),)
    return tuple(_toned(drawn) for drawn in outline(workflow, shown.path))


def _toned(drawn: Drawn) -> Line:
    return tuple((s.text, TONES.get(s.style, "dim") if s.lit else "dim") for s in drawn.spans)


def others(home: Home, dialogue_id: str, reviewer: str = "") -> list[str]:
    """Other dialogues of the same path, from the one after this on, round to the one before it."""
    ids = same_path(reader(home), dialogue_id, reviewer)
    at = ids.index(dialogue_id) if dialogue_id in ids else 0
    return [*ids[at + 1 :], *ids[:at]]


def unreviewed(home: Home, found: Found, at: int, by: int) -> int | None:
    """The place in the list of the nearest dialogue after (`by` 1) or before (-1) this one that nobody has reviewed."""
    rec = reader(home)

    def are_open(part: Sequence[int]) -> list[bool]:
        rows = {row.rowid: row for row in dialogue_rows(rec, [found.rowids[i] for i in part])}
        known = [rows.get(found.rowids[i]) for i in part]
        return [row is not None and row.decision is None for row in known]

    return nearest(found.count(), at, by, are_open)


@dataclass(frozen=True, slots=True)
class PlanWish:
    """What was typed for a sampling plan."""

    name: str
    by: tuple[str, ...] = ()
    each: int = 20
    second: float = 0.1
    workflow: str = ""


def understand_plan(text: str) -> PlanWish:
    """`name:first by:terminal,split each:20 second:10% workflow:W`. UserError: what is wrong and how it is written."""
    words = dict(word.partition(":")[::2] for word in text.split())
    unknown = set(words) - {"name", "by", "each", "second", "workflow"}
    share = words.get("second", "10%").rstrip("%")
    each = words.get("each", "20")
    if unknown or not words.get("name") or not each.isdecimal() or not int(each) or not share.isdecimal():
        raise UserError("write it as: name:first by:terminal each:20 second:10%")
    by = tuple(part for part in words.get("by", "").split(",") if part)
    return PlanWish(words["name"], by, int(each), min(int(share), 100) / 100, words.get("workflow", ""))


def newest_workflow(home: Home, wanted: str, shown: Whole | None) -> str | None:
    """The id of the workflow that is meant: by name, else the one of the dialogue on the screen, else the newest."""
    rec = reader(home)
    rows = workflows(rec)
    if wanted:
        return next((w.id for w in rows if w.name == wanted or w.id.startswith(wanted)), None)
    return shown.workflow_id if shown else rows[0].id if rows else None

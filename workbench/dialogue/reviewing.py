"""Reviewing dialogues and conversations: who decides what, what a reviewer may see, and whose judgement is independent."""

from __future__ import annotations

import getpass
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import ceil
from random import Random

import workbench
from workbench.dialogue.checks import Finding, check_dialogue
from workbench.dialogue.model import Dialogue
from workbench.errors import UserError
from workbench.store.conversations import conversation_messages
from workbench.store.dialogues import get_dialogue, path_rank_of, put_dialogues
from workbench.store.record import Record
from workbench.store.review_plans import (
    PlanItem,
    PlanRow,
    end_lease,
    plans,
    put_plan,
    subjects_by_stratum,
)
from workbench.store.reviews import hidden_from, newest_review, put_reviews, reviews, votes
from workbench.store.rows import DialogueEntry, ReviewRow, SubjectKind, now
from workbench.text import clean_line
from workbench.workflow.hashing import digest
from workbench.workflow.model import Workflow

DECISIONS = ("pass", "flag", "fix")
REVIEWER_VARIABLE = "WORKBENCH_REVIEWER"
TAGS: dict[SubjectKind, tuple[str, ...]] = {
    "dialogue": ("wrong-fact", "off-path", "unnatural", "repetitive", "language", "leak", "tone", "other"),
    "conversation": ("wrong-fact", "off-path", "unnatural", "repetitive", "unhelpful", "ended-early", "tone", "other"),
}
"""Offered on digits; any other word may be a tag as well."""
SECOND_SHARE = 0.1
"""The share of a plan that a second reviewer decides on too, without seeing the first's decision."""
EDITED = " (edited)"


def reviewer_name(option: str | None = None) -> str:
    """Whose reviews these are: `option` (`--as`), else WORKBENCH_REVIEWER, else the login. UserError if it is no name."""
    for name in (option, os.environ.get(REVIEWER_VARIABLE)):
        if name is not None and not clean_line(name, 60):
            raise UserError("a reviewer's name must have a letter in it: --as NAME")
        if name:
            return clean_line(name, 60)
    try:
        return clean_line(getpass.getuser(), 60) or "unknown"
    except (OSError, KeyError):
        return "unknown"


def subject_hash(rec: Record, kind: SubjectKind, subject_id: str) -> str:
    """The hash of what a reviewer reads: speakers and texts. UserError if there is no such subject."""
    if kind == "dialogue":
        found = get_dialogue(rec, subject_id)
        said = [[m.role, m.text] for m in found.messages] if found else []
    else:
        said = [[m.role, m.text] for m in conversation_messages(rec, subject_id)]
    if not said:
        raise UserError(f"no {kind} {clean_line(subject_id, 60)} with anything said in it")
    return digest(said)


def standing(rec: Record, kind: SubjectKind, subject_id: str, reviewer: str) -> ReviewRow | None:
    """The reviewer's decision on the subject as it stands, or None."""
    mine = [row for row in reviews(rec, subject_id, reviewer, kind) if not row.settles]
    return mine[-1] if mine and mine[-1].decision != "none" else None


def decide(
    rec: Record,
    kind: SubjectKind,
    subject_id: str,
    reviewer: str,
    decision: str,
    tags: Sequence[str] | None = None,
    note: str | None = None,
    copy_id: str | None = None,
    at: float | None = None,
) -> ReviewRow | None:
    """Append a decision; it ends the reviewer's lease. None if it says what already stands: a key held down decides once.

    Tags and note that are not given stay those of the same decision, if it stands. Raises UserError for an unknown
    decision or subject.
    """
    if decision not in DECISIONS:
        raise UserError(f'no decision "{clean_line(decision, 40)}": choose among {", ".join(DECISIONS)}')
    said = subject_hash(rec, kind, subject_id)
    with rec.write():
        old = standing(rec, kind, subject_id, reviewer)
        before = old if old and old.decision == decision else None
        words = (clean_line(tag, 40) for tag in (tags if tags is not None else before.tags if before else ()))
        kept = tuple(dict.fromkeys(word for word in words if word))
        note = note if note is not None else before.note if before else ""
        copy_id = copy_id or (before.copy_id if before else None)
        same = old and (old.decision, old.tags, old.note, old.copy_id) == (decision, kept, note, copy_id)
        if old and same and old.subject_hash in (said, ""):
            return None
        when = _after(old, at)
        row = ReviewRow(
            digest([kind, subject_id, reviewer, decision, kept, note, when]),
            subject_id, reviewer, decision, kept, note, when, kind, said, copy_id,
        )  # fmt: skip
        put_reviews(rec, [row])
        end_lease(rec, kind, subject_id, reviewer)
    return row


def amend(
    rec: Record,
    kind: SubjectKind,
    subject_id: str,
    reviewer: str,
    tags: Sequence[str] | None = None,
    note: str | None = None,
) -> ReviewRow | None:
    """Put tags or a note to the decision that stands; without one they flag. None if nothing changes."""
    old = standing(rec, kind, subject_id, reviewer)
    return decide(rec, kind, subject_id, reviewer, old.decision if old else "flag", tags, note)


def undo(rec: Record, reviewer: str, kind: SubjectKind | None = None, at: float | None = None) -> ReviewRow | None:
    """Take the reviewer's newest decision back by a row that restores what stood before; None if there is none left.

    It may be repeated, and reaches back over restarts: the record itself is what it walks.
    """
    with rec.write():
        last = newest_review(rec, reviewer, kind)
        if last is None:
            return None
        given = reviews(rec, last.subject_id, reviewer, last.subject_kind)
        mine = [row for row in given if row.settles == last.settles]
        gone = {row.undoes for row in mine} | {last.id}
        before = next((r for r in reversed(mine) if r.undoes is None and r.id not in gone), None)
        when = _after(mine[-1], at)
        back = before or replace(last, decision="none", tags=(), note="", copy_id=None)
        row = replace(back, id=digest(["undo", last.id, when]), created=when, undoes=last.id)
        put_reviews(rec, [row])
    return row


def _after(old: ReviewRow | None, at: float | None) -> float:
    """The time of a new row: never at or before an older one of the same reviewer, whatever the clock says."""
    when = now() if at is None else at
    return max(when, old.created + 1e-6) if old else when


# Who may see what ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """The reviews of a subject as one reviewer may see them. `hidden` counts reviewers whose decision is not shown."""

    mine: ReviewRow | None
    shown: tuple[ReviewRow, ...]
    hidden: int


def seen_by(rec: Record, kind: SubjectKind, subject_id: str, reviewer: str) -> Seen:
    """A reviewer sees what others decided only after deciding too, so that a second decision is independent."""
    rows = reviews(rec, subject_id, None, kind)
    newest = {(row.reviewer, row.settles): row for row in rows}
    standing_ = [row for row in newest.values() if row.decision != "none"]
    mine = next((row for row in standing_ if row.reviewer == reviewer and not row.settles), None)
    if any(row.reviewer == reviewer for row in rows):
        return Seen(mine, tuple(sorted(standing_, key=lambda r: r.created)), 0)
    return Seen(None, (), sum(not row.settles for row in standing_))


def open_decisions(
    rec: Record, kind: SubjectKind, subjects: Iterable[str], reviewer: str, at: float | None = None
) -> int:
    """Show a reviewer what others decided on these before deciding too; returns on how many that was hidden till now.

    A row "none" remembers it, so that what this reviewer decides on them later does not count as independent.
    """
    with rec.write():
        closed = hidden_from(rec, kind, reviewer)
        when = now() if at is None else at
        rows = [
            ReviewRow(
                digest(["opened", kind, subject, reviewer, when]), subject, reviewer, "none", created=when,
                subject_kind=kind, subject_hash=subject_hash(rec, kind, subject),
            )
            for subject in dict.fromkeys(subjects)
            if subject in closed
        ]  # fmt: skip
        return put_reviews(rec, rows)


def disagreement(
    rec: Record, kind: SubjectKind, subject_id: str, who: str, at: float | None = None
) -> tuple[ReviewRow, ...]:
    """The decisions that differ, for one who is to settle them and is shown them now.

    Raises UserError where reviewers do not disagree, and where `who` is one of them.
    """
    given = votes(rec, kind, [subject_id]).get(subject_id, {})
    if len(set(given.values())) < 2:
        raise UserError(f"the reviewers of {clean_line(subject_id, 60)} do not disagree: there is nothing to settle")
    if who in given:
        raise UserError(f"{who} is one of those who disagree about {clean_line(subject_id, 60)}: another settles it")
    open_decisions(rec, kind, [subject_id], who, at)
    return tuple(row for row in seen_by(rec, kind, subject_id, who).shown if not row.settles)


def settle(
    rec: Record, kind: SubjectKind, subject_id: str, who: str, decision: str, note: str = "", at: float | None = None
) -> ReviewRow | None:
    """Settle a disagreement: a row beside the reviewers' own, which counts from now on. None if that stands already.

    "fix" takes the newest mended copy. Raises UserError as `disagreement` does, and for "fix" without a copy.
    """
    if decision not in DECISIONS:
        raise UserError(f'no decision "{clean_line(decision, 40)}": choose among {", ".join(DECISIONS)}')
    with rec.write():
        disagreement(rec, kind, subject_id, who, at)
        rows = reviews(rec, subject_id, None, kind)
        copy_id = next((r.copy_id for r in reversed(rows) if r.copy_id), None) if decision == "fix" else None
        if decision == "fix" and copy_id is None:
            raise UserError(
                "nobody has mended a copy: settle it with pass or flag, or mend it and let it be decided anew"
            )
        old = next((row for row in reversed(rows) if row.settles), None)
        if old and (old.decision, old.note, old.reviewer) == (decision, note, who):
            return None
        when = _after(old, at)
        row = ReviewRow(
            digest(["settled", kind, subject_id, who, decision, note, when]), subject_id, who, decision, (), note, when,
            kind, subject_hash(rec, kind, subject_id), copy_id, settles=True,
        )  # fmt: skip
        put_reviews(rec, [row])
    return row


def blind_votes(rows: Iterable[ReviewRow]) -> dict[str, dict[str, str]]:
    """Subject → reviewer → decision, as it stood before the reviewer saw another's: what agreement is computed from.

    `rows` come in the order in which they were given. Whoever has a decision while another has one has seen it; what
    they say afterwards, or take back, is no longer independent and changes nothing here. The same holds for those who asked
    to be shown what others decided, and for what settles a disagreement.
    """
    found: dict[str, dict[str, str]] = defaultdict(dict)
    current: dict[str, dict[str, str]] = defaultdict(dict)
    shown: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.settles:
            continue
        subject, who = row.subject_id, row.reviewer
        for counted in (current[subject], *([found[subject]] if who not in shown[subject] else [])):
            if row.decision == "none":
                counted.pop(who, None)
            else:
                counted[who] = row.decision
        if len(current[subject]) > 1:
            shown[subject] |= set(current[subject])
        if row.decision == "none" and row.undoes is None:
            shown[subject].add(who)
    return {subject: counted for subject, counted in found.items() if counted}


# Plans --------------------------------------------------------------------------------------------------------------


def make_plan(
    rec: Record,
    kind: SubjectKind,
    workflow_id: str,
    name: str,
    by: Sequence[str],
    each: int,
    share: float = SECOND_SHARE,
    seed: int = 0,
    comparison_id: str | None = None,
) -> PlanRow:
    """Draw `each` subjects of every stratum (all where there are fewer) and freeze them as a plan; seeded.

    `share` of them, rounded up, go to a second reviewer. Strata take turns, so that a plan left half-way is balanced.
    Raises UserError if there is nothing to draw from or the name is taken by another plan.
    """
    strata: dict[str, list[str]] = defaultdict(list)
    for subject_id, stratum in subjects_by_stratum(rec, kind, by, workflow_id, comparison_id):
        strata[stratum].append(subject_id)
    if not strata:
        raise UserError(f"there are no {kind}s to review; see `workbench {kind}s list`")
    drawn = {
        stratum: Random(f"{seed}|{stratum}").sample(ids, min(each, len(ids))) for stratum, ids in sorted(strata.items())
    }
    order = [(ids[n], stratum) for n in range(each) for stratum, ids in drawn.items() if n < len(ids)]
    twice = set(Random(f"{seed}|second").sample(range(len(order)), min(ceil(share * len(order)), len(order))))
    items = [PlanItem(subject, stratum, 2 if n in twice else 1) for n, (subject, stratum) in enumerate(order)]
    about = {"by": list(by), "each": each, "share": share, "seed": seed, "comparison": comparison_id}
    made = PlanRow(digest([kind, workflow_id, name, about, order]), name, kind, workflow_id, about)
    if any(plan.name == name and plan.id != made.id for plan in plans(rec, kind)):
        raise UserError(f'there is another review plan "{clean_line(name, 60)}": give this one a name of its own')
    put_plan(rec, made, items)
    return made


def find_plan(rec: Record, kind: SubjectKind, name: str | None = None) -> PlanRow | None:
    """The plan of that name (or beginning of its id), else the newest; None if there is none. UserError: unknown name."""
    known = plans(rec, kind)
    if name is None or name == "last":
        return known[0] if known else None
    for plan in known:
        if plan.name == name or (len(name) >= 4 and plan.id.startswith(name)):
            return plan
    names = ", ".join(dict.fromkeys(plan.name for plan in known)) or "none yet"
    raise UserError(f'no review plan "{clean_line(name, 60)}" of {kind}s (known: {names})')


# Mending ------------------------------------------------------------------------------------------------------------


def fix(
    rec: Record,
    workflow: Workflow,
    dialogue: Dialogue,
    texts: Mapping[int, str],
    reviewer: str,
    note: str | None = None,
    tags: Sequence[str] | None = None,
) -> tuple[Dialogue, list[Finding]]:
    """Put other words in the place of some messages (by index): a copy beside the original, and the decision "fix".

    The copy takes the original's place in the next data set if its checks find nothing (they are returned); the original
    stays as it is. Raises UserError if nothing was changed.
    """
    changed = {i: text for i, text in texts.items() if text.strip() != dialogue.messages[i].text}
    if not changed:
        raise UserError("nothing was changed")
    messages = tuple(
        replace(m, text=changed[i].strip()) if i in changed else m for i, m in enumerate(dialogue.messages)
    )
    writer = dialogue.writer.removesuffix(EDITED) + EDITED
    key = digest([dialogue.id, "edited", [m.text for m in messages]])
    copy = replace(dialogue, id=key, messages=messages, writer=writer)
    faults = check_dialogue(workflow, copy)
    provenance = {"workbench": workbench.__version__, "edited_from": dialogue.id, "edited_by": reviewer}
    entry = DialogueEntry(
        copy,
        path_rank_of(rec, dialogue.id),
        tuple(asdict(f) for f in faults),
        "quarantined" if faults else "ok",
        provenance,
    )
    with rec.write():
        put_dialogues(rec, [entry])
        decide(rec, "dialogue", dialogue.id, reviewer, "fix", tags, note, copy.id)
    return copy, faults

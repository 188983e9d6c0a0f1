"""People's scores: verdicts of a person on the criteria of a comparison's rubric, beside those of its judges."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

import workbench
from workbench.errors import UserError
from workbench.evaluation.rubric import LEVELS, load_rubric
from workbench.evaluation.tables import HUMAN
from workbench.evaluation.words import criteria_of, rubric_titles
from workbench.store.comparisons import get_comparison
from workbench.store.conversations import get_conversation
from workbench.store.find import find
from workbench.store.record import Record
from workbench.store.rows import VerdictRow
from workbench.store.verdicts import drop_verdicts, put_verdicts
from workbench.text import clean_line
from workbench.workflow.hashing import digest

_CONVERSATION = ("conversation", "id", "conversation_id")
"""What the column that names the conversation may be called in a file of scores."""


def put_scores(rec: Record, conversation: str, who: str, scores: Mapping[str, int], why: str = "") -> str:
    """Keep a person's scores (criterion → 1–5) of a conversation, over older ones of the same person; returns its id.

    Raises UserError for a conversation of no comparison, a criterion that neither its rubric nor another judge of it has,
    or a score that is none.
    """
    found = get_conversation(rec, find(rec, "conversation", conversation))
    assert found is not None, "find gives ids that are there"
    row = get_comparison(rec, found[0].comparison_id or "")
    if row is None:
        raise UserError(f"conversation {found[0].id} belongs to no comparison: only those are scored by a rubric")
    named = list(rubric_titles(row.config)) or [c.id for c in load_rubric().criteria]
    known = list(dict.fromkeys([*named, *(criteria_of(row.summary) if row.summary else ())]))
    for criterion, score in scores.items():
        if criterion not in known:
            raise UserError(f'no criterion "{clean_line(criterion, 40)}" here: choose one of {", ".join(known)}')
        if score not in LEVELS:
            raise UserError(f"{criterion}: a score is a whole number from 1 to 5, not {score}")
    rubric = row.config.get("rubric")
    rubric_hash = str(rubric["hash"]) if isinstance(rubric, Mapping) and "hash" in rubric else "paper"
    judge = HUMAN + who
    made = [
        VerdictRow(
            id=digest([found[0].id, judge, criterion, rubric_hash]),
            conversation_id=found[0].id,
            judge=judge,
            criterion=criterion,
            score=float(score),
            evidence={"why": why} if why else {},
            rubric_hash=rubric_hash,
            provenance={"workbench": workbench.__version__},
        )
        for criterion, score in scores.items()
    ]
    with rec.write():
        drop_verdicts(rec, [verdict.id for verdict in made])
        put_verdicts(rec, made)
    return found[0].id


def parse_score(text: str) -> tuple[str, int]:
    """Read `CRITERION=N`. Raises UserError."""
    criterion, _, number = text.partition("=")
    if not criterion.strip() or not number.strip().isdecimal():
        raise UserError(f'"{clean_line(text, 60)}": write CRITERION=N, such as task_success=4')
    return criterion.strip(), int(number)


def read_scores(path: Path) -> Iterator[tuple[str, dict[str, int]]]:
    """(conversation, criterion → score) of the lines of a CSV file: a column `conversation`, one for each criterion; empty
    cells are not scored. Raises UserError with the line."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            named = next((name for name in rows.fieldnames or () if name in _CONVERSATION), None)
            if named is None:
                raise UserError(f"{path}: no column `conversation`; the others are named after the criteria")
            for row in rows:
                given = {k: v for k, v in row.items() if k and k != named and isinstance(v, str) and v.strip()}
                try:
                    if not (wanted := (row[named] or "").strip()):
                        raise UserError("no conversation")
                    yield wanted, dict(parse_score(f"{k}={v}") for k, v in given.items())
                except UserError as error:
                    raise UserError(f"{path}, line {rows.line_num}: {error}") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None

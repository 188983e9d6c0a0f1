"""Do those who score agree? Judges with each other, and with the people who read the same conversations."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from math import nan
from operator import itemgetter
from typing import Any

import numpy as np

from workbench.dialogue.reviewing import blind_votes
from workbench.evaluation.rules import FAILURE_AT_MOST
from workbench.evaluation.statistics.agreement import Level, alpha_interval, kappa_interval
from workbench.evaluation.statistics.data import Array
from workbench.evaluation.tables import HUMAN, mean, rubric_by_judge
from workbench.store.record import Record
from workbench.store.reviews import comparison_reviews
from workbench.store.verdicts import scored, scored_by_people, scores_of, verdicts

FAILURE = "failure"
"""The criterion that people decide with pass and flag; of judges it is task success of 3 or less."""

Ratings = Mapping[str, Mapping[str, float]]
"""Who → conversation → score."""
Columns = Mapping[str, Array]
"""Who → the scores of the same conversations in the same order; NaN where there is none."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement on one criterion among `who`. With two of them `kappa` is theirs, weighted by squared distance.

    `n` conversations were scored by at least two. Intervals are 95% bootstrap percentiles over conversations. None is
    undefined (no conversation scored twice, or no variation).
    """

    criterion: str
    who: tuple[str, ...]
    n: int
    alpha: float | None
    alpha_interval: tuple[float, float] | None
    kappa: float | None
    kappa_interval: tuple[float, float] | None
    same: float | None
    """Share of the doubly scored conversations on which all gave the same score."""


def agree(criterion: str, ratings: Ratings, *, level: Level = "ordinal") -> list[Agreement]:
    """Agreement of all together where they are more than two, then of every pair."""
    units = sorted({unit for scores in ratings.values() for unit in scores})
    columns = {who: np.array([scores.get(unit, nan) for unit in units]) for who, scores in ratings.items()}
    return _agree(criterion, columns, level)


def _agree(criterion: str, ratings: Columns, level: Level = "ordinal") -> list[Agreement]:
    who = sorted(ratings, key=lambda name: (name.startswith(HUMAN), name))
    groups: list[tuple[str, ...]] = [tuple(who)] if len(who) > 2 else []
    groups += combinations(who, 2)
    return [_agreement(criterion, group, ratings, level) for group in groups]


def _agreement(criterion: str, who: Sequence[str], ratings: Columns, level: Level) -> Agreement:
    table = np.stack([ratings[name] for name in who])
    table = table[:, (~np.isnan(table)).sum(axis=0) > 1]
    alpha, low_high = alpha_interval(list(table), level)
    kappa, around = kappa_interval(table[0], table[1]) if len(who) == 2 else (None, None)
    n = table.shape[1]
    same = int((np.nanmin(table, axis=0) == np.nanmax(table, axis=0)).sum()) / n if n else None
    return Agreement(criterion, tuple(who), n, alpha, low_high, kappa, around, same)


def judges_agree(rec: Record, comparison_id: str) -> list[Agreement]:
    """Agreement of a comparison's judges, criterion by criterion, under the rubrics in force; empty with one judge.

    People are left out: see `people_agree`.
    """
    rubrics = {j: r for j, r in rubric_by_judge(rec, comparison_id).items() if not j.startswith(HUMAN)}
    if len(rubrics) < 2:
        return []
    asked: dict[str, list[str]] = defaultdict(list)
    for judge, criterion, rubric in scored(rec, comparison_id):
        if rubrics.get(judge) == rubric:
            asked[criterion].append(judge)
    return [
        a
        for criterion, who in asked.items()
        if len(who) > 1
        for a in _agree(criterion, _given(scores_of(rec, comparison_id, criterion), {j: rubrics[j] for j in who}))
    ]


def _given(rows: Iterable[tuple[str, str, str, float]], rubrics: Mapping[str, str]) -> Columns:
    """Means over each judge's repetitions, from (conversation, judge, rubric, score) by conversation."""
    columns = {judge: array("d") for judge in rubrics}
    for _, group in groupby(rows, itemgetter(0)):
        values: dict[str, list[float]] = {judge: [] for judge in rubrics}
        for _, judge, rubric, score in group:
            if rubrics.get(judge) == rubric:
                values[judge].append(score)
        for judge, known in values.items():
            columns[judge].append(sum(known) / len(known) if known else nan)
    return {judge: np.frombuffer(column) for judge, column in columns.items()}


def people_agree(rec: Record, comparison_id: str) -> list[Agreement]:
    """Agreement of people with each other and with each judge. Read anew each time: people go on after the summary was
    made.

    Criterion by criterion on the conversations that people scored; then on what they decided (pass is 1, flag and fix are
    0; a judge passes a task success above 3). Only decisions made before another's was seen count.
    """
    decided = blind_votes(comparison_reviews(rec, comparison_id))
    read = dict.fromkeys(scored_by_people(rec, comparison_id))
    if not decided and not read:
        return []
    rubrics = rubric_by_judge(rec, comparison_id)
    rows = [
        (v.criterion, v.judge, v.conversation_id, v.score)
        for conversation in dict.fromkeys((*read, *decided))
        for v in verdicts(rec, conversation)
        if v.rubric_hash == rubrics.get(v.judge)
    ]
    found = _ratings(row for row in rows if row[2] in read)
    among = [a for criterion, ratings in found.items() for a in agree(criterion, ratings)]
    passes: dict[str, dict[str, float]] = defaultdict(dict)
    for conversation, votes in decided.items():
        for who, decision in votes.items():
            passes[HUMAN + who][conversation] = float(decision == "pass")
    for judge, values in _ratings(row for row in rows if row[2] in decided).get("task_success", {}).items():
        if not judge.startswith(HUMAN):
            passes[judge] = {c: float(v > FAILURE_AT_MOST) for c, v in values.items()}
    among += agree(FAILURE, passes, level="nominal") if decided else []
    return [a for a in among if any(name.startswith(HUMAN) for name in a.who)]


def _ratings(rows: Iterable[tuple[str, str, str, float | None]]) -> dict[str, dict[str, dict[str, float]]]:
    """Criterion → judge → conversation → mean over the judge's repetitions; measures (of no judge) are left out."""
    given: dict[tuple[str, str, str], list[float | None]] = defaultdict(list)
    for criterion, judge, conversation, value in rows:
        if judge:
            given[criterion, judge, conversation].append(value)
    found: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for (criterion, judge, conversation), values in given.items():
        if (value := mean(values)) is not None:
            found[criterion][judge][conversation] = value
    return found


def plain(found: Sequence[Agreement]) -> list[dict[str, Any]]:
    """Agreements as JSON."""
    return [{name: getattr(a, name) for name in Agreement.__slots__} for a in found]

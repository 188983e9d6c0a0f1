"""Do those who score agree? Judges with each other, and with the people who read the same conversations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from workbench.dialogue.reviewing import blind_votes
from workbench.evaluation.rules import FAILURE_AT_MOST
from workbench.evaluation.statistics.agreement import Level, alpha_interval, kappa_interval
from workbench.evaluation.tables import HUMAN, mean, rubric_by_judge
from workbench.store.record import Record
from workbench.store.reviews import comparison_reviews
from workbench.store.verdicts import scored_by_people, scores, verdicts

FAILURE = "failure"
"""The criterion that people decide with pass and flag; of judges it is task success of 3 or less."""

Ratings = Mapping[str, Mapping[str, float]]
"""Who → conversation → score."""


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
    who = sorted(ratings, key=lambda name: (name.startswith(HUMAN), name))
    groups: list[tuple[str, ...]] = [tuple(who)] if len(who) > 2 else []
    groups += combinations(who, 2)
    return [_agreement(criterion, group, ratings, level) for group in groups]


def _agreement(criterion: str, who: Sequence[str], ratings: Ratings, level: Level) -> Agreement:
    units = sorted({unit for name in who for unit in ratings[name]})
    units = [unit for unit in units if sum(unit in ratings[name] for name in who) > 1]
    table = [[ratings[name].get(unit) for unit in units] for name in who]
    alpha, low_high = alpha_interval(table, level)
    kappa, around = kappa_interval(table[0], table[1]) if len(who) == 2 else (None, None)
    given = [{ratings[name][unit] for name in who if unit in ratings[name]} for unit in units]
    same = sum(len(values) == 1 for values in given) / len(given) if given else None
    return Agreement(criterion, tuple(who), len(units), alpha, low_high, kappa, around, same)


def judges_agree(rec: Record, comparison_id: str) -> list[Agreement]:
    """Agreement of a comparison's judges, criterion by criterion, under the rubrics in force; empty with one judge.

    People are left out: see `people_agree`.
    """
    rubrics = rubric_by_judge(rec, comparison_id)
    found = _ratings(
        (s.criterion, s.judge, s.conversation_id, s.value)
        for s in scores(rec, comparison_id)
        if not s.judge.startswith(HUMAN) and s.rubric == rubrics.get(s.judge)
    )
    return [a for criterion, ratings in found.items() if len(ratings) > 1 for a in agree(criterion, ratings)]


def people_agree(rec: Record, comparison_id: str) -> list[Agreement]:
    """Agreement of people with each other and with each judge. Read anew each time: people go on after the summary was
    made.

    Criterion by criterion on the conversations that people scored; then on what they decided (pass is 1, flag and fix are
    0; a judge passes a task success above 3). Only decisions made before another's was seen count.
    """
    decided = blind_votes(comparison_reviews(rec, comparison_id))
    scored = scored_by_people(rec, comparison_id)
    if not decided and not scored:
        return []
    rubrics = rubric_by_judge(rec, comparison_id)
    rows = [
        (v.criterion, v.judge, v.conversation_id, v.score)
        for conversation in dict.fromkeys((*scored, *decided))
        for v in verdicts(rec, conversation)
        if v.rubric_hash == rubrics.get(v.judge)
    ]
    read = set(scored)
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

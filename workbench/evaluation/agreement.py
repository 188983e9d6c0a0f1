"""Do those who score agree? Judges with each other, and with the people who read the same conversations."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from workbench.dialogue.reviewing import blind_votes
from workbench.evaluation.rules import FAILURE_AT_MOST
from workbench.evaluation.statistics.agreement import Level, alpha_interval, kappa_interval
from workbench.evaluation.tables import HUMAN, mean, rubrics_in_force
from workbench.store.record import Record
from workbench.store.reviews import comparison_reviews
from workbench.store.verdicts import judges, scores

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
    """Agreement of a comparison's judges, criterion by criterion, under the rubrics in force; empty with one judge."""
    found = _judged(rec, comparison_id)
    return [
        agreement for criterion, ratings in found.items() if len(ratings) > 1 for agreement in agree(criterion, ratings)
    ]


def people_agree(rec: Record, comparison_id: str) -> list[Agreement]:
    """Agreement on what people decided (pass is 1, flag and fix are 0), with each other and with each judge, who passes
    a conversation with a task success above 3.

    Only decisions made before another's was seen count, and only conversations that a person decided on. Read anew each
    time: people go on after the summary was made.
    """
    decided = blind_votes(comparison_reviews(rec, comparison_id))
    ratings: dict[str, dict[str, float]] = defaultdict(dict)
    for conversation, votes in decided.items():
        for who, decision in votes.items():
            ratings[HUMAN + who][conversation] = float(decision == "pass")
    if not ratings:
        return []
    for judge, scored in _judged(rec, comparison_id, "task_success").get("task_success", {}).items():
        if not judge.startswith(HUMAN):
            ratings[judge] = {c: float(v > FAILURE_AT_MOST) for c, v in scored.items() if c in decided}
    found = agree(FAILURE, ratings, level="nominal")
    return [a for a in found if any(name.startswith(HUMAN) for name in a.who)]


def _judged(rec: Record, comparison_id: str, criterion: str | None = None) -> dict[str, dict[str, dict[str, float]]]:
    """Criterion → judge → conversation → mean over the judge's repetitions."""
    rubric = {row.judge: row.rubric_hash for row in rubrics_in_force(judges(rec, comparison_id))}
    given: dict[tuple[str, str, str], list[float | None]] = defaultdict(list)
    for score in scores(rec, comparison_id, criterion):
        if score.judge and score.rubric == rubric.get(score.judge):
            given[score.criterion, score.judge, score.conversation_id].append(score.value)
    found: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for (criterion, judge, conversation), values in given.items():
        value = mean(values)
        if value is not None:
            found[criterion][judge][conversation] = value
    return found


def plain(found: Sequence[Agreement]) -> list[dict[str, Any]]:
    """Agreements as JSON."""
    return [{name: getattr(a, name) for name in Agreement.__slots__} for a in found]

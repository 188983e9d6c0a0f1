"""The scores of a comparison, arranged for statistics: condition → judge → criterion → scenario."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, groupby
from math import isnan, nan

from workbench.evaluation.rules import CRITERIA, JUDGE, RUBRIC_HASH
from workbench.store.conversations import compared_scenarios
from workbench.store.record import Record
from workbench.store.rows import JudgeRow
from workbench.store.verdicts import judges, scores

MEASURED = ""
"""Stands where a judge's name would, for what is measured and not judged."""
HUMAN = "human:"
"""Judges whose names begin so are people."""

Cells = Mapping[str, float | None]
"""Scenario → mean over repetitions (of the conversation and of the judging); None where every one is missing."""


class Column(Mapping[str, float | None]):
    """Cells in little room, in the order of `places`, which many columns share (scenario → its place, from 0)."""

    def __init__(self, places: Mapping[str, int]) -> None:
        self._places, self._there = places, bytearray(len(places))
        self._values = array("d", bytes(8 * len(places)))

    def put(self, scenario: str, value: float | None) -> None:
        """Keep a cell. KeyError for a scenario without a place."""
        at = self._places[scenario]
        self._there[at] = 1
        self._values[at] = nan if value is None else value

    def __getitem__(self, scenario: str) -> float | None:
        at = self._places[scenario]
        if not self._there[at]:
            raise KeyError(scenario)
        value = self._values[at]
        return None if isnan(value) else value

    def __iter__(self) -> Iterator[str]:
        return compress(self._places, self._there)

    def __len__(self) -> int:
        return sum(self._there)


@dataclass(frozen=True, slots=True)
class Tables:
    """All scores of a comparison under the rubric in force of each judge."""

    cells: Mapping[tuple[str, str, str], Cells]
    """By (condition, judge, criterion)."""
    counts: Mapping[tuple[str, str, str], Mapping[float | None, int]]
    """How often each single score was given, before any averaging; None counts the missing ones."""
    judges: tuple[JudgeRow, ...]
    """The judges, the leading one first; rubrics that are no longer in force are left out."""
    order: tuple[str, ...] = CRITERIA
    """Criteria in the order in which they are shown; others follow by name."""

    @property
    def lead(self) -> str:
        """The judge whose scores the report leads with."""
        return self.judges[0].judge if self.judges else JUDGE

    def of(self, condition: str, judge: str, criterion: str) -> Cells:
        """Scenario → value; empty if there is none."""
        return self.cells.get((condition, judge, criterion), {})

    def values(self, condition: str, judge: str, criterion: str) -> list[float | None]:
        """The values alone."""
        return list(self.of(condition, judge, criterion).values())

    def criteria(self, judge: str) -> list[str]:
        """What a judge was asked for, in order."""
        place = {name: at for at, name in enumerate(self.order)}
        asked = {criterion for _, of, criterion in self.cells if of == judge}
        return sorted(asked, key=lambda name: (place.get(name, len(place)), name))

    @property
    def headline(self) -> dict[str, str]:
        """Criterion → the judge whose scores stand for it: the first who was asked for it. The leading one's come first."""
        found: dict[str, str] = {}
        for row in self.judges:
            for criterion in self.criteria(row.judge):
                found.setdefault(criterion, row.judge)
        return found

    def judge_on(self, criterion: str) -> str:
        """The judge whose scores stand for a criterion."""
        return self.headline.get(criterion, self.lead)


def tables_of(rec: Record, comparison_id: str, named: Sequence[str] = (), order: Sequence[str] = CRITERIA) -> Tables:
    """Read the scores of a comparison once. `named` are the judges in the order in which the comparison names them,
    `order` the criteria in that of its rubric. Nine bytes stay of each figure of a scenario."""
    in_force = rubrics_in_force(judges(rec, comparison_id), named)
    rubric = {row.judge: row.rubric_hash for row in in_force}
    counted = (
        score
        for score in scores(rec, comparison_id)
        if score.scenario_id and (score.judge == MEASURED or score.rubric == rubric.get(score.judge))
    )
    places = {scenario: at for at, scenario in enumerate(compared_scenarios(rec, comparison_id))}
    cells: dict[tuple[str, str, str], Column] = defaultdict(lambda: Column(places))
    counts: dict[tuple[str, str, str], Counter[float | None]] = defaultdict(Counter)
    for (key, scenario), group in groupby(counted, lambda s: ((s.condition, s.judge, s.criterion), str(s.scenario_id))):
        values = [score.value for score in group]
        cells[key].put(scenario, mean(values))
        counts[key].update(values)
    return Tables(cells, counts, tuple(in_force), tuple(order))


def rubrics_in_force(found: Iterable[JudgeRow], named: Sequence[str] = ()) -> list[JudgeRow]:
    """One row a judge: the rules' present rubric, of others the newest; language models come before rules and people."""
    newest: dict[str, JudgeRow] = {}
    for row in found:
        if row.judge == JUDGE and row.rubric_hash != RUBRIC_HASH:
            continue
        if row.judge not in newest or row.last > newest[row.judge].last:
            newest[row.judge] = row
    place = {name: at for at, name in enumerate(named)}

    def order(row: JudgeRow) -> tuple[bool, bool, int, str]:
        at = min((n for name, n in place.items() if name and name in row.judge), default=len(place))
        return row.judge.startswith(HUMAN), row.judge == JUDGE, at, row.judge

    return sorted(newest.values(), key=order)


def mean(values: Iterable[float | None]) -> float | None:
    """The mean of what is known, None if nothing is."""
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def histogram(counts: Mapping[float | None, int], *, share: bool) -> dict[str, int]:
    """Scores of 1–5 by their whole number; shares of 0–1 in tenths, named by their lower end in percent; then missing."""
    names = [f"{10 * tenth}%" for tenth in range(11)] if share else [str(n) for n in range(1, 6)]
    bars = dict.fromkeys(names, 0)
    for value, n in counts.items():
        if value is not None:
            name = f"{10 * int(min(max(value, 0), 1) * 10 + 1e-9)}%" if share else str(min(max(round(value), 1), 5))
            bars[name] += n
    missing = counts.get(None, 0)
    return bars | ({"missing": missing} if missing else {})


def rubric_by_judge(rec: Record, comparison_id: str) -> dict[str, str]:
    """Judge → hash of its rubric in force; verdicts under another one count in no figure."""
    return {row.judge: row.rubric_hash for row in rubrics_in_force(judges(rec, comparison_id))}

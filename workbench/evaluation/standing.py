"""What a comparison's figures can carry beyond the single tests: reliability over repetitions, failures paired by
scenario, a ranking of all agents, and training seeds, whose spread a single run hides."""

from __future__ import annotations

import json
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from workbench.evaluation import statistics
from workbench.evaluation.assess import MEASURES
from workbench.evaluation.rules import FAILURE_AT_MOST
from workbench.evaluation.tables import MEASURED, Tables
from workbench.store.record import Record
from workbench.store.rows import RunRow, ScoreRow
from workbench.store.verdicts import scores

TASK = "task_success"


def standing(
    rec: Record, comparison_id: str, order: Sequence[str], tables: Tables, runs: Mapping[str, RunRow]
) -> dict[str, Any]:
    """The parts as plain JSON; one that there is nothing to say about is empty.

    `runs` maps a condition to the training run behind it. Success is a task success above 3 by the judge who stands for it.
    """
    judged = scores(rec, comparison_id, criterion=TASK, judge=tables.judge_on(TASK))
    reference = next((c for c in order if c.startswith("compiled")), order[0] if order else None)
    others = [c for c in order if c != reference] if reference else []
    return {
        "pass_k": reliability(judged, order),
        "failures": [failures(tables, str(reference), other) for other in others],
        "ranking": ranking(tables, order, reference),
        "seeds": {name: seeds(tables, group, order) for name, group in seed_groups(runs).items()},
    }


def reliability(judged: Iterable[ScoreRow], order: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """Condition → k → pass^k, for k from 1 to the repetitions; {} without repetitions. Repeated judgements are averaged.

    `judged` comes by condition, scenario and repetition; two numbers a scenario are kept of it.
    """
    found: dict[str, tuple[array[int], array[int]]] = defaultdict(lambda: (array("I"), array("I")))
    most = 0
    for (condition, scenario), group in groupby(judged, lambda row: (row.condition, row.scenario_id)):
        if scenario:
            outcomes = [_passed([row.value for row in rep]) for _, rep in groupby(group, lambda row: row.rep)]
            succeeded, known = found[condition]
            succeeded.append(sum(o is True for o in outcomes))
            known.append(sum(o is not None for o in outcomes))
            most = max(most, len(outcomes))
    if most < 2:
        return {}
    return {
        condition: {str(k): statistics.pass_hat_of(zip(*found[condition], strict=True), k) for k in range(1, most + 1)}
        for condition in order
        if condition in found
    }


def failures(tables: Tables, reference: str, other: str) -> dict[str, Any]:
    """McNemar's test on success of two conditions on the same scenarios."""
    first, second = (tables.of(c, tables.judge_on(TASK), TASK) for c in (reference, other))
    shared = [s for s in first if s in second]
    a, b = (
        [None if (v := cells[s]) is None else float(v > FAILURE_AT_MOST) for s in shared] for cells in (first, second)
    )
    found = statistics.mcnemar(a, b)
    return {
        "agent": other,
        "against": reference,
        "n": found.n,
        "only_reference_succeeded": found.only_first,
        "only_other_succeeded": found.only_second,
        "missing": found.missing,
        "p_exact": found.p_exact,
    }


def ranking(tables: Tables, order: Sequence[str], reference: str | None) -> dict[str, Any]:
    """Bradley-Terry log-strengths against the reference, from task success scenario by scenario; a tie is half a win each.

    {} with fewer than three agents, where the paired tests say it all.
    """
    if reference is None or len(order) < 3:
        return {}
    wins: dict[tuple[str, str], float] = defaultdict(float)
    for i, one in enumerate(order):
        for two in order[i + 1 :]:
            first, second = (tables.of(c, tables.judge_on(TASK), TASK) for c in (one, two))
            for scenario, a in first.items():
                if a is not None and (b := second.get(scenario)) is not None:
                    wins[one, two] += 1.0 if a > b else 0.5 if a == b else 0.0
                    wins[two, one] += 1.0 if b > a else 0.5 if a == b else 0.0
    if not wins:
        return {}
    found = statistics.bradley_terry(wins, reference)
    return {c: {"log_strength": s.log_strength, "low": s.low, "high": s.high} for c, s in found.items()}


def seed_groups(runs: Mapping[str, RunRow]) -> dict[str, list[str]]:
    """Runs of one recipe on one data set that differ in the seed alone: name → conditions; singles are left out."""
    groups: dict[str, list[str]] = defaultdict(list)
    for condition, run in runs.items():
        recipe = {k: v for k, v in run.recipe.items() if k != "seed"}
        groups[json.dumps([run.dataset_id, recipe], sort_keys=True, default=str)].append(condition)
    found = [group for group in groups.values() if len(group) > 1]
    return {f"{len(group)} seeds" + (f" ({n})" if len(found) > 1 else ""): group for n, group in enumerate(found, 1)}


def seeds(tables: Tables, group: Sequence[str], order: Sequence[str]) -> dict[str, Any]:
    """Figures of the recipe itself, scenarios and seeds both drawn anew: means, and differences to every other agent."""
    wanted = [*((MEASURED, name) for name in MEASURES), *((judge, name) for name, judge in tables.headline.items())]
    means: dict[str, Any] = {}
    gaps: dict[str, dict[str, Any]] = defaultdict(dict)
    for judge, name in wanted:
        columns = [tables.of(c, judge, name) for c in group]
        scenarios = sorted({s for column in columns for s in column})
        if not any(column.get(s) is not None for column in columns for s in scenarios):
            continue
        means[name] = _two_way([[column.get(s) for column in columns] for s in scenarios])
        for other in (c for c in order if c not in group):
            rival = tables.of(other, judge, name)
            rows = [
                [None if (a := column.get(s)) is None or (b := rival[s]) is None else a - b for column in columns]
                for s in scenarios
                if s in rival
            ]
            if any(v is not None for row in rows for v in row):
                gaps[other][name] = _two_way(rows)
    return {"conditions": list(group), "means": means, "differences": dict(gaps)}


def _two_way(rows: Sequence[Sequence[float | None]]) -> dict[str, Any]:
    found = statistics.two_way_bootstrap(rows)
    return {"mean": found.estimate, "low": found.low, "high": found.high, "n": found.n, "missing": found.missing}


def _passed(values: Sequence[float | None]) -> bool | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) > FAILURE_AT_MOST if known else None

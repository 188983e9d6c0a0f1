"""Reliability over repetitions, failures paired by scenario, the ranking of agents, and training seeds."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from workbench.evaluation import statistics
from workbench.evaluation.sections import carried
from workbench.evaluation.standing import failures, ranking, reliability, seed_groups, seeds
from workbench.evaluation.tables import MEASURED, Tables
from workbench.store.rows import JudgeRow, RunRow, ScoreRow

JUDGES = (JudgeRow("rules", "r", 1, 0, 1),)


def tables(cells: Mapping[tuple[str, str, str], Mapping[str, float | None]]) -> Tables:
    return Tables(cells, {}, JUDGES)


def score(condition: str, scenario: str, rep: int, value: float | None) -> ScoreRow:
    return ScoreRow(f"{condition}{scenario}{rep}", condition, condition, scenario, rep, "rules", "task_success", value)


def test_pass_k_over_repetitions() -> None:
    rows = [score("compiled", "x", rep, v) for rep, v in enumerate((5.0, 5.0, 2.0, 5.0))]
    rows += [score("compiled", "y", rep, v) for rep, v in enumerate((5.0, 4.0, None, 5.0))]
    found = reliability(rows, ["compiled", "oracle"])
    assert found["compiled"]["1"] == pytest.approx((3 / 4 + 1) / 2)
    assert found["compiled"]["2"] == pytest.approx((3 / 6 + 1) / 2)
    assert found["compiled"]["4"] == 0.0  # only x was held four times, and failed once
    assert reliability(rows[:1], ["compiled"]) == {}


def test_failures_are_paired_by_scenario() -> None:
    first = {"a": 5.0, "b": 5.0, "c": 2.0, "d": None, "e": 5.0}
    second = {"a": 2.0, "b": 3.0, "c": 2.0, "d": 5.0}
    found = failures(
        tables({("compiled", "rules", "task_success"): first, ("x", "rules", "task_success"): second}), "compiled", "x"
    )
    assert (found["n"], found["only_reference_succeeded"], found["only_other_succeeded"]) == (3, 2, 0)
    assert found["missing"] == 1
    assert found["p_exact"] == 0.5


def test_success_is_what_the_judge_who_stands_for_it_says() -> None:
    """The leading judge scores by a rubric of its own, without task success."""
    cells: dict[tuple[str, str, str], dict[str, float | None]] = {
        ("compiled", "kind", "warmth"): {"a": 1.0, "b": 1.0},
        ("compiled", "rules", "task_success"): {"a": 5.0, "b": 5.0},
        ("x", "rules", "task_success"): {"a": 2.0, "b": 4.0},
        ("y", "rules", "task_success"): {"a": 5.0, "b": 2.0},
    }
    found = Tables(cells, {}, (JudgeRow("kind", "k", 1, 0, 1), *JUDGES))
    assert found.lead == "kind"
    assert failures(found, "compiled", "x")["only_reference_succeeded"] == 1
    assert ranking(found, ["compiled", "x", "y"], "compiled")


def test_ranking_follows_the_wins() -> None:
    cells = {
        ("compiled", "rules", "task_success"): {"a": 4.0, "b": 5.0, "c": 3.0, "d": 4.0},
        ("x", "rules", "task_success"): {"a": 3.0, "b": 5.0, "c": 4.0, "d": 2.0},
        ("y", "rules", "task_success"): {"a": 1.0, "b": 1.0, "c": 4.0, "d": 5.0},
    }
    found = ranking(tables(cells), ["compiled", "x", "y"], "compiled")
    assert found["compiled"]["log_strength"] == 0
    assert found["x"]["low"] < found["x"]["log_strength"] < 0 < found["x"]["high"]
    assert ranking(tables(cells), ["compiled", "x"], "compiled") == {}


def test_seeds_of_one_recipe_are_grouped_and_drawn_with_their_scenarios() -> None:
    runs = {
        f"compiled:{seed}": RunRow(str(seed), str(seed), None, "data", "w", {"lr": 1, "seed": seed})
        for seed in range(3)
    }
    runs["other"] = RunRow("o", "o", None, "data", "w", {"lr": 2, "seed": 0})
    ((name, group),) = seed_groups(runs).items()
    assert (name, group) == ("3 seeds", ["compiled:0", "compiled:1", "compiled:2"])
    rng = np.random.default_rng(1)
    shift = dict(zip(group, (-0.3, 0.0, 0.3), strict=True))
    names = [f"s{n}" for n in range(40)]
    cells: dict[tuple[str, str, str], dict[str, float | None]] = {
        (c, MEASURED, "fitness"): {s: float(0.5 + shift[c] + rng.normal(0, 0.02)) for s in names} for c in group
    }
    cells["oracle", MEASURED, "fitness"] = dict.fromkeys(names, 1.0)
    found = seeds(tables(cells), group, [*group, "oracle"])
    gap = found["differences"]["oracle"]["fitness"]
    assert gap["mean"] == pytest.approx(-0.5, abs=0.02)
    pooled = statistics.bootstrap_mean([v for c in group for v in cells[c, MEASURED, "fitness"].values()])
    assert pooled.low is not None
    assert pooled.high is not None
    assert gap["high"] - gap["low"] > 3 * (pooled.high - pooled.low)  # the seeds' own spread is in it
    assert set(found["means"]) == {"fitness"}


def test_the_section_says_all_of_it_in_words() -> None:
    test = {"agent": "x", "judge": "rules", "criterion": "task_success", "next_n": 1234}
    test["equivalence"] = {"margin": 0.25, "p": 0.01, "low": -0.1, "high": 0.2}
    seeds_found = {
        "conditions": ["a", "b"],
        "means": {"fitness": {"mean": 0.5, "low": None, "high": None}},
        "differences": {},
    }
    standing = {
        "pass_k": {"compiled": {"1": 0.9, "2": None}},
        "failures": [{"agent": "x", "against": "compiled", "n": 9, "only_reference_succeeded": 3,
                      "only_other_succeeded": 1, "missing": 0, "p_exact": 0.625}],
        "ranking": {"compiled": {"log_strength": 0.0, "low": None, "high": None},
                    "x": {"log_strength": -0.5, "low": -1.0, "high": 0.0}, "y": {"log_strength": None, "low": None, "high": None}},
        "seeds": {"2 seeds": seeds_found},
    }  # fmt: skip
    said = "\n".join(" | ".join(row) for row in carried({"comparison": {"tests": [test]}, "standing": standing}).rows)
    for words in ("equal within ±0.25 | yes", "1,234 pairs", "k = 1: 0.90, k = 2: –", "3 and 1 of 9", "the reference"):
        assert words in said
    assert "-0.50 [-1.00, +0.00]" in said
    assert "not estimable" in said
    assert not carried({}).rows

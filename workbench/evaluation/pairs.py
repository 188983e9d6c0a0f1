"""Paired tests of every other agent against the compiled one: difference, interval, effect sizes, p after Holm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from workbench.evaluation import statistics
from workbench.evaluation.assess import MEASURES
from workbench.evaluation.rules import JUDGE
from workbench.evaluation.tables import MEASURED, Tables

LEAST_TESTED = 13
"""Pairs of scenarios below which intervals are given and no test."""
ALPHA = 0.05
SCORE_MARGIN, SHARE_MARGIN = 0.25, 0.05
"""Differences that count as none, for the test of equivalence: a quarter of a score point, five points of a hundred."""
POWER = 0.8
LARGEST_PLAN = 20_000
"""An n beyond this is not worth stating."""


def compare(comparison_id: str, order: Sequence[str], tables: Tables, hidden: frozenset[str]) -> dict[str, Any]:
    """Tests of every other agent against the compiled one (or the first), a family for each pair.

    The family of the leading judge holds its criteria and the measures; every other judge has one of its own.
    """
    reference = next((c for c in order if c.startswith("compiled")), order[0] if order else None)
    others = [c for c in order if c != reference] if reference is not None else []
    families = {
        judge.judge: [
            *([(MEASURED, name) for name in MEASURES if name not in hidden] if judge.judge == tables.lead else []),
            *(
                (judge.judge, name)
                for name in tables.criteria(judge.judge)
                if judge.judge != JUDGE or name not in hidden
            ),
        ]
        for judge in tables.judges
    }
    tests = [
        test
        for family in families.values()
        for other in others
        for test in tested_family(reference or "", other, tables, family)
    ]
    return {
        "id": comparison_id,
        "against": reference,
        "family": [name for _, name in families.get(tables.lead, [])],
        "correction": "Holm, over the family of each pair (the measures and the leading judge's criteria; every other "
        "judge's criteria are a family of their own); p-values that cannot be had are not counted",
        "pairing": "same scenarios; repetitions averaged",
        "alpha": ALPHA,
        "tests": tests,
    }


def tested_family(
    reference: str, other: str, tables: Tables, family: Sequence[tuple[str, str]]
) -> list[dict[str, Any]]:
    """A test of each (judge, criterion) on the scenarios that both conditions have, corrected together."""
    rows: list[dict[str, Any]] = []
    for judge, name in family:
        first, second = tables.of(reference, judge, name), tables.of(other, judge, name)
        shared = [s for s in first if s in second and first[s] is not None and second[s] is not None]
        if shared:
            found = _test(name, [first[s] for s in shared], [second[s] for s in shared])
            rows.append({"criterion": name, "judge": judge, "agent": other, "against": reference} | found)
    adjusted = statistics.holm({row["criterion"]: row["p"] for row in rows})
    for row in rows:
        row["p_holm"] = p = adjusted[row["criterion"]]
        row["significant"] = None if p is None else p < ALPHA
    return rows


def _test(name: str, a: list[float | None], b: list[float | None]) -> dict[str, Any]:
    """One criterion of one pair: difference (reference − other), interval, effect sizes, and a test if n allows it."""
    effect = statistics.effects(a, b)
    gap = statistics.bootstrap_mean([x - y for x, y in zip(a, b, strict=True) if x is not None and y is not None])
    ranks = statistics.wilcoxon(a, b)
    binary = name == "right_terminal" and set(a) | set(b) <= {0.0, 1.0}
    tested = len(a) >= LEAST_TESTED
    p = statistics.mcnemar(a, b).p_exact if binary else ranks.p
    return {
        "n": len(a),
        "difference": gap.estimate,
        "interval": None if gap.low is None else [gap.low, gap.high],
        "bca": gap.bca,
        "test": ("McNemar, exact" if binary else "Wilcoxon signed-rank, asymptotic, no continuity") if tested else None,
        "p": p if tested else None,
        "p_pratt": ranks.p_pratt if tested and not binary else None,
        "plus": ranks.plus,
        "minus": ranks.minus,
        "zero": ranks.zero,
        "p_exact": ranks.p_exact if not binary else None,
        "d_pooled": effect.d_pooled,
        "d_z": effect.d_z,
        "d_av": effect.d_av,
        "rank_biserial": effect.rank_biserial,
        "cliffs_delta": effect.cliffs_delta,
        "smallest_d_z": statistics.smallest_effect(len(a)),
        "next_n": next_n(effect.d_z),
        "equivalence": _equivalence(name, a, b) if tested else None,
    }


def next_n(d_z: float | None) -> int | None:
    """Pairs that find an effect of this size with 80% power at the next run; None without one, or beyond 20,000."""
    if d_z is None or (statistics.paired_power(d_z, LARGEST_PLAN) or 0.0) < POWER:
        return None
    return statistics.sample_size(d_z, power=POWER)


def _equivalence(name: str, a: list[float | None], b: list[float | None]) -> dict[str, float | None]:
    """TOST within the margin of scores or of shares."""
    found = statistics.equivalence(a, b, SHARE_MARGIN if name in MEASURES else SCORE_MARGIN)
    return {"margin": found.margin, "p": found.p, "low": found.low, "high": found.high}

"""Effect sizes, each under its own name: the several things called "Cohen's d" differ widely on paired data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.evaluation.statistics.data import Array, Values, paired, present


@dataclass(frozen=True, slots=True)
class Effects:
    """Paired effect sizes of first − second. A d is 0 for equal means without variance, None for unequal ones
    (infinite)."""

    n: int
    missing: int
    mean_difference: float | None
    d_pooled: float | None
    """Mean difference ÷ root mean of both variances (the paper's)."""
    d_z: float | None
    """Mean difference ÷ standard deviation of the differences."""
    d_av: float | None
    """Mean difference ÷ mean of both standard deviations."""
    rank_biserial: float | None
    cliffs_delta: float | None


def effects(first: Values, second: Values) -> Effects:
    """All effect sizes of paired samples. Standard deviations use n − 1, so n < 2 has no d."""
    a, b, missing = paired(first, second)
    n = len(a)
    if n == 0:
        return Effects(0, missing, None, None, None, None, None, None)
    d = np.round(a - b, 12)
    mean = float(d.mean())
    scales: tuple[float | None, float | None, float | None] = (None, None, None)
    if n > 1:
        sd_a, sd_b = float(a.std(ddof=1)), float(b.std(ddof=1))
        scales = (float(np.sqrt((sd_a**2 + sd_b**2) / 2)), float(d.std(ddof=1)), (sd_a + sd_b) / 2)
    pooled, z, av = (_standardised(mean, scale) for scale in scales)
    return Effects(n, missing, mean, pooled, z, av, _rank_biserial(d), _cliff(a, b))


def rank_biserial(first: Values, second: Values) -> float | None:
    """Matched-pairs rank-biserial correlation (Kerby 2014): (favourable − unfavourable rank sum) ÷ total, zeros
    dropped."""
    a, b, _ = paired(first, second)
    return _rank_biserial(np.round(a - b, 12))


def cliffs_delta(first: Values, second: Values) -> float | None:
    """P(first > second) − P(first < second) over all cross pairs of two independent samples."""
    return _cliff(present(first)[0], present(second)[0])


def _standardised(mean: float, scale: float | None) -> float | None:
    if scale is None:
        return None
    if scale < 1e-12:
        return 0.0 if abs(mean) < 1e-12 else None
    return mean / scale


def _rank_biserial(d: Array) -> float | None:
    if len(d) == 0:
        return None
    d = d[d != 0]
    if len(d) == 0:
        return 0.0
    from scipy import stats

    ranks = stats.rankdata(np.abs(d))
    return float((ranks * np.sign(d)).sum() / ranks.sum())


def _cliff(a: Array, b: Array) -> float | None:
    if len(a) == 0 or len(b) == 0:
        return None
    order = np.sort(b)
    below = np.searchsorted(order, a, side="left")
    above = len(b) - np.searchsorted(order, a, side="right")
    return float((below - above).sum() / (len(a) * len(b)))

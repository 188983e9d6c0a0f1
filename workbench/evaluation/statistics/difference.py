"""Tests of difference: paired by scenario (signed rank, permutation, McNemar), independent (rank sum), Holm over a
family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from workbench.evaluation.statistics.data import Array, Values, paired, present

EXACT_LIMIT = 16
"""Up to this many non-zero differences all 2ⁿ sign patterns are enumerated."""


@dataclass(frozen=True, slots=True)
class SignedRank:
    """Wilcoxon signed-rank, two-sided. `p` drops zeros (Wilcoxon's rule), `p_pratt` ranks them; both are asymptotic
    with the tie correction, since scipy's exact method is wrong with ties. `p_exact` enumerates or samples sign
    patterns (n small)."""

    n: int
    plus: int
    minus: int
    zero: int
    missing: int
    statistic: float | None
    p: float | None
    p_pratt: float | None
    p_exact: float | None
    continuity: bool

    @property
    def no_difference(self) -> bool:
        """Every pair is a tie: p is 1 by definition."""
        return self.n > 0 and self.zero == self.n


@dataclass(frozen=True, slots=True)
class RankSum:
    """Mann-Whitney U of the first sample, two-sided, asymptotic with tie correction; for independent samples only."""

    n: tuple[int, int]
    missing: int
    statistic: float | None
    p: float | None
    continuity: bool


@dataclass(frozen=True, slots=True)
class McNemar:
    """Paired success: pairs where only the first, only the second succeeded; exact binomial and chi-square p."""

    n: int
    only_first: int
    only_second: int
    missing: int
    p_exact: float | None
    p_chi2: float | None


def wilcoxon(first: Values, second: Values, *, continuity: bool = False, exact_up_to: int = 25) -> SignedRank:
    """Signed-rank test of first − second. `continuity=True` is R's default, False is scipy's.

    `statistic` is V, the sum of the positive ranks with zeros dropped. n = 0 gives p None; all differences zero gives
    p = 1.
    """
    a, b, missing = paired(first, second)
    d = _differences(a, b)
    plus, minus, zero = int((d > 0).sum()), int((d < 0).sum()), int((d == 0).sum())
    result = partial(SignedRank, len(d), plus, minus, zero, missing, continuity=continuity)
    if len(d) == 0:
        return result(statistic=None, p=None, p_pratt=None, p_exact=None)
    if plus + minus == 0:
        return result(statistic=0.0, p=1.0, p_pratt=1.0, p_exact=1.0)
    from scipy import stats

    def asymptotic(rule: Literal["wilcox", "pratt"]) -> float:
        # the stubs know this method's name in one overload only
        found = stats.wilcoxon(d, zero_method=rule, correction=continuity, method="asymptotic")  # type: ignore[call-overload]
        return min(1.0, float(found.pvalue))

    nonzero = d[d != 0]
    ranks = stats.rankdata(np.abs(nonzero))
    exact = _sign_flips(np.sign(nonzero) * ranks, seed=0) if len(nonzero) <= exact_up_to else None
    statistic = float(ranks[nonzero > 0].sum())
    return result(statistic=statistic, p=asymptotic("wilcox"), p_pratt=asymptotic("pratt"), p_exact=exact)


def permutation(first: Values, second: Values, *, seed: int = 0, resamples: int = 20_000) -> float | None:
    """Two-sided sign-flip permutation test of the mean paired difference: exact up to 16 pairs, sampled beyond."""
    a, b, _ = paired(first, second)
    d = _differences(a, b)
    if len(d) == 0:
        return None
    nonzero = d[d != 0]
    return 1.0 if len(nonzero) == 0 else _sign_flips(nonzero, seed, resamples)


def mann_whitney(first: Values, second: Values, *, continuity: bool = True) -> RankSum:
    """Rank-sum test for independent samples. An empty sample gives p None; all values equal gives p = 1."""
    a, missing_a = present(first)
    b, missing_b = present(second)
    sizes, missing = (len(a), len(b)), missing_a + missing_b
    if min(sizes) == 0:
        return RankSum(sizes, missing, None, None, continuity)
    if np.ptp(np.concatenate([a, b])) == 0:
        return RankSum(sizes, missing, len(a) * len(b) / 2, 1.0, continuity)
    from scipy import stats

    found = stats.mannwhitneyu(a, b, method="asymptotic", use_continuity=continuity)
    return RankSum(sizes, missing, float(found.statistic), min(1.0, float(found.pvalue)), continuity)


def mcnemar(first: Values, second: Values) -> McNemar:
    """McNemar's test on paired success (non-zero is success); chi-square with continuity correction, as in R."""
    a, b, missing = paired(first, second)
    if len(a) == 0:
        return McNemar(0, 0, 0, missing, None, None)
    only_first = int(((a != 0) & (b == 0)).sum())
    only_second = int(((a == 0) & (b != 0)).sum())
    discordant = only_first + only_second
    if discordant == 0:
        return McNemar(len(a), 0, 0, missing, 1.0, 1.0)
    from scipy import stats

    exact = float(stats.binomtest(only_first, discordant).pvalue)
    chi2 = max(0.0, abs(only_first - only_second) - 1) ** 2 / discordant
    return McNemar(len(a), only_first, only_second, missing, exact, float(stats.chi2.sf(chi2, 1)))


def holm(p_values: Mapping[str, float | None]) -> dict[str, float | None]:
    """Holm's step-down adjusted p-values over a named family. A missing p-value stays None and is not counted in m."""
    known = sorted((p, name) for name, p in p_values.items() if p is not None and not np.isnan(p))
    adjusted: dict[str, float | None] = dict.fromkeys(p_values)
    running = 0.0
    for rank, (p, name) in enumerate(known):
        running = max(running, min(1.0, (len(known) - rank) * p))
        adjusted[name] = running
    return adjusted


def _differences(a: Array, b: Array) -> Array:
    """a − b with rounding noise removed, so that 0.3 − 0.1 and 0.2 tie as they should."""
    return np.round(a - b, 12)


def _sign_flips(values: Array, seed: int, resamples: int = 20_000) -> float:
    """P(|sum of randomly signed values| ≥ |observed sum|): all patterns up to EXACT_LIMIT values, else sampled (+1
    rule)."""
    observed = abs(values.sum()) - 1e-9
    size = np.abs(values)
    if len(values) <= EXACT_LIMIT:
        patterns = np.arange(2 ** len(values))[:, None] >> np.arange(len(values)) & 1
        return float((np.abs((2 * patterns - 1) @ size) >= observed).mean())
    signs = np.random.default_rng(seed).integers(0, 2, (resamples, len(values)), dtype=np.int8) * 2 - 1
    return float(((np.abs(signs @ size) >= observed).sum() + 1) / (resamples + 1))

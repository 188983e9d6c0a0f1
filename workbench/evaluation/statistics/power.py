"""What a run can show: equivalence against a margin, power, the smallest effect it can detect, the n for the next
one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workbench.evaluation.statistics.data import Values, paired


@dataclass(frozen=True, slots=True)
class Equivalence:
    """Two one-sided tests against ±margin; `p` is the larger one. The (1 − 2 alpha) interval lies within the margin
    iff p < alpha."""

    n: int
    margin: float
    p: float | None
    low: float | None
    high: float | None


def equivalence(first: Values, second: Values, margin: float, *, alpha: float = 0.05) -> Equivalence:
    """Paired TOST by Student's t: is the mean difference within ±margin (in score points, > 0)? n < 2 has no answer."""
    if margin <= 0:
        raise ValueError("the margin must be positive")
    a, b, _ = paired(first, second)
    n = len(a)
    if n < 2:
        return Equivalence(n, margin, None, None, None)
    from scipy import stats

    d = np.round(a - b, 12)
    mean, error = float(d.mean()), float(d.std(ddof=1) / np.sqrt(n))
    if error == 0:
        return Equivalence(n, margin, 0.0 if abs(mean) < margin else 1.0, mean, mean)
    p_low = float(stats.t.sf((mean + margin) / error, n - 1))
    p_high = float(stats.t.cdf((mean - margin) / error, n - 1))
    reach = float(stats.t.ppf(1 - alpha, n - 1)) * error
    return Equivalence(n, margin, max(p_low, p_high), mean - reach, mean + reach)


def paired_power(d_z: float, n: int, *, alpha: float = 0.05) -> float | None:
    """Power of a two-sided paired t-test for a true d_z with n pairs (noncentral t). None for n < 2."""
    if n < 2:
        return None
    from scipy import stats

    critical = stats.t.ppf(1 - alpha / 2, n - 1)
    shift = abs(d_z) * np.sqrt(n)
    power = float(stats.nct.sf(critical, n - 1, shift) + stats.nct.cdf(-critical, n - 1, shift))
    return 1.0 if np.isnan(power) else power  # scipy's nct gives NaN at some points far out, where the power is 1


def smallest_effect(n: int, *, power: float = 0.8, alpha: float = 0.05) -> float | None:
    """The smallest d_z that n pairs detect with this power. None for n < 2."""
    if n < 2:
        return None
    from scipy import optimize

    def short(d_z: float) -> float:
        return (paired_power(d_z, n, alpha=alpha) or 0.0) - power

    high = 0.125
    while short(high) < 0:
        high *= 2
    return float(optimize.brentq(short, high / 2 if high > 0.125 else 0.0, high))


def sample_size(d_z: float, *, power: float = 0.8, alpha: float = 0.05) -> int:
    """Pairs needed to detect d_z with this power. ValueError for d_z = 0 (no n suffices)."""
    if d_z == 0:
        raise ValueError("no number of pairs detects an effect of zero")
    low, high = 2, 4
    while (paired_power(d_z, high, alpha=alpha) or 0.0) < power:
        low, high = high, high * 2
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if (paired_power(d_z, middle, alpha=alpha) or 0.0) >= power else (middle + 1, high)
    return low

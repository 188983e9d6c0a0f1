"""Agreement between judges, and of judges with humans."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from workbench.evaluation.statistics.data import Array, Values, array, paired
from workbench.evaluation.statistics.intervals import LARGE, drawn_counts

Counts = NDArray[np.int64]

Level = Literal["nominal", "ordinal", "interval"]
_RESAMPLES = 2000


def krippendorff_alpha(ratings: Sequence[Values], level: Level = "ordinal") -> float | None:
    """Krippendorff's α of a raters × units table with gaps (Krippendorff 2011, coincidence matrix).

    None without a unit that two raters rated; 1.0 if all ratings are equal (no disagreement to explain: read it with
    n).
    """
    values, units, times = _coincidences(ratings)
    return _only(_alpha(_summed(units, times), values, level))


def alpha_interval(
    ratings: Sequence[Values], level: Level = "ordinal", *, seed: int = 0, resamples: int = _RESAMPLES
) -> tuple[float | None, tuple[float, float] | None]:
    """Krippendorff's α and its 95% percentile interval, by drawing units anew; no interval with fewer than two units."""
    values, units, times = _coincidences(ratings)
    estimate = _only(_alpha(_summed(units, times), values, level))
    return estimate, _interval(units, times, lambda tables: _alpha(tables, values, level), seed, resamples)


def _coincidences(ratings: Sequence[Values]) -> tuple[Array, Array, Counts]:
    """The values that occur; of the units rated twice a coincidence matrix each (units × values × values), and how many
    there are of each (see `_alike`)."""
    table = np.array([array(row) for row in ratings], dtype=np.float64).reshape(len(ratings), -1 if ratings else 0)
    values = np.unique(table[~np.isnan(table)])
    k = len(values)
    table, times = _alike(table[:, (~np.isnan(table)).sum(axis=0) >= 2], values)
    counts = (table[:, :, None] == values).sum(axis=0).astype(np.float64)
    pairs = counts[:, :, None] * counts[:, None, :]
    pairs[:, np.arange(k), np.arange(k)] -= counts
    return values, pairs / (counts.sum(axis=1) - 1)[:, None, None], times


def _alike(table: Array, values: Array) -> tuple[Array, Counts]:
    """Of more units (columns) than `LARGE` those that differ, and how many there are of each; of fewer every one."""
    if table.shape[1] <= LARGE:
        return table, np.ones(table.shape[1], dtype=np.int64)
    codes = np.where(np.isnan(table), -1, np.searchsorted(values, table)).astype(np.int16)
    found, times = np.unique(codes, axis=1, return_counts=True)
    return np.where(found < 0, np.nan, values[found]), times


def _summed(units: Array, times: Counts) -> Array:
    """The units' tables added up, as a stack of one."""
    total: Array = (units * times[:, None, None]).sum(axis=0)
    return total[None]


def _alpha(coincidence: Array, values: Array, level: Level) -> Array:
    """α of each of a stack of coincidence matrices; NaN where nothing was rated twice."""
    margin = coincidence.sum(axis=2)
    total = margin.sum(axis=1)
    distance = _distance(values, margin, level)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = (margin[:, :, None] * margin[:, None, :] * distance).sum(axis=(1, 2)) / (total - 1)
        found = 1.0 - (coincidence * distance).sum(axis=(1, 2)) / expected
    return np.where(total == 0, np.nan, np.where(expected == 0, 1.0, found))


def weighted_kappa(
    first: Values, second: Values, weights: Literal["none", "linear", "quadratic"] = "quadratic"
) -> float | None:
    """Cohen's kappa of two raters; weights by the distance of the values' ranks. None without pairs or without
    variation."""
    units, times = _crossed(first, second)
    return _only(_kappa(_summed(units, times), weights)) if len(units) else None


def kappa_interval(
    first: Values,
    second: Values,
    weights: Literal["none", "linear", "quadratic"] = "quadratic",
    *,
    seed: int = 0,
    resamples: int = _RESAMPLES,
) -> tuple[float | None, tuple[float, float] | None]:
    """Weighted kappa and its 95% percentile interval, by drawing units anew (draws without variation are left out)."""
    units, times = _crossed(first, second)
    if not len(units):
        return None, None
    estimate = _only(_kappa(_summed(units, times), weights))
    if estimate is None:
        return None, None
    return estimate, _interval(units, times, lambda tables: _kappa(tables, weights), seed, resamples)


def _crossed(first: Values, second: Values) -> tuple[Array, Counts]:
    """A table of both raters' values (units × values × values) with a single 1 for every complete pair, and how many
    there are of each (see `_alike`)."""
    a, b, _ = paired(first, second)
    values = np.unique(np.concatenate([a, b]))
    (a, b), times = _alike(np.stack([a, b]), values)
    table = np.zeros((len(a), len(values), len(values)))
    table[np.arange(len(a)), np.searchsorted(values, a), np.searchsorted(values, b)] = 1.0
    return table, times


def _kappa(tables: Array, weights: Literal["none", "linear", "quadratic"]) -> Array:
    """Kappa of each of a stack of contingency tables; NaN where it is undefined."""
    k = tables.shape[1]
    steps = np.abs(np.subtract.outer(np.arange(k), np.arange(k))).astype(float)
    cost = {"none": (steps > 0).astype(float), "linear": steps, "quadratic": steps**2}[weights]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = tables / tables.sum(axis=(1, 2), keepdims=True)
        expected = (shares.sum(axis=2)[:, :, None] * shares.sum(axis=1)[:, None, :] * cost).sum(axis=(1, 2))
        return np.where(expected == 0, np.nan, 1.0 - (shares * cost).sum(axis=(1, 2)) / expected)


def _interval(
    units: Array, times: Counts, statistic: Callable[[Array], Array], seed: int, resamples: int
) -> tuple[float, float] | None:
    """95% percentile interval of a statistic of the units' summed tables; None with fewer than two units."""
    if times.sum() < 2:
        return None
    drawn = np.concatenate([statistic(tables) for tables in _resampled(units, times, seed, resamples)])
    drawn = drawn[~np.isnan(drawn)]
    if not len(drawn):
        return None
    low, high = (float(v) for v in np.quantile(drawn, [0.025, 0.975]))
    return low, high


def _resampled(units: Array, times: Counts, seed: int, resamples: int) -> Iterator[Array]:
    """Sums of the units' tables when the units are drawn anew, in blocks."""
    n, k = int(times.sum()), units.shape[1]
    rng, flat, chances = np.random.default_rng(seed), units.reshape(len(units), -1), np.full(n, 1 / n)
    if n > LARGE:  # equal units are drawn as one: the same distribution, in a fraction of the time
        flat, one = np.unique(flat, axis=0, return_inverse=True)
        chances = np.bincount(one.reshape(-1), weights=times) / n
    for weights in drawn_counts(rng, n, chances, resamples):
        yield (weights @ flat).reshape(-1, k, k)


def _only(found: Array) -> float | None:
    return None if np.isnan(found[0]) else float(found[0])


def _distance(values: Array, margin: Array, level: Level) -> Array:
    """Squared distances of the values for each of a stack of margins."""
    if level == "nominal":
        return np.broadcast_to(1.0 - np.eye(len(values)), (len(margin), len(values), len(values)))
    if level == "interval":
        squared: Array = np.subtract.outer(values, values) ** 2
        return np.broadcast_to(squared, (len(margin), len(values), len(values)))
    position = np.cumsum(margin, axis=1) - margin / 2
    distance: Array = (position[:, :, None] - position[:, None, :]) ** 2
    return distance

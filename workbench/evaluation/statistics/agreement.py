"""Agreement between judges, and of judges with humans."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from workbench.evaluation.statistics.data import Array, Values, array, paired

Level = Literal["nominal", "ordinal", "interval"]


def krippendorff_alpha(ratings: Sequence[Values], level: Level = "ordinal") -> float | None:
    """Krippendorff's α of a raters × units table with gaps (Krippendorff 2011, coincidence matrix).

    None without a unit that two raters rated; 1.0 if all ratings are equal (no disagreement to explain: read it with
    n).
    """
    table = np.array([array(row) for row in ratings], dtype=np.float64)
    if table.size == 0 or len(table) < 2:
        return None
    values = np.unique(table[~np.isnan(table)])
    coincidence = np.zeros((len(values), len(values)))
    for unit in table.T:
        rated = np.searchsorted(values, unit[~np.isnan(unit)])
        if len(rated) < 2:
            continue
        counts = np.bincount(rated, minlength=len(values)).astype(float)
        coincidence += (np.outer(counts, counts) - np.diag(counts)) / (len(rated) - 1)
    margin = coincidence.sum(axis=1)
    total = margin.sum()
    if total == 0:
        return None
    distance = _distance(values, margin, level)
    expected = float((np.outer(margin, margin) * distance).sum() / (total - 1))
    return 1.0 if expected == 0 else 1.0 - float((coincidence * distance).sum()) / expected


def weighted_kappa(
    first: Values, second: Values, weights: Literal["none", "linear", "quadratic"] = "quadratic"
) -> float | None:
    """Cohen's kappa of two raters; weights by the distance of the values' ranks. None without pairs or without
    variation."""
    a, b, _ = paired(first, second)
    if len(a) == 0:
        return None
    values = np.unique(np.concatenate([a, b]))
    k = len(values)
    table = np.zeros((k, k))
    np.add.at(table, (np.searchsorted(values, a), np.searchsorted(values, b)), 1 / len(a))
    steps = np.abs(np.subtract.outer(np.arange(k), np.arange(k))).astype(float)
    cost = {"none": (steps > 0).astype(float), "linear": steps, "quadratic": steps**2}[weights]
    expected = float((np.outer(table.sum(axis=1), table.sum(axis=0)) * cost).sum())
    return None if expected == 0 else 1.0 - float((table * cost).sum()) / expected


def _distance(values: Array, margin: Array, level: Level) -> Array:
    if level == "nominal":
        return 1.0 - np.eye(len(values))
    if level == "interval":
        return np.subtract.outer(values, values) ** 2
    position = np.cumsum(margin) - margin / 2
    return np.subtract.outer(position, position) ** 2

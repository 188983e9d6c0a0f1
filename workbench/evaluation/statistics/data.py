"""Turning what a caller has into clean arrays: missing values are dropped pairwise and counted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Values = Sequence[float | None] | Array


def array(values: Values) -> Array:
    """The values as floats; None becomes NaN."""
    if isinstance(values, np.ndarray):
        return values
    return np.array([np.nan if v is None else float(v) for v in values], dtype=np.float64)


def present(values: Values) -> tuple[Array, int]:
    """The values that are there, and how many are missing."""
    data = array(values)
    keep = ~np.isnan(data)
    return data[keep], int((~keep).sum())


def paired(first: Values, second: Values) -> tuple[Array, Array, int]:
    """Both sides of the complete pairs, and the number of incomplete ones. ValueError if the lengths differ."""
    a, b = array(first), array(second)
    if len(a) != len(b):
        raise ValueError(f"paired samples differ in length: {len(a)} and {len(b)}")
    keep = ~(np.isnan(a) | np.isnan(b))
    return a[keep], b[keep], int((~keep).sum())

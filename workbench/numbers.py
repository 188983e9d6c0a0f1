"""Numbers from files and services."""

from __future__ import annotations

import math


def finite(value: object) -> float | None:
    """A finite number as a float; None for anything else, and for a whole number that no float can hold."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None

"""How fast a count goes up, and how long it takes yet."""

from __future__ import annotations

import time
from typing import NamedTuple

EVERY = 0.25
"""Seconds between two figures of one stage: more often nobody reads them."""


class Far(NamedTuple):
    """How far: `rate` a second and seconds left, from what was seen in this process; None if that cannot be told."""

    done: float
    total: float | None
    unit: str
    rate: float | None
    eta_s: float | None


class Pace:
    """May be asked as often as one likes: answers at most four times a second, the first time and at the end always."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Another stage begins; another total or unit, or a count that goes back, begins one as well."""
        self._scope: tuple[object, ...] = ()
        self._begin = (0.0, 0.0)
        self._shown = 0.0

    def far(self, done: float, total: float | None, unit: str) -> Far | None:
        """How far the work is, None if that was said just now."""
        now = time.monotonic()
        scope = (total, unit)
        if scope != self._scope or done < self._begin[0]:
            self._scope, self._begin = scope, (done, now)
        elif now - self._shown < EVERY and done != total:
            return None
        self._shown = now
        gained, spent = done - self._begin[0], now - self._begin[1]
        rate = gained / spent if gained > 0 and spent > 0 else None
        eta = max(0.0, total - done) / rate if rate and total is not None else None
        if total is not None and done >= total:
            eta = 0.0
        return Far(done, total, unit, rate, eta)

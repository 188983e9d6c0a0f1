"""How far a long walk through rows is, said to whoever wants to hear it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
Told = Callable[[int, int], None]
"""Hears from time to time how much is done, and of how much."""
_OFTEN = 1000


def untold(done: int, total: int) -> None:
    """A `Told` that says nothing."""


def telling(rows: Iterable[T], told: Told, before: int, total: int) -> Iterator[T]:
    """The rows, while `told` hears how many of `total` there have been, `before` included."""
    for done, row in enumerate(rows, before):
        if done % _OFTEN == 0:
            told(done, max(total, done))
        yield row

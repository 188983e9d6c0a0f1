"""A set of hashes in little room: what tells a repeated scenario among a million."""

from __future__ import annotations

from array import array

_FIRST = 1 << 10


class Seen:
    """64-bit hashes (0 counts as 1), 12 to 24 bytes each; only added to. Open addressing; an empty place is 0."""

    def __init__(self) -> None:
        self._places = array("Q", bytes(8 * _FIRST))
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, number: int) -> bool:
        """Whether the hash is new."""
        number = number or 1
        if 3 * self._count >= 2 * len(self._places):
            before, self._places = self._places, array("Q", bytes(16 * len(self._places)))
            for known in filter(None, before):
                self._places[self._find(known)] = known
        at = self._find(number)
        new = not self._places[at]
        self._places[at] = number
        self._count += new
        return new

    def _find(self, number: int) -> int:
        """Where the hash is, or the empty place that is to be its own."""
        places, size = self._places, len(self._places)
        at = number % size
        while places[at] not in (0, number):
            at = (at + 1) % size
        return at

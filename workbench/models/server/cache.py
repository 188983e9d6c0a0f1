"""Keys and values of sequences, and the store that lets one request continue where an earlier one was."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

Tokens = npt.NDArray[np.int32]
_POSITIONS = 256
"""Rows grow by whole multiples of this."""


def common_prefix(a: Tokens, b: Tokens) -> int:
    """How many leading tokens `a` and `b` share."""
    n = min(len(a), len(b))
    differs = a[:n] != b[:n]
    first = int(differs.argmax()) if n else 0
    return first if n and differs[first] else n


@dataclass(frozen=True, slots=True)
class KVShape:
    """What one token's keys and values look like: layers × 2 × heads × dim in `dtype`.

    `groups` query heads share each of the `heads` key heads.
    """

    layers: int
    heads: int
    dim: int
    dtype: torch.dtype
    device: str = "cpu"
    groups: int = 1

    @property
    def token_bytes(self) -> int:
        """Bytes that one token of one sequence takes."""
        return self.layers * 2 * self.heads * self.dim * self.dtype.itemsize


class KVPool:
    """Keys and values of all running sequences, a row each: `data[layer, key or value, row, head, position, dim]`.

    One tensor, so that a step's new tokens of all sequences are written and attended to by one call a layer. It grows
    when it must, and `clear` gives it back.
    """

    def __init__(self, shape: KVShape) -> None:
        self.shape = shape
        self.data = self._room(0, 0)

    def _room(self, rows: int, capacity: int) -> torch.Tensor:
        s = self.shape
        # zeros: what a mask hides is multiplied by 0 all the same, and memory as it comes may hold NaN
        shape = (s.layers, 2, rows, s.heads, capacity, s.dim)
        if s.device != "cpu" or 0 in shape:
            return torch.zeros(shape, dtype=s.dtype, device=s.device)
        blank = np.zeros(math.prod(shape) * s.dtype.itemsize, dtype=np.uint8)  # pages are made as they are touched
        return torch.from_numpy(blank).view(s.dtype).view(shape)

    @property
    def rows(self) -> int:
        """Rows there is room for."""
        return self.data.shape[2]

    @property
    def capacity(self) -> int:
        """Positions of each row."""
        return self.data.shape[4]

    @property
    def bytes(self) -> int:
        """Memory taken."""
        return self.rows * self.capacity * self.shape.token_bytes

    def grown(self, rows: int, length: int) -> tuple[int, int]:
        """Rows and capacity after `reserve(rows, length)`."""
        capacity = self.capacity if length <= self.capacity else -(-length // _POSITIONS) * _POSITIONS
        return self.rows if rows <= self.rows else 1 << (rows - 1).bit_length(), capacity

    def reserve(self, rows: int, length: int, used: int) -> None:
        """Make room for `rows` sequences of `length` positions, keeping the first `used` positions of every row."""
        before, (rows, capacity) = self.data, self.grown(rows, length)
        if (rows, capacity) != (self.rows, self.capacity):
            self.data = self._room(rows, capacity)
            self.data[:, :, : before.shape[2], :, :used] = before[:, :, :, :, :used]

    def view(self, row: int) -> torch.Tensor:
        """A row as layers × 2 × heads × capacity × dim, sharing its memory (until the next growth)."""
        return self.data[:, :, row]

    def take(self, row: int, used: int) -> torch.Tensor:
        """A copy of the first `used` positions of a row."""
        return self.data[:, :, row, :, :used].clone(memory_format=torch.contiguous_format)

    def put(self, row: int, known: torch.Tensor, used: int) -> None:
        """Begin a row with the first `used` positions of `known` (as `view` or `take` give it)."""
        self.data[:, :, row, :, :used] = known[:, :, :, :used]

    def clear(self) -> None:
        """Give the memory back; nothing may be running."""
        self.data = self._room(0, 0)


@dataclass(frozen=True, slots=True)
class Prefix:
    """Tokens whose keys and values are known: the first positions of `kv` (layers × 2 × heads × positions × dim)."""

    tokens: Tokens
    kv: torch.Tensor


class PrefixStore:
    """Finished sequences by their tokens, the least recently used dropped when they exceed `limit_bytes`."""

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self._entries: OrderedDict[int, Prefix] = OrderedDict()
        self._next = 0
        self.bytes = 0
        self.evictions = 0

    def __len__(self) -> int:
        return len(self._entries)

    def best(self, tokens: Tokens, live: Iterable[Prefix] = ()) -> tuple[int, torch.Tensor | None]:
        """The longest prefix of `tokens` known here or in `live`, and where.

        Sharing half of either counts as use of an entry: a few common opening tokens do not keep it alive.
        """
        best, kv, key = 0, None, None
        for candidate, entry in self._entries.items():
            n = common_prefix(tokens, entry.tokens)
            if n > best:
                best, kv, key = n, entry.kv, candidate
        for entry in live:
            n = common_prefix(tokens, entry.tokens)
            if n > best:
                best, kv, key = n, entry.kv, None
        if key is not None and 2 * best >= min(len(tokens), len(self._entries[key].tokens)):
            self._entries.move_to_end(key)
        return best, kv

    def add(self, tokens: Tokens, token_bytes: int, kv: Callable[[], torch.Tensor]) -> None:
        """Keep what `kv` gives (asked only if it is wanted); entries that are prefixes of it say nothing new and go."""
        size = len(tokens) * token_bytes
        if not 0 < size <= self.limit_bytes:
            return
        for key, entry in list(self._entries.items()):
            shared = common_prefix(tokens, entry.tokens)
            if shared == len(tokens):
                self._entries.move_to_end(key)
                return
            if shared == len(entry.tokens):
                self._drop(key)
        while self.bytes + size > self.limit_bytes:  # before the copy is made, so that the limit holds all the time
            self._drop(next(iter(self._entries)))
            self.evictions += 1
        self._entries[self._next] = Prefix(tokens, kv())
        self._next += 1
        self.bytes += size

    def _drop(self, key: int) -> None:
        entry = self._entries.pop(key)
        self.bytes -= entry.kv.nbytes

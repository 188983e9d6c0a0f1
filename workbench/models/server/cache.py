"""Keys and values of sequences, and the store that lets one request continue where an earlier one was."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

Tokens = npt.NDArray[np.int32]


def common_prefix(a: Tokens, b: Tokens) -> int:
    """How many leading tokens `a` and `b` share."""
    n = min(len(a), len(b))
    differs = a[:n] != b[:n]
    first = int(differs.argmax()) if n else 0
    return first if n and differs[first] else n


@dataclass(frozen=True, slots=True)
class KVShape:
    """What one token's keys and values look like: layers × 2 × heads × dim in `dtype`."""

    layers: int
    heads: int
    dim: int
    dtype: torch.dtype
    device: str = "cpu"

    @property
    def token_bytes(self) -> int:
        """Bytes that one token of one sequence takes."""
        return self.layers * 2 * self.heads * self.dim * self.dtype.itemsize


class KV:
    """Keys and values of one sequence, `data[layer, key or value, head, position, dim]`, growing as it is written."""

    def __init__(self, shape: KVShape, capacity: int) -> None:
        self.shape = shape
        self.data = self._room(capacity)

    def _room(self, capacity: int) -> torch.Tensor:
        s = self.shape
        return torch.empty((s.layers, 2, s.heads, capacity, s.dim), dtype=s.dtype, device=s.device)

    @property
    def capacity(self) -> int:
        """Positions there is room for."""
        return self.data.shape[3]

    def reserve(self, length: int, used: int) -> None:
        """Make room for `length` positions, keeping the first `used`; doubles, so that appending stays cheap."""
        if length > self.capacity:
            grown = self._room(max(length, 2 * self.capacity))
            grown[:, :, :, :used] = self.data[:, :, :, :used]
            self.data = grown

    def fork(self, used: int, capacity: int) -> KV:
        """A copy of the first `used` positions with room for `capacity`."""
        other = KV(self.shape, max(capacity, used))
        other.data[:, :, :, :used] = self.data[:, :, :, :used]
        return other


@dataclass(frozen=True, slots=True)
class Prefix:
    """Tokens whose keys and values are known: all of `tokens`, in the first positions of `kv`."""

    tokens: Tokens
    kv: KV


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

    def best(self, tokens: Tokens, live: Iterable[Prefix] = ()) -> tuple[int, KV | None]:
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

    def add(self, tokens: Tokens, kv: KV) -> None:
        """Keep `kv` (trimmed to its tokens); entries that are prefixes of it say nothing new and are dropped."""
        if len(tokens) == 0:
            return
        for key, entry in list(self._entries.items()):
            shared = common_prefix(tokens, entry.tokens)
            if shared == len(tokens):
                self._entries.move_to_end(key)
                return
            if shared == len(entry.tokens):
                self._drop(key)
        size = len(tokens) * kv.shape.token_bytes
        if size > self.limit_bytes:
            return
        trimmed = kv if kv.capacity == len(tokens) else kv.fork(len(tokens), len(tokens))
        self._entries[self._next] = Prefix(tokens, trimmed)
        self._next += 1
        self.bytes += size
        while self.bytes > self.limit_bytes:
            self._drop(next(iter(self._entries)))
            self.evictions += 1

    def _drop(self, key: int) -> None:
        entry = self._entries.pop(key)
        self.bytes -= len(entry.tokens) * entry.kv.shape.token_bytes

"""Listing paths with the memory of one: from the table where there is one, else by walking, and by chance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from random import Random

from workbench.workflow.pathspace.table import Table
from workbench.workflow.pathspace.walks import State, Walks

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """A part of a space whose paths follow one another in lexicographic order: all, or those within bounds in edges."""

    table: Table
    bounds: tuple[int, int] | None = None

    def ways(self, state: int, depth: int) -> int:
        """The number of this layer's completions of a state that was reached by `depth` edges."""
        if self.bounds is None:
            return self.table.ways[state]
        return self.table.lengths.within(state, self.bounds[0] - depth, self.bounds[1] - depth)

    @property
    def count(self) -> int:
        """The number of paths in the layer."""
        return self.ways(-1, 0) if self.table.ways else 0

    def paths(self, rank: int = 0) -> Iterator[Path]:
        """The layer's paths from `rank` on, which must be below `count`."""
        table, names = self.table, self.table.walks.names
        path: list[str] = []
        stack: list[tuple[int, Iterator[tuple[int, int]]]] = []
        state = len(table.branches) - 1
        while table.branches[state]:
            depth, steps = len(path), iter(table.branches[state])
            for segment, after in steps:
                ways = self.ways(after, depth + len(names[segment]))
                if rank < ways:
                    path += names[segment]
                    state = after
                    break
                rank -= ways
            stack.append((depth, steps))
        yield tuple(path)
        yield from self._rest(stack, path)

    def _rest(self, stack: list[tuple[int, Iterator[tuple[int, int]]]], path: list[str]) -> Iterator[Path]:
        """The paths after `path`, whose states' untried segments are on the stack with their depths."""
        branches, names, free = self.table.branches, self.table.walks.names, self.bounds is None
        while stack:
            depth, steps = stack[-1]
            for segment, after in steps:
                if free or self.ways(after, depth + len(names[segment])):
                    path[depth:] = names[segment]
                    if branches[after]:
                        stack.append((len(path), iter(branches[after])))
                        break
                    yield tuple(path)
            else:
                stack.pop()

    def rank(self, path: Path) -> int | None:
        """The rank of a path in the layer; None if it is not in it."""
        names = self.table.walks.names
        state, rank, depth = len(self.table.branches) - 1, 0, 0
        if state < 0:
            return None
        while depth < len(path):
            for segment, after in self.table.branches[state]:
                end = depth + len(names[segment])
                if path[depth:end] == names[segment]:
                    state, depth = after, end
                    break
                rank += self.ways(after, end)
            else:
                return None
        return rank if not self.table.branches[state] and self.ways(state, depth) else None


class Effort:
    """How many more segments a search may take before it gives up; None is without end."""

    def __init__(self, segments: int | None = None) -> None:
        self.left = segments

    def spend(self) -> bool:
        """Takes one; False when there is none left."""
        if self.left is None:
            return True
        self.left -= 1
        return self.left >= 0


def walk(walks: Walks, low: int, high: int | None, effort: Effort) -> Iterator[Path]:
    """Paths of `low` to `high` edges in lexicographic order, without a table: all, unless the effort runs out."""
    first = walks.first()
    if first is None:
        return
    if walks.is_end(first):
        if not low:
            yield ()
        return
    away = _distances(walks)
    path: list[str] = []
    stack = [(0, iter(walks.next(first)))]
    while stack:
        depth, steps = stack[-1]
        for segment, after in steps:
            if not effort.spend():
                return
            if high is not None and depth + walks.lengths[segment] + away[after[0]] > high:
                continue
            path[depth:] = walks.names[segment]
            if walks.is_end(after):
                if len(path) >= low:
                    yield tuple(path)
            else:
                stack.append((len(path), iter(walks.next(after))))
                break
        else:
            stack.pop()


def wander(walks: Walks, random: Random, known: dict[State, int] | None = None) -> tuple[Path | None, int]:
    """A path by chance, each step drawn evenly, and the product of the numbers of steps that there were to choose from,
    whose mean over many draws estimates the number of paths (Knuth 1975). (None, 0) at a dead end.

    With `known`, stops at a state whose completions are counted and multiplies them in.
    """
    state, path, product = walks.first(), list[str](), 1
    while state is not None and not walks.is_end(state):
        if known is not None and state in known:
            return None, product * known[state]
        steps = walks.next(state)
        if not steps:
            return None, 0
        product *= len(steps)
        segment, state = random.choice(steps)
        path += walks.names[segment]
    return (None, 0) if state is None else (tuple(path), product)


def _distances(walks: Walks) -> list[int]:
    """The least number of edges from each node to an admitted terminal, visits left aside (Dijkstra)."""
    into: list[list[tuple[int, int]]] = [[] for _ in walks.out]
    for node, steps in enumerate(walks.out):
        for segment, target in steps:
            into[target].append((walks.lengths[segment], node))
    away = [sum(walks.lengths) + 1] * len(walks.out)
    heap = [(0, end) for end in walks.ends]
    while heap:
        distance, node = heappop(heap)
        if distance < away[node]:
            away[node] = distance
            for length, before in into[node]:
                heappush(heap, (distance + length, before))
    return away

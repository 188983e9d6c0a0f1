"""Listing paths with the memory of one: from the table where there is one, else by walking, and by chance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from workbench.workflow.pathspace.table import Table
from workbench.workflow.pathspace.walks import State, Walks

Edges = tuple[int, ...]


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

    def paths(self, rank: int = 0) -> Iterator[Edges]:
        """The layer's paths from `rank` on, which must be below `count`."""
        branches, path = self.table.branches, list[int]()
        stack: list[Iterator[tuple[int, int]]] = []
        state = len(branches) - 1
        while branches[state]:
            steps = iter(branches[state])
            for edge, after in steps:
                ways = self.ways(after, len(path) + 1)
                if rank < ways:
                    path.append(edge)
                    state = after
                    break
                rank -= ways
            stack.append(steps)
        yield tuple(path)
        free = self.bounds is None
        while stack:
            depth = len(stack)
            for edge, after in stack[-1]:
                if free or self.ways(after, depth):
                    path[depth - 1 :] = (edge,)
                    if branches[after]:
                        stack.append(iter(branches[after]))
                        break
                    yield tuple(path)
            else:
                stack.pop()

    def rank(self, path: Edges) -> int | None:
        """The rank of a path in the layer; None if it is not in it."""
        state, rank = len(self.table.branches) - 1, 0
        for depth, step in enumerate(path, 1):
            for edge, after in self.table.branches[state]:
                if edge == step:
                    state = after
                    break
                rank += self.ways(after, depth)
            else:
                return None
        return rank if not self.table.branches[state] and self.ways(state, len(path)) else None


class Effort:
    """How many more steps a search may take before it gives up; None is without end."""

    def __init__(self, steps: int | None = None) -> None:
        self.left = steps

    def spend(self) -> bool:
        """Takes one step; False when there is none left."""
        if self.left is None:
            return True
        self.left -= 1
        return self.left >= 0


def walk(walks: Walks, low: int, high: int | None, effort: Effort) -> Iterator[Edges]:
    """Paths of `low` to `high` edges in lexicographic order, without a table: all, unless the effort runs out."""
    first = walks.first()
    if first is None:
        return
    if walks.is_end(first):
        if not low:
            yield ()
        return
    away = _distances(walks)
    path = list[int]()
    stack = [iter(walks.next(first))]
    while stack:
        depth = len(stack)
        for edge, after in stack[-1]:
            if not effort.spend():
                return
            if high is not None and depth + away[after[0]] > high:
                continue
            path[depth - 1 :] = (edge,)
            if walks.is_end(after):
                if depth >= low:
                    yield tuple(path)
            else:
                stack.append(iter(walks.next(after)))
                break
        else:
            stack.pop()


def wander(walks: Walks, random: Random, known: dict[State, int] | None = None) -> tuple[Edges | None, int]:
    """A path by chance, each step drawn evenly, and the product of the numbers of steps that there were to choose from,
    whose mean over many draws estimates the number of paths (Knuth 1975). (None, 0) at a dead end.

    With `known`, stops at a state whose completions are counted and multiplies them in.
    """
    state, path, product = walks.first(), list[int](), 1
    while state is not None and not walks.is_end(state):
        if known is not None and state in known:
            return None, product * known[state]
        steps = walks.next(state)
        if not steps:
            return None, 0
        product *= len(steps)
        edge, state = random.choice(steps)
        path.append(edge)
    return (None, 0) if state is None else (tuple(path), product)


def _distances(walks: Walks) -> list[int]:
    """The least number of edges from each node to an admitted terminal, visits left aside."""
    into: list[list[int]] = [[] for _ in walks.out]
    for node, edges in enumerate(walks.out):
        for _, target in edges:
            into[target].append(node)
    away = [len(walks.out)] * len(walks.out)
    ring, distance = list(walks.ends), 0
    while ring:
        for node in ring:
            away[node] = min(away[node], distance)
        distance += 1
        ring = list({before for node in ring for before in into[node] if away[before] > distance})
    return away

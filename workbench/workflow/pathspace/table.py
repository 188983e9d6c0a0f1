"""How many ways each state can be completed, and how many of each length: the table that everything descends."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from workbench.errors import UserError
from workbench.workflow.pathspace.walks import State, Walks

MEMORY = 1 << 29
"""Bytes that counts by length may take before they are refused."""

Branches = tuple[tuple[int, int], ...]
"""The segments out of a state as (segment, number of the state after it), in edge order; none leads nowhere."""


class TooManyPaths(UserError):
    """The space has more states than its budget admits, so that the figure asked for is not known exactly."""


@dataclass(frozen=True)
class Partial:
    """What is known when the budget ran out: a lower bound, and the completed part of the table."""

    least: int
    ways: dict[State, int]


@dataclass(frozen=True)
class Table:
    """States numbered so that each comes after those it leads to; the last one is the start.

    `ways[s]` is the number of paths from state s to the end, `nodes[s]` the node it stands at, `shortest` and `longest`
    the least and the greatest number of edges to the end. An empty table is an empty space.
    """

    walks: Walks
    ways: list[int] = field(default_factory=list)
    nodes: list[int] = field(default_factory=list)
    branches: list[Branches] = field(default_factory=list)

    @property
    def total(self) -> int:
        """The number of paths."""
        return self.ways[-1] if self.ways else 0

    @cached_property
    def shortest(self) -> list[int]:
        """The least number of edges from each state to the end."""
        found: list[int] = []
        for branches in self.branches:
            found.append(min((self.walks.lengths[s] + found[after] for s, after in branches), default=0))
        return found

    @cached_property
    def longest(self) -> list[int]:
        """The greatest number of edges from each state to the end."""
        found: list[int] = []
        for branches in self.branches:
            found.append(max((self.walks.lengths[s] + found[after] for s, after in branches), default=0))
        return found

    @cached_property
    def arrivals(self) -> list[int]:
        """The number of ways from the start to each state."""
        found = [0] * len(self.ways)
        if found:
            found[-1] = 1
        for state in reversed(range(len(found))):
            for _, after in self.branches[state]:
                found[after] += found[state]
        return found

    @cached_property
    def lengths(self) -> Lengths:
        """Completions by number of edges. TooManyPaths if they would take more than `MEMORY` bytes."""
        return Lengths(self)


def build(walks: Walks, budget: int) -> Table | Partial:
    """The table of a space, or what is known of it after `budget` states or eight times as many steps between them.

    Depth first, without recursion: a path may be thousands of steps long.
    """
    table, number = Table(walks), dict[State, int]()
    first = walks.first()
    if first is None:
        return table
    stack = [(first, iter(walks.next(first)), list[tuple[int, int]]())]
    tried = 0
    coming = [0]  # the segment by which each state was entered
    while stack:
        state, todo, found = stack[-1]
        for segment, after in todo:
            known = number.get(after)
            tried += 1
            if known is None:
                if len(number) + len(stack) >= budget or tried > 8 * budget:
                    return _partial(walks, [frame[0] for frame in stack], number, table)
                stack.append((after, iter(walks.next(after)), []))
                coming.append(segment)
                break
            if known >= 0:
                found.append((segment, known))
        else:
            stack.pop()
            segment = coming.pop()
            number[state] = _add(table, walks, state, found)
            if stack and number[state] >= 0:
                stack[-1][2].append((segment, number[state]))
    return table


def _add(table: Table, walks: Walks, state: State, found: list[tuple[int, int]]) -> int:
    """Enters a finished state; -1 if it cannot be completed."""
    ways = 1 if walks.is_end(state) else sum(table.ways[after] for _, after in found)
    if not ways:
        return -1
    table.ways.append(ways)
    table.nodes.append(state[0])
    table.branches.append(tuple(found))
    return len(table.ways) - 1


def _partial(walks: Walks, unfinished: list[State], number: dict[State, int], table: Table) -> Partial:
    """A lower bound from the unfinished states: a step not yet followed counts once if it surely can be completed."""
    ways = {state: table.ways[at] if at >= 0 else 0 for state, at in number.items()}
    below: dict[State, int] = {}
    least = 0
    for state in reversed(unfinished):
        after = [following for _, following in walks.next(state)]
        least = sum(ways[s] if s in ways else below.get(s, int(not s[2])) for s in after)
        below = {state: least}
    return Partial(least, ways)


class Lengths:
    """For each state the number of completions of each length, packed in one integer a state (Kronecker substitution):
    `width` bits a length, from the shortest upwards. A window's sum is its remainder modulo 2^width - 1.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self.width = table.total.bit_length() + 1
        shortest, longest = table.shortest, table.longest
        size = sum((high - low + 1) for low, high in zip(shortest, longest, strict=True)) * self.width // 8
        if size > MEMORY:
            raise TooManyPaths(f"counts by length would take {size / 2**30:.1f} GiB here: restrict the paths further")
        self._packed: list[int] = []
        for state, branches in enumerate(table.branches):
            packed = 0 if branches else 1
            for segment, after in branches:
                longer = table.walks.lengths[segment] + shortest[after] - shortest[state]
                packed += self._packed[after] << self.width * longer
            self._packed.append(packed)

    def within(self, state: int, low: int, high: int) -> int:
        """The number of completions of `state` with at least `low` and at most `high` edges."""
        base = self._table.shortest[state]
        low, high = max(low - base, 0), min(high, self._table.longest[state]) - base
        if high < low:
            return 0
        window = self._packed[state] >> self.width * low & (1 << self.width * (high - low + 1)) - 1
        return window % ((1 << self.width) - 1)

    def by_edges(self) -> dict[int, int]:
        """The number of paths of each length in edges, the shortest first."""
        if not self._packed:
            return {}
        low, high = self._table.shortest[-1], self._table.longest[-1]
        counts = {edges: self.within(-1, edges, edges) for edges in range(low, high + 1)}
        return {edges: count for edges, count in counts.items() if count}

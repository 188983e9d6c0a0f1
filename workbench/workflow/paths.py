"""The paths of a workflow as a sequence that is never built.

A path runs from the start to a terminal and visits no node more than `max_visits` times; it is the tuple of its edge
ids, and its *steps* are its nodes, the terminal included. `PathSpace` knows how many there are, finds the i-th and the
rank of any, lists, samples and covers them. Restrictions give path spaces again and combine freely.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, islice
from random import Random
from typing import Literal, overload

from workbench.workflow.model import Workflow
from workbench.workflow.pathspace.cover import Cover, cover_exactly, cover_partly
from workbench.workflow.pathspace.graph import Graph, Restriction
from workbench.workflow.pathspace.listing import Effort, Layer, walk, wander
from workbench.workflow.pathspace.table import Partial, Table, TooManyPaths, build
from workbench.workflow.pathspace.walks import Walks

__all__ = ["BUDGET", "Cover", "Graph", "Path", "PathSpace", "Sample", "Size", "TooManyPaths", "path_nodes"]

Path = tuple[str, ...]
Order = Literal["lexicographic", "steps"]

BUDGET = 100_000
"""States that a space may take before it stops being counted exactly: seconds, and up to some 100 MB."""
_PROBES = 200
_EFFORT = 50_000


@dataclass(frozen=True, slots=True)
class Size:
    """How many paths there are: exactly `least`, or at least that many and by a rough estimate `estimate`."""

    least: int
    exact: bool = True
    estimate: int | None = None

    def __str__(self) -> str:
        if self.exact:
            return f"{self.least:,}"
        return f"at least {self.least:,}" + (f" (estimate: {_rough(self.estimate)})" if self.estimate else "")


@dataclass(frozen=True)
class Sample(Sequence[Path]):
    """Distinct paths drawn by chance. `uniform`: each path was equally likely."""

    paths: tuple[Path, ...]
    uniform: bool

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Path]: ...
    def __getitem__(self, index: int | slice) -> Path | Sequence[Path]:
        return self.paths[index]


class PathSpace:
    """All paths of a workflow (or of a light `Graph`) that keep to the visit limit and the restriction.

    `max_visits` is the workflow's own by default. `order` is lexicographic in the file's edge order, or by steps and
    then lexicographic. Past `budget` states the figures raise `TooManyPaths`, while `size()`, listing and `sample()`
    still answer.
    """

    def __init__(
        self,
        workflow: Workflow | Graph,
        max_visits: int | None = None,
        *,
        order: Order = "lexicographic",
        budget: int = BUDGET,
        restriction: Restriction | None = None,
    ) -> None:
        self.graph = workflow if isinstance(workflow, Graph) else Graph.of(workflow)
        default = 2 if isinstance(workflow, Graph) else workflow.max_visits
        self.max_visits = default if max_visits is None else max_visits
        if self.max_visits < 1:
            raise ValueError(f"max_visits must be at least 1, not {self.max_visits}")
        self.order, self.budget, self.restriction = order, budget, restriction or Restriction()

    # -- how many ------------------------------------------------------------------------------------------------------

    @property
    def exact(self) -> bool:
        """Whether the space is within its budget, so that every figure is exact and samples are uniform."""
        try:
            _ = self._layers
        except TooManyPaths:
            return False
        return True

    def size(self) -> Size:
        """The number of paths, or a lower bound and an estimate. Never raises."""
        if self.exact:
            return Size(self.count())
        known = self._built.ways if isinstance(self._built, Partial) and not self.restriction.bounds_steps else None
        least = self._built.least if isinstance(self._built, Partial) and known is not None else 0
        seen = sum(1 for _ in islice(self._walk(Effort(_EFFORT)), 1000))
        random = Random(0)
        low, high = self._bounds
        total = 0
        for _ in range(_PROBES):
            path, product = wander(self._walks, random, known)
            total += product if path is None or (low <= len(path) and (high is None or len(path) <= high)) else 0
        least = max(least, seen)
        return Size(least, False, max(total // _PROBES, least))

    def count(self) -> int:
        """The number of paths, of any magnitude. TooManyPaths past the budget."""
        return sum(layer.count for layer in self._layers)

    def __len__(self) -> int:
        """`count()`; OverflowError beyond sys.maxsize, as Python demands."""
        return self.count()

    def __bool__(self) -> bool:
        return next(iter(self), None) is not None

    def by_terminal(self) -> dict[str, int]:
        """The number of paths to each terminal of the graph, in file order. TooManyPaths past the budget."""
        counts = dict.fromkeys(self.graph.terminals, 0)
        if self.restriction.bounds_steps:
            return {t: self.terminal(t).count() for t in counts}
        table = self._table
        for state, branches in enumerate(table.branches):
            if not branches:
                counts[self.graph.nodes[table.nodes[state]]] += table.arrivals[state]
        return counts

    def by_steps(self) -> dict[int, int]:
        """The number of paths of each number of steps, the fewest steps first. TooManyPaths past the budget."""
        low, high = self._bounds
        counts = self._table.lengths.by_edges()
        return {e + 1: n for e, n in counts.items() if e >= low and (high is None or e <= high)}

    def step_range(self) -> tuple[int, int] | None:
        """The fewest and the most steps of a path; None if there is none. TooManyPaths past the budget."""
        if not self.restriction.bounds_steps:
            table = self._table
            return (table.shortest[-1] + 1, table.longest[-1] + 1) if table.ways else None
        counts = self.by_steps()
        return (min(counts), max(counts)) if counts else None

    # -- which ---------------------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[Path]:
        return self.listing()

    def listing(self, start: int = 0) -> Iterator[Path]:
        """The paths in order from rank `start` on, with the memory of one path. Exact past the budget too, but there
        the first `start` paths are walked through.
        """
        if not self.exact:
            return islice(self._walk(Effort()), start, None)
        return self._listed(start)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> list[Path]: ...
    def __getitem__(self, index: int | slice) -> Path | list[Path]:
        """The path of a rank, or a list of those in a slice; negative positions count from the end."""
        if isinstance(index, slice):
            ranks = range(*index.indices(self.count())) if self.exact else None
            if ranks is not None and (ranks.step != 1 or not ranks):
                return [self[rank] for rank in ranks]
            start, stop = (ranks.start, ranks.stop) if ranks is not None else (index.start or 0, index.stop)
            return list(islice(self.listing(start), None if stop is None else stop - start))
        if index < 0:
            index += self.count()
        if index < 0:
            raise IndexError("no path has this rank")
        for path in self.listing(index):
            return path
        raise IndexError("no path has this rank")

    def rank(self, path: Sequence[str]) -> int:
        """The position of a path in the space's order. ValueError if it is not in the space."""
        before = 0
        for layer in self._layers:
            rank = layer.rank(tuple(path))
            if rank is not None:
                return before + rank
            before += layer.count
        raise ValueError("the path is not in this space")

    def __contains__(self, path: object) -> bool:
        try:
            return isinstance(path, Sequence) and self.rank(path) >= 0
        except ValueError:
            return False

    def sample(self, n: int, seed: int | str = 0) -> Sample:
        """`n` distinct paths (all, if there are no more), in random order; the same seed, the same paths."""
        random = Random(seed)
        if not self.exact:
            return Sample(tuple(self._wander(n, random)), uniform=False)
        total = self.count()
        if total <= sys.maxsize:
            ranks = random.sample(range(total), min(n, total))
        else:
            drawn: dict[int, None] = {}
            while len(drawn) < n:
                drawn.setdefault(random.randrange(total))
            ranks = list(drawn)
        return Sample(tuple(self[rank] for rank in ranks), uniform=True)

    def cover(self, what: Literal["edges", "hub choices"] = "edges") -> Cover:
        """Few paths that together take every edge, or every edge out of a hub, that lies on a path at all."""
        targets = [name for name, source, _ in self.graph.edges if what == "edges" or self._fan_out[source] > 1]
        if self.exact and not self.restriction.bounds_steps:
            return cover_exactly(self._table, targets)
        return cover_partly(targets, lambda edge: self._one_through(edge))

    # -- restrictions --------------------------------------------------------------------------------------------------

    def avoiding(self, *names: str) -> PathSpace:
        """The paths that meet none of these nodes and edges. UserError for an unknown id, here and below."""
        return self._with(self.restriction.avoiding(self.graph.item(name) for name in names))

    def through(self, *names: str) -> PathSpace:
        """The paths that meet each of these nodes and edges, in any order."""
        return self._with(self.restriction.passing(self.graph.item(name) for name in names))

    def terminal(self, *terminals: str) -> PathSpace:
        """The paths that end at one of these terminals."""
        for name in terminals:
            self.graph.item(name)
        return self._with(self.restriction.ending(terminals))

    def steps(self, low: int = 1, high: int | None = None) -> PathSpace:
        """The paths of `low` to `high` steps, both included; None is open."""
        return self._with(self.restriction.within(low, high))

    def ordered(self, order: Order) -> PathSpace:
        """The same paths in another order."""
        return PathSpace(self.graph, self.max_visits, order=order, budget=self.budget, restriction=self.restriction)

    # -- within --------------------------------------------------------------------------------------------------------

    def _with(self, restriction: Restriction) -> PathSpace:
        return PathSpace(self.graph, self.max_visits, order=self.order, budget=self.budget, restriction=restriction)

    @cached_property
    def _walks(self) -> Walks:
        return Walks(self.graph, self.max_visits, self.restriction)

    @cached_property
    def _built(self) -> Table | Partial:
        return build(self._walks, self.budget)

    @property
    def _table(self) -> Table:
        if isinstance(self._built, Partial):
            raise TooManyPaths(f"more than {self.budget:,} states: restrict the paths or lower max_visits")
        return self._built

    @property
    def _bounds(self) -> tuple[int, int | None]:
        """The bounds on steps as bounds on edges."""
        high = self.restriction.high
        return self.restriction.low - 1, None if high is None else high - 1

    @cached_property
    def _layers(self) -> list[Layer]:
        table = self._table
        if self.order == "steps":
            return [Layer(table, (steps - 1, steps - 1)) for steps in self.by_steps()]
        if not self.restriction.bounds_steps:
            return [Layer(table)]
        low, high = self._bounds
        top = table.longest[-1] if table.ways else 0
        layer = Layer(table, (low, top if high is None else high))
        return [layer] if layer.count else []

    @cached_property
    def _fan_out(self) -> dict[str, int]:
        fan = dict.fromkeys(self.graph.nodes, 0)
        for _, source, _ in self.graph.edges:
            fan[source] += 1
        return fan

    def _listed(self, start: int) -> Iterator[Path]:
        for layer in self._layers:
            if start < layer.count:
                yield from layer.paths(start)
            start = max(start - layer.count, 0)

    def _walk(self, effort: Effort) -> Iterator[Path]:
        """Listing without a table; by steps, one pass for each number of steps."""
        low, high = self._bounds
        if self.order == "lexicographic":
            return walk(self._walks, low, high, effort)
        longest = self.max_visits * len(self.graph.nodes)
        lengths = range(low, (longest if high is None else min(high, longest)) + 1)
        return chain.from_iterable(walk(self._walks, edges, edges, effort) for edges in lengths)

    def _wander(self, n: int, random: Random) -> Iterator[Path]:
        drawn: set[Path] = set()
        low, high = self._bounds
        for _ in range(50 * n):
            path, _ = wander(self._walks, random)
            if path is not None and path not in drawn and low <= len(path) and (high is None or len(path) <= high):
                drawn.add(path)
                yield path
            if len(drawn) == n:
                return

    def _one_through(self, edge: str) -> tuple[Path | None, bool]:
        """A path through an edge, and whether the answer is certain."""
        space = self.through(edge)
        if self.exact and space.exact:
            return (next(iter(space), None), True)
        effort = Effort(_EFFORT // 5)
        found = next(space._walk(effort), None)
        return (found, True) if found is not None else (None, bool(effort.left and effort.left > 0))


def path_nodes(workflow: Workflow | Graph, path: Sequence[str]) -> tuple[str, ...]:
    """The nodes of a path in order, the start and the terminal included. KeyError for an unknown edge id."""
    if isinstance(workflow, Graph):
        return (workflow.start, *(workflow.edges[workflow.edge_index[edge]][2] for edge in path))
    return (workflow.start, *(workflow.edge[edge].target for edge in path))


def _rough(number: int) -> str:
    if number < 10**6:
        return f"about {number:,}"
    digits = str(number)
    return f"about {digits[0]}.{digits[1]}e{len(digits) - 1}"

"""Choosing among paths: one filter for the app's table and the command line, over spaces of any size."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from random import Random

from workbench.errors import UserError
from workbench.workflow.paths import Path, PathSpace, Sample, Size, path_nodes

LISTED = 1_000
"""Paths that can be looked at in a space too large to be counted: there the i-th is found by walking to it."""


@dataclass(frozen=True, slots=True)
class PathFilter:
    """What a path must be; empty fields let everything pass, all that is set must hold.

    `low` and `high` bound the steps, both included. The last four name data sets and evaluations by what the user
    typed: whether their paths are wanted (`covered`, `seen`) or those they lack (`uncovered`, `unseen`).
    """

    terminals: tuple[str, ...] = ()
    through: tuple[str, ...] = ()
    avoiding: tuple[str, ...] = ()
    low: int = 1
    high: int | None = None
    covered: tuple[str, ...] = ()
    uncovered: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()

    def steps(self, text: str) -> PathFilter:
        """The filter with the bounds that `4-9`, `4-`, `-9` or `7` mean. UserError for anything else."""
        low, dash, high = text.partition("-")
        numbers = [low or "1", high or "1"]
        if not (low or high) or not all(n.isascii() and n.isdecimal() for n in numbers):
            raise UserError(f"steps {text}: give a number or a range such as 4-9")
        last = int(high) if high else (None if dash else int(low))
        return replace(self, low=int(low or 1), high=last)

    def restrict(self, space: PathSpace) -> PathSpace:
        """The part of a space that the graph's own filters leave. UserError for an unknown id."""
        space = space.terminal(*self.terminals) if self.terminals else space
        space = space.through(*self.through) if self.through else space
        space = space.avoiding(*self.avoiding) if self.avoiding else space
        return space.steps(self.low, self.high) if (self.low, self.high) != (1, None) else space


@dataclass(frozen=True)
class Chosen:
    """The paths of a space, or those at the sorted ranks `only`, or those at none of the sorted ranks `without`.

    Positions are counted within the choice; nothing is built, whatever the size.
    """

    space: PathSpace
    only: tuple[int, ...] | None = None
    without: tuple[int, ...] = ()

    def size(self) -> Size:
        """How many there are, as `PathSpace.size` puts it."""
        if self.only is not None:
            return Size(len(self.only))
        size = self.space.size()
        return replace(size, least=size.least - len(self.without)) if size.exact else size

    def listed(self) -> int:
        """How many can be reached by position: all, or the first `LISTED` where they are too many to count."""
        size = self.size()
        return size.least if size.exact else min(size.least, LISTED)

    def window(self, start: int, stop: int) -> list[Path]:
        """The paths at these positions, fewer if there are no more."""
        return list(islice(self.listing(start), max(stop - start, 0)))

    def listing(self, start: int = 0) -> Iterator[Path]:
        """The paths from a position on, with the memory of one."""
        if self.only is not None:
            return (self.space[rank] for rank in islice(self.only, start, None))
        if not self.without:
            return self.space.listing(start)
        skipped = frozenset(self.without)
        rank = self._rank(start)
        return (p for at, p in enumerate(self.space.listing(rank), rank) if at not in skipped)

    def sample(self, n: int, seed: int | str = 0) -> Sample:
        """`n` distinct paths of the choice (all, if there are no more), in random order."""
        if self.only is None and not self.without:
            return self.space.sample(n, seed)
        total = self.size().least
        drawn = Random(seed).sample(range(total), min(n, total))
        return Sample(tuple(path for at in drawn for path in self.window(at, at + 1)), uniform=True)

    def by_terminal(self) -> dict[str, int]:
        """The number of paths to each terminal of the graph, in file order. TooManyPaths past the budget."""
        ends = Counter(path_nodes(self.space.graph, path)[-1] for path in self._named())
        counts = self.space.by_terminal()
        return {t: ends[t] if self.only is not None else n - ends[t] for t, n in counts.items()}

    def by_steps(self) -> dict[int, int]:
        """The number of paths of each number of steps, the fewest first. TooManyPaths past the budget."""
        steps = Counter(len(path) + 1 for path in self._named())
        counts = self.space.by_steps()
        left = {s: steps[s] if self.only is not None else n - steps[s] for s, n in counts.items()}
        return {s: n for s, n in left.items() if n}

    def position(self, path: Path) -> int | None:
        """Where a path stands in the choice; None if it is not in it, or if it is too large to be counted."""
        if not self.space.exact or path not in self.space:
            return None
        rank = self.space.rank(path)
        before = bisect_right(self.only if self.only is not None else self.without, rank)
        if self.only is not None:
            return before - 1 if before and self.only[before - 1] == rank else None
        return None if before and self.without[before - 1] == rank else rank - before

    def _named(self) -> Iterator[Path]:
        """The paths at the ranks that are kept or left out."""
        return (self.space[rank] for rank in (self.without if self.only is None else self.only))

    def _rank(self, position: int) -> int:
        """The rank of the path at a position among those that are not left out."""
        return position + bisect_right([rank - at for at, rank in enumerate(self.without)], position)


def choose(
    space: PathSpace, wanted: Iterable[Collection[Path]] = (), unwanted: Iterable[Collection[Path]] = ()
) -> Chosen:
    """The paths of a space that are in every collection of `wanted` and in none of `unwanted`.

    Paths that are not in the space are passed over. TooManyPaths (a UserError) if the space cannot be counted, unless
    there is nothing to sort out.
    """
    inside, outside = [set(paths) for paths in wanted], {path for paths in unwanted for path in paths}
    if inside:
        return Chosen(space, _ranks(space, set.intersection(*inside) - outside))
    return Chosen(space, None, _ranks(space, outside)) if outside else Chosen(space)


def _ranks(space: PathSpace, paths: Iterable[Path]) -> tuple[int, ...]:
    return tuple(sorted(space.rank(path) for path in paths if path in space))

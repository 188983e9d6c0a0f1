"""Few paths that together take every edge asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import overload

from workbench.workflow.pathspace.table import Table

Path = tuple[str, ...]


@dataclass(frozen=True)
class Cover(Sequence[Path]):
    """Covering paths; `missing` are edges that lie on no path, `undecided` those for which the search was given up."""

    paths: tuple[Path, ...]
    missing: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.paths)

    @overload
    def __getitem__(self, index: int) -> Path: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Path]: ...
    def __getitem__(self, index: int | slice) -> Path | Sequence[Path]:
        return self.paths[index]


def cover_exactly(table: Table, targets: Iterable[str]) -> Cover:
    """Greedy: each path takes the most targets not taken yet, an edge met twice counting twice."""
    names = table.walks.names
    present = {edge for branches in table.branches for segment, _ in branches for edge in names[segment]}
    wanted = list(targets)
    open_edges, paths = present.intersection(wanted), list[Path]()
    while open_edges:
        path = _richest(table, [sum(edge in open_edges for edge in segment) for segment in names])
        paths.append(tuple(edge for segment in path for edge in names[segment]))
        open_edges.difference_update(paths[-1])
    return Cover(_needed(paths, wanted), tuple(edge for edge in wanted if edge not in present))


def cover_partly(targets: Iterable[str], one_through: Callable[[str], tuple[Path | None, bool]]) -> Cover:
    """One path after another through an edge not taken yet, as `one_through` finds it (a path, whether certain)."""
    taken: set[str] = set()
    paths: list[Path] = []
    missing: list[str] = []
    undecided: list[str] = []
    targets = list(targets)
    for edge in targets:
        if edge in taken:
            continue
        path, certain = one_through(edge)
        if path is None:
            (missing if certain else undecided).append(edge)
            continue
        taken.update(path)
        paths.append(path)
    return Cover(_needed(paths, targets), tuple(missing), tuple(undecided))


def _richest(table: Table, worth: Sequence[int]) -> list[int]:
    """The path (in segments) that is worth most, the first of equals."""
    best = [0] * len(table.branches)
    step: list[tuple[int, int] | None] = [None] * len(table.branches)
    for state, branches in enumerate(table.branches):
        for segment, after in branches:
            value = best[after] + worth[segment]
            if step[state] is None or value > best[state]:
                best[state], step[state] = value, (segment, after)
    path, chosen = [], step[-1]
    while chosen is not None:
        path.append(chosen[0])
        chosen = step[chosen[1]]
    return path


def _needed(paths: Sequence[Path], targets: Iterable[str]) -> tuple[Path, ...]:
    """The paths without those whose targets the others take as well, looked at from the last to the first."""
    wanted = set(targets)
    times: dict[str, int] = {}
    for path in paths:
        for edge in set(path) & wanted:
            times[edge] = times.get(edge, 0) + 1
    kept = []
    for path in reversed(paths):
        takes = set(path) & wanted
        if all(times[edge] > 1 for edge in takes):
            for edge in takes:
                times[edge] -= 1
        else:
            kept.append(path)
    return tuple(reversed(kept))

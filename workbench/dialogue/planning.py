"""Which paths to write dialogues for: every path once, enough of every hub choice and terminal, then a balance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

from workbench.errors import UserError
from workbench.workflow.model import Workflow
from workbench.workflow.paths import PathSpace

Path = tuple[str, ...]
SHORTEST_OF = 4


@dataclass(frozen=True, slots=True)
class PathPlan:
    """The paths to write, in order, with what they cover. `choices` and `terminals` count dialogues, not visits."""

    paths: tuple[Path, ...]
    choices: dict[str, int]
    terminals: dict[str, int]
    distinct: int
    total: int | None
    """Paths of the workflow; None if there are too many to count."""


def hub_choices(workflow: Workflow) -> tuple[str, ...]:
    """Ids of the edges out of hubs."""
    return tuple(edge.id for hub in workflow.hubs for edge in workflow.out[hub])


def plan_paths(workflow: Workflow, n: int, seed: int, least: int = 30) -> PathPlan:
    """`n` paths (more if the minima need it), seeded: all of them once if they fit, else few that take every hub choice;
    then whatever hub choice or terminal is rarest so far, until each has `least` and there are `n`.
    """
    space = PathSpace(workflow)
    rng = Random(f"paths|{seed}")
    fits = space.exact and space.count() <= n
    paths: list[Path] = list(space) if fits else list(space.cover("hub choices"))
    once = {path: path for path in paths}  # a path that comes again is the same object
    targets = {t: space.through(t) for t in [*hub_choices(workflow), *workflow.terminals]}
    targets = {t: narrowed for t, narrowed in targets.items() if narrowed}
    counts = _count(workflow, paths)
    while targets and (len(paths) < n or any(counts[t] < least for t in targets)):
        rarest = min(targets, key=lambda t: counts[t])
        # The shorter of a few shows the choice with fewer words, so that the same tokens show it more often.
        path = min((_draw(targets[rarest], rng) for _ in range(SHORTEST_OF)), key=len)
        paths.append(once.setdefault(path, path))
        counts.update(_targets(workflow, path))
    rng.shuffle(paths)
    return _plan(workflow, space, paths)


def per_path(workflow: Workflow, n: int, seed: int) -> PathPlan:
    """Every path `n` times, in a seeded order. Raises UserError if there are too many paths to list."""
    space = PathSpace(workflow)
    paths = [path for path in list(space) for _ in range(n)]
    Random(f"paths|{seed}").shuffle(paths)
    return _plan(workflow, space, paths)


def _plan(workflow: Workflow, space: PathSpace, paths: list[Path]) -> PathPlan:
    counts = _count(workflow, paths)
    return PathPlan(
        paths=tuple(paths),
        choices={c: counts[c] for c in hub_choices(workflow)},
        terminals={t: counts[t] for t in workflow.terminals},
        distinct=len(set(paths)),
        total=space.count() if space.exact else None,
    )


def focused_paths(workflow: Workflow, n: int, seed: int, through: Sequence[str]) -> list[Path]:
    """`n` paths that take one of the edges `through`, each edge about equally often, the shorter of a few draws. Seeded.

    Raises UserError for an edge that the workflow does not have or that no path takes.
    """
    space, rng = PathSpace(workflow), Random(f"focus|{seed}")
    spaces = []
    for edge in through:
        if edge not in workflow.edge or not (narrowed := space.through(edge)):
            raise UserError(f"no path of {workflow.name} takes the edge '{edge}'")
        spaces.append(narrowed)
    return [min((_draw(spaces[i % len(spaces)], rng) for _ in range(SHORTEST_OF)), key=len) for i in range(n)]


def _draw(space: PathSpace, rng: Random) -> Path:
    """One path, drawn with replacement; uniform where the space is exact."""
    return space[rng.randrange(space.count())] if space.exact else space.sample(1, seed=rng.randrange(2**32))[0]


def stratified_paths(workflow: Workflow, n: int, seed: int) -> list[Path]:
    """`n` paths for an evaluation: every hub choice, then terminals in turn, lengths spread within each. Seeded."""
    space = PathSpace(workflow)
    rng = Random(f"strata|{seed}")
    chosen = list(space.cover("hub choices"))
    rng.shuffle(chosen)
    chosen = chosen[:n]
    strata = [s for s in (space.terminal(t) for t in workflow.terminals) if s]
    # Terminals in proportion to the square root of their paths: rare ones are seen, common ones still lead.
    weights = [s.size().least ** 0.5 for s in strata]
    while strata and len(chosen) < n:
        chosen.append(_draw(rng.choices(strata, weights)[0], rng))
    return chosen


def choices_on(workflow: Workflow, path: Iterable[str]) -> set[str]:
    """The hub choices on a path, as ids of edges."""
    hubs = set(workflow.hubs)
    return {edge for edge in path if workflow.edge[edge].source in hubs}


def _targets(workflow: Workflow, path: Sequence[str]) -> set[str]:
    """Hub choices and the terminal that a path counts for."""
    return choices_on(workflow, path) | {workflow.edge[path[-1]].target}


def _count(workflow: Workflow, paths: Iterable[Sequence[str]]) -> Counter[str]:
    return Counter(target for path in paths for target in _targets(workflow, path))

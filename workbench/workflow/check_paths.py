"""Checks on the paths: are there any, are there too many, does every edge lie on one, can a scenario take each?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice, product

from workbench.workflow.check_hubs import possible, values_that_matter
from workbench.workflow.check_problem import Finding, Places
from workbench.workflow.model import Condition, Edge, Value, Workflow
from workbench.workflow.paths import Cover, Path
from workbench.workflow.situation import Situation, decide
from workbench.workflow.summary import MAX_NODES, bounded_space

ALL_UP_TO = 20_000
"""Paths that are all tried for a scenario; of a larger space a cover and a sample are."""
SAMPLE = 300
MAX_ASSIGNMENTS = 20_000
MANY = 10**6

State = tuple[str | None, tuple[Value, ...]]
"""The user's last move and the values of the variables that conditions read."""


def check_paths(workflow: Workflow, places: Places) -> Iterator[Finding]:
    """Findings on the path space. The graph checks must have found no error."""
    if len(workflow.nodes) > MAX_NODES:
        message = f"{len(workflow.nodes):,} nodes: the paths of more than {MAX_NODES:,} are not looked at"
        yield Finding("WF064", ("nodes",), message, "split the procedure")
        return
    space = bounded_space(workflow)
    size = space.size()
    if size.exact and size.least == 0:
        yield Finding(
            "WF060",
            places.node(workflow.start),
            f"no path reaches a terminal with max_visits {workflow.max_visits}",
            "raise max_visits, or add an edge",
        )
        return
    if not size.exact:
        yield Finding("WF064", ("max_visits",), f"{size} paths", "lower max_visits, or break up the loops")
    elif size.least > MANY:
        yield Finding(
            "WF063",
            ("max_visits",),
            f"{size} paths: data sets can only sample them",
            "lower max_visits if loops need not be passed twice",
        )
    cover = space.cover("edges") if size.exact else ()
    for edge in cover.missing if isinstance(cover, Cover) else ():
        yield Finding(
            "WF061",
            places.edge(edge),
            f"the edge '{edge}' lies on no path within max_visits {workflow.max_visits}",
            "raise max_visits, or delete the edge",
        )
    if any(node.moves for node in workflow.nodes.values()):
        every = size.exact and size.least <= ALL_UP_TO
        paths = list(space) if every else [*cover, *space.sample(SAMPLE, seed=0)]
        yield from _untaken(workflow, places, paths, every)


def _untaken(workflow: Workflow, places: Places, paths: list[Path], every: bool) -> Iterator[Finding]:
    died: Counter[str] = Counter()
    example: dict[str, Path] = {}
    for path, edge in blocked(workflow, paths):
        died[edge] += 1
        example.setdefault(edge, path)
    for edge, n in died.items():
        of = f"{n:,} of {len(paths):,} paths" if every else f"{n:,} of {len(paths):,} paths tried"
        nodes = " ".join(workflow.edge[e].target for e in example[edge][:12])
        yield Finding(
            "WF062",
            places.edge(edge),
            f"{of} cannot take '{edge}' in any scenario, such as {workflow.start} {nodes}",
            "compare the conditions on the way: they cannot all hold",
        )


def blocked(workflow: Workflow, paths: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """The paths that no scenario takes, each with the edge where the last possibility ends. Exact.

    Walks the set of all possible (last move, values) along each path; paths in order share the walk of their beginning.
    """
    names = _relevant(workflow)
    start = _assignments(workflow, names)
    if start is None:
        return
    known: dict[tuple[str, int, frozenset[State]], frozenset[State]] = {}
    stack = [start]
    previous: Path = ()
    for path in paths:
        shared = next(
            (i for i, (a, b) in enumerate(zip(previous, path, strict=False)) if a != b), min(len(previous), len(path))
        )
        del stack[shared + 1 :]
        visits: Counter[str] = Counter()
        for i, name in enumerate(path):
            edge = workflow.edge[name]
            visits[edge.source] += 1
            if i < len(stack) - 1:
                continue
            key = (name, visits[edge.source], stack[-1])
            if key not in known:
                known[key] = _advance(workflow, edge, visits[edge.source], stack[-1], names)
            stack.append(known[key])
        previous = path
        if not stack[-1]:
            yield path, path[next(i for i, states in enumerate(stack) if not states) - 1]


def _advance(
    workflow: Workflow, edge: Edge, visit: int, states: frozenset[State], names: list[str]
) -> frozenset[State]:
    source = workflow.nodes[edge.source]
    if source.role == "user":
        found = set()
        for move in source.moves:
            take = [names.index(move.sets.get(name, name)) for name in names]
            found |= {(move.id, tuple(values[i] for i in take)) for _, values in states}
        return frozenset(found)
    if len(workflow.out[source.id]) == 1:
        return states
    here = {source.id: visit}
    return frozenset(
        (move, values)
        for move, values in states
        if decide(workflow, source.id, Situation(dict(zip(names, values, strict=True)), move, here)) == edge
    )


def _conditions(workflow: Workflow) -> list[Condition]:
    return [edge.when for edge in workflow.edges if edge.when]


def _relevant(workflow: Workflow) -> list[str]:
    """Variables that conditions read, and those on which their values depend."""
    wanted = {name for c in _conditions(workflow) for name in (*c.variables, *c.bounds)} & set(workflow.variables)
    sets = [move.sets for node in workflow.nodes.values() for move in node.moves]
    queue = list(wanted)
    while queue:
        name = queue.pop()
        variable = workflow.variables[name]
        linked = {*variable.given, *(assigned[name] for assigned in sets if name in assigned)}
        linked |= {variable.differs_from} if variable.differs_from else set()
        fresh = (linked & set(workflow.variables)) - wanted
        wanted |= fresh
        queue += fresh
    return sorted(wanted)


def _assignments(workflow: Workflow, names: list[str]) -> frozenset[State] | None:
    """Every possible start, or None if there are too many to try."""
    conditions = _conditions(workflow)
    domains = [values_that_matter(workflow, name, conditions) for name in names]
    found: set[State] = set()
    for values in islice(product(*domains), MAX_ASSIGNMENTS + 1):
        if len(found) >= MAX_ASSIGNMENTS:
            return None
        if possible(workflow, dict(zip(names, values, strict=True))):
            found.add((None, values))
    return frozenset(found)

"""The figures of a workflow in one record: what `workflow show` prints and the app's list shows."""

from __future__ import annotations

from dataclasses import dataclass

from workbench.errors import UserError
from workbench.workflow.model import Workflow
from workbench.workflow.paths import BUDGET, PathSpace

MAX_NODES = 2_000
"""Nodes beyond which paths are not counted at all."""
_WORK = 10**9


@dataclass(frozen=True, slots=True)
class Summary:
    """`turns` are the fewest and the most steps of a path. `exact` tells whether `paths` is a count or a lower bound;
    where it is a bound, `turns` and `paths_by_terminal` are None and `estimate` is a rough guess.
    """

    name: str
    title: str
    nodes: int
    hubs: int
    edges: int
    terminals: tuple[str, ...]
    paths: int
    turns: tuple[int, int] | None
    max_visits: int
    paths_by_terminal: dict[str, int] | None
    exact: bool = True
    estimate: int | None = None


def bounded_space(workflow: Workflow, max_visits: int | None = None) -> PathSpace:
    """The path space with a budget that ends within seconds: what a state costs grows with the graph.

    Raises UserError for a graph of more than `MAX_NODES` nodes.
    """
    nodes = len(workflow.nodes)
    if nodes > MAX_NODES:
        raise UserError(f"{workflow.name}: paths are not counted in a graph of {nodes:,} nodes (at most {MAX_NODES:,})")
    return PathSpace(workflow, max_visits, budget=min(BUDGET, _WORK // nodes**2))


def summarise(workflow: Workflow, max_visits: int | None = None) -> Summary:
    """Count everything; a few seconds at the most, however large the path space is. UserError past `MAX_NODES`."""
    space = bounded_space(workflow, max_visits)
    size = space.size()
    return Summary(
        name=workflow.name,
        title=workflow.title,
        nodes=len(workflow.nodes),
        hubs=len(workflow.hubs),
        edges=len(workflow.edges),
        terminals=workflow.terminals,
        paths=size.least,
        turns=space.step_range() if size.exact else None,
        max_visits=space.max_visits,
        paths_by_terminal=space.by_terminal() if size.exact else None,
        exact=size.exact,
        estimate=size.estimate,
    )

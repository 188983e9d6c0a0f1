"""The light graph that paths are counted in, and what may be asked of a path."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from workbench.errors import UserError
from workbench.workflow.model import Workflow

Item = tuple[Literal["node", "edge"], str]


@dataclass(frozen=True)
class Graph:
    """Nodes, edges as (id, source, target) in the order that orders paths, the start and the terminals.

    Edges out of a terminal are never taken: a path ends at the first terminal it meets.
    """

    nodes: tuple[str, ...]
    edges: tuple[tuple[str, str, str], ...]
    start: str
    terminals: tuple[str, ...]

    @classmethod
    def of(cls, workflow: Workflow) -> Graph:
        """The graph of a workflow, in the file's order."""
        edges = tuple((edge.id, edge.source, edge.target) for edge in workflow.edges)
        return cls(tuple(workflow.nodes), edges, workflow.start, workflow.terminals)

    @cached_property
    def node_index(self) -> dict[str, int]:
        """The position of each node."""
        return {node: i for i, node in enumerate(self.nodes)}

    @cached_property
    def edge_index(self) -> dict[str, int]:
        """The position of each edge."""
        return {edge: i for i, (edge, _, _) in enumerate(self.edges)}

    def item(self, name: str) -> Item:
        """The node or else the edge with this id; UserError if there is neither."""
        if name in self.node_index:
            return ("node", name)
        if name in self.edge_index:
            return ("edge", name)
        raise UserError(f"no node or edge is called {name!r}: see `workbench workflow show`")


@dataclass(frozen=True, slots=True)
class Restriction:
    """What a path must keep to. `low` and `high` bound its steps, inclusively; `high` None is open."""

    avoid: frozenset[Item] = frozenset()
    terminals: frozenset[str] | None = None
    through: tuple[Item, ...] = ()
    low: int = 1
    high: int | None = None

    @property
    def bounds_steps(self) -> bool:
        """Whether the number of steps is restricted."""
        return self.low > 1 or self.high is not None

    def avoiding(self, items: Iterable[Item]) -> Restriction:
        """With these nodes and edges left out as well."""
        return replace(self, avoid=self.avoid | frozenset(items))

    def ending(self, terminals: Iterable[str]) -> Restriction:
        """Ending at one of these terminals, and at one of those asked for before."""
        wanted = frozenset(terminals)
        return replace(self, terminals=wanted if self.terminals is None else self.terminals & wanted)

    def passing(self, items: Iterable[Item]) -> Restriction:
        """Through each of these as well, in any order."""
        return replace(self, through=tuple(dict.fromkeys((*self.through, *items))))

    def within(self, low: int, high: int | None) -> Restriction:
        """With at least `low` and at most `high` steps, and within the bounds asked for before."""
        highs = [bound for bound in (self.high, high) if bound is not None]
        return replace(self, low=max(self.low, low), high=min(highs, default=None))

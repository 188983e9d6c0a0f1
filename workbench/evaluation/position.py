"""Where an unfinished conversation stands in the graph, read from its texts alone: for agents that hold no graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from workbench.dialogue.labeller import Labeller
from workbench.evaluation.alignment import Procedure
from workbench.evaluation.trace import read_trace
from workbench.store.rows import MessageRow
from workbench.workflow.model import Workflow


@dataclass(frozen=True, slots=True)
class Position:
    """The walk that explains the conversation best, and where it waits now.

    `nodes` and `edges` are the walk so far in order; `at` is the node where the conversation stands (the user node whose
    answer is awaited, the terminal it closed with), None before anything is understood. `read` are the nodes of the last
    agent message, empty if the labeller does not know it.
    """

    nodes: tuple[str, ...]
    edges: tuple[str, ...]
    at: str | None
    read: tuple[str, ...]


class Locator:
    """Finds positions in one workflow; the labeller is the one that measures every agent."""

    def __init__(self, workflow: Workflow, labeller: Labeller) -> None:
        self._procedure, self._labeller = Procedure(workflow), labeller

    def __call__(self, messages: Sequence[MessageRow]) -> Position:
        """The position after these messages, by the cheapest alignment that may stop anywhere."""
        trace = read_trace(self._labeller, messages)
        steps = self._procedure.align(trace.events, finished=False).steps
        nodes = [s.node for s in steps if s.node is not None]
        edges = [s.edge for s in steps if s.edge is not None]
        label = trace.labels[-1] if messages else None
        at = (label.act.awaits or label.act.terminal) if label else None
        if at is not None and (not nodes or nodes[-1] != at):
            nodes.append(at)
        return Position(tuple(nodes), tuple(edges), at or (nodes[-1] if nodes else None), label.nodes if label else ())

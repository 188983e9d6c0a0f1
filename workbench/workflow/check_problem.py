"""What the checks report: problems with stable codes. The table below is the list that the documentation prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from workbench.workflow.source import Place, Source

Severity = Literal["error", "warning", "hint"]

CODES: dict[str, tuple[Severity, str]] = {
    "WF001": ("error", "the file cannot be read"),
    "WF002": ("error", "not valid YAML, or built to exhaust the reader"),
    "WF003": ("error", "breaks the schema"),
    "WF004": ("error", "a key is given twice"),
    "WF005": ("error", "text with control, bidirectional or invisible characters"),
    "WF010": ("error", "an id is used twice"),
    "WF011": ("error", "an unknown id is named"),
    "WF012": ("error", "not exactly one start"),
    "WF013": ("error", "a node cannot be reached from the start"),
    "WF014": ("error", "dead end: no way out of a node that is no terminal"),
    "WF015": ("error", "a node cannot reach a terminal"),
    "WF016": ("error", "a loop without an exit"),
    "WF017": ("error", "a way out of a terminal, or a terminal's part on another node"),
    "WF018": ("warning", "a terminal without an outcome"),
    "WF020": ("error", "a user node with several ways out: all branching is at hubs"),
    "WF021": ("error", "a user node leads to a user node"),
    "WF022": ("error", "an agent node that is no hub leads to an agent node or a terminal"),
    "WF030": ("error", "a hub's edge has no condition"),
    "WF031": ("warning", "a hub's edge has no condition in words"),
    "WF032": ("warning", "a hub's edge has no condition that a machine can decide"),
    "WF033": ("error", "two edges of a hub have the same condition"),
    "WF034": ("warning", "conditions of a hub overlap"),
    "WF035": ("error", "a hub has no edge for a situation that can occur"),
    "WF036": ("warning", "a condition that can never hold"),
    "WF037": ("warning", "a condition outside a hub is never asked"),
    "WF038": ("error", "a hub cannot be decided from what was said"),
    "WF040": ("error", "a slot used before any path sets it"),
    "WF041": ("warning", "a slot that some path has not set is used"),
    "WF042": ("warning", "an unused variable"),
    "WF043": ("error", "a variable that has no possible value"),
    "WF050": ("warning", "too few phrasings"),
    "WF051": ("error", "the same wording in the training and the evaluation pool"),
    "WF052": ("warning", "nothing to say where something must be said"),
    "WF053": ("warning", "a node without a prompt"),
    "WF054": ("warning", "still to be filled in"),
    "WF060": ("error", "no path from the start to a terminal within max_visits"),
    "WF061": ("warning", "an edge or a node on no path within max_visits"),
    "WF062": ("error", "a path that no scenario can take"),
    "WF063": ("hint", "a great many paths"),
    "WF064": ("warning", "path explosion: too many paths to count exactly"),
    "WF070": ("error", "an order rule names a place that is not there"),
    "WF071": ("warning", "an order rule names a place that says nothing, so that it cannot be heard"),
    "WF072": ("warning", "the graph itself has a way that breaks an order rule"),
}
"""Code → (severity, what it means). Codes never change their meaning; new ones are added."""


class Finding(NamedTuple):
    """A problem before it has a line and a column: where it is in the data, what is wrong, how to mend it."""

    code: str
    place: Place
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong in a workflow file; `line` and `column` count from 1, `hint` says how to mend it."""

    code: str
    severity: Severity
    file: str
    line: int
    column: int
    message: str
    hint: str


@dataclass(frozen=True)
class Places:
    """Where the parts of a checked workflow stand in its file's data."""

    nodes: Mapping[str, Place] = field(default_factory=dict)
    edges: Mapping[str, Place] = field(default_factory=dict)
    doubtful: frozenset[str] = frozenset()
    """Nodes with a reported fault in their edges: a check that would only repeat it leaves them out."""
    sure_start: bool = True

    def node(self, node: str, *inner: str | int) -> Place:
        """The place of a node or of something within it."""
        return (*self.nodes.get(node, ("nodes",)), *inner)

    def edge(self, edge: str, *inner: str | int) -> Place:
        """The place of an edge or of something within it."""
        return (*self.edges.get(edge, ("edges",)), *inner)


def located(finding: Finding, source: Source) -> Problem:
    """The finding with its severity, file, line and column."""
    line, column = source.at(*finding.place)
    severity = CODES[finding.code][0]
    return Problem(finding.code, severity, source.name, line, column, finding.message, finding.hint)

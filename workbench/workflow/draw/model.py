"""What a drawing is made of: lines of styled spans, plain data for the terminal app and the command line alike."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, NamedTuple

from workbench.text import clean_line
from workbench.workflow.model import Edge, Workflow

Style = Literal["", "agent", "hub", "user", "terminal", "edge", "back", "label", "dim", "centre"]


class Span(NamedTuple):
    """A stretch of one line. `style` says what it shows; `lit` that it lies on the highlighted path."""

    text: str
    style: Style = ""
    lit: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a drawing. `node` is the node it belongs to, `edge` the edge it shows, if it shows one."""

    spans: tuple[Span, ...]
    node: str | None = None
    edge: str | None = None

    @property
    def text(self) -> str:
        """The line without styles."""
        return "".join(span.text for span in self.spans)


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The signs that a drawing uses beside text; `lines` maps a set of directions (up 1, down 2, left 4, right 8)."""

    forth: str
    back: str
    into: str
    loop: str
    agent: str
    hub: str
    user: str
    terminal: str
    down: str
    up: str
    lines: str
    lit: str


UNICODE = Glyphs("→", "↺", "←", "↻", "●", "◆", "○", "■", "▼", "▲", " │││─┘┐┤─└┌├─┴┬┼", " ┃┃┃━┛┓┫━┗┏┣━┻┳╋")
ASCII = Glyphs("->", "^", "<-", "@", "*", "?", "o", "#", "v", "^", " |||-+++-+++-+++", " ###=###=###=###")


@dataclass(frozen=True, slots=True)
class Lit:
    """The highlighted path: its edges and the nodes on it."""

    edges: frozenset[str]
    nodes: frozenset[str]

    @staticmethod
    def of(workflow: Workflow, highlight: Collection[str]) -> Lit:
        """From the edge ids of a path; ids the workflow does not have are left out."""
        edges = [workflow.edge[e] for e in highlight if e in workflow.edge]
        nodes = {end for edge in edges for end in (edge.source, edge.target)}
        return Lit(frozenset(edge.id for edge in edges), frozenset(nodes))


def style_of(workflow: Workflow, node: str) -> Style:
    """The style of a node: its role, hubs apart."""
    role = workflow.nodes[node].role
    return "hub" if role == "agent" and len(workflow.out[node]) > 1 else role


def sign_of(workflow: Workflow, node: str, glyphs: Glyphs) -> str:
    """The sign that tells a node's role without colour."""
    return str(getattr(glyphs, style_of(workflow, node)))


def edge_number(workflow: Workflow, edge: Edge) -> str:
    """An out-edge's number at its hub, 1 for the first in the file; empty where there is nothing to choose."""
    siblings = workflow.out[edge.source]
    return str(siblings.index(edge) + 1) if len(siblings) > 1 else ""


def label(text: str, limit: int = 160) -> str:
    """Text of a workflow file made fit for one line of a drawing."""
    return clean_line(text, limit)

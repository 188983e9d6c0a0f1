"""The graph beside the talk: at which node every agent stands, which way it came, and the neighbourhood of one of them."""

from __future__ import annotations

from collections.abc import Sequence

from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from workbench.tui.panes.chat.view import Column, Talk
from workbench.tui.widgets.safe import Line, Span, Toned, fit, wrap_line
from workbench.workflow.draw import ego
from workbench.workflow.draw.layers import layers
from workbench.workflow.model import Workflow

TONES = {"agent": "agent", "hub": "accent", "user": "user", "terminal": "good"}
WIDTH = 36
SHOWN_STEPS = 10
"""The way so far is told from so many steps back; marks at the nodes tell the rest."""


def map_lines(workflow: Workflow, talk: Talk, focus: int, width: int, height: int) -> tuple[list[Line], int]:
    """The panel's lines and the one to be kept in view: nodes with a mark for every column, then column `focus` closer.

    `●` is where a column stands, `·` where it has been. The node's neighbourhood is drawn where there is room.
    """
    columns = talk.columns
    here = columns[focus] if focus < len(columns) else None
    lines: list[Line] = [
        (
            ("".join(c.letter for c in columns) + " ", "key"),
            (fit(f"where they stand · {workflow.name}", width - 6), "dim"),
        )
    ]
    current = 0
    for node in (node for row in layers(workflow).rows() for node in row):
        current = len(lines) if here and node == here.at else current
        lines.append(_node(workflow, node, columns, here))
    if here is None:
        return lines, current
    lines += [(), *_path(here, width)]
    if here.at in workflow.nodes and width >= 24:
        drawing = ego(workflow, here.at, 1, here.edges)
        if drawing.width <= width and len(lines) + drawing.height + 1 <= height:
            lines.append(())
            for drawn in drawing.lines:
                lines.append(tuple((s.text, "strong" if s.lit else TONES.get(s.style, "dim")) for s in drawn.spans))
    return lines, current


def _node(workflow: Workflow, node: str, columns: Sequence[Column], here: Column | None) -> Line:
    marks: list[Span] = []
    for column in columns:
        at, been = column.at == node, node in column.walk
        marks.append(("●" if at else "·" if been else " ", "key" if at else "dim"))
    out = workflow.out[node]
    kind = workflow.nodes[node].role if len(out) < 2 or workflow.nodes[node].role != "agent" else "hub"
    sign = {"agent": "●", "hub": "◆", "user": "○", "terminal": "■"}[kind]
    lit = here is not None and (node == here.at or node in here.walk)
    tone = "strong" if here and node == here.at else TONES[kind] if lit else "dim"
    return (*marks, (" ", "plain"), (f"{sign} ", TONES[kind] if lit else "dim"), (node, tone))


def _path(column: Column, width: int) -> list[Line]:
    """The way so far of one column, and how it is known."""
    how = "as the agent itself knows" if column.known else "read from its words"
    if not column.walk:
        return [((f"{column.letter} ", "key"), ("nothing understood yet", "dim"))]
    before = "… › " if len(column.walk) > SHOWN_STEPS else ""
    said: Line = ((f"{column.letter} ", "key"), (before + " › ".join(column.walk[-SHOWN_STEPS:]), "plain"))
    return [*wrap_line(said, width, "  "), ((f"  {how}", "dim"),)]


class Map(Toned, ScrollView):
    """The panel; it keeps the node of the column in focus in view."""

    DEFAULT_CSS = "Map { height: 1fr; overflow-x: hidden; overflow-y: auto; scrollbar-size-vertical: 0; }"

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.lines: list[Line] = []

    def show(self, workflow: Workflow, talk: Talk, focus: int) -> None:
        """Show where the columns stand; nothing is sent when nothing moved."""
        width, height = self.scrollable_content_region.size
        lines, current = map_lines(workflow, talk, focus, width, height)
        if lines != self.lines:
            self.lines = lines
            self.virtual_size = Size(width, len(lines))
            if not self.scroll_offset.y <= current < self.scroll_offset.y + height:
                self.scroll_to(y=max(current - height // 2, 0), animate=False)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Line API."""
        y += self.scroll_offset.y
        return self.strip(self.lines[y] if y < len(self.lines) else (), self.scrollable_content_region.width)

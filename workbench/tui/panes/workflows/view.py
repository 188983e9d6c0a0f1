"""What the Workflows pane shows, as plain data: read in a worker thread, without any widget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from textual.geometry import Region

from workbench.dialogue.scenarios import scenario_for_path
from workbench.dialogue.scripted import write
from workbench.errors import UserError
from workbench.tui.format import count
from workbench.tui.panes.workflows.paths import outcome_tone
from workbench.tui.widgets.messages import bubbles
from workbench.tui.widgets.safe import Line, Span, line, wrap_line
from workbench.tui.widgets.table import Row
from workbench.tui.widgets.transcript import Bubble
from workbench.workflow.check import Problem, check_file
from workbench.workflow.draw.canvas import Canvas, canvas, ego
from workbench.workflow.draw.model import Line as Drawn
from workbench.workflow.draw.outline import outline
from workbench.workflow.load import known_workflows, load_workflow
from workbench.workflow.model import Phrasing, Workflow
from workbench.workflow.paths import Path as Edges
from workbench.workflow.paths import PathSpace, path_nodes
from workbench.workflow.summary import bounded_space

TONES = {
    "agent": "agent", "hub": "warn", "user": "user", "terminal": "good", "edge": "dim", "back": "warn", "label": "plain",
    "dim": "dim", "centre": "accent",
}  # fmt: skip


_OWN = ("label", "centre")
"""What keeps its tone on the path."""


@dataclass(frozen=True)
class Entry:
    """One workflow of the list. `workflow` is None where the file cannot be read; then `problem` says why."""

    name: str
    file: Path
    workflow: Workflow | None = None
    space: PathSpace | None = None
    paths: str = ""
    steps: str = ""
    errors: int = 0
    warnings: int = 0
    problem: str = ""
    problems: tuple[Problem, ...] = ()
    """What `workbench workflow check` says."""

    @property
    def row(self) -> Row:
        """The row of the list."""
        w = self.workflow
        if w is None:
            dash = ("", "dim")
            state: Span = (self.problem or "…", "bad" if self.problem else "dim")
            return Row(
                self.name, (self.name, state, dash, dash, dash, dash, ("✗ broken" if self.problem else "", "bad"))
            )
        title = w.title or w.description
        counts = (str(len(w.nodes)), str(len(w.hubs)), self.paths, self.steps)
        return Row(self.name, (w.name, title, *counts, verdict(self)))


@dataclass(frozen=True)
class Drawing:
    """Lines to pan over, the part that should be in view, and which node stands at a cell."""

    lines: tuple[Line, ...]
    at: Region | None = None
    node_at: Callable[[int, int], str | None] = lambda x, y: None


def names() -> list[tuple[str, Path]]:
    """The workflows that can be opened, without reading them."""
    return [(file.stem, file) for file in known_workflows()]


def entry(name: str, file: Path) -> Entry:
    """A workflow with its counts and problems; a broken file gives an entry that says what is wrong."""
    try:
        return _entry(name, file, file.stat().st_mtime_ns)
    except OSError as error:
        return Entry(name, file, problem=f"{file}: {error.strerror}")


@lru_cache(maxsize=64)
def _entry(name: str, file: Path, changed: int) -> Entry:
    problems = tuple(check_file(file))
    found = Entry(
        name,
        file,
        errors=sum(p.severity == "error" for p in problems),
        warnings=sum(p.severity == "warning" for p in problems),
        problems=problems,
    )
    try:
        workflow = load_workflow(file)
        space = bounded_space(workflow)
    except UserError as error:
        return replace(found, problem=str(error))
    size = space.size()
    steps = space.step_range() if size.exact else None
    return replace(
        found,
        workflow=workflow,
        space=space,
        paths=f"{'' if size.exact else '≥'}{count(size.least)}",
        steps=f"{steps[0]}–{steps[1]}" if steps else "?",
    )


def problem_line(p: Problem) -> Line:
    """A problem in one line: what is wrong, where, and how to mend it."""
    tone = {"error": "bad", "warning": "warn"}.get(p.severity, "dim")
    return line((f"{p.severity} {p.code} ", tone), (f"line {p.line}: ", "dim"), p.message, (f"  {p.hint}", "dim"))


def problem_rows(entry: Entry, width: int) -> tuple[Row, ...]:
    """All that the check says, wrapped to a width; a row is known by its number and the line it is about."""
    rows: list[Row] = []
    for p in entry.problems:
        tone = {"error": "bad", "warning": "warn"}.get(p.severity, "dim")
        head = line((f"{p.severity} {p.code} ", tone), (f"{p.line}:{p.column} ", "dim"), p.message)
        for part in (*wrap_line(head, width, "  "), *wrap_line(line((f"  {p.hint}", "dim")), width, "  "), ()):
            rows.append(Row(f"{len(rows)}:{p.line}", (part,)))
    return tuple(rows[:-1])


def verdict(entry: Entry) -> Span:
    """What the check found, in a word or two."""
    if entry.errors:
        return f"✗ {entry.errors} error{'s'[: entry.errors != 1]}", "bad"
    if entry.warnings:
        return f"! {entry.warnings} warning{'s'[: entry.warnings != 1]}", "warn"
    return "✓ sound", "good"


def outline_rows(workflow: Workflow, path: Edges) -> tuple[Row, ...]:
    """The outline of the graph with the path marked by `━` at the left, so that it is known without colour."""
    return tuple(
        Row(f"{number}:{drawn.node}", (_toned(drawn),)) for number, drawn in enumerate(outline(workflow, path))
    )


def _toned(drawn: Drawn) -> Line:
    lit = any(span.lit for span in drawn.spans)
    mark: Span = ("┃" if lit else " ", "accent")
    return (mark, *_spans(drawn))


def _spans(drawn: Drawn) -> Line:
    """A drawn line in our tones; what lies on the path is bold."""
    return tuple(
        (span.text, "strong" if span.lit and span.style not in _OWN else TONES.get(span.style, "plain"))
        for span in drawn.spans
    )


def drawing(workflow: Workflow, path: Edges, node: str | None) -> Drawing:
    """The whole graph as a drawing with the path marked, and where the node's box stands in it."""
    return _drawing(lambda: canvas(workflow, path), node or workflow.start)


def around(workflow: Workflow, path: Edges, node: str | None, radius: int) -> Drawing:
    """What lies at most `radius` edges around a node, with the path marked."""
    centre = node if node is not None and node in workflow.nodes else workflow.start
    return _drawing(lambda: ego(workflow, centre, radius, path), centre)


def _drawing(draw: Callable[[], Canvas], node: str) -> Drawing:
    try:
        drawn = draw()
    except UserError as error:
        return Drawing((line((str(error), "bad")),))
    box = drawn.boxes.get(node)
    at = Region(box.x, box.y, box.width, box.height) if box else None
    return Drawing(tuple(_spans(part) for part in drawn.lines), at, drawn.node_at)


def nodes_on(workflow: Workflow, path: Edges) -> list[str]:
    """The nodes of a path in order, each once."""
    return list(dict.fromkeys(path_nodes(workflow, path)))


def steps(workflow: Workflow, path: Edges) -> list[Line]:
    """The steps of a path, numbered, with the condition of the edge where a hub decides."""
    lines: list[Line] = []
    for number, node in enumerate((workflow.start, *(workflow.edge[e].target for e in path)), 1):
        edge = workflow.edge[path[number - 2]] if number > 1 else None
        role = workflow.nodes[node].role
        tone = outcome_tone(workflow.nodes[node].outcome) if role == "terminal" else role
        why = f"  ← {edge.condition}" if edge and edge.condition else ""
        lines.append(line((f"{number:>2} ", "dim"), (f"{_SIGNS[role]} {node}", tone), (why, "dim")))
    return lines


_SIGNS = {"agent": "▸", "user": "◂", "terminal": "■"}


def sample(workflow: Workflow, path: Edges, number: int) -> tuple[Bubble, ...]:
    """The chosen path said aloud: the scripted writer with a scenario drawn for it (`number` counts the draws)."""
    scenario = scenario_for_path(workflow, path, "train", number)
    return bubbles(write(workflow, scenario).messages)


def node_card(workflow: Workflow, node_id: str, path: Edges) -> list[Line]:
    """All that the file says of a node: prompt, ways in and out with their conditions, moves, phrasings."""
    node = workflow.nodes[node_id]
    kind = "hub" if node_id in workflow.hubs else node.role
    lines = [
        line((node_id, "strong"), (f"  {kind}" + (f", {node.outcome}" if node.outcome else ""), "dim")),
        line(node.prompt),
        (),
    ]
    for title, edges in (("in", [e for e in workflow.edges if e.target == node_id]), ("out", workflow.out[node_id])):
        for edge in edges:
            other = edge.source if title == "in" else edge.target
            lines.append(
                line(
                    (f"{title:>4} ", "dim"),
                    (other, "accent" if edge.id in path else "plain"),
                    (f"  {edge.condition}", "dim"),
                )
            )
    for move in node.moves:
        lines.append(line(("move ", "dim"), (move.id, "user"), (f"  {move.description}", "dim")))
    said = [*_said("says", node.say)]
    for move in node.moves[:1]:
        said += _said("says", move.say)
    return [*lines, (), *said] if said else lines


def _said(title: str, phrasings: Sequence[Phrasing]) -> list[Line]:
    return [line((f"{title} ", "dim"), text) for phrasing in phrasings for text in phrasing.pool.training[:2]]

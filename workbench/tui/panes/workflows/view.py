"""What the Workflows pane shows, as plain data: read in a worker thread, without any widget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from textual.geometry import Region

from workbench.dialogue.scenarios import scenario_for_path
from workbench.dialogue.scripted import write
from workbench.errors import UserError
from workbench.tui.format import count
from workbench.tui.widgets.messages import bubbles
from workbench.tui.widgets.safe import Line, Span, line
from workbench.tui.widgets.table import Row
from workbench.tui.widgets.transcript import Bubble
from workbench.workflow.check import Problem, check_file
from workbench.workflow.draw.canvas import canvas
from workbench.workflow.draw.model import Line as Drawn
from workbench.workflow.draw.model import edge_number
from workbench.workflow.draw.outline import outline
from workbench.workflow.load import known_workflows, load_workflow
from workbench.workflow.model import Phrasing, Workflow
from workbench.workflow.paths import Path as Edges
from workbench.workflow.paths import PathSpace

TONES = {
    "agent": "agent", "hub": "warn", "user": "user", "terminal": "good", "edge": "dim", "back": "warn", "label": "plain",
    "dim": "dim", "centre": "strong",
}  # fmt: skip


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
    problems: tuple[Line, ...] = ()
    """What `workbench workflow check` would say, a line each."""

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
        problems: Span = ("✓ sound", "good")
        if self.errors:
            problems = (f"✗ {self.errors} error{'s'[: self.errors != 1]}", "bad")
        elif self.warnings:
            problems = (f"! {self.warnings} warning{'s'[: self.warnings != 1]}", "warn")
        title = w.title or w.description
        return Row(self.name, (w.name, title, str(len(w.nodes)), str(len(w.hubs)), self.paths, self.steps, problems))


def names() -> list[tuple[str, Path]]:
    """The workflows that can be opened, without reading them."""
    return [(file.stem, file) for file in known_workflows()]


def entry(name: str, file: Path) -> Entry:
    """A workflow with its counts and problems; a broken file gives an entry that says what is wrong."""
    try:
        return _entry(name, file, file.stat().st_mtime_ns)
    except UserError as error:
        return Entry(name, file, problem=str(error), problems=(line((str(error), "bad")),))
    except OSError as error:
        return Entry(name, file, problem=f"{file}: {error.strerror}")


@lru_cache(maxsize=64)
def _entry(name: str, file: Path, changed: int) -> Entry:
    workflow = load_workflow(file)
    space = PathSpace(workflow)
    found = space.step_range() if space.exact else None
    problems = check_file(file)
    return Entry(
        name,
        file,
        workflow,
        space,
        count(space.count()) if space.exact else f"≥{count(space.size().least)}",
        f"{found[0]}–{found[1]}" if found else "?",
        errors=sum(p.severity == "error" for p in problems),
        warnings=sum(p.severity == "warning" for p in problems),
        problems=tuple(_problem(p) for p in problems),
    )


def _problem(p: Problem) -> Line:
    tone = {"error": "bad", "warning": "warn"}.get(p.severity, "dim")
    return line((f"{p.severity} {p.code} ", tone), (f"line {p.line}: ", "dim"), p.message, (f"  {p.hint}", "dim"))


@dataclass(frozen=True)
class PathSource:
    """Paths by rank, made when they are looked at; the space may be of any size."""

    workflow: Workflow
    space: PathSpace

    def count(self) -> int:
        """How many paths (past the budget: as many as are known to exist)."""
        return self.space.size().least

    def window(self, start: int, stop: int) -> Sequence[Row]:
        """Rank, steps, terminal and the numbers of the edges taken at the hubs."""
        return [path_row(self.workflow, rank, self.space[rank]) for rank in range(start, stop)]


def path_row(workflow: Workflow, rank: int, path: Edges) -> Row:
    """A row of the table of paths."""
    end = workflow.edge[path[-1]].target
    choices = "".join(edge_number(workflow, workflow.edge[e]) or "" for e in path)
    tone = outcome_tone(workflow.nodes[end].outcome)
    return Row(str(rank), (f"{rank:,}", str(len(path) + 1), (end, tone), (choices, "dim")))


def outcome_tone(outcome: str | None) -> str:
    """Success is good, giving up is a warning, anything else is plain."""
    return {"success": "good", "abandoned": "warn", "escalated": "warn", "failure": "bad"}.get(outcome or "", "plain")


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
        (span.text, "strong" if span.lit and span.style != "label" else TONES.get(span.style, "plain"))
        for span in drawn.spans
    )


def drawing(workflow: Workflow, path: Edges, node: str | None) -> tuple[tuple[Line, ...], Region | None]:
    """The whole graph as a drawing with the path in bold, and where the node's box stands in it."""
    try:
        drawn = canvas(workflow, path)
    except UserError as error:
        return (line((str(error), "bad")),), None
    box = drawn.boxes.get(node or workflow.start)
    at = Region(box.x, box.y, box.width, box.height) if box else None
    return tuple(_spans(part) for part in drawn.lines), at


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

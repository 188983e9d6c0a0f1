"""The stages of a demo in one line: what is done, what runs with the time left, what comes."""

from __future__ import annotations

from textual.strip import Strip

from workbench.tui.follow import Stage
from workbench.tui.format import duration
from workbench.tui.widgets.safe import Line, Span, Toned, width_of, wrap_line

MARKS = {"done": ("✓", "good"), "running": ("●", "accent"), "failed": ("✗", "bad"), "waiting": ("○", "dim")}


def timeline(stages: tuple[Stage, ...], width: int) -> Line:
    """Marks and names; names of stages not running are left out where they do not fit, the farthest first."""
    running = next((n for n, stage in enumerate(stages) if stage.state == "running"), len(stages))
    order = sorted(range(len(stages)), key=lambda n: abs(n - running))
    for named in range(len(stages), -1, -1):
        spans: list[Span] = [(" ", "plain")]
        for n, stage in enumerate(stages):
            mark, tone = MARKS.get(stage.state, MARKS["waiting"])
            spans.append((mark, tone))
            if n in order[:named] or stage.state == "running":
                spans.append((f" {stage.name}", "strong" if stage.state == "running" else "dim"))
            if stage.state == "running":
                spans += [(f" {stage.share:.0%}", "plain")] if stage.share is not None else []
                spans += [(f" {duration(stage.eta_s)} left", "dim")] if stage.eta_s is not None else []
            spans.append(("  " if named else " ", "plain"))
        if width_of(spans) <= width:
            break
    return tuple(spans)


class Timeline(Toned):
    """The stages in a line, and under it what the running one does and why that matters."""

    DEFAULT_CSS = "Timeline { height: 3; background: $surface; }"

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self._stages: tuple[Stage, ...] = ()
        self._words: Line = ()

    def put(self, stages: tuple[Stage, ...], words: Line) -> None:
        """Show these stages and this sentence; nothing is sent when nothing changed."""
        if (stages, words) != (self._stages, self._words):
            self._stages, self._words = stages, words
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Line API."""
        width = self.size.width
        if y == 0:
            return self.strip(timeline(self._stages, width), width)
        rows = wrap_line(self._words, width - 1, " ")
        return self.strip(rows[y - 1] if y <= len(rows) else (), width)

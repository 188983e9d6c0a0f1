"""Following a demo job: its events, folded into stages, and the pane where each stage can be watched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from workbench.text import clean_line

PANE_OF = {
    "workflow": "workflows", "path": "workflows", "dialogue": "dialogues", "generate": "dialogues", "data": "dialogues",
    "base": "training", "train": "training", "tune": "training", "serv": "chat", "chat": "chat", "eval": "results",
    "result": "results", "report": "results",
}  # fmt: skip
"""By a word in the stage's name, the first that fits."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage. `share` is 0 … 1; both it and `eta_s` are None while unknown."""

    index: int
    name: str
    title: str
    why: str = ""
    state: str = "waiting"
    share: float | None = None
    eta_s: float | None = None

    @property
    def pane(self) -> str:
        """Where to look while it runs."""
        return next((pane for word, pane in PANE_OF.items() if word in self.name.lower()), "training")


@dataclass(frozen=True, slots=True)
class Demo:
    """What is known of a demo job: its stages in order, the read position in its events, and how it ended."""

    job: str
    stages: tuple[Stage, ...] = ()
    total: int = 0
    offset: int = 0
    ended: str | None = None
    error: str = ""

    @property
    def running(self) -> Stage | None:
        """The stage that runs now."""
        return next((stage for stage in reversed(self.stages) if stage.state == "running"), None)

    @property
    def pane(self) -> str:
        """Where to be: with the running stage, at the end with the results."""
        if stage := self.running:
            return stage.pane
        return "results" if self.ended == "done" else "workflows"


def fold(demo: Demo, events: Iterable[Mapping[str, Any]], offset: int) -> Demo:
    """`demo` after these events, read up to `offset`."""
    stages = {stage.index: stage for stage in demo.stages}
    total, ended, error = demo.total, demo.ended, demo.error
    for event in events:
        kind = event.get("type")
        if kind == "stage":
            index = int(event.get("index", len(stages)))
            total = int(event.get("total", total) or total)
            state = str(event.get("state", "running"))
            state = {"start": "running", "started": "running", "finished": "done", "skipped": "done"}.get(state, state)
            name = clean_line(str(event.get("name", index)), 24)
            old = stages.get(index, Stage(index, name, ""))
            title = clean_line(str(event.get("title", "")) or old.title or name, 120)
            why = clean_line(str(event.get("why", "")) or old.why, 400)
            stages[index] = replace(old, name=name, title=title, why=why, state=state, eta_s=None)
        elif kind == "progress" and stages:
            stage = _stage_of(event, stages)
            done, whole = float(event.get("done") or 0), float(event.get("total") or 0)
            eta = event.get("eta_s")
            share = min(done / whole, 1.0) if whole else None
            stages[stage.index] = replace(stage, share=share, eta_s=None if eta is None else float(eta))
        elif kind in ("done", "failed", "stop", "stopped"):
            ended = "stopped" if kind == "stop" else str(kind)
            error = clean_line(str(event.get("error", "")), 400)
        elif kind in ("start", "resume"):
            ended, error = None, ""
    return replace(
        demo, stages=tuple(stages[n] for n in sorted(stages)), total=total, offset=offset, ended=ended, error=error
    )


def _stage_of(event: Mapping[str, Any], stages: Mapping[int, Stage]) -> Stage:
    """The stage a progress event speaks of, by name or number; without either the running one, or the last."""
    wanted = event.get("stage")
    for stage in stages.values():
        if wanted is not None and wanted in (stage.name, stage.index):
            return stage
    running = [stage for stage in stages.values() if stage.state == "running"]
    return (running or list(stages.values()))[-1]

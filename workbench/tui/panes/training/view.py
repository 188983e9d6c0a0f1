"""What the Training pane shows, as plain data: runs from their job folders, curves from their events."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.home import Home
from workbench.jobs import JobStatus, jobs, tail_events
from workbench.jobs.events import last_events
from workbench.store.runs import runs
from workbench.text import clean_line
from workbench.tui.effects import reader
from workbench.tui.format import ago, duration, percent, short
from workbench.tui.widgets.chart import Series, buckets, smooth
from workbench.tui.widgets.safe import Line, Span, line
from workbench.tui.widgets.table import Row
from workbench.tui.widgets.transcript import Bubble

COLUMNS = 400
"""Points kept of a curve on its way to the screen: more than two a column of any terminal."""
STATES: dict[str, Span] = {
    "running": ("● running", "accent"), "queued": ("○ queued", "dim"), "stopping": ("◐ stopping", "warn"),
    "stopped": ("■ stopped", "warn"), "done": ("✓ done", "good"), "failed": ("✗ failed", "bad"),
    "lost": ("✗ lost", "bad"), "unknown": ("? unknown", "warn"),
}  # fmt: skip


@dataclass(frozen=True)
class Run:
    """One line of the list: the job with the newest figures it reported."""

    job: JobStatus
    name: str
    dataset: str = ""
    metric: Mapping[str, Any] = field(default_factory=dict)
    evaluated: Mapping[str, Any] = field(default_factory=dict)

    @property
    def row(self) -> Row:
        """The row of the list."""
        step, steps = self.metric.get("step"), self.metric.get("steps")
        live = self.job.state in ("running", "stopping")
        speed = _number(self.metric.get("tokens_per_s"))
        cells = (
            STATES.get(self.job.state, ("?", "dim")),
            clean_line(self.name, 60),
            f"{step}/{steps}" if step is not None else "",
            _figure(self.evaluated.get("dev_loss"), 3),
            percent(_number(self.evaluated.get("pass_rate"))),
            short(speed) if speed else "",
            (
                f"{duration(self.job.eta_s)} left"
                if live and self.job.eta_s is not None
                else ago(self.job.ended or self.job.created),
                "dim",
            ),
        )
        return Row(self.job.id, cells)


def read_runs(home: Home) -> list[Run]:
    """All training jobs, newest first; one started by hand in another shell is among them."""
    names = {row.job_id: row.name for row in runs(reader(home)) if row.job_id} if home.database.exists() else {}
    found = []
    for job in jobs(home, "train"):
        last = last_events(job.folder / "events.jsonl", ("metric", "eval"), since="never")
        found.append(Run(job, names.get(job.id, job.title), "", last.get("metric", {}), last.get("eval", {})))
    return found


@dataclass(frozen=True)
class Curves:
    """A run's curves, reduced to what can be drawn, and the newest of everything."""

    job: str
    loss: tuple[tuple[float, float], ...] = ()
    smooth: tuple[tuple[float, float], ...] = ()
    heldout: tuple[tuple[float, float], ...] = ()
    passed: tuple[tuple[float, float], ...] = ()
    start: Mapping[str, Any] = field(default_factory=dict)
    metric: Mapping[str, Any] = field(default_factory=dict)
    before: tuple[int, tuple[Bubble, ...]] | None = None
    now: tuple[int, tuple[Bubble, ...]] | None = None
    log: tuple[Line, ...] = ()

    def loss_series(self, smoothed: bool) -> list[Series]:
        """Training loss as a line, held-out loss as marks."""
        return [
            Series("train", self.smooth if smoothed else self.loss, "accent"),
            Series("held out", self.heldout, "user", "◆"),
        ]

    def pass_series(self) -> list[Series]:
        """The share of dev conversations that end right."""
        return [Series("dev paths right", self.passed, "good"), Series("", self.passed, "good", "●")]


class Reader:
    """Folds a job's events as they grow; calls may come from any worker thread, one at a time gets in."""

    def __init__(self, home: Home, job: str) -> None:
        self._home, self.job = home, job
        self._lock = threading.Lock()
        self._offset = 0
        self._loss: list[tuple[float, float]] = []
        self._heldout: list[tuple[float, float]] = []
        self._passed: list[tuple[float, float]] = []
        self._last: dict[str, Mapping[str, Any]] = {}
        self._samples: list[tuple[int, tuple[Bubble, ...]]] = []

    def read(self) -> Curves:
        """The curves after everything written so far."""
        with self._lock:
            events, self._offset = tail_events(self._home, self.job, self._offset)
            for event in events:
                self._fold(event)
            loss = tuple(buckets(self._loss, COLUMNS))
            return Curves(
                self.job, loss, tuple(buckets(smooth(self._loss), COLUMNS)), tuple(buckets(self._heldout, COLUMNS)),
                tuple(buckets(self._passed, COLUMNS)), self._last.get("start", {}), self._last.get("metric", {}),
                self._samples[0] if self._samples else None, self._samples[-1] if self._samples else None,
                tail(self._home, self.job),
            )  # fmt: skip

    def _fold(self, event: Mapping[str, Any]) -> None:
        kind, step = str(event.get("type")), _number(event.get("step"))
        self._last[kind] = event
        if step is None:
            return
        if kind == "metric":
            _put(self._loss, step, event.get("loss"))
        elif kind == "eval":
            _put(self._heldout, step, event.get("dev_loss"))
            _put(self._passed, step, event.get("pass_rate"))
        elif kind == "sample" and isinstance(event.get("samples"), list):
            while len(self._samples) > 1:
                self._samples.pop()
            self._samples.append((int(step), sampled(event["samples"])))


def sampled(samples: Sequence[Any]) -> tuple[Bubble, ...]:
    """Dev scenarios as the model answers them; where the answer differs from the dialogue's, both are there."""
    bubbles: list[Bubble] = []
    for sample in samples:
        if not isinstance(sample, Mapping):
            continue
        bubbles.append(Bubble("dev", str(sample.get("title", ""))))
        for message in sample.get("messages", ()):
            role = {"assistant": "agent", "user": "user"}.get(str(message.get("role")))
            if role == "agent":
                answer = str(message.get("answer", ""))
                same = " ".join(answer.split()) == " ".join(str(message.get("content", "")).split())
                bubbles.append(Bubble("agent", answer or "(nothing)", (("✓ as written", "good"),) if same else ()))
            elif role:
                bubbles.append(Bubble(role, str(message.get("content", ""))))
    return tuple(bubbles)


def tail(home: Home, job: str, most: int = 200) -> tuple[Line, ...]:
    """The end of the job's log, cleaned."""
    try:
        with (home.jobs / job / "log.txt").open("rb") as file:
            file.seek(max(file.seek(0, 2) - 65536, 0))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return ()
    return tuple(line((clean_line(row, 400), "plain")) for row in text.splitlines()[-most:])


def facts(run: Run, curves: Curves | None) -> Line:
    """One line of figures about the run."""
    if run.job.error:
        return line((f"✗ {run.job.error}", "bad"))
    metric, start = (curves.metric or run.metric, curves.start) if curves else (run.metric, {})
    spans: list[Span] = []
    for label, value in (
        ("tokens/s", short(_number(metric.get("tokens_per_s")) or 0) if metric else ""),
        ("trained", f"{short(_number(metric.get('tokens')) or 0)} tokens" if metric else ""),
        ("epoch", _figure(metric.get("epoch"), 2)),
        ("lr", f"{_number(metric.get('lr')) or 0:.1e}" if metric else ""),
        ("gradient", _figure(metric.get("grad_norm"), 2)),
        ("step", duration(_number(metric.get("step_time"))) if metric else ""),
        ("memory", f"{(_number(metric.get('memory_mb')) or 0) / 1000:.1f} GB" if metric else ""),
        ("on", f"{start.get('device')} {start.get('precision')}" if start.get("device") else ""),
    ):
        if value:
            spans += [(f"{label} ", "dim"), (f"{value}  ", "plain")]
    return tuple(spans) or line(("waiting for the first step", "dim"))


def _put(points: list[tuple[float, float]], step: float, value: Any) -> None:
    """Append a point; a resumed run goes back to its checkpoint, and what came after it is drawn anew."""
    number = _number(value)
    while points and points[-1][0] >= step:
        points.pop()
    if number is not None:
        points.append((step, number))


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and value == value else None


def _figure(value: Any, digits: int) -> str:
    number = _number(value)
    return "" if number is None else f"{number:.{digits}f}"

"""What the Training pane shows, as plain data: runs from their job folders, curves from their events."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workbench.home import Home
from workbench.jobs import JobStatus, jobs
from workbench.jobs.events import last_events, whole_lines
from workbench.numbers import finite
from workbench.store.runs import get_run, runs
from workbench.text import clean_line
from workbench.training.compare import compare_runs, comparison_rows
from workbench.training.curves import Axis, RunCurves
from workbench.training.launch import note_of
from workbench.tui.effects import reader
from workbench.tui.format import ago, duration, percent, short
from workbench.tui.widgets.chart import Series, buckets
from workbench.tui.widgets.safe import Line, Span, fit, line, width_of
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
    note: str = ""

    def row(self, marked: bool = False) -> Row:
        """The row of the list."""
        step, steps = self.metric.get("step"), self.metric.get("steps")
        live = self.job.state in ("running", "stopping")
        speed = finite(self.metric.get("tokens_per_s"))
        place = f" {self.job.place}." if self.job.place else ""
        mark, tone = STATES.get(self.job.state, ("?", "dim"))
        cells = (
            (mark + place, tone),
            (("+ " if marked else "") + clean_line(self.name, 60), "key" if marked else "plain"),
            f"{step}/{steps}" if step is not None else "",
            _figure(self.evaluated.get("dev_loss"), 3),
            percent(finite(self.evaluated.get("pass_rate"))),
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
        found.append(
            Run(
                job,
                names.get(job.id, job.title),
                "",
                last.get("metric", {}),
                last.get("eval", {}),
                note_of(home, job.id),
            )
        )
    return found


def comparison(home: Home, wanted: Sequence[str]) -> list[Line]:
    """Runs side by side as aligned lines; those without a row in the record are left out."""
    rec = reader(home)
    rows = comparison_rows(compare_runs([row for row in (get_run(rec, w) for w in wanted) if row]))
    widths = [min(max(width_of(line(row[n])) for row in rows), 34) for n in range(len(rows[0]))]
    return [
        line(
            (fit(row[0], widths[0] + 2), "dim"),
            *(fit(cell, w + 2) for cell, w in zip(row[1:], widths[1:], strict=True)),
        )
        for row in rows
    ]


METRICS = {
    "pass_rate": "dev paths right", "dev_loss": "held-out loss", "lr": "learning rate", "grad_norm": "gradient norm",
    "tokens_per_s": "tokens/s", "mfu": "MFU", "step_time": "seconds a step", "memory_mb": "memory, MB", "cpu": "processors",
}  # fmt: skip
"""What the lower chart may show, by the metric's name; a run's GPUs come after it (`label`)."""
SHARES = frozenset({"pass_rate", "mfu", "cpu"})
GPU = {"use": "use", "memory_mb": "memory, MB", "celsius": "°C", "watt": "W"}
TONES = ("accent", "user", "good", "warn", "bad", "dim")
"""Tones of runs that are drawn together, the selected one first."""


@dataclass(frozen=True)
class Shown:
    """The selected run's curves, those of the marked runs, and the end of the selected one's log."""

    main: RunCurves
    others: tuple[tuple[str, RunCurves], ...] = ()
    log: tuple[Line, ...] = ()

    @property
    def before(self) -> tuple[int, tuple[Bubble, ...]] | None:
        """The fixed dev dialogues before the first step."""
        return _answers(self.main, 0)

    @property
    def now(self) -> tuple[int, tuple[Bubble, ...]] | None:
        """The same at the newest evaluation."""
        return _answers(self.main, -1)


def _answers(curves: RunCurves, at: int) -> tuple[int, tuple[Bubble, ...]] | None:
    if not curves.samples:
        return None
    event = curves.samples[at]
    return int(finite(event.get("step")) or 0), sampled(event["samples"])


def loss_series(shown: Shown, name: str, axis: Axis, smoothed: bool) -> list[Series]:
    """Training loss as a line (held-out loss as marks where one run is drawn)."""
    kind = "smooth" if smoothed else "loss"
    if not shown.others:
        return [
            Series("train", _line(shown.main, kind, axis), "accent"),
            Series("held out", _line(shown.main, "dev_loss", axis), "user", "◆"),
        ]
    return [Series(n, _line(c, kind, axis), t) for n, c, t in _each(shown, name)]


def metric_series(shown: Shown, name: str, axis: Axis, metric: str) -> list[Series]:
    """One metric of every run that is drawn; few points also get a mark."""
    found = []
    for run, curves, tone in _each(shown, name):
        points = _line(curves, metric, axis)
        found += [
            Series(run if shown.others else label(metric), points, tone),
            *([Series("", points, tone, "●")] if 0 < len(points) < 60 else []),
        ]
    return found


def _each(shown: Shown, name: str) -> list[tuple[str, RunCurves, str]]:
    runs = [(name, shown.main), *shown.others]
    return [(clean_line(n, 24), c, TONES[min(i, len(TONES) - 1)]) for i, (n, c) in enumerate(runs)]


def _line(curves: RunCurves, name: str, axis: Axis) -> tuple[tuple[float, float], ...]:
    return tuple(buckets([(p.x(axis), p.value) for p in curves.curves.get(name, ())], COLUMNS))


def metrics_of(shown: Shown | None) -> tuple[str, ...]:
    """The metrics that the run has, in the order of METRICS, each of its GPUs after them."""
    names = shown.main.curves if shown else ()
    return (*(m for m in METRICS if m in names), *sorted(m for m in names if m.startswith("gpu"))) or ("pass_rate",)


def label(metric: str) -> str:
    """A metric in words: `gpu3_watt` is "GPU 3 W"."""
    card, _, part = metric.partition("_")
    return METRICS.get(metric) or f"GPU {card.removeprefix('gpu')} {GPU.get(part, part)}"


def is_share(metric: str) -> bool:
    """Whether it lies between 0 and 1."""
    return metric in SHARES or metric.endswith("_use")


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


def tail(home: Home, job: str, search: str = "", most: int = 300) -> tuple[Line, ...]:
    """The end of the job's log, cleaned; with `search` the newest of its lines that hold that text, whatever its case."""
    try:
        with (home.jobs / job / "log.txt").open("rb") as file:
            if not search:
                file.seek(max(file.seek(0, 2) - 65536, 0))
                rows = file.read().decode("utf-8", "replace").splitlines()[-most:]
            else:
                wanted = search.casefold()
                found = (row.decode("utf-8", "replace") for row, _ in whole_lines(file))
                rows = list(deque((row for row in found if wanted in row.casefold()), most))
    except OSError:
        return ()
    return tuple(line((clean_line(row, 400), "plain")) for row in rows)


def facts(run: Run, curves: RunCurves | None) -> Line:
    """One line of figures about the run."""
    if run.job.error:
        return line((f"✗ {run.job.error}", "bad"))
    if run.job.place:
        return line((f"waits for the device, place {run.job.place}", "warn"))
    metric, start = (
        (curves.last.get("metric", run.metric), curves.last.get("start", {})) if curves else (run.metric, {})
    )
    spans: list[Span] = []
    for label, value in (
        ("tokens/s", short(finite(metric.get("tokens_per_s")) or 0) if metric else ""),
        ("MFU", percent(finite(metric.get("mfu"))) if "mfu" in metric else ""),
        ("trained", f"{short(finite(metric.get('tokens')) or 0)} tokens" if metric else ""),
        ("epoch", _figure(metric.get("epoch"), 2)),
        ("lr", f"{finite(metric.get('lr')) or 0:.1e}" if metric else ""),
        ("gradient", _figure(metric.get("grad_norm"), 2)),
        ("step", duration(finite(metric.get("step_time"))) if metric else ""),
        ("memory", f"{(finite(metric.get('memory_mb')) or 0) / 1000:.1f} GB" if metric else ""),
        ("processors", percent(finite(metric.get("cpu"))) if "cpu" in metric else ""),
        *_gpu(metric),
        ("on", f"{start.get('device')} {start.get('precision')}" if start.get("device") else ""),
    ):
        if value:  # a label and its figure stay on one line
            spans += [
                (f"{label} ".replace(" ", "\u00a0"), "dim"),
                (value.replace(" ", "\u00a0"), "plain"),
                ("  ", "plain"),
            ]
    return tuple(spans) or line(("waiting for the first step", "dim"))


def _gpu(metric: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What every GPU tells in the newest readings: use, memory, temperature, power."""
    forms = {"use": (100, "%"), "memory_mb": (0.001, " GB"), "celsius": (1, " °C"), "watt": (1, " W")}
    found: dict[str, list[str]] = {}
    for name, value in metric.items():
        card, _, part = name.partition("_")
        if card.startswith("gpu") and part in forms and (number := finite(value)) is not None:
            scale, unit = forms[part]
            found.setdefault(f"GPU {card.removeprefix('gpu')}", []).append(f"{number * scale:.0f}{unit}")
    return [(card, " ".join(words)) for card, words in sorted(found.items())]


def _figure(value: Any, digits: int) -> str:
    number = finite(value)
    return "" if number is None else f"{number:.{digits}f}"

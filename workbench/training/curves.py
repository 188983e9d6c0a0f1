"""A run's curves from its event file: read once, from where the last look ended, and kept small however long it runs.

Each curve keeps its newest points whole (a resumed run goes back to its checkpoint, so what came after it is taken back) and
of older ones the lowest and the highest of each bucket, so that spikes stay. What was read is remembered in the home's
state folder, by the run itself and by whoever looks at it: opening a run of a million steps reads a quarter of a megabyte.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from workbench.home import Home, make_folder, open_private
from workbench.jobs.events import all_events, whole_lines
from workbench.numbers import finite

Axis = Literal["step", "time", "tokens"]
AXES: tuple[Axis, ...] = ("step", "time", "tokens")
TAIL = 2048
"""Newest points that are kept whole: more than lie between two checkpoints."""
BUCKETS = 1024
"""At most so many buckets of older points: several a column of any screen."""
_WEIGHT = 0.9
"""Of the smoothed loss: an exponential moving average with its start bias taken out, as in Adam."""
_FROM_METRIC = ("loss", "lr", "grad_norm", "tokens_per_s", "mfu", "step_time", "memory_mb", "cpu", "epoch")
_FROM_EVAL = ("dev_loss", "pass_rate")
_KEPT = ("start", "metric", "eval", "checkpoint", "progress", "done", "failed", "stop")
_REMEMBER = 1 << 18
_BACKLOG = 1 << 23
"""Bytes of steps that are folded whole at once: two seconds' work."""
_VERSION = 2


class Point(NamedTuple):
    """One measurement. `time` is seconds of training, sessions added up."""

    step: float
    time: float
    tokens: float
    value: float

    def x(self, axis: Axis) -> float:
        """The place on an axis."""
        return self.tokens if axis == "tokens" else self.time if axis == "time" else self.step


class Curve:
    """Points in order of steps, reduced as they age. `span` is how many points an old bucket stands for."""

    def __init__(self) -> None:
        self.old: list[tuple[Point, Point]] = []
        self._flat: list[Point] | None = None
        self.span = 1
        self.tail: list[Point] = []
        self.count = 0

    def add(self, point: Point) -> None:
        """Append a point; those of the same and later steps are taken back first."""
        if self.tail and self.tail[-1].step >= point.step:
            self.cut(point.step)
        self.tail.append(point)
        self.count += 1
        if len(self.tail) >= 2 * TAIL:
            self._age()

    def cut(self, step: float) -> None:
        """Take back what came at `step` or later."""
        while self.tail and self.tail[-1].step >= step:
            self.tail.pop()
            self.count -= 1
        if not self.tail:
            while self.old and min(p.step for p in self.old[-1]) >= step:
                self.old.pop()
                self._flat = None

    def _age(self) -> None:
        """Turn the older half of the tail into buckets, and merge buckets in pairs when there are too many."""
        leaving, self.tail = self.tail[:TAIL], self.tail[TAIL:]
        self.old += [_extremes(leaving[i : i + self.span]) for i in range(0, len(leaving), self.span)]
        while len(self.old) > BUCKETS:
            self.span *= 2
            pairs = [[p for bucket in self.old[i : i + 2] for p in bucket] for i in range(0, len(self.old), 2)]
            self.old = [_extremes(points) for points in pairs]
        self._flat = None

    def points(self) -> list[Point]:
        """All that is kept, in order."""
        if self._flat is None:
            self._flat = [p for low, high in self.old for p in ([low] if low == high else sorted((low, high)))]
        return self._flat + self.tail


def _extremes(points: list[Point]) -> tuple[Point, Point]:
    return min(points, key=lambda p: p.value), max(points, key=lambda p: p.value)


@dataclass(frozen=True, slots=True)
class RunCurves:
    """Curves by name (`loss`, `smooth` …), the newest event of each kind, and what the model said first and last."""

    job: str
    curves: Mapping[str, tuple[Point, ...]] = field(default_factory=dict)
    last: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    samples: tuple[Mapping[str, Any], ...] = ()


class CurveReader:
    """Folds a run's events as they grow; calls may come from any thread, one at a time gets in."""

    def __init__(self, home: Home, job: str) -> None:
        self.job = job
        self._events = home.jobs / job / "events.jsonl"
        self._memory = home.state / "curves" / f"{job}.json"
        self._lock = threading.Lock()
        self._reset()
        self._recall()

    def _reset(self) -> None:
        self._offset = self._remembered = 0
        self._curves: dict[str, Curve] = {}
        self._last: dict[str, Mapping[str, Any]] = {}
        self._samples: list[Mapping[str, Any]] = []
        self._mean, self._seen = 0.0, 0

    def read(self) -> RunCurves:
        """The curves after everything written so far."""
        with self._lock:
            self._catch_up()
            curves = {name: tuple(curve.points()) for name, curve in self._curves.items()}
            return RunCurves(self.job, curves, dict(self._last), tuple(self._samples))

    def catch_up(self) -> None:
        """Fold what was written since the last look, and remember it: a run does so itself now and then, so that opening
        it after days is opening it after an hour.
        """
        with self._lock:
            self._catch_up()

    def _catch_up(self) -> None:
        for line in self._new_lines():
            self._fold(line)
        if self._offset - self._remembered > _REMEMBER:
            self._remember()

    def _new_lines(self) -> Iterator[bytes]:
        """Whole lines from the offset on; progress events are passed over unread, and of a run of days that nobody has
        folded yet (the run itself does, but not one from elsewhere) only every so manieth step until near the end.
        """
        try:
            with self._events.open("rb") as stream:
                size = stream.seek(0, os.SEEK_END)
                if size < self._offset:
                    self._reset()  # another file under the same name
                every, metrics = max(1, (size - self._offset) // _BACKLOG), 0
                for line, after in whole_lines(stream, self._offset):
                    self._offset = after
                    if not line or b'"type":"progress"' in line:
                        continue
                    if every > 1 and after < size - _BACKLOG and b'"type":"metric"' in line:
                        metrics += 1
                        if metrics % every:
                            continue
                    yield line
        except FileNotFoundError:
            return

    def _fold(self, line: bytes) -> None:
        try:
            event = json.loads(line)
        except ValueError:
            return
        kind = event.get("type") if isinstance(event, dict) else None
        if kind in _KEPT:
            self._last[kind] = {**self._last.get(kind, {}), **event} if kind == "start" else event
        step = finite(event.get("step")) if kind in ("metric", "eval", "sample") else None
        if step is None:
            return
        if kind == "metric":
            names = [n for n in (*_FROM_METRIC, *(k for k in event if k.startswith("gpu"))) if n in event]
            self._put(event, step, names)
            self._smooth(event, step)
        elif kind == "eval":
            self._put(event, step, _FROM_EVAL)
        elif isinstance(event.get("samples"), list):
            self._samples = [*self._samples[:1], event] if self._samples and step > 0 else [event]

    def _put(self, event: Mapping[str, Any], step: float, names: Any) -> None:
        seconds, tokens = finite(event.get("seconds")), finite(event.get("tokens"))
        for name in names:
            curve = self._curves.get(name)
            if (value := finite(event.get(name))) is not None:
                curve = curve or self._curves.setdefault(name, Curve())
                curve.add(Point(step, seconds or 0.0, tokens or 0.0, value))
            elif curve:
                curve.cut(step)

    def _smooth(self, event: Mapping[str, Any], step: float) -> None:
        loss = finite(event.get("loss"))
        if loss is None:
            return
        self._seen += 1
        self._mean = _WEIGHT * self._mean + (1 - _WEIGHT) * loss
        smoothed = self._mean / (1 - _WEIGHT**self._seen)
        self._put({**event, "smooth": smoothed}, step, ("smooth",))

    def _remember(self) -> None:
        curves = {n: [c.old, c.span, c.tail, c.count] for n, c in self._curves.items()}
        data = [_VERSION, self._offset, curves, self._last, self._samples, self._mean, self._seen]
        aside = self._memory.with_name(f"{self._memory.name}.{os.getpid()}")
        with suppress(OSError):
            make_folder(self._memory.parent)
            with open(open_private(aside, os.O_WRONLY | os.O_TRUNC), "w", encoding="utf-8") as out:
                out.write(json.dumps(data))
            aside.replace(self._memory)
            self._remembered = self._offset

    def _recall(self) -> None:
        """What an earlier reader remembered; anything odd about it and the file is read from its start."""
        try:
            version, offset, curves, last, samples, mean, seen = json.loads(self._memory.read_text(encoding="utf-8"))
            if version != _VERSION or offset > self._events.stat().st_size:
                return
            for name, (old, span, tail, count) in curves.items():
                curve = self._curves.setdefault(name, Curve())
                curve.old = [(Point(*low), Point(*high)) for low, high in old]
                curve.span, curve.tail, curve.count = span, [Point(*p) for p in tail], count
            self._offset = self._remembered = offset
            self._last, self._samples, self._mean, self._seen = last, samples, mean, seen
        except (OSError, ValueError, TypeError):
            self._reset()


def every_point(events: Path) -> Iterator[tuple[str, Point, float]]:
    """(name, point, wall-clock time) of everything measured, unreduced, in the order written: for exports."""
    for event in all_events(events):
        kind, step = event.get("type"), finite(event.get("step"))
        if kind not in ("metric", "eval") or step is None:
            continue
        seconds, tokens = finite(event.get("seconds")) or 0.0, finite(event.get("tokens")) or 0.0
        names = _FROM_EVAL if kind == "eval" else [k for k in event if k in _FROM_METRIC or k.startswith("gpu")]
        for name in names:
            if (value := finite(event.get(name))) is not None:
                yield name, Point(step, seconds, tokens, value), finite(event.get("t")) or 0.0

"""A home with a sample record and two training jobs, and helpers that wait for a condition, never for a time."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.fakes.record import START, make_sample_record
from tests.tui.snapshots import snap_compare  # noqa: F401  (a fixture)
from workbench.home import Home
from workbench.tui import format as formats
from workbench.tui.panes.workflows import view as workflow_view
from workbench.tui.shell import Workbench

HOSTILE = "[/x] [bold]\x1b]52;c;aGk=\x07\x1b[2J\x9b31m\u202eevil\u2069 [link=x]y[/link]"
"""Markup that would raise, OSC 52, clear screen, a C1 byte and bidirectional overrides."""
DEADLINE = 60.0


async def until(pilot: Pilot[int], condition: Callable[[], object]) -> None:
    """Let the app run until the condition holds; fail loudly if it never does."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "the app did not get there in time"
        await pilot.pause()
        await asyncio.sleep(0.01)


async def settle(pilot: Pilot[int]) -> None:
    """Until no worker is under way and nothing is left to draw."""
    app = pilot.app
    assert isinstance(app, Workbench)
    for _ in range(3):
        await pilot.pause()
        await until(pilot, lambda: app.pane is not None and app.effects.idle)
        await pilot.pause()


async def press(pilot: Pilot[int], *keys: str) -> None:
    """Press keys once the app is there, and let each have its effect."""
    await settle(pilot)
    for key in keys:
        await pilot.press(key)
        await settle(pilot)


def screen_text(app: Workbench) -> str:
    """What the screen shows, as plain text."""
    return "\n".join(strip.text.rstrip() for strip in app.screen._compositor.render_strips())


def make_job(
    home: Home, job_id: str, steps: int = 60, state: str = "done", kind: str = "train", text: str = "fine"
) -> Path:
    """A job's folder as a run leaves it: events with metrics, evaluations, samples; a log."""
    folder = home.jobs / job_id
    folder.mkdir(parents=True)
    job = {
        "kind": kind,
        "title": f"train {text}",
        "args": {},
        "created": START,
        "attempt": 1,
        "command": None,
        "cwd": "/",
    }
    (folder / "job.json").write_text(json.dumps(job))
    events: list[dict[str, object]] = [{"t": START, "type": "start", "device": "cpu", "precision": "bf16"}]
    for step in range(0, steps + 1, 1):
        if step:
            loss = 2.5 * math.exp(-step / 20) + 0.2
            metric = {"step": step, "steps": 100, "loss": loss, "tokens": step * 1000, "tokens_per_s": 250.0}
            events.append({"t": START + step, "type": "metric", **metric})
        if step % 20 == 0:
            evaluated = {"step": step, "dev_loss": 2.4 * math.exp(-step / 25) + 0.3, "pass_rate": step / 100}
            events.append({"t": START + step, "type": "eval", **evaluated})
            said = [
                {"role": "assistant", "content": "Where to?", "answer": f"Answer at {step} {text}"},
                {"role": "user", "content": f"To Oslo {text}"},
            ]
            events.append({"t": START, "type": "sample", "step": step, "samples": [{"title": text, "messages": said}]})
    (folder / "events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in events))
    (folder / "log.txt").write_text(f"packed {text}\nstep 1\n")
    if state in ("done", "stopped"):
        (folder / "done.json").write_text(json.dumps({"attempt": 1, "at": START + 90, "state": state, "result": {}}))
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A record with one of everything, and two runs."""
    monkeypatch.chdir(tmp_path)
    small = Path(__file__).with_name("small.yaml")
    monkeypatch.setattr(workflow_view, "known_workflows", lambda: [small])
    monkeypatch.setattr(formats, "now", lambda: START + 3600)
    home = Home(tmp_path / "runs")
    make_sample_record(home, 60).close()
    make_job(home, "a" * 16)
    make_job(home, "b" * 16, steps=40, state="stopped")
    return home


@pytest.fixture
def app(home: Home) -> Workbench:
    """The app on that home, without the watcher (tests say themselves what changed)."""
    return Workbench(home, watch=False)

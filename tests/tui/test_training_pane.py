"""The key flows of the Training pane, and mending from Results, at 80×24 without a mouse."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from textual.widgets import Input

from tests.fakes.record import START
from tests.tui.conftest import HOSTILE, make_job, press, screen_text, settle, until
from workbench.home import Home
from workbench.store import connect
from workbench.store.rows import RunRow
from workbench.store.runs import get_run, put_run
from workbench.tui.panes.training import form
from workbench.tui.shell import Workbench
from workbench.tui.widgets.chart import Chart
from workbench.tui.widgets.form import FormScreen, Preview

SIZE = (80, 24)
JOBS = ("a" * 16, "b" * 16)


@pytest.fixture
def rows(home: Home) -> Sequence[str]:
    """The two runs in the record, with recipes that differ."""
    with connect(home) as rec:
        for n, job in enumerate(JOBS):
            row = RunRow(
                job, f"run {n} {HOSTILE}", job, None, None, {"learning_rate": 1e-4 * (n + 1)}, "done", {"steps": 60}
            )
            put_run(rec, row)
    return JOBS


async def test_a_run_is_started_from_the_form(app: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[dict[str, Any]] = []
    monkeypatch.setattr(form, "preview", lambda home, values: Preview((f"would train {values['recipe']}",)))
    monkeypatch.setattr(form, "start", lambda home, found, values: started.append(values))
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "3", "n")
        await until(pilot, lambda: "would train demo" in screen_text(app))
        assert "train start" in screen_text(app)
        assert "⏎ start" in screen_text(app)
        await pilot.press("down", "p", "down", "down", *"mine")
        await until(pilot, lambda: "--name mine" in screen_text(app) and "would train paper" in screen_text(app))
        await pilot.press("escape")
        await settle(pilot)
        await press(pilot, "n")
        await until(pilot, lambda: isinstance(app.screen, FormScreen) and app.screen.query("#field-name"))
        assert app.screen.query_one("#field-name", Input).value == "mine"
        await until(pilot, lambda: "would train paper" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: started)
    assert (started[0]["name"], started[0]["seeds"]) == ("mine", 1)


async def test_a_base_model_that_is_not_here_is_no_crash(app: Workbench) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "3", "n")
        await until(pilot, lambda: "is not on this disk yet" in screen_text(app))


async def test_curves_of_several_runs_by_any_axis(app: Workbench, rows: Sequence[str]) -> None:
    async with app.run_test(size=(100, 30)) as pilot:
        await press(pilot, "3")
        other = next(j for j in rows if j != app.state.training.selected)
        await press(pilot, "down", "space", "up")
        await until(pilot, lambda: len({s.name for s in app.query_one("#loss", Chart).series}) == 2)
        assert app.state.training.marked == (other,)
        await press(pilot, "b", "b")
        assert app.query_one("#loss", Chart).unit == "tokens"
        assert max(x for s in app.query_one("#loss", Chart).series for x, _ in s.points) >= 40_000
        await press(pilot, "m")
        assert app.state.training.metric == "dev_loss"
        await press(pilot, "s")
        assert "smoothed" in screen_text(app)
        await press(pilot, "v")
        await until(pilot, lambda: "recipe: learning_rate" in screen_text(app))
        assert not set(screen_text(app)) & {"\x1b", "\x07", "\x9b", "\u202e"}


async def test_the_log_is_searched(app: Workbench, home: Home) -> None:
    for job in JOBS:
        (home.jobs / job / "log.txt").write_text(
            "\n".join(f"line {n} {'odd' if n % 50 == 7 else ''}" for n in range(5000))
        )
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "3", "slash", *"ODD")
        await until(pilot, lambda: "line 4957" in screen_text(app) and "line 4958" not in screen_text(app))
        await press(pilot, "enter", "escape")


async def test_a_run_gets_a_name_and_a_note_and_is_deleted_after_a_question(
    app: Workbench, home: Home, rows: Sequence[str]
) -> None:
    (home.jobs / rows[0] / "done.json").write_text(
        json.dumps({"attempt": 1, "at": START, "state": "done", "result": {}})
    )
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "3")
        chosen = app.state.training.selected
        assert chosen is not None
        await press(pilot, "e")
        await until(pilot, lambda: isinstance(app.screen, FormScreen) and app.screen.query("#field-note"))
        await pilot.press("ctrl+u", *"good", "down", *"kept for later", "enter")
        await settle(pilot)
        await until(pilot, lambda: "kept for later" in screen_text(app))
        with connect(home) as rec:
            row = get_run(rec, chosen)
        assert row is not None
        assert row.name == "good"
        await press(pilot, "D")
        await until(pilot, lambda: "Delete good with its checkpoints" in screen_text(app))
        await press(pilot, "n")
        assert (home.jobs / chosen).exists()
        await press(pilot, "D")
        await until(pilot, lambda: "Delete good" in screen_text(app))
        await pilot.press("y")
        await until(pilot, lambda: not (home.jobs / chosen).exists())
        await settle(pilot)
        assert app.state.training.selected != chosen


async def test_a_waiting_run_shows_its_place(app: Workbench, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.jobs.states.job_state", lambda job: ("running", None))
    with (make_job(home, "c" * 16) / "events.jsonl").open("a") as file:
        file.write('{"type":"queue","place":2}\n')
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "3")
        await until(pilot, lambda: "○ queued 2." in screen_text(app))


async def test_nothing_to_mend_is_said_in_one_line(app: Workbench) -> None:
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "5", "M")
        await until(pilot, lambda: any(w in screen_text(app) for w in ("to mend", "mend")))
        assert not isinstance(app.screen, FormScreen)


async def test_mending_asks_with_the_weak_branches_in_view(app: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.evaluation.mend import Mend, Weak
    from workbench.tui import mending

    weak = [Weak(f"branch {HOSTILE}", "assess", 3, 4)]
    launched: list[Mend] = []

    def plan(
        home: Home, run: str, weak: list[Weak], dialogues: int, changes: dict[str, Any], writer: str | None
    ) -> Mend:
        by = writer or "whole:openai/gpt-4.1"
        return Mend(run, "d", "w", ("branch",), dialogues, 1, "first-mended", {"learning_rate": 1e-4}, by)

    monkeypatch.setattr(mending, "find_weak", lambda home, wanted, agent: ("first", weak))
    monkeypatch.setattr(mending, "plan_mend", plan)
    monkeypatch.setattr(mending, "launch_mend", lambda home, plan, settings: launched.append(plan))
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    async with app.run_test(size=SIZE) as pilot:
        await press(pilot, "5", "M")
        await until(pilot, lambda: "wrong 3 of 4" in screen_text(app))
        assert "train mend" in screen_text(app)
        await until(pilot, lambda: "costs money: give a budget" in screen_text(app))
        await press(pilot, *["tab"] * 4, "right")
        await until(pilot, lambda: "--writer scripted" in screen_text(app))
        await pilot.press("enter")
        await until(pilot, lambda: launched)
        await until(pilot, lambda: "first-mended: dialogues are being written" in screen_text(app))
    assert (launched[0].dialogues, launched[0].writer) == (120, "scripted")

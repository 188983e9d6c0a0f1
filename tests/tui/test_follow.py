from __future__ import annotations

import json
from typing import Any

from tests.fakes.record import START
from tests.tui.conftest import press, screen_text, settle
from workbench.demo.plan import STAGES
from workbench.home import Home
from workbench.tui.follow import Demo, Stage, fold
from workbench.tui.shell import Workbench
from workbench.tui.watch import Changed

DEMO = "e" * 16


def stage(index: int, state: str) -> dict[str, Any]:
    made = STAGES[index]
    place = {"index": index, "total": len(STAGES), "name": made.name, "title": made.title, "why": made.why}
    return {"t": START, "type": "stage", "state": state, **place}


def write(home: Home, *events: dict[str, Any]) -> None:
    folder = home.jobs / DEMO
    folder.mkdir(parents=True, exist_ok=True)
    job = {"kind": "demo", "title": "demo", "args": {}, "created": START, "attempt": 1, "command": None, "cwd": "/"}
    (folder / "job.json").write_text(json.dumps(job))
    with (folder / "events.jsonl").open("a") as file:
        file.writelines(json.dumps(event) + "\n" for event in events)


def test_every_stage_of_the_demo_has_its_pane() -> None:
    panes = [Stage(n, s.name, s.title).pane for n, s in enumerate(STAGES)]
    assert panes == ["workflows", "dialogues", "dialogues", "training", "training", "chat", "results"]


def test_events_fold_into_stages() -> None:
    demo = fold(
        Demo("x"), [stage(0, "done"), stage(4, "running"), {"type": "progress", "done": 3, "total": 4, "eta_s": 9}], 7
    )
    assert [(s.name, s.state, s.share, s.eta_s) for s in demo.stages] == [
        ("workflow", "done", None, None),
        ("training", "running", 0.75, 9.0),
    ]
    assert demo.pane == "training"
    assert fold(demo, [stage(4, "done"), {"type": "done"}], 9).pane == "results"
    failed = fold(demo, [{"type": "failed", "error": "no disk"}], 9)
    assert (failed.ended, failed.error) == ("failed", "no disk")
    assert fold(failed, [{"type": "start"}], 10).ended is None


async def test_following_moves_with_the_stages_until_a_key_is_pressed(home: Home) -> None:
    write(home, stage(0, "running"))
    app = Workbench(home, follow=DEMO, watch=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "1/7 Read the procedure — A workflow is a graph" in screen_text(app)
        write(home, stage(0, "done"), stage(4, "running"), {"type": "progress", "done": 1, "total": 4, "eta_s": 600.0})
        app.post_message(Changed(frozenset({f"job:{DEMO}"})))
        await settle(pilot)
        assert app.state.pane == "training"
        assert "● training 25% 10 min left" in screen_text(app)
        await press(pilot, "2")
        assert app.state.pane == "dialogues"
        assert not app.follower.active
        assert "F follow" in screen_text(app)
        write(home, stage(4, "done"), stage(6, "running"))
        app.post_message(Changed(frozenset({f"job:{DEMO}"})))
        await settle(pilot)
        assert app.state.pane == "dialogues"
        await press(pilot, "F")
        assert app.state.pane == "results"
        write(home, stage(6, "done"), {"type": "done"})
        app.post_message(Changed(frozenset({f"job:{DEMO}"})))
        await settle(pilot)
        assert app.state.pane == "results"
        assert "press 4 and talk" in screen_text(app)

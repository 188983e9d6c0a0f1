"""Two processes train as one: the same loss curve, stopped and resumed too; with the weights in each and sharded."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from tests.training.test_jobs import RECIPE, fill
from workbench.home import Home
from workbench.jobs.context import JobContext
from workbench.jobs.events import EventWriter, read_events
from workbench.jobs.folder import Job, write_job
from workbench.store import connect
from workbench.store.rows import RunRow
from workbench.store.runs import put_run
from workbench.training.recipe import recipe_dict

SMALL = dataclasses.replace(RECIPE, max_tokens_trained=12_000, batch_tokens=4000, learning_rate=3e-3, save_every=2)


def run(home: Home, tiny: Path, name: str, **change: Any) -> tuple[dict[str, Any], dict[int, float], Path]:
    """A training job in this process; its result, losses by step, and folder."""
    from workbench.training.trainer import main

    folder = home.jobs / (name * 16)
    folder.mkdir(exist_ok=True)
    recipe = dataclasses.replace(SMALL, base=str(tiny), **change)
    args = {"dataset": "d" * 16, "recipe": recipe_dict(recipe), "name": name, "from": None, "probe": None}
    write_job(Job(folder.name, "train", name, args, folder, 0.0, 1, None, str(Path.cwd())))
    with connect(home) as record:
        put_run(record, RunRow(folder.name, name, folder.name, "d" * 16, None, args["recipe"]))
    result = main(JobContext(home, folder, args, EventWriter(folder / "events.jsonl")))
    found = {e["step"]: e["loss"] for e in read_events(folder / "events.jsonl")[0] if e["type"] == "metric"}
    return result, found, folder


@pytest.mark.long
@pytest.mark.parametrize("shard", [False, True], ids=["whole weights in each", "sharded (FSDP2)"])
def test_two_processes_learn_what_one_learns(
    home: Home, tiny: Path, shard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoModelForCausalLM

    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    fill(home)
    one, alone, folder = run(home, tiny, "1")
    both, together, other = run(home, tiny, "2", processes=2, shard=shard)
    assert together.keys() == alone.keys()
    assert [together[s] for s in sorted(together)] == pytest.approx([alone[s] for s in sorted(alone)], rel=2e-4)
    assert both["dev_loss"] == pytest.approx(one["dev_loss"], rel=2e-4)
    mine, theirs = (AutoModelForCausalLM.from_pretrained(f / "best").state_dict() for f in (folder, other))
    assert mine.keys() == theirs.keys()
    assert all(bool((mine[n] - theirs[n]).abs().max() < 5e-3) for n in mine)


@pytest.mark.long
@pytest.mark.parametrize("shard", [False, True], ids=["whole weights in each", "sharded (FSDP2)"])
def test_two_processes_stopped_and_resumed_end_the_same(
    home: Home, tiny: Path, shard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    fill(home)
    _, whole, _ = run(home, tiny, "1", processes=2, shard=shard)
    (home.jobs / ("2" * 16)).mkdir()
    (home.jobs / ("2" * 16) / "stop").touch()
    result, _, folder = run(home, tiny, "2", processes=2, shard=shard)
    assert result["status"] == "stopped"
    (folder / "stop").unlink()
    again, rest, _ = run(home, tiny, "2", processes=2, shard=shard)
    assert again["status"] == "done"
    assert rest == whole

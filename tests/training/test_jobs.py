"""The whole way through the record: data set, job, run row, card, export; in this process, on the tiny model."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from workbench.cli.main import cli
from workbench.dialogue.generation import keep_workflow
from workbench.dialogue.planning import plan_paths
from workbench.dialogue.scenarios import scenario_for_path
from workbench.dialogue.scripted import write
from workbench.errors import UserError
from workbench.home import Home
from workbench.jobs import status, stop, wait
from workbench.jobs.context import JobContext
from workbench.jobs.events import EventWriter, read_events
from workbench.store import connect
from workbench.store.datasets import put_dataset
from workbench.store.dialogues import put_dialogue
from workbench.store.rows import DatasetRow, RunRow
from workbench.store.runs import get_run, put_run
from workbench.training.curves import CurveReader
from workbench.training.export import export_hf
from workbench.training.launch import find_run, launch_seeds, run_folder
from workbench.training.recipe import Recipe, recipe_dict
from workbench.workflow.load import load_workflow

RECIPE = Recipe(
    max_tokens_trained=4000, batch_tokens=2000, micro_batch_tokens=2000, max_length=2000, precision="fp32",
    eval_every=2, probe_every=9, dev_limit=2,
)  # fmt: skip


def fill(home: Home) -> str:
    """A record with a small data set."""
    workflow = load_workflow("travel_booking")
    paths = plan_paths(workflow, 8, seed=1, least=0).paths[:8]
    with connect(home) as record:
        workflow_id = keep_workflow(record, workflow)
        items = []
        for i, path in enumerate(paths):
            split = "dev" if i > 5 else "train"
            dialogue = write(workflow, scenario_for_path(workflow, path, split, i))
            put_dialogue(record, dialogue)
            items.append((dialogue.id, split))
        put_dataset(record, DatasetRow("d" * 16, "small", workflow_id), items)
    return "d" * 16


def test_a_training_job_leaves_a_run_a_model_with_its_card_and_an_export(
    home: Home, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.training import curves, trainer
    from workbench.training.trainer import main

    monkeypatch.setattr(curves, "_REMEMBER", 0)
    monkeypatch.setattr(trainer, "_CURVES_EVERY", 1)
    dataset = fill(home)
    folder = home.jobs / ("a" * 16)
    folder.mkdir()
    recipe = dataclasses.replace(RECIPE, base=str(tiny))
    args = {"dataset": dataset, "recipe": recipe_dict(recipe), "name": "first", "from": None, "probe": None}
    with connect(home) as record:
        put_run(record, RunRow(folder.name, "first", folder.name, dataset, None, args["recipe"]))
    with pytest.raises(UserError, match="no checkpoint yet"):
        run_folder(home, "first")
    result = main(JobContext(home, folder, args, EventWriter(folder / "events.jsonl")))
    with connect(home) as record:
        row = get_run(record, folder.name)
    assert row is not None
    assert (row.status, row.summary["steps"]) == ("done", result["steps"])
    assert CurveReader(home, folder.name)._offset > 0, "the run itself remembers its curves"
    types = {event["type"] for event in read_events(folder / "events.jsonl")[0]}
    assert {"start", "metric", "eval", "sample", "checkpoint", "progress"} <= types
    json.dumps(result)
    card = (run_folder(home, "last") / "README.md").read_text()
    assert dataset in card
    assert f"{result['best_dev_loss']:.4f}" in card
    target = export_hf(home, find_run(home, "first").id, tmp_path / "out")
    assert {p.name for p in target.iterdir()} >= {"model.safetensors", "chat_template.jinja", "README.md"}
    with pytest.raises(UserError, match="exists already"):
        export_hf(home, folder.name, target)


@pytest.mark.long
def test_seeds_are_runs_of_their_own_and_resume_one_by_one(home: Home, tiny: Path) -> None:
    recipe = dataclasses.replace(RECIPE, base=str(tiny), max_tokens_trained=40_000)
    first, second = launch_seeds(home, fill(home), recipe, 2, "twins")
    assert [run.recipe["seed"] for run in (first, second)] == [recipe.seed, recipe.seed + 1]
    stop(home, second.id)  # in the queue behind the first, or at work
    assert wait(home, second.id).state == "stopped"
    assert wait(home, first.id).state == "done"
    done = CliRunner().invoke(cli, ["--home", str(home.root.parent), "train", "resume", second.name])
    assert done.exit_code == 0, done.output
    assert wait(home, second.id).state == "done"
    assert [status(home, run.id).attempt for run in (first, second)] == [1, 2]
    losses = [find_run(home, run.id).summary["dev_loss"] for run in (first, second)]
    assert losses[0] != losses[1]

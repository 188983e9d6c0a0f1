"""Evaluate, mend, recompile: what an agent gets wrong becomes dialogues, a data set, and a run that goes on."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest
from click.testing import CliRunner

from tests.evaluation.test_run import Context, Model, args, escalator, opener
from tests.training.test_jobs import RECIPE, fill
from workbench.cli.main import cli
from workbench.dialogue.generation import Order, planned_paths
from workbench.errors import UserError
from workbench.evaluation import mend
from workbench.evaluation.mend import find_weak, plan_mend
from workbench.evaluation.plan import plan_of
from workbench.evaluation.run import evaluate
from workbench.home import Home
from workbench.jobs.context import JobContext
from workbench.jobs.events import EventWriter
from workbench.store import connect
from workbench.store.conversations import ConversationFilter, conversations
from workbench.store.datasets import dataset_items
from workbench.store.rows import RunRow
from workbench.store.runs import put_run
from workbench.training.recipe import recipe_dict
from workbench.workflow.load import load_workflow


@pytest.fixture
async def comparison(home: Home) -> str:
    """A finished run that escalates whatever is said, evaluated on 14 scenarios."""
    dataset = fill(home)
    with connect(home) as rec:
        put_run(rec, RunRow("a" * 16, "first", "a" * 16, dataset, None, recipe_dict(RECIPE), "done"))
        plan = plan_of(args(agents=["compiled:first", "oracle"]))
        result = await evaluate(Context(home), rec, plan, opener(Model(escalator)))  # type: ignore[arg-type]
    return str(result["comparison"])


async def test_what_went_wrong_is_found_in_a_comparison_and_in_a_conversation(home: Home, comparison: str) -> None:
    run, weak = find_weak(home, comparison)
    workflow = load_workflow("travel_booking")
    assert run == "first"
    assert [w.wrong for w in weak] == sorted((w.wrong for w in weak), reverse=True)
    assert all(0 < w.wrong <= w.n and workflow.edge[w.edge].source == w.hub for w in weak)
    with connect(home) as rec:
        held = conversations(rec, ConversationFilter(comparison_id=comparison, condition="compiled"))
    one = find_weak(home, held[0].id)[1]
    assert {w.edge for w in one} <= {e.id for h in workflow.hubs for e in workflow.out[h]}
    with pytest.raises(UserError, match="no compiled agent in-context:x"):
        find_weak(home, comparison, "in-context:x")


async def test_the_oracles_conversations_need_no_mending(home: Home, comparison: str) -> None:
    with connect(home) as rec:
        held = conversations(rec, ConversationFilter(comparison_id=comparison, condition="oracle"))
    with pytest.raises(UserError, match="no weights of ours"):
        find_weak(home, held[0].id)


async def test_mending_writes_dialogues_through_the_weak_branches_and_starts_a_run_from_the_old_one(
    home: Home, comparison: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, weak = find_weak(home, comparison)
    plan = plan_mend(home, run, weak[:2], 6, {"max_tokens_trained": 900})
    assert plan == plan_mend(home, run, weak[:2], 6, {"max_tokens_trained": 900})
    assert plan.recipe["learning_rate"] == RECIPE.learning_rate / 2
    started: dict[str, Any] = {}

    def launch_run(home: Home, dataset: str, recipe: Any, **options: Any) -> RunRow:
        started.update(dataset=dataset, recipe=recipe, **options)
        return RunRow("b" * 16, "x", None, None, None)

    monkeypatch.setattr(mend, "launch_run", launch_run)
    folder = home.jobs / ("c" * 16)
    folder.mkdir()
    job = JobContext(home, folder, json.loads(json.dumps(asdict(plan))), EventWriter(folder / "events.jsonl"))
    result = mend.main(job)
    assert result == {"dataset": started["dataset"], "run": "b" * 16, "added": 6}
    assert (started["start_from"], started["recipe"].max_tokens_trained) == ("a" * 16, 900)
    with connect(home) as rec:
        old, new = (set(dataset_items(rec, d)) for d in (plan.dataset, result["dataset"]))
    assert old < new
    assert {split for _, split in new - old} == {"train"}
    workflow = load_workflow("travel_booking")
    order = Order("travel_booking", 6, 0, 0, 0, plan.seed, through=plan.through)
    assert all(set(path) & set(plan.through) for path in planned_paths(workflow, order, "train"))


async def test_the_command_tells_the_plan(home: Home, comparison: str) -> None:
    words = ["--home", str(home.root.parent), "train", "mend", comparison, "--dry-run"]
    told = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert told.exit_code == 0, told.output
    assert "edge that was demanded" in told.output
    assert "120 dialogues through" in told.output


def test_a_branch_that_no_path_takes_is_an_error() -> None:
    workflow = load_workflow("travel_booking")
    with pytest.raises(UserError, match=r"no path of .* takes the edge 'nowhere'"):
        planned_paths(workflow, Order("travel_booking", 6, through=("nowhere",)), "train")

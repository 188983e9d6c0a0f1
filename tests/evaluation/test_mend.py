"""Evaluate, mend, recompile: what an agent gets wrong becomes dialogues, a data set, and a run that goes on."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.dialogue.writing import SONNET, obliging
from tests.evaluation.test_run import Context, Model, args, escalator, opener
from tests.fakes.anthropic_server import fake_anthropic
from tests.training.test_jobs import RECIPE, fill
from workbench.cli.main import cli
from workbench.dialogue.generation import Order, planned_paths
from workbench.dialogue.model_writer import Writer, writer_named
from workbench.dialogue.scenarios import expected_path
from workbench.errors import UserError
from workbench.evaluation import mend
from workbench.evaluation.mend import Mend, Weak, find_weak, launch_mend, plan_mend, weak_choices, weak_choices_of
from workbench.evaluation.plan import plan_of
from workbench.evaluation.run import evaluate
from workbench.home import Home
from workbench.jobs import jobs
from workbench.jobs.context import JobContext
from workbench.jobs.events import EventWriter
from workbench.jobs.folder import Job, write_job, write_json
from workbench.jobs.settings import change_settings, read_settings
from workbench.store import connect
from workbench.store.conversations import ConversationFilter, conversations
from workbench.store.datasets import dataset_dialogues, dataset_items
from workbench.store.rows import MeasureRow, RunRow
from workbench.store.runs import put_run
from workbench.store.scenarios import get_scenario
from workbench.store.verdicts import measures, put_measures
from workbench.training.recipe import recipe_dict
from workbench.workflow.hashing import digest
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


def mended(
    home: Home, plan: Mend, monkeypatch: pytest.MonkeyPatch, **settings: object
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the job returns, and how it would have started the run."""
    started: dict[str, Any] = {}

    def launch_run(home: Home, dataset: str, recipe: Any, **options: Any) -> RunRow:
        started.update(dataset=dataset, recipe=recipe, **options)
        return RunRow("b" * 16, "x", None, None, None)

    monkeypatch.setattr(mend, "launch_run", launch_run)
    folder = home.jobs / ("c" * 16)
    folder.mkdir()
    change_settings(folder, settings)
    job = JobContext(home, folder, json.loads(json.dumps(asdict(plan))), EventWriter(folder / "events.jsonl"))
    return mend.main(job), started


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
    result, started = mended(home, plan, monkeypatch)
    assert result == {"dataset": started["dataset"], "run": "b" * 16, "added": 6}
    assert (started["start_from"], started["recipe"].max_tokens_trained) == ("a" * 16, 900)
    with connect(home) as rec:
        old, new = (set(dataset_items(rec, d)) for d in (plan.dataset, result["dataset"]))
    assert old < new
    assert {split for _, split in new - old} == {"train"}
    workflow = load_workflow("travel_booking")
    order = Order("travel_booking", 6, 0, 0, 0, plan.seed, through=plan.through)
    assert all(set(path) & set(plan.through) for path in planned_paths(workflow, order, "train"))


async def test_the_same_mend_again_goes_on_with_the_run_that_it_started(
    home: Home, comparison: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, weak = find_weak(home, comparison)
    plan = plan_mend(home, run, weak[:1], 6)
    result, started = mended(home, plan, monkeypatch)
    folder = home.jobs / digest(["mend", asdict(plan)])
    (home.jobs / ("c" * 16)).rename(folder)
    write_job(Job(folder.name, "mend", "mend first", asdict(plan), folder, 1.0))
    write_json(folder / "done.json", {"attempt": 0, "state": "done", "at": 2.0, "result": result})
    expected = dict(started)
    started.clear()
    assert launch_mend(home, plan) == folder.name
    assert started == expected


async def test_each_mend_of_a_run_has_a_name_of_its_own(home: Home, comparison: str) -> None:
    run, weak = find_weak(home, comparison)
    first = plan_mend(home, run, weak[:1], 6)
    folder = home.jobs / ("d" * 16)
    folder.mkdir()
    write_job(Job("d" * 16, "mend", "mend first", asdict(first), folder, 1.0))
    other, again = plan_mend(home, run, weak[1:2], 6), plan_mend(home, run, weak[:1], 6)
    assert (first.name, other.name) == ("first-mended", "first-mended2")
    assert again == first


@pytest.mark.parametrize("broken_off", [False, True], ids=["every hub was right", "no choice was ever due"])
async def test_an_end_that_was_missed_though_no_choice_was_wrong_is_mended_by_its_last_edge(
    home: Home, comparison: str, broken_off: bool
) -> None:
    workflow = load_workflow("travel_booking")
    with connect(home) as rec:
        held = conversations(rec, ConversationFilter(comparison_id=comparison, condition="oracle"))
        scenario = get_scenario(rec, str(held[0].scenario_id))
        assert scenario is not None
        last = workflow.edge[expected_path(workflow, scenario)[-1]]
        detail = {"reached": None, "expected": last.target}
        put_measures(rec, [MeasureRow(held[0].id, "right_terminal", 0.0, detail)])
        if broken_off:  # where the first hub was, the conversation had left the procedure
            lost = {"demanded": None, "hub": workflow.hubs[0], "message": 0, "right": False, "taken": None}
            put_measures(rec, [MeasureRow(held[0].id, "hub_choice", 0.0, {"hubs": [lost]})])
        every = [m.detail["expected"] for m in measures(rec, comparison_id=comparison, name="right_terminal")]
        found = weak_choices(rec, comparison, "oracle")
        assert weak_choices_of(rec, held[0]) == [Weak(last.id, last.source, 1, 1)]
    assert len(held) == len(every) / 2
    assert found == [Weak(last.id, last.source, 1, every.count(last.target) // 2)]


async def test_the_writer_of_the_data_set_writes_what_mends_it(home: Home, comparison: str) -> None:
    run, weak = find_weak(home, comparison)
    assert plan_mend(home, run, weak).writer == "scripted"
    plan = plan_mend(home, run, weak, 6, writer="turns:openai/gpt-4.1+anthropic/claude-x")
    order = plan.order
    assert (order.writer, order.manner, order.user) == ("openai/gpt-4.1", "turns", "anthropic/claude-x")
    assert (order.train, order.dev, order.through) == (6, 0, plan.through)


async def test_a_model_writes_within_the_budget_of_the_mending_job(
    home: Home, comparison: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, weak = find_weak(home, comparison)
    plan = plan_mend(home, run, weak[:1], 3, writer=f"whole:{SONNET}")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test-0123456789abcdef")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    with fake_anthropic("") as fake:
        fake.answer = obliging
        monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url)
        result, _ = mended(home, plan, monkeypatch, budget=1.5)
    assert result["added"] == 3
    assert len(fake.bodies) >= 3
    (writing,) = [job for job in jobs(home) if job.kind == "generate"]
    assert read_settings(writing.folder).budget == 1.5
    with connect(home) as rec:
        old = {i for i, _ in dataset_items(rec, plan.dataset)}
        new = [d for d, _ in dataset_dialogues(rec, result["dataset"], "train") if d.id not in old]
    assert {d.writer for d in new} == {plan.writer}


@pytest.mark.parametrize(
    ("name", "writer"),
    [
        ("scripted", None),
        ("whole:anthropic/claude-x", Writer("anthropic/claude-x", "whole")),
        ("paraphrase:http://127.0.0.1:8000/v1#qwen+chat", Writer("http://127.0.0.1:8000/v1#qwen+chat", "paraphrase")),
        ("turns:openai/a+http://h/v1#b", Writer("openai/a", "turns", "http://h/v1#b")),
    ],
)
def test_a_writer_is_found_by_its_name_in_the_record(name: str, writer: Writer | None) -> None:
    assert writer_named(name) == writer
    assert writer is None or writer.name == name


async def test_a_writer_that_costs_money_is_asked_for_and_not_started_where_nobody_answers(
    home: Home, comparison: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    words = ["--home", str(home.root.parent), "train", "mend", comparison, "--writer", "whole:openai/gpt-4.1"]
    told = CliRunner().invoke(cli, words)
    assert "estimate: " in told.output
    assert told.exit_code == 2
    assert "add --yes" in told.output
    refused = CliRunner().invoke(cli, [*words[:-2], "--budget", "5"])
    assert "belongs to writers on a model" in refused.output
    assert not [j for j in jobs(home) if j.kind == "mend"]


async def test_the_command_tells_the_plan(home: Home, comparison: str) -> None:
    words = ["--home", str(home.root.parent), "train", "mend", comparison, "--dry-run"]
    told = CliRunner().invoke(cli, words, catch_exceptions=False)
    assert told.exit_code == 0, told.output
    assert "edge that was demanded" in told.output
    assert "120 dialogues by scripted through" in told.output
    one = find_weak(home, comparison)[1][-1].edge
    told = CliRunner().invoke(cli, [*words, "--branch", one], catch_exceptions=False)
    assert f"120 dialogues by scripted through {one}, then" in told.output
    assert "none of the weak edges" in CliRunner().invoke(cli, [*words, "--branch", "nowhere"]).output


def test_a_branch_that_no_path_takes_is_an_error() -> None:
    workflow = load_workflow("travel_booking")
    with pytest.raises(UserError, match=r"no path of .* takes the edge 'nowhere'"):
        planned_paths(workflow, Order("travel_booking", 6, through=("nowhere",)), "train")

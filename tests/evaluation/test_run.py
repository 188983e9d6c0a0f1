"""The whole evaluation with fakes for the models: resumed row by row, errors apart, then summed up and reported."""

from __future__ import annotations

import asyncio
import csv
import json
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from workbench.agents.names import parse_name
from workbench.dialogue.generation import keep_workflow
from workbench.dialogue.model import Scenario
from workbench.dialogue.scripted import write
from workbench.errors import ServiceError, UserError
from workbench.evaluation.assess import Assessor
from workbench.evaluation.bounds import check_bounds, parse_bound
from workbench.evaluation.design import design
from workbench.evaluation.plan import condition_names, plan_of
from workbench.evaluation.probe import path_pass_rate, samples
from workbench.evaluation.rejudge import rejudge
from workbench.evaluation.report import markdown, text, write_report
from workbench.evaluation.run import alone, evaluate
from workbench.evaluation.services import Services
from workbench.home import Home
from workbench.jobs.context import Stopped
from workbench.jobs.settings import Settings
from workbench.models.client import Client, Reply, Request, Usage
from workbench.models.ledger import BudgetSpent
from workbench.models.limiter import Limiter
from workbench.store import connect
from workbench.store.comparisons import comparisons, get_comparison
from workbench.store.conversations import ConversationFilter, conversation_messages, conversations
from workbench.store.record import Record
from workbench.store.scenarios import put_scenarios
from workbench.store.verdicts import verdicts
from workbench.workflow.model import Workflow


class Context:
    """What a job's context does, without a job."""

    def __init__(self, home: Home, stop_after: int | None = None) -> None:
        self.home, self.args, self.log_lines = home, {}, list[str]()
        self.done, self._stop_after = 0.0, stop_after

    @property
    def stopping(self) -> bool:
        return self._stop_after is not None and self.done >= self._stop_after

    def check(self) -> None:
        if self.stopping:
            raise Stopped

    def stage(self, name: str, why: str = "") -> None: ...

    def progress(self, done: float, total: float | None, unit: str, **data: object) -> None:
        self.done = done

    def log(self, text: str) -> None:
        self.log_lines.append(text)


class Model:
    """A client that answers by a function of the number of agent messages so far."""

    def __init__(self, answer: Callable[[Request], str]) -> None:
        self.model, self.answer, self.calls = "fake", answer, 0

    async def complete(self, request: Request) -> Reply:
        self.calls += 1
        said = self.answer(request)
        return Reply(said, "end", Usage(50, 10, 5), 0.2, 0.1, 0.001, self.model)

    async def stream(self, request: Request) -> AsyncIterator[str | Reply]:
        yield await self.complete(request)

    async def close(self) -> None: ...


OPENING = "Welcome! Which city, which dates and how many travellers?"
ESCALATES = "A human advisor will take over from here. Goodbye!"


def escalator(request: Request) -> str:
    return ESCALATES if len(request.messages) > 1 else OPENING


def opener(model: Client) -> Services:
    return Services(lambda name, limiter: model)


@pytest.fixture
def rec(home: Home) -> Record:
    return connect(home)


def args(**more: Any) -> dict[str, Any]:
    return {
        "workflow": "travel_booking",
        "agents": ["compiled:fake", "oracle"],
        "scenarios": 14,
        **more,
    }


async def test_whole(home: Home, rec: Record, tmp_path: Path) -> None:
    model = Model(escalator)
    result = await evaluate(Context(home), rec, plan_of(args()), opener(model))  # type: ignore[arg-type]
    summary: Any = result["summary"]
    compiled, oracle = summary["agents"]["compiled"], summary["agents"]["oracle"]
    assert (compiled["n"], oracle["n"], compiled["missing"]) == (14, 14, 0)
    assert oracle["right_terminal"] == oracle["fitness"] == oracle["hub_choice"] == 1.0
    assert compiled["fitness"] == 1.0  # the polite escalator's walk is perfect …
    assert compiled["hub_choice"] < 0.5  # … and its choices are not
    assert compiled["right_terminal"] < 0.5
    assert compiled["naturalness"] is None
    assert compiled["tokens"] == pytest.approx(2 * 65)
    assert compiled["cost"] == pytest.approx(0.002)
    assert summary["labeller_accuracy"] >= 0.95
    assert summary["controls_passed"]
    assert not summary["not_reported"]
    tests = {t["criterion"]: t for t in summary["comparison"]["tests"]}
    assert tests["hub_choice"]["difference"] < 0
    assert tests["hub_choice"]["p_holm"] >= tests["hub_choice"]["p"]
    assert tests["hub_choice"]["significant"]
    assert tests["right_terminal"]["test"].startswith("McNemar")
    json.dumps(summary)
    stored = get_comparison(rec, str(result["comparison"]))
    assert stored is not None
    assert stored.config["design"]["hash"]
    assert len(stored.config["design"]["traits"]) == 14
    assert (stored.status, stored.summary["statement"]) == ("done", summary["statement"])
    _reports(rec, str(result["comparison"]), tmp_path)
    assert rejudge(rec, str(result["comparison"])) == summary
    outcomes = check_bounds(
        summary, "compiled", [parse_bound("fitness=0.9", "min"), parse_bound("failure_rate=0.1", "max")]
    )
    assert [o.is_met for o in outcomes] == [True, False]
    with pytest.raises(UserError, match="no figure"):
        check_bounds(summary, "oracle", [parse_bound("beauty=1", "min")])
    with pytest.raises(UserError, match="no agent"):
        check_bounds(summary, "gpt", [])


def _reports(rec: Record, comparison: str, folder: Path) -> None:
    row = get_comparison(rec, comparison)
    assert row is not None
    assert "hub choice" in text(row.name, row.summary)
    assert "| right terminal |" in markdown(row)
    page = write_report(rec, comparison, "html", folder / "r.html").read_text()
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    with write_report(rec, comparison, "csv", folder / "r.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 28
    assert {"fitness", "rules:task_success", "condition"} <= set(lines[0])
    told = [
        json.loads(line) for line in write_report(rec, comparison, "jsonl", folder / "r.jsonl").read_text().splitlines()
    ]
    assert told[0]["messages"][0]["role"] == "agent"
    assert told[0]["verdicts"][0]["evidence"]["why"]
    with pytest.raises(UserError, match="no report form"):
        write_report(rec, comparison, "docx", folder / "r.docx")


async def test_stopped_and_continued_without_repeating_a_call(home: Home, rec: Record) -> None:
    model = Model(escalator)
    plan = plan_of(args(agents=["compiled:fake"]))
    with pytest.raises(Stopped):
        await evaluate(Context(home, stop_after=5), rec, plan, opener(model))  # type: ignore[arg-type]
    kept = {c.id for c in conversations(rec, ConversationFilter(status="done"))}
    assert 5 <= len(kept) < 14
    before = model.calls
    result = await evaluate(Context(home), rec, plan, opener(model))  # type: ignore[arg-type]
    done = conversations(rec, ConversationFilter(comparison_id=str(result["comparison"]), status="done"))
    assert len(done) == 14
    assert kept <= {c.id for c in done}
    assert model.calls - before <= 2 * (14 - len(kept))
    calls = model.calls
    await evaluate(Context(home), rec, plan, opener(model))  # type: ignore[arg-type]
    assert model.calls == calls


async def test_it_is_paused_and_throttled_while_it_runs(home: Home, rec: Record) -> None:
    now = [Settings(concurrency=4)]
    limiter = Limiter(lambda: now[0])

    class Slow(Model):
        most = 0

        async def complete(self, request: Request) -> Reply:
            async with limiter.slot():
                self.most = max(self.most, limiter.running)
                if self.calls == 5:
                    now[0] = Settings(paused=True)
                await asyncio.sleep(0)  # others may have the loop, as during any call
                return await super().complete(request)

    model = Slow(escalator)
    services = Services(lambda name, limiter: model, lambda name: limiter)
    work = asyncio.create_task(evaluate(Context(home), rec, plan_of(args(agents=["compiled:fake"])), services))  # type: ignore[arg-type]
    while not now[0].paused or limiter.running:
        await asyncio.sleep(0.01)
    held = model.calls
    for _ in range(30):
        await asyncio.sleep(0.01)
    assert (model.calls, work.done()) == (held, False)  # nothing new was begun
    assert 1 < model.most <= 4
    model.most, now[0] = 0, Settings(concurrency=1)
    summary: Any = (await work)["summary"]
    assert (summary["agents"]["compiled"]["n"], summary["agents"]["compiled"]["missing"]) == (14, 0)
    assert model.most == 1


async def test_infrastructure_errors_are_missing_data_and_retried(home: Home, rec: Record) -> None:
    chance = random.Random(1)

    def flaky(request: Request) -> str:
        if chance.random() < 0.3:
            raise ServiceError("the server is down")
        return escalator(request)

    plan = plan_of(args(agents=["compiled:fake"]))
    context = Context(home)
    first: Any = await evaluate(context, rec, plan, opener(Model(flaky)))  # type: ignore[arg-type]
    entry = first["summary"]["agents"]["compiled"]
    assert entry["missing"] > 0
    assert entry["n"] + entry["missing"] == 14
    assert any("server is down" in line for line in context.log_lines)
    assert first["unfinished"] == entry["missing"]
    lost = conversations(rec, ConversationFilter(status="failed"))
    assert len(lost) == entry["missing"]
    assert not [v for v in verdicts(rec) if v.conversation_id in {c.id for c in lost}]
    second: Any = await evaluate(Context(home), rec, plan, opener(Model(escalator)))  # type: ignore[arg-type]
    assert second["summary"]["agents"]["compiled"]["missing"] == 0
    assert second["unfinished"] == 0


async def test_a_spent_budget_ends_it_with_figures_of_what_there_is(home: Home, rec: Record) -> None:
    model = Model(escalator)

    def dear(request: Request) -> str:
        if model.calls > 9:
            raise BudgetSpent("the budget of $1 is used up")
        return escalator(request)

    model.answer = dear
    plan = plan_of(args(agents=["compiled:fake"], name="short"))
    with pytest.raises(ServiceError, match=r"budget of .* results short"):
        await evaluate(Context(home), rec, plan, opener(model))  # type: ignore[arg-type]
    (row,) = comparisons(rec)
    assert row.status == "stopped"
    entry: Any = row.summary["agents"]["compiled"]  # type: ignore[index]
    assert 1 <= entry["n"] < 14
    assert entry["missing"] == 0  # not held is not broken
    model.answer = escalator
    done: Any = await evaluate(Context(home), rec, plan, opener(model))  # type: ignore[arg-type]
    assert done["summary"]["agents"]["compiled"]["n"] == 14


async def test_two_jobs_never_work_on_one_comparison(home: Home, rec: Record) -> None:
    plan = plan_of(args(agents=["oracle"], scenarios=2))
    first: Any = await evaluate(Context(home), rec, plan, opener(Model(escalator)))  # type: ignore[arg-type]
    with alone(home, first["comparison"]), pytest.raises(UserError, match="another job works on comparison"):
        await evaluate(Context(home), rec, plan, opener(Model(escalator)))  # type: ignore[arg-type]


async def test_scenarios_shared_with_training_are_refused(home: Home, rec: Record, travel: Workflow) -> None:
    keep_workflow(rec, travel)
    leaked = design(travel, 3, "test", 42).scenarios[1]
    put_scenarios(rec, [replace(leaked, id="e" * 16, split="train")])
    with pytest.raises(UserError, match="not disjoint from training"):
        await evaluate(Context(home), rec, plan_of(args(scenarios=3)), opener(Model(escalator)))  # type: ignore[arg-type]


async def test_an_endless_agent_is_stopped_and_fails(home: Home, rec: Record) -> None:
    result: Any = await evaluate(
        Context(home),  # type: ignore[arg-type]
        rec,
        plan_of(args(agents=["compiled:fake", "oracle"], limits={"oracle": 3}, scenarios=4)),
        opener(Model(lambda request: OPENING)),
    )
    entry = result["summary"]["agents"]["compiled"]
    assert set(entry["ended_by"]) == {"messages"}
    assert entry["right_terminal"] == 0
    assert entry["failures"]["rate"] == 1
    assert result["summary"]["agents"]["oracle"]["n"] == 3
    tests = result["summary"]["comparison"]["tests"]
    assert {t["n"] for t in tests} <= {1, 2, 3}
    assert all(t["p"] is None and t["significant"] is None for t in tests)  # intervals only
    messages = conversation_messages(rec, conversations(rec)[0].id)
    assert messages[0].label is not None
    assert messages[0].label["act"] == "open"


def test_arguments() -> None:
    with pytest.raises(UserError, match="unknown argument"):
        plan_of(args(colour="red"))
    with pytest.raises(UserError, match="at least one agent"):
        plan_of(args(agents=[]))
    with pytest.raises(UserError, match="scenarios must be at least 1"):
        plan_of(args(scenarios=0))
    with pytest.raises(UserError, match="no judge"):
        plan_of(args(judges=["nobody"]))
    with pytest.raises(UserError, match="no rubric"):
        plan_of(args(rubric="/nowhere.yaml"))
    with pytest.raises(UserError, match="training scenarios"):
        plan_of(args(split="train"))
    with pytest.raises(UserError, match="FIGURE=X"):
        parse_bound("fitness", "min")
    names = condition_names([parse_name(n) for n in ("compiled:a", "compiled:b", "oracle")])
    assert names == {"compiled:a": "compiled:a", "compiled:b": "compiled:b", "oracle": "oracle"}


async def test_unknown_user_is_one_line(home: Home, rec: Record) -> None:
    with pytest.raises(UserError, match="simulated user"):
        await evaluate(Context(home), rec, plan_of(args(user="nobody")), opener(Model(escalator)))  # type: ignore[arg-type]


def test_the_probe_tells_a_learnt_agent_from_one_that_is_not(
    travel: Workflow, assessor: Assessor, scenarios: list[Scenario]
) -> None:
    def stubborn(chats: Any) -> list[str]:
        return [ESCALATES if len(c) > 1 else OPENING for c in chats]

    rate = path_pass_rate(assessor, scenarios[:12], stubborn)
    due = [write(travel, s).terminal == "escalated" and len(write(travel, s).messages) == 3 for s in scenarios[:12]]
    assert rate == sum(due) / 12
    shown = samples(travel, scenarios[:2], stubborn)
    assert len(shown) == 2
    assert [m["role"] for m in shown[0]["messages"]][:2] == ["assistant", "user"]
    assert all(("answer" in m) == (m["role"] == "assistant") for m in shown[0]["messages"])

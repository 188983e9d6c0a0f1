"""Writers on a model through the real SDKs: three manners, what they may see, bad replies, budget, resume, batches."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.dialogue.writing import SONNET, generate, job, logged, obliging
from tests.fakes.anthropic_batches import BatchDesk
from tests.fakes.anthropic_server import fake_anthropic
from tests.fakes.openai_server import Act, Fake, fake_openai
from workbench.dialogue.checks import check_dialogue, check_set
from workbench.dialogue.generation import Order, main, planned_scenarios, writer_of_order
from workbench.dialogue.model import Dialogue
from workbench.dialogue.outline import outline
from workbench.dialogue.prompting import prompt_hash
from workbench.dialogue.scenarios import scenario_for_path
from workbench.errors import ServiceError, UserError
from workbench.home import Home
from workbench.jobs.context import Stopped
from workbench.models.ledger import BudgetSpent
from workbench.store import connect
from workbench.store.calls import call_totals, calls, counted
from workbench.store.dialogues import DialogueFilter, dialogue_rowids, dialogue_rows, iterate_dialogues
from workbench.store.reviews import put_reviews
from workbench.store.rows import ReviewRow
from workbench.workflow.hashing import workflow_hash
from workbench.workflow.load import load_workflow
from workbench.workflow.model import Workflow
from workbench.workflow.paths import PathSpace

ORDER = Order("travel_booking", train=0, dev=0, test=9, least=0, writer=SONNET)
"""The test split takes exactly as many as are asked for."""


@pytest.fixture(scope="module")
def travel() -> Workflow:
    return load_workflow("travel_booking")


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test-0123456789abcdef")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
    monkeypatch.setenv("WORKBENCH_BATCH_POLL", "0.02")


@pytest.fixture
def claude(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fake]:
    with fake_anthropic("") as fake:
        fake.answer = obliging
        monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url)
        yield fake


def written(home: Home, **wanted: Any) -> list[Dialogue]:
    return list(iterate_dialogues(connect(home), DialogueFilter(**wanted)))


def texts(home: Home) -> dict[str, list[str]]:
    return {d.id: [m.text for m in d.messages] for d in written(home)}


def asked_once(home: Home) -> int:
    """The calls in the ledger, of which no two are the same request."""
    rows = calls(connect(home), limit=10**6)
    assert len({row.request for row in rows}) == len(rows)
    return len(rows)


@pytest.mark.parametrize("manner", ["whole", "turns", "paraphrase"])
def test_every_manner_writes_sound_dialogues_tied_to_their_nodes(
    manner: str, travel: Workflow, home: Home, claude: Fake
) -> None:
    order = replace(ORDER, manner=manner)
    result = generate(home, order)
    assert (result["test"], result["new"], result["quarantined"]) == (9, 9, 0)
    dialogues = written(home)
    assert {d.writer for d in dialogues} == {f"{manner}:{SONNET}"}
    for dialogue in dialogues:
        assert check_dialogue(travel, dialogue) == []
        assert all(message.text.startswith("Well then. ") for message in dialogue.messages)
    assert check_set(travel, dialogues).contradictions == ()
    messages = sum(len(d.messages) for d in dialogues)
    assert len(claude.bodies) == result["calls"] == (messages if manner == "turns" else 9)
    with connect(home) as rec:
        totals = {t.purpose: t for t in call_totals(rec)}
        assert set(totals) == ({"writer", "user"} if manner == "turns" else {"writer"})
        assert all(row.reply is None for row in calls(rec))  # kept only until their dialogue is stored
        assert result["cost"] == pytest.approx(sum(t.cost for t in totals.values()))
    assert generate(home, order)["new"] == 0
    assert len(claude.bodies) == result["calls"]


def test_the_plan_is_the_same_whatever_the_writer(travel: Workflow, home: Home, claude: Fake) -> None:
    generate(home, replace(ORDER, manner="whole"))
    paths = [s.id for s in planned_scenarios(travel, ORDER, "test")]
    assert sorted(d.scenario.id for d in written(home)) == sorted(paths)
    ids = {d.id for d in written(home)}
    generate(home, replace(ORDER, manner="paraphrase"))
    assert len({d.id for d in written(home)} - ids) == 9


def _blocks(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for message in body["messages"]:
        yield from [{"text": message["content"]}] if isinstance(message["content"], str) else message["content"]


@pytest.mark.parametrize("manner", ["turns", "whole", "paraphrase"])
def test_what_goes_over_the_wire_holds_scenario_and_persona_but_never_the_graph(
    manner: str, travel: Workflow, home: Home, claude: Fake
) -> None:
    """The requests as the server gets them. Every scenario deviates, as its plan says, and no other."""
    order = replace(ORDER, manner=manner, test=12)
    planned = {s.id: s for s in planned_scenarios(travel, order, "test")}
    assert any(s.deviations for s in planned.values())
    generate(home, order)
    ids = [node for node in travel.nodes if "_" in node] + [edge.id for edge in travel.edges]
    conditions = [edge.condition for edge in travel.edges if len(edge.condition) > 12]
    prompts_of_agent = [node.prompt for node in travel.nodes.values() if node.role != "user"]
    personas = {p.id: p.description for p in travel.personas}
    seen: Counter[str] = Counter()
    for body in claude.bodies:
        system = "".join(block["text"] for block in body["system"])
        sent = system + "".join(block["text"] for block in _blocks(body))
        assert not [word for word in (*ids, *conditions) if word in sent]
        if "You play a customer" in system:
            assert not [prompt for prompt in prompts_of_agent if prompt in sent]
        if manner != "turns" or "You play a customer" in system:
            assert [p for p in personas.values() if p in sent]
            seen["persona"] += 1
    told = "".join(block["text"] for body in claude.bodies for block in _blocks(body))
    for dialogue in written(home):
        assert dialogue.scenario == planned[dialogue.scenario.id]
        script = outline(travel, dialogue.scenario)
        assert [m.deviation for m in dialogue.messages] == [turn.message.deviation for turn in script]
        assert any(m.deviation for m in dialogue.messages) == bool(dialogue.scenario.deviations)
        seen["deviations"] += sum(bool(m.deviation) for m in dialogue.messages)
        for turn in script:  # what the user says when deviating is part of what the model is told
            assert not turn.message.deviation or turn.meaning in told
    assert min(seen["persona"], seen["deviations"]) > 0


def test_prompts_are_part_of_the_id_and_ids_of_the_writer(travel: Workflow) -> None:
    scenario = scenario_for_path(travel, PathSpace(travel)[3], "train", 1)
    path = PathSpace(travel)[3]
    orders = [
        replace(ORDER, manner="whole"),
        replace(ORDER, manner="turns"),
        replace(ORDER, manner="turns", user="openai/gpt-4.1"),
        replace(ORDER, writer="openai/gpt-4.1", manner="whole"),
    ]
    ids = {w.dialogue_id(travel, scenario, path) for order in orders if (w := writer_of_order(order))}
    assert len(ids) == 4
    assert len({prompt_hash(manner) for manner in ("whole", "turns", "paraphrase")}) == 3
    for wrong in (replace(ORDER, manner="aloud"), replace(ORDER, manner="whole", user="x/y")):
        with pytest.raises(UserError, match=r"no manner|only --manner turns"):
            writer_of_order(wrong)
    with pytest.raises(UserError, match="add --writer"):
        writer_of_order(Order("travel_booking", manner="turns"))


BAD = [
    (Act(finish="refusal", text="I cannot"), "refused"),
    (Act(finish="max_tokens"), "cut-off"),
    (Act("Here is a poem instead."), "malformed"),
]


@pytest.mark.parametrize(("bad", "code"), BAD, ids=["refused", "cut off", "malformed"])
def test_a_bad_reply_is_asked_for_again(bad: Act, code: str, home: Home, claude: Fake) -> None:
    claude.script = [replace(bad, fixed=True), replace(bad, fixed=True), "", ""]
    result = generate(home, replace(ORDER, test=3), concurrency=1)
    assert (result["quarantined"], result["calls"], result["errors"]) == (0, 5, 0)
    assert "could not be used" in json.dumps(claude.bodies[1])
    assert claude.bodies[0] != claude.bodies[1]


@pytest.mark.parametrize("manner", ["whole", "turns"])
@pytest.mark.parametrize(("bad", "code"), BAD, ids=["refused", "cut off", "malformed"])
def test_and_then_quarantined_with_its_reason_while_the_others_go_on(
    manner: str, bad: Act, code: str, home: Home, claude: Fake
) -> None:
    if manner == "turns" and code == "malformed":
        bad = Act("{}")
    claude.script = [*[replace(bad, fixed=True)] * 3, ""]
    result = generate(home, replace(ORDER, test=3, manner=manner), concurrency=1)
    assert (result["test"], result["quarantined"]) == (3, 1)
    rec = connect(home)
    (row,) = dialogue_rows(rec, dialogue_rowids(rec, DialogueFilter(status="quarantined")))
    assert row.checks[0]["code"] == code
    assert "tried 3 times" in str(row.checks[0]["what"])
    assert row.steps > 1
    calls_before = len(claude.bodies)
    assert generate(home, replace(ORDER, test=3, manner=manner))["new"] == 0
    assert len(claude.bodies) == calls_before


REJECTED = Act(status=400, kind="invalid_request_error", message="prompt is too long")


@pytest.mark.parametrize("manner", ["whole", "turns"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_request_that_the_service_rejects_quarantines_its_dialogue_only(
    manner: str, place: int, home: Home, claude: Fake
) -> None:
    claude.script = [""] * place + [REJECTED, ""]
    result = generate(home, replace(ORDER, test=4, manner=manner), concurrency=1)
    assert (result["test"], result["quarantined"], result["errors"]) == (4, 1, 1)
    (row,) = dialogue_rows(connect(home), dialogue_rowids(connect(home), DialogueFilter(status="quarantined")))
    assert row.checks[0]["code"] == "rejected"
    assert "prompt is too long [400]" in str(row.checks[0]["what"])


def test_nothing_but_rejections_quarantine_nothing(home: Home, claude: Fake) -> None:
    """An account without credit says so with a 400: that is no dialogue's fault."""
    claude.script = ["", "", replace(REJECTED, message="Your credit balance is too low")]
    with pytest.raises(ServiceError, match=r"5 requests were rejected one after another.*credit balance"):
        generate(home, ORDER, concurrency=1)
    assert len(written(home)) == 2
    with pytest.raises(ServiceError, match="no request was accepted"):
        generate(home, replace(ORDER, test=3, seed=7), concurrency=1)
    assert len(written(home)) == 2
    claude.script = [""]
    result = generate(home, ORDER)
    assert (result["test"], result["quarantined"]) == (9, 0)


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_what_is_wrong_for_all_stops_the_job_at_once(status: int, home: Home, claude: Fake) -> None:
    claude.script = ["", Act(status=status, kind="authentication_error", message="not you")]
    with pytest.raises(ServiceError, match=rf"not you \[{status}\]"):
        generate(home, ORDER, concurrency=1)
    assert (len(claude.bodies), len(written(home))) == (2, 1)


def test_rejected_requests_of_a_batch_are_quarantined_however_many(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with fake_anthropic(*[REJECTED] * 6, "", desk=BatchDesk()) as fake:
        fake.answer = obliging
        monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url)
        result = generate(home, ORDER, batch=True)
    assert (result["test"], result["quarantined"], result["errors"]) == (9, 6, 6)


def test_quarantined_dialogues_are_written_anew_as_often_as_asked_for(home: Home, claude: Fake) -> None:
    order, bad = replace(ORDER, test=4), Act("no JSON", fixed=True)
    claude.script = [*[bad] * 6, ""]
    assert generate(home, order, concurrency=1)["quarantined"] == 2
    before = texts(home)
    rounds = [row["id"] for row in connect(home).query("SELECT id FROM dialogues WHERE status = 'quarantined'")]
    claude.script = [*[bad] * 3, ""]
    calls_before = len(claude.bodies)
    again = generate(home, order, concurrency=1, retries=1)
    assert (again["new"], again["quarantined"], again["test"], again["unfinished"]) == (2, 1, 4, 1)
    assert len(claude.bodies) == calls_before + 4
    assert set(texts(home)) == set(before)  # the same dialogues, under their ids
    assert {i: t for i, t in texts(home).items() if i not in rounds} == {
        i: t for i, t in before.items() if i not in rounds
    }
    assert generate(home, order, retries=1)["new"] == 0  # once is once
    assert len(claude.bodies) == calls_before + 4
    last = generate(home, order, retries=2)
    assert (last["new"], last["quarantined"], last["unfinished"]) == (1, 0, 0)
    assert len(written(home, status="ok")) == 4
    assert asked_once(home) == len(claude.bodies)  # every round asks anew, nothing twice


def test_what_a_reviewer_has_judged_or_a_data_set_holds_is_not_written_anew(home: Home, claude: Fake) -> None:
    claude.script = [Act("no JSON", fixed=True)] * 3 + [""]
    generate(home, replace(ORDER, test=3), concurrency=1)
    with connect(home) as rec:
        (row,) = dialogue_rows(rec, dialogue_rowids(rec, DialogueFilter(status="quarantined")))
        put_reviews(rec, [ReviewRow("r", row.id, "eve", "flag")])
    assert generate(home, replace(ORDER, test=3), retries=3)["new"] == 0


def test_the_budget_holds_over_rounds(home: Home, claude: Fake) -> None:
    claude.script = [Act("no JSON", fixed=True)]
    first = generate(home, replace(ORDER, test=3), concurrency=1, budget=5.0)
    assert first["quarantined"] == 3
    asked = len(claude.bodies)
    with pytest.raises(BudgetSpent):
        generate(home, replace(ORDER, test=3), retries=1, budget=first["cost"])
    assert len(claude.bodies) == asked


def test_the_protocols_faults_cost_no_dialogue(home: Home, claude: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.models.ledger.RetryPolicy.wait", lambda *_: 0.0)
    claude.script = [
        Act(status=429, kind="rate_limit_error", headers={"retry-after": "0"}),
        Act(status=429, kind="rate_limit_error"),
        Act(status=529, kind="overloaded_error"),
        Act(status=500, kind="api_error"),
        Act(malformed="{"),
        "",
    ]
    result = generate(home, ORDER)
    assert (result["new"], result["quarantined"], result["errors"]) == (9, 0, 5)
    with connect(home) as rec:
        lines = sorted(str(row.error) for row in calls(rec) if row.error)
    assert [word in " ".join(lines) for word in ("429", "529", "500", "protocol")] == [True] * 4


def test_a_service_that_is_away_stops_the_job_and_the_same_command_goes_on(
    home: Home, claude: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workbench.models.ledger.RetryPolicy.wait", lambda self, attempt, *_: None)
    claude.script = ["", "", Act(status=529, kind="overloaded_error")]
    with pytest.raises(ServiceError, match="one after another"):
        generate(home, ORDER, concurrency=1)
    assert len(written(home)) == 2
    claude.script = [Act(status=401, kind="authentication_error", message="bad key")]
    calls_before = len(claude.bodies)
    with pytest.raises(ServiceError, match="bad key"):
        generate(home, ORDER, concurrency=1)
    assert len(claude.bodies) == calls_before + 1  # a wrong key is wrong for all of them
    claude.script = [Act(status=529), ""]
    with pytest.raises(ServiceError, match="1 of 9 dialogues could not be had"):
        generate(home, ORDER, concurrency=1)
    assert generate(home, ORDER)["new"] == 1
    assert len(written(home, status="ok")) == 9


def test_the_budget_holds_over_every_call_and_over_resumes(home: Home, claude: Fake) -> None:
    order = replace(ORDER, manner="turns", user="openai/gpt-4.1", test=4)
    with fake_openai("") as gpt:
        gpt.answer = obliging
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("OPENAI_BASE_URL", gpt.url)
            with pytest.raises(BudgetSpent, match=r"dialogues are written and kept, \d+ are left.*larger --budget"):
                generate(home, order, budget=0.02)
            with job(home, order) as ctx:
                spent = counted(connect(home), ctx.id)
            assert 0 < spent <= 0.02
            seen = len(claude.bodies) + len(gpt.bodies)
            with pytest.raises(BudgetSpent):
                generate(home, order)  # the limit stays what it was
            assert len(claude.bodies) + len(gpt.bodies) == seen
            result = generate(home, order, budget=5.0)
            assert (result["test"], result["quarantined"]) == (4, 0)
            assert len(claude.bodies) + len(gpt.bodies) == result["calls"] == asked_once(home)
            assert {t.model for t in call_totals(connect(home))} == {SONNET, "openai/gpt-4.1"}


@pytest.mark.parametrize("knows_schemas", [True, False])
def test_any_openai_compatible_server_writes(knows_schemas: bool, home: Home) -> None:
    declined = Act(status=400, kind="invalid_request_error", message="response_format: unknown field")
    with fake_openai(*([] if knows_schemas else [declined]), "") as gpt:
        gpt.answer = obliging
        result = generate(home, replace(ORDER, writer=f"{gpt.url}#small"), concurrency=1, budget=0.0)
        assert (result["new"], result["quarantined"], result["cost"]) == (9, 0, None)
        assert ["response_format" in body for body in gpt.bodies] == [True] + [knows_schemas] * (len(gpt.bodies) - 1)
        assert all("temperature" not in body for body in gpt.bodies)
    with connect(home) as rec:
        (total,) = call_totals(rec)
        assert (total.calls, total.errors, total.unpriced) == (len(gpt.bodies), int(not knows_schemas), total.calls)


def test_a_budget_over_unknown_prices_is_refused(home: Home, claude: Fake) -> None:
    order = replace(ORDER, writer="anthropic/claude-unheard-of")
    with pytest.raises(UserError, match=r"price of anthropic/claude-unheard-of is unknown.*prices\.json"):
        generate(home, order, budget=1.0)
    assert claude.bodies == []
    result = generate(home, replace(order, seed=7))
    assert (result["new"], result["cost"]) == (9, None)


def test_what_is_stopped_goes_on_where_it_was(home: Home, claude: Fake) -> None:
    order = replace(ORDER, manner="turns")

    with job(home, order, concurrency=2) as ctx:
        answer = claude.answer
        assert answer is not None

        def stop_later(body: dict[str, Any]) -> str:
            if len(claude.bodies) == 20:
                ctx.ask_to_stop()
            return answer(body)

        claude.answer = stop_later
        with pytest.raises(Stopped):
            main(ctx)
    assert len(claude.bodies) < 25
    result = generate(home, order)
    assert result["test"] == 9
    assert len(claude.bodies) == result["calls"] == asked_once(home)


def test_a_changed_workflow_is_not_written_under_the_old_order(home: Home) -> None:
    with pytest.raises(UserError, match="has changed since"):
        generate(home, replace(ORDER, workflow_id="0123456789abcdef"))


@pytest.mark.parametrize("batch", [False, True])
def test_after_a_change_of_the_workflow_only_what_is_stale_is_paid_for(
    batch: bool, home: Home, monkeypatch: pytest.MonkeyPatch, travel: Workflow
) -> None:
    node = next(n for n in travel.nodes.values() if n.role == "terminal" and n.outcome == "escalated")
    changed = replace(travel, nodes={**travel.nodes, node.id: replace(node, prompt=node.prompt + " Be brief.")})
    with fake_anthropic("", desk=BatchDesk()) as fake:
        fake.answer = obliging
        monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url)
        generate(home, ORDER, batch=batch)
        before = {tuple(d.path): [m.text for m in d.messages] for d in written(home)}
        stale = sum(d.terminal == node.id for d in written(home))
        assert 0 < stale < 9
        monkeypatch.setattr("workbench.dialogue.generation.load_workflow", lambda _: changed)
        asked = len(fake.bodies)
        result = generate(home, ORDER, batch=batch)
        assert (result["new"], len(fake.bodies) - asked) == (stale, stale)
    new = written(home, workflow_id=workflow_hash(changed))
    assert len(new) == 9
    for dialogue in new:
        if dialogue.terminal != node.id:
            assert [m.text for m in dialogue.messages] == before[tuple(dialogue.path)]


def test_long_prefixes_are_cached_and_the_saving_is_shown(
    home: Home, claude: Fake, monkeypatch: pytest.MonkeyPatch, travel: Workflow
) -> None:
    long = replace(travel, context="Policy. " * 800)
    monkeypatch.setattr("workbench.dialogue.generation.load_workflow", lambda _: long)
    result = generate(home, replace(ORDER, manner="turns", test=3), concurrency=1)
    assert result["cache_read"] > result["cache_write"] > 1000
    assert result["cache_saving"] > 0
    agent = next(
        b for b in claude.bodies if "You are the assistant" in b["system"][0]["text"] and len(b["messages"]) > 2
    )
    assert agent["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert "cache_control" in json.dumps(agent["messages"][-2])
    assert "cache_control" not in json.dumps(agent["messages"][-1])


def test_batches_write_the_same_dialogues_at_half_the_price(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = BatchDesk(polls=2)
    with fake_anthropic("", desk=desk) as fake:
        fake.answer = obliging
        monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url)
        batched = generate(home, ORDER, batch=True)
        assert desk.submitted == 1
        other = Home(tmp_path / "other" / "runs")
        direct = generate(other, ORDER)
    assert texts(home) == texts(other)
    assert batched["cost"] == pytest.approx(direct["cost"] / 2)


def test_batches_whose_requests_expire_or_answer_badly_go_again_then_into_quarantine(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = BatchDesk()
    bad = Act("no JSON at all", fixed=True)
    with fake_anthropic(Act(outcome="expired"), bad, Act(status=500, kind="api_error"), "", desk=desk) as fake:
        fake.answer = lambda body: obliging(body) if "could not be used" not in json.dumps(body) else "still no JSON"
        monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url)
        result = generate(home, ORDER, batch=True)
    assert (result["test"], result["quarantined"]) == (9, 1)
    assert desk.submitted == 3  # all nine; what expired, failed or was bad; the bad one once more


def test_a_job_goes_on_directly_only_after_its_batches_have_come_in(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = BatchDesk(polls=10**9)
    with fake_anthropic("", desk=desk) as fake:
        fake.answer = obliging
        monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url)
        with job(home, ORDER, batch=True) as ctx:

            async def stop_when_sent() -> None:
                while not desk.submitted:
                    await asyncio.sleep(0.01)
                ctx.ask_to_stop()

            import threading

            thread = threading.Thread(target=lambda: asyncio.run(stop_when_sent()))
            thread.start()
            with pytest.raises(Stopped):
                main(ctx)
            thread.join()
        for batch in desk.batches.values():
            batch.polls = 1
        result = generate(home, ORDER, batch=False)
        assert result["new"] == 9
        assert len(fake.bodies) == 9
        assert "requests are in batches that were sent before" in logged(ctx.folder)

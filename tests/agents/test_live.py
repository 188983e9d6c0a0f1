"""A live conversation in its own process: joining, leaving, joining again, dying, failing and going on."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import stat
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.agents.fake_server import Fault, chat_server
from tests.fakes.openai_server import Act, fake_openai
from workbench.agents.live import ATTEMPTS
from workbench.agents.live_client import LiveClient, draw_scenario, launch_chat, recorded_events
from workbench.dialogue.generation import keep_workflow
from workbench.dialogue.model import Scenario
from workbench.dialogue.scenarios import expected_terminal, scenario_for_path
from workbench.errors import UserError
from workbench.home import Home
from workbench.jobs import status, stop, wait
from workbench.store import connect
from workbench.store.chat_votes import votes
from workbench.store.chats import chats
from workbench.store.conversations import get_conversation
from workbench.store.scenarios import put_scenarios
from workbench.workflow.model import Workflow
from workbench.workflow.paths import PathSpace

DEADLINE = 120.0
"""Seconds; generous, because the processes share their cores with whatever else runs."""


@pytest.fixture
def scenario(home: Home, travel: Workflow) -> Scenario:
    made = scenario_for_path(travel, PathSpace(travel).through("user_info").terminal("success")[0], "test", 3)
    with connect(home) as rec:
        keep_workflow(rec, travel)
        put_scenarios(rec, [made])
    return made


@pytest.fixture
async def clean_up(home: Home) -> AsyncIterator[None]:
    yield
    for folder in home.jobs.iterdir():
        await asyncio.to_thread(stop, home, folder.name, 10.0)


async def collect(client: LiveClient, until: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []
    async with asyncio.timeout(DEADLINE):
        async for event in client.events():
            seen.append(event)
            if until(seen):
                return seen
    raise AssertionError(f"the events ended before: {seen}")


def ended(columns: int) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda seen: len({e["column"] for e in seen if e.get("ended_by")}) == columns


def turns(count: int, column: int = 0) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda seen: sum(e["type"] == "turn" and e["column"] == column for e in seen) == count


@pytest.mark.usefixtures("clean_up")
async def test_two_agents_a_simulated_user_and_a_client_that_comes_and_goes(
    home: Home, travel: Workflow, scenario: Scenario
) -> None:
    with chat_server(lambda _: "Quokka zymurgy blorp") as url:
        job = launch_chat(home, ["oracle", f"compiled:{url}#fake"], travel.name, scenario=scenario.id, user="agenda")
        client = await LiveClient.join(home, job.id)
        first = await collect(client, lambda seen: turns(1)(seen) and turns(1, 1)(seen))
        socket = Path(json.loads((job.folder / "live.json").read_text())["socket"])
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600
        assert "".join(e["text"] for e in first if e["type"] == "chunk" and e["column"] == 1).split() == [
            "Quokka",
            "zymurgy",
            "blorp",
        ]
        await client.auto()
        await client.close()
        again = await LiveClient.join(home, job.id, after=client.last)
        rest = await collect(again, ended(2))
        await again.close()
    assert [e["seq"] for e in first + rest] == list(range(1, len(first + rest) + 1))
    over = {e["column"]: e for e in rest if e.get("ended_by")}
    assert (over[0]["ended_by"], over[0]["terminal"]) == ("agent", expected_terminal(travel, scenario))
    assert over[1]["ended_by"] == "gave_up"
    assert (await asyncio.to_thread(wait, home, job.id, None, DEADLINE)).state == "done"
    with connect(home) as rec:
        for agent in first[0]["agents"]:
            found = get_conversation(rec, agent["conversation"])
            assert found is not None
            row, messages = found
            told = [e["text"] for e in first + rest if e["type"] in ("said", "turn") and e["column"] == agent["column"]]
            assert [m.text for m in messages] == told
            assert (row.status, row.ended_by) == ("done", over[agent["column"]]["ended_by"])
            assert row.totals["messages"] == len(messages)
    assert [e["seq"] for e in recorded_events(job.folder)] == list(range(1, len(first + rest) + 1))


@pytest.mark.usefixtures("clean_up")
async def test_a_killed_conversation_goes_on_where_it_was(home: Home, travel: Workflow, scenario: Scenario) -> None:
    def start() -> Any:
        return launch_chat(home, ["oracle"], travel.name, scenario=scenario.id, user="agenda", session="k")

    job = start()
    client = await LiveClient.join(home, job.id)
    await collect(client, turns(1))
    await client.auto(steps=1)
    await collect(client, turns(1))
    before = status(home, job.id)
    assert before.pid is not None
    os.kill(before.pid, signal.SIGKILL)
    async with asyncio.timeout(DEADLINE):
        while status(home, job.id).state != "lost":
            await asyncio.sleep(0.05)
    assert start().id == job.id
    again = await LiveClient.join(home, job.id, after=client.last)
    await again.auto()
    rest = await collect(again, ended(1))
    assert rest[-1]["terminal"] == expected_terminal(travel, scenario)
    await again.close()


@pytest.mark.usefixtures("clean_up")
async def test_what_waited_for_its_turn_when_the_process_was_killed_is_said_by_the_next(
    home: Home, travel: Workflow
) -> None:
    gate = threading.Event()

    def answer(messages: list[dict[str, Any]]) -> str:
        last = messages[-1]
        return f"Well: {last['content']} indeed" if last["role"] == "user" else "Good morning to you"

    def start(url: str) -> Any:
        return launch_chat(home, [f"compiled:{url}#a"], travel.name, session="q")

    with chat_server(answer, gate) as url:
        job = start(url)
        client = await LiveClient.join(home, job.id)
        await collect(client, lambda seen: seen[-1]["type"] == "chunk")
        for text in ("one", "two", "three"):
            await client.say(text)
        await collect(client, lambda seen: seen[-1].get("queued") == 3)
        os.kill(status(home, job.id).pid or 0, signal.SIGKILL)
        async with asyncio.timeout(DEADLINE):
            while status(home, job.id).state != "lost":
                await asyncio.sleep(0.05)
        assert [e["text"] for e in recorded_events(job.folder) if e["type"] == "queued"] == ["one", "two", "three"]
        gate.set()
        assert start(url).id == job.id
        again = await LiveClient.join(home, job.id, after=client.last)
        rest = await collect(again, turns(4))
        await again.close()
        assert [e["text"] for e in rest if e["type"] == "said"] == ["one", "two", "three"]
        assert [e["text"].strip() for e in rest if e["type"] == "turn"][-1] == "Well: three indeed"
        await asyncio.to_thread(stop, home, job.id, 30.0)
        assert start(url).id == job.id  # what was said is not said again
        third = await LiveClient.join(home, job.id, after=again.last)
        await third.say("four")
        assert [e["text"] for e in await collect(third, turns(1)) if e["type"] == "said"] == ["four"]
        await third.close()


@pytest.mark.usefixtures("clean_up")
async def test_a_failing_agent_says_so_and_can_be_asked_again(home: Home, travel: Workflow) -> None:
    broken = [True]

    def answer(messages: list[dict[str, Any]]) -> str:
        if broken[0] and messages[-1]["role"] == "user":
            raise Fault(400)
        return f"I heard {messages[-1]['content']}" if messages[-1]["role"] == "user" else "Hello"

    with chat_server(answer) as url:
        job = launch_chat(home, [f"compiled:{url}#a"], travel.name)
        client = await LiveClient.join(home, job.id)
        await collect(client, turns(1))
        await client.auto()
        refused = await collect(client, lambda seen: seen[-1]["type"] == "refused")
        assert "simulated user" in refused[-1]["error"]
        await client.say("one")
        await client.say("two")
        failed = await collect(client, lambda seen: seen[-1].get("state") == "failed")
        assert "\n" not in failed[-1]["error"]
        broken[0] = False
        await client.retry()
        rest = await collect(client, turns(2))
        assert [e["text"].strip() for e in rest if e["type"] == "turn"] == ["I heard one", "I heard two"]
        await client.end()
        await collect(client, ended(1))
        await client.close()
    done = await asyncio.to_thread(wait, home, job.id, None, DEADLINE)
    assert done.state == "done"


@pytest.mark.usefixtures("clean_up")
async def test_a_reply_can_be_cut_and_a_job_stopped_in_the_middle_of_one(home: Home, travel: Workflow) -> None:
    with chat_server(lambda _: "one two three four", threading.Event()) as url:
        job = launch_chat(home, [f"compiled:{url}#a"], travel.name)
        client = await LiveClient.join(home, job.id)
        await collect(client, lambda seen: seen[-1]["type"] == "chunk")
        await client.stop_reply()
        cut = (await collect(client, turns(1)))[-1]
        assert (cut["text"], cut["stop_reason"]) == ("one two ", "stopped")
        assert 0 < cut["ttft_s"] < cut["latency_s"]
        await client.say("go on")
        await collect(client, lambda seen: seen[-1]["type"] == "chunk")
        ended = await asyncio.to_thread(stop, home, job.id, 30.0)
        assert (ended.state, ended.error) == ("stopped", None)
        await client.close()


def test_wrong_names_are_refused_before_anything_starts(home: Home) -> None:
    for agents, user in ((["nonsense"], None), ([], None), (["oracle"] * 5, None), (["oracle"], "somebody")):
        with pytest.raises(UserError):
            launch_chat(home, agents, "travel_booking", user=user)
    assert not list(home.jobs.iterdir())


def of_type(kind: str, column: int = 0) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda seen: seen[-1]["type"] == kind and seen[-1].get("column") == column


@pytest.mark.usefixtures("clean_up")
async def test_going_back_keeps_the_old_conversation_and_goes_on_in_a_new_one(home: Home, travel: Workflow) -> None:
    with chat_server(lambda messages: f"I heard {messages[-1]['content']}") as url:
        job = launch_chat(home, [f"compiled:{url}#a", f"in-context:{url}#b"], travel.name, session="back")
        client = await LiveClient.join(home, job.id)
        opened = await collect(client, lambda seen: turns(1)(seen) and turns(1, 1)(seen))
        old = [a["conversation"] for a in next(e for e in opened if e["type"] == "hello")["agents"]]
        await client.say("one")
        await collect(client, lambda seen: turns(1)(seen) and turns(1, 1)(seen))
        await client.back(1, "two", to=[0])
        branched = await collect(client, of_type("turn"))
        assert branched[-1]["text"].strip() == "I heard two"
        state = next(e for e in branched if e["type"] == "branch")
        assert (state["idx"], state["of"]) == (1, old[0])
        await client.retry([0])
        again = await collect(client, of_type("turn"))
        assert (again[-1]["idx"], again[-1]["text"].strip()) == (2, "I heard two")
        ready = await collect(client, of_type("state"))
        assert ready[-1]["diverged"]
        await client.back(9)
        refused = await collect(client, lambda seen: seen[-1]["type"] == "refused")
        assert "3 messages" in refused[-1]["error"]
        await client.say("longer", to=[0])
        await collect(client, of_type("turn"))
        await client.back(5)  # the other column has not come so far: it stays as it is, and nobody is refused
        went = await collect(client, of_type("branch"))
        assert [e["type"] for e in went if e["type"] == "refused" or e.get("column") == 1] == []
        newest = went[-1]["conversation"]
        await client.close()
        await asyncio.to_thread(stop, home, job.id, 30.0)
        resumed = launch_chat(home, [f"compiled:{url}#a", f"in-context:{url}#b"], travel.name, session="back")
        client = await LiveClient.join(home, resumed.id, after=client.last)
        hello = (await collect(client, of_type("hello", None)))[-1]  # type: ignore[arg-type]
        assert hello["agents"][0]["conversation"] == newest
        await client.end()
        await collect(client, ended(2))
        await client.close()
    with connect(home) as rec:
        row, messages = get_conversation(rec, old[0]) or pytest.fail("the old conversation is gone")
        assert [m.text.strip() for m in messages[1:]] == ["one", "I heard one"]
        assert row.status == "done"
        row, messages = get_conversation(rec, newest) or pytest.fail("the branch is not in the record")
        assert [m.text for m in messages if m.role == "user"] == ["two", "longer"]
        assert row.provenance["diverged"] is True


@pytest.mark.usefixtures("clean_up")
async def test_an_orchestrated_agent_and_the_oracle_go_back_to_an_earlier_turn(
    home: Home, travel: Workflow, scenario: Scenario
) -> None:
    def answer(messages: list[dict[str, Any]]) -> str:
        return f"Certainly, number {len(messages)}."

    with chat_server(answer) as url:
        agents = ["oracle", f"orchestrated:{url}#b"]
        job = launch_chat(home, agents, travel.name, scenario=scenario.id, user="agenda")
        client = await LiveClient.join(home, job.id)
        first = await collect(client, lambda seen: turns(1)(seen) and turns(1, 1)(seen))
        await client.say("To Oslo, please.")
        await collect(client, lambda seen: turns(1)(seen) and turns(1, 1)(seen))
        at = {e["column"]: e["awaits"] for e in first if e["type"] == "turn"}
        await client.back(1, "To Lima, please.")
        seen = await collect(client, lambda seen: turns(1)(seen) and turns(1, 1)(seen))
        branch = [e for e in seen if e["type"] == "said"]
        assert {(e["idx"], e["text"]) for e in branch} == {(1, "To Lima, please.")}
        assert {e["column"]: e["nodes"] for e in branch} == {n: [node] for n, node in at.items()}
        assert all(e["known"] for e in (*first, *seen) if e["type"] == "place")
        await client.end()
        await collect(client, ended(2))
        await client.close()


@pytest.mark.usefixtures("clean_up")
async def test_texts_are_located_in_the_graph_and_a_blind_vote_is_kept(
    home: Home, travel: Workflow, scenario: Scenario
) -> None:
    opening = travel.nodes[travel.start].say[0].pool.evaluation[0]
    with chat_server(lambda _: opening) as url:
        agents = [f"compiled:{url}#a", f"compiled:{url}#b"]
        job = launch_chat(home, agents, travel.name, scenario=scenario.id, user="agenda", blind=True)
        assert all(agent not in status(home, job.id).title for agent in agents)
        client = await LiveClient.join(home, job.id)
        seen = await collect(client, of_type("place", 1))
        place = seen[-1]
        assert (place["known"], place["read"]) == (False, [travel.start])
        assert place["at"] == travel.out[travel.start][0].target
        hello = next(e for e in seen if e["type"] == "hello")
        assert hello["blind"]
        with connect(home) as rec:
            assert [c.blind for c in chats(rec)] == [True]
        await client.vote("1", "clearer")
        await collect(client, lambda seen: seen[-1]["type"] == "vote")
        with connect(home) as rec:
            assert [(c.blind, c.agents) for c in chats(rec)] == [(False, tuple(a["name"] for a in hello["agents"]))]
        await client.vote("7")
        await collect(client, lambda seen: seen[-1]["type"] == "refused")
        await client.end()
        await collect(client, ended(2))
        await client.close()
    with connect(home) as rec:
        (vote,) = votes(rec)
        assert vote.agents == tuple(a["name"] for a in hello["agents"])
        assert (vote.winner, vote.verdict, vote.note, vote.blind) == (1, "win", "clearer", True)


@pytest.mark.usefixtures("clean_up")
async def test_a_cut_stream_keeps_its_text_and_each_failure_says_what_to_do(home: Home, travel: Workflow) -> None:
    full = Act(status=400, message="This model's maximum context length is 8 tokens", kind="invalid_request_error")
    with fake_openai(Act("Hello there my friend", cut=2), full, Act("Hello again")) as fake:
        job = launch_chat(home, [f"compiled:{fake.url}#a", "oracle"], travel.name, scenario=drawn(home, travel))
        client = await LiveClient.join(home, job.id)
        failed = lambda seen: seen[-1].get("state") == "failed"  # noqa: E731
        seen = await collect(client, failed)
        assert "".join(e["text"] for e in seen if e["type"] == "chunk" and e["column"] == 0) == "Hello there"
        assert "broke off" in seen[-1]["error"]
        if not turns(1, 1)(seen):
            await collect(client, turns(1, 1))
        await client.retry([0])
        assert "no longer fits the model: begin a new one" in (await collect(client, failed))[-1]["error"]
        await client.retry([0])
        assert (await collect(client, of_type("turn")))[-1]["text"] == "Hello again"
        await client.end()
        await collect(client, ended(2))
        await client.close()


@pytest.mark.usefixtures("clean_up")
async def test_every_way_to_fail_is_one_line_in_its_column_and_one_key_asks_again(
    home: Home, travel: Workflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    busy = Act(status=529, kind="overloaded_error", message="Overloaded", headers={"retry-after-ms": "1"})
    with (
        fake_openai(*[busy] * ATTEMPTS, Act("Hello from A")) as overloaded,
        chat_server(lambda messages: f"I heard {messages[-1]['content']}") as url,
        closing(socket.socket()) as nobody,
    ):
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: refused, and nobody else gets the port
        dead = f"http://127.0.0.1:{nobody.getsockname()[1]}/v1"
        models = [f"compiled:{overloaded.url}#a", f"in-context:{dead}#b", "orchestrated:anthropic/claude-sonnet-4-5"]
        job = launch_chat(home, [*models, f"compiled:{url}#d"], travel.name)
        client = await LiveClient.join(home, job.id)

        def over(seen: list[dict[str, Any]]) -> bool:
            return len({e["column"] for e in seen if e.get("state") == "failed"}) == 3 and turns(1, 3)(seen)

        seen = await collect(client, over)
        says = {e["column"]: e["error"] for e in seen if e.get("error")}
        assert "Overloaded [529] (after 4 attempts); the service is overloaded: send again in a while" in says[0]
        waits = [e["text"] for e in seen if e["type"] == "waiting" and e["column"] == 0]
        assert [w.partition(" in ")[0] for w in waits] == [f"trying again ({n} of 4)" for n in (2, 3, 4)]
        assert waits[0].endswith("s: a: Overloaded [529]")
        assert "cannot reach the service" in says[1]
        assert "see whether the address is right and the server runs" in says[1]
        assert says[2].startswith("ANTHROPIC_API_KEY is not set")
        assert all("\n" not in line for line in says.values())
        await client.say("go on", [3])
        assert "go on" in (await collect(client, turns(1, 3)))[-1]["text"]
        await client.retry([0, 2])
        seen = await collect(client, lambda seen: turns(1)(seen) and any(e.get("state") == "failed" for e in seen))
        assert next(e["text"] for e in seen if e["type"] == "turn") == "Hello from A"
        await client.end()
        await collect(client, ended(4))
        await client.close()


@pytest.mark.usefixtures("clean_up")
async def test_an_orchestrated_agent_opens_anew(home: Home, travel: Workflow) -> None:
    count = itertools.count(1)
    with chat_server(lambda _: f"Opening {next(count)}") as url:

        def start() -> Any:
            return launch_chat(home, [f"orchestrated:{url}#a"], travel.name, session="anew")

        job = start()
        client = await LiveClient.join(home, job.id)
        await collect(client, turns(1))
        await client.retry()
        again = (await collect(client, turns(1)))[-1]
        assert (again["idx"], again["text"].split(), again["nodes"]) == (0, ["Opening", "2"], [travel.start])
        await client.close()
        await asyncio.to_thread(stop, home, job.id, 30.0)
        client = await LiveClient.join(home, start().id, after=client.last)
        await client.say("To Oslo.")
        turn = (await collect(client, turns(1)))[-1]
        assert turn["idx"] == 2
        await client.end()
        await collect(client, ended(1))
        await client.close()


def drawn(home: Home, travel: Workflow) -> str:
    return draw_scenario(home, travel.name, 3, persona=travel.personas[0].id)

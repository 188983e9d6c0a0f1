"""The orchestrated agent on an endpoint, through LangGraph, the SDK and HTTP as they are; and across processes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agents.fake_server import chat_server
from tests.agents.parts import PlanUser
from tests.agents.perfect_model import PerfectModel
from workbench.agents.conversation import hold, limits_for
from workbench.agents.names import build_agent, parse_name
from workbench.dialogue.scenarios import scenario_for_path
from workbench.home import Home
from workbench.models.open import open_client
from workbench.workflow.model import Workflow
from workbench.workflow.paths import PathSpace


@pytest.fixture(scope="module")
def perfect(travel: Workflow) -> PerfectModel:
    return PerfectModel(travel)


@pytest.fixture
def endpoint(perfect: PerfectModel) -> Iterator[str]:
    with chat_server(perfect) as url:
        yield url


async def walk(travel: Workflow, perfect: PerfectModel, url: str, home: Home, paths: list[tuple[str, ...]]) -> None:
    """Each path with a scripted user and a model that decides from the text: the same path, the right terminal."""
    name = parse_name(f"orchestrated:{url}#perfect")
    assert name.model is not None
    client, limits = open_client(name.model, home), limits_for(travel)
    for number, path in enumerate(paths):
        scenario = scenario_for_path(travel, path, "test", number)
        agent = build_agent(name, travel, client, thread=str(number))
        before = perfect.choices + perfect.spoken
        conversation = await hold(agent, PlanUser(travel, scenario), limits)
        assert tuple(edge for message in conversation.messages for edge in message.edges) == path
        assert (conversation.ended_by, conversation.terminal) == ("agent", travel.edge[path[-1]].target)
        totals = conversation.totals()
        assert totals["calls"] == perfect.choices + perfect.spoken - before
        assert (totals["malformed"], totals["cost"]) == (0, None)
        spoken = [m for m in conversation.messages if m.role == "agent"]
        assert all(m.nodes and m.latency_s > 0 for m in spoken)
        assert all(m.ttft_s is not None and 0 < m.ttft_s <= m.latency_s for m in spoken), "speech streams"
        await agent.close()
    await client.close()


async def test_a_model_that_decides_from_the_text_takes_every_hub_choice(
    travel: Workflow, perfect: PerfectModel, endpoint: str, home: Home
) -> None:
    await walk(travel, perfect, endpoint, home, list(PathSpace(travel).cover("hub choices")))


@pytest.mark.long
async def test_a_model_that_decides_from_the_text_walks_all_86_paths(
    travel: Workflow, perfect: PerfectModel, endpoint: str, home: Home
) -> None:
    paths = list(PathSpace(travel))
    assert len(paths) == 86
    await walk(travel, perfect, endpoint, home, paths)


ONE_TURN = """
import asyncio, json, sys
from pathlib import Path
from workbench.agents.orchestrated import OrchestratedAgent
from workbench.home import Home
from workbench.models.open import open_client
from workbench.workflow.load import load_workflow

async def main():
    url, file, said = sys.argv[1:]
    client = open_client(url + "#perfect", Home(Path(file).parent))
    agent = OrchestratedAgent(client, load_workflow("travel_booking"), thread="one", checkpoints=Path(file))
    again = await agent.open()
    turn = await agent.reply(said) if said else again
    print(json.dumps({"again": again.text, "calls": again.calls, "text": turn.text, "nodes": turn.nodes,
                      "awaits": turn.awaits, "ended": turn.ended}))
    await agent.close()
    await client.close()

asyncio.run(main())
"""


def test_a_conversation_survives_the_end_of_its_process(travel: Workflow, endpoint: str, tmp_path: Path) -> None:
    def process(said: str) -> dict[str, object]:
        command = [sys.executable, "-c", ONE_TURN, endpoint, str(tmp_path / "talk.sqlite"), said]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        found: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
        return found

    opened = process("")
    assert (opened["awaits"], opened["nodes"]) == ("user_request", ["open"])
    second = process("My wish is Lisbon.")
    assert (second["again"], second["calls"]) == (opened["text"], 0), "nothing is asked for twice"
    assert second["nodes"] == ["assess"]
    assert second["awaits"] == "user_info"

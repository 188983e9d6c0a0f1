"""Every path of the travel workflow, walked by the oracle and by LangGraph with a scripted model."""

from __future__ import annotations

import pytest

from tests.agents.parts import PlanUser, ScriptedClient, choosing
from workbench.agents.conversation import Conversation, hold, limits_for
from workbench.agents.oracle import Oracle
from workbench.agents.orchestrated import OrchestratedAgent
from workbench.dialogue.scenarios import scenario_for_path
from workbench.workflow.model import Workflow
from workbench.workflow.paths import PathSpace


def taken(conversation: Conversation) -> tuple[str, ...]:
    return tuple(edge for message in conversation.messages for edge in message.edges)


async def test_the_oracle_walks_every_path(travel: Workflow) -> None:
    limits = limits_for(travel)
    assert limits.messages == 21
    for path in PathSpace(travel):
        scenario = scenario_for_path(travel, path, "test", 1)
        conversation = await hold(Oracle(travel, scenario), PlanUser(travel, scenario), limits)
        assert taken(conversation) == path
        assert conversation.ended_by == "agent"
        assert conversation.terminal == travel.edge[path[-1]].target


async def test_langgraph_walks_every_path_with_one_choice_a_hub(travel: Workflow) -> None:
    limits, walked = limits_for(travel), 0
    for number, path in enumerate(PathSpace(travel)):
        scenario = scenario_for_path(travel, path, "test", 2)
        client = ScriptedClient(choosing(path, travel))
        agent = OrchestratedAgent(client, travel, thread=str(number))
        conversation = await hold(agent, PlanUser(travel, scenario), limits)
        assert conversation.error is None
        assert taken(conversation) == path
        assert conversation.ended_by == "agent"
        assert conversation.terminal == travel.edge[path[-1]].target
        hubs = sum(travel.edge[e].source in travel.hubs for e in path)
        assert sum(bool(r.choices) for r in client.requests) == hubs
        assert all(m.nodes for m in conversation.messages)
        assert conversation.totals()["calls"] == len(client.requests)
        walked += 1
    assert walked == 86


@pytest.mark.parametrize("role", ["agent", "user"])
async def test_messages_alternate(travel: Workflow, role: str) -> None:
    scenario = scenario_for_path(travel, PathSpace(travel)[0], "dev", 3)
    conversation = await hold(Oracle(travel, scenario), PlanUser(travel, scenario), limits_for(travel))
    assert {m.role for m in conversation.messages[0 if role == "agent" else 1 :: 2]} == {role}

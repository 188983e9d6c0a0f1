"""What each agent sends, streams and survives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.agents.parts import PlanUser, ScriptedClient, choosing
from workbench.agents.base import AgentFailure, AgentTurn
from workbench.agents.compiled import ChatAgent, compiled_agent
from workbench.agents.conversation import Limits, hold
from workbench.agents.in_context import in_context_agent
from workbench.agents.orchestrated import OrchestratedAgent
from workbench.agents.prompts import KICK_OFF, in_context_system, options_of, orchestrated_system, speak_note
from workbench.dialogue.scenarios import scenario_for_path
from workbench.errors import ServiceError
from workbench.models.client import Reply, Request
from workbench.workflow.model import Workflow
from workbench.workflow.paths import PathSpace


def path_to(travel: Workflow, *nodes: str) -> tuple[str, ...]:
    """The first path that goes through these nodes."""
    space = PathSpace(travel)
    for node in nodes:
        space = space.through(node)
    return space[0]


async def test_compiled_agent_sends_the_instruction_and_the_talk_only(travel: Workflow) -> None:
    client = ScriptedClient(lambda request: f"Line {len(request.messages)}.")
    agent = compiled_agent(client, travel)
    await agent.open()
    turn = await agent.reply("To Oslo.")
    sent = [(m.role, m.content) for m in client.requests[-1].messages]
    assert sent == [("system", travel.instruction), ("assistant", "Line 1."), ("user", "To Oslo.")]
    assert client.requests[-1].max_tokens == 120
    assert (turn.text, turn.calls, turn.cost, turn.nodes) == ("Line 3.", 1, 0.001, None)


async def test_every_request_prolongs_the_one_before(travel: Workflow) -> None:
    for make in (compiled_agent, in_context_agent):
        client = ScriptedClient(lambda _: "Well.")
        agent = make(client, travel)
        await agent.open()
        await agent.reply("One.")
        await agent.reply("Two.")
        before, after = client.requests[-2].messages, client.requests[-1].messages
        assert after[: len(before)] == before
    assert client.requests[0].messages[1] == KICK_OFF


async def test_a_failed_turn_leaves_the_history_as_it_was(travel: Workflow) -> None:
    fails = iter([False, True, False])

    def answer(_: Request) -> str:
        if next(fails):
            raise ServiceError("the server is gone")
        return "Fine."

    agent: ChatAgent = compiled_agent(ScriptedClient(answer), travel)
    await agent.open()
    with pytest.raises(ServiceError):
        await agent.reply("Hello?")
    await agent.reply("Hello?")
    assert [m.content for m in agent.history] == ["Fine.", "Hello?", "Fine."]


async def test_infrastructure_and_limits_end_a_conversation_differently(travel: Workflow) -> None:
    scenario = scenario_for_path(travel, path_to(travel, "success"), "test", 1)

    def gone(_: Request) -> str:
        raise ServiceError("529 overloaded")

    broken = await hold(compiled_agent(ScriptedClient(gone), travel), PlanUser(travel, scenario), Limits(9))
    assert (broken.ended_by, broken.error, broken.is_missing) == ("error", "529 overloaded", True)
    rambling = ScriptedClient(lambda request: "word " * (request.max_tokens + 1))
    cut = await hold(compiled_agent(rambling, travel), PlanUser(travel, scenario), Limits(9))
    assert (cut.ended_by, len(cut.messages), cut.is_missing) == ("cut", 1, False)
    brief = await hold(compiled_agent(ScriptedClient(lambda _: "Hm."), travel), PlanUser(travel, scenario), Limits(4))
    assert (brief.ended_by, len(brief.messages)) == ("messages", 4)


async def test_orchestrated_stream_gives_the_text_of_the_turn(travel: Workflow) -> None:
    path = path_to(travel, "user_info", "success")
    client = ScriptedClient(lambda request: travel.edge[path[2]].condition if request.choices else "Good\nday.")
    agent = OrchestratedAgent(client, travel, thread="s")
    for text in (None, "To Oslo."):
        pieces = [piece async for piece in agent.stream(text)]
        turn = pieces[-1]
        assert isinstance(turn, AgentTurn)
        assert "".join(p for p in pieces[:-1] if isinstance(p, str)) == turn.text == "Good\nday."
    assert (turn.nodes, turn.awaits, turn.calls) == (("assess",), "user_info", 2)
    await agent.close()


async def test_hub_choice_cannot_leave_the_graph(travel: Workflow) -> None:
    agent = OrchestratedAgent(ScriptedClient(lambda _: "I would rather sing."), travel, thread="m")
    await agent.open()
    turn = await agent.reply("To Oslo.")
    assert turn.malformed == 1
    assert turn.awaits == travel.out["assess"][0].target


async def test_orchestrated_conversation_survives_a_restart(travel: Workflow, tmp_path: Path) -> None:
    path = path_to(travel, "user_info", "success")
    scenario = scenario_for_path(travel, path, "test", 4)
    user, client, file = PlanUser(travel, scenario), ScriptedClient(choosing(path, travel)), tmp_path / "c.sqlite"
    turn, turns, text = None, 0, None
    while turn is None or not turn.ended:  # a new process, so to speak, for every turn
        agent = OrchestratedAgent(client, travel, thread="r", checkpoints=file)
        if text is not None:
            again = await agent.open()
            assert (again.text, again.calls, again.awaits) == (turn.text, 0, turn.awaits)
        turn = await (agent.open() if text is None else agent.reply(text))
        await agent.close()
        text = "" if turn.ended else (await user.answer([])).text
        turns += 1
    assert turn.nodes[-1] == travel.edge[path[-1]].target
    assert turns == len(scenario.plan) + 1


async def test_orchestrated_turn_can_be_repeated_after_an_error(travel: Workflow) -> None:
    path = path_to(travel, "user_info", "success")
    down = [False]

    class Flaky(ScriptedClient):
        async def complete(self, request: Request) -> Reply:
            if down[0] and not request.choices:
                raise ServiceError("connection lost")
            return await super().complete(request)

    agent = OrchestratedAgent(
        Flaky(lambda r: travel.edge[path[2]].condition if r.choices else "Hm."), travel, thread="f"
    )
    await agent.open()
    down[0] = True
    with pytest.raises(ServiceError):
        await agent.reply("To Oslo.")
    down[0] = False
    turn = await agent.reply("To Oslo.")
    assert (turn.awaits, turn.text) == ("user_info", "Hm.")


async def test_a_graph_that_runs_in_circles_is_the_agents_failure(travel: Workflow) -> None:
    def circle(request: Request) -> str:
        return (
            next(c for c in request.choices if "different trip" in c or "are known" in c) if request.choices else "Hm."
        )

    looping = tuple(
        replace(e, target="handle_response") if e.source == "assess" and e.target == "present" else e
        for e in travel.edges
    )
    agent = OrchestratedAgent(ScriptedClient(circle), replace(travel, edges=looping), thread="l")
    await agent.open()
    with pytest.raises(AgentFailure, match="circles"):
        await agent.reply("To Oslo.")


def test_prompts_give_rivals_the_constants_and_no_evaluation_wording(travel: Workflow) -> None:
    texts = [in_context_system(travel), orchestrated_system(travel)]
    texts += [speak_note(travel, place) for place in [*travel.nodes.values(), *travel.edges]]
    joined = "\n".join(texts)
    pools = [p.pool for place in [*travel.nodes.values(), *travel.edges] for p in place.say]
    for pool in [*pools, *(d.say for d in travel.deviations), *(d.reply for d in travel.deviations)]:
        for wording in pool.evaluation:
            assert wording not in joined
    assert "$140" in joined
    assert "{" not in joined
    assert all(len(options_of(travel, hub)) == len(travel.out[hub]) for hub in travel.hubs)

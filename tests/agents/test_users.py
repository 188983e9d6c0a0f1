"""Simulated users against the oracle, against agents that fail, and their audit."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.agents.parts import ScriptedClient
from workbench.agents.audit import Auditor
from workbench.agents.compiled import compiled_agent
from workbench.agents.conversation import hold, limits_for
from workbench.agents.llm_user import LlmUser, user_system
from workbench.agents.oracle import Oracle
from workbench.agents.users import AgendaUser
from workbench.dialogue.labeller import Labeller
from workbench.dialogue.model import Message, PlannedMove
from workbench.dialogue.scenarios import expected_terminal, scenario_for_path
from workbench.workflow.model import Split, Workflow
from workbench.workflow.paths import PathSpace
from workbench.workflow.situation import fill


@pytest.fixture(scope="module")
def labeller(travel: Workflow) -> Labeller:
    return Labeller(travel)


@pytest.mark.parametrize("split", ["dev", "test"])
async def test_agenda_user_and_oracle_reach_every_terminal(travel: Workflow, labeller: Labeller, split: Split) -> None:
    limits, auditor = limits_for(travel), Auditor(travel, labeller)
    for path in PathSpace(travel):
        scenario = scenario_for_path(travel, path, split, 5, deviation_share=0.5)
        conversation = await hold(Oracle(travel, scenario), AgendaUser(travel, scenario, labeller), limits)
        assert conversation.terminal == expected_terminal(travel, scenario), conversation
        assert tuple(e for m in conversation.messages for e in m.edges) == path
        found = auditor.audit(scenario, conversation)
        assert (found.errors, found.improvised, found.not_understood) == (0, 0, 0)


async def test_user_answers_by_what_it_was_asked_and_repeats_itself(travel: Workflow, labeller: Labeller) -> None:
    scenario = scenario_for_path(travel, PathSpace(travel)[0], "test", 5)
    scenario = replace(scenario, plan=(PlannedMove("user_request", 1, "partial"), PlannedMove("user_info", 1, "give")))
    user = AgendaUser(travel, scenario, labeller)
    ask = next(e for e in travel.out["assess"] if e.target == "user_info").say[0].pool.evaluation[0]
    first = await user.answer([Message("agent", ask)])
    assert (first.node, first.move, first.planned) == ("user_info", "give", True)
    assert str(scenario.variables["check_in"]) in first.text
    assert first.facts["check_in"] == scenario.variables["check_in"]
    again = await user.answer([Message("agent", ask)])
    assert (again.move, again.planned) == ("give", False)
    summary = travel.nodes["finalise"].say[0].pool.evaluation[0]
    unplanned = await user.answer([Message("agent", fill(summary, scenario.variables))])
    assert (unplanned.node, unplanned.move, unplanned.planned) == ("user_confirm", "confirm", False)


async def test_user_gives_up_after_two_senseless_messages_and_leaves_at_good_bye(
    travel: Workflow, labeller: Labeller
) -> None:
    scenario = scenario_for_path(travel, PathSpace(travel)[3], "dev", 5)
    agent = compiled_agent(ScriptedClient(lambda _: "Quokka zymurgy blorp."), travel)
    conversation = await hold(agent, AgendaUser(travel, scenario, labeller), limits_for(travel))
    assert conversation.ended_by == "gave_up"
    assert [m.role for m in conversation.messages] == ["agent", "user", "agent", "user"]
    found = Auditor(travel, labeller).audit(scenario, conversation)
    assert (found.not_understood, found.errors) == (2, 0)
    left = await AgendaUser(travel, scenario, labeller).answer(
        [Message("agent", "Quokka zymurgy blorp jabber wocky quux, farewell.")]
    )
    assert (left.text, left.ended) == ("", "goodbye")


async def test_user_words_do_not_depend_on_the_agent_and_come_from_the_evaluation_pool(
    travel: Workflow, labeller: Labeller
) -> None:
    scenario = scenario_for_path(travel, PathSpace(travel)[40], "test", 6)
    opening = [Message("agent", text) for text in travel.nodes["open"].say[0].pool.evaluation]
    said = {(await AgendaUser(travel, scenario, labeller).answer([m])).text for m in opening}
    assert len(said) == 1
    training = {t.split("{")[0] for m in travel.nodes["user_request"].moves for p in m.say for t in p.pool.training}
    assert not any(said.copy().pop().startswith(t) for t in training if len(t) > 3)


async def test_llm_user_knows_its_agenda_and_nothing_of_the_graph(travel: Workflow, labeller: Labeller) -> None:
    scenario = scenario_for_path(travel, PathSpace(travel)[10], "test", 5)
    system = user_system(travel, scenario)
    assert str(scenario.variables["destination"]) in system
    for edge in travel.edges:
        assert not edge.condition or edge.condition not in system
    for node in travel.nodes:
        assert "_" not in node or node not in system
    client = ScriptedClient(lambda _: f"To {scenario.variables['destination']}. ###DONE###")
    turn = await LlmUser(client, travel, scenario, labeller).answer([Message("agent", "Greetings! Where to, when?")])
    assert turn.text == f"To {scenario.variables['destination']}."
    assert turn.ended == "closed"
    assert turn.facts["destination"] == scenario.variables["destination"]
    assert client.requests[0].messages[-1].role == "user"


async def test_audit_counts_what_the_user_did_wrong(travel: Workflow, labeller: Labeller) -> None:
    scenario = scenario_for_path(travel, PathSpace(travel)[40], "test", 6)
    conversation = await hold(Oracle(travel, scenario), AgendaUser(travel, scenario, labeller), limits_for(travel))
    foreign = next(v for v in travel.variables["destination"].values if v not in scenario.variables.values())
    messages = list(conversation.messages)
    messages[1] = replace(messages[1], move="vague", text=f"I go to {foreign}.", nodes=("user_confirm",))
    spoilt = replace(conversation, messages=tuple(messages[:-1]), ended_by="user")
    found = Auditor(travel, labeller).audit(scenario, spoilt)
    assert (found.misheard, found.off_plan, found.invented, found.left_early) == (
        1,
        int(scenario.plan[0].move != "vague"),
        1,
        1,
    )


async def test_stop_words_leave_and_never_reach_the_agent(travel: Workflow, labeller: Labeller) -> None:
    scenario = scenario_for_path(travel, PathSpace(travel)[10], "test", 5)
    asked = [Message("agent", travel.nodes["open"].say[0].pool.evaluation[0])]
    for said, text, ended in [
        ("###DONE###", "", "closed"),
        ("Thanks! ###TRANSFER###", "Thanks!", "transferred"),
        ("###OUT-OF-SCOPE###", "", "out_of_scope"),
        ("###LOST### ###DONE###", "", "closed"),
        ("   ", "", "gave_up"),
    ]:
        turn = await LlmUser(ScriptedClient(lambda _, said=said: said), travel, scenario, labeller).answer(asked)
        assert (turn.text, turn.ended) == (text, ended)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("We fly on 31 December.", "invented"),
        ("As an AI language model I have no plans.", "left_role"),
        ("Good day! What is your destination, on what dates, and for how many people?", "left_role"),
        ("###LOST###", "left_early"),
    ],
)
async def test_a_model_that_plays_the_user_badly_is_found_out(
    travel: Workflow, labeller: Labeller, said: str, error: str
) -> None:
    scenario = scenario_for_path(travel, PathSpace(travel)[40], "test", 6)
    user = LlmUser(ScriptedClient(lambda _: said), travel, scenario, labeller)
    opening = travel.nodes["open"].say[0].pool.evaluation[0]
    agent = compiled_agent(ScriptedClient(lambda _: opening), travel)
    found = Auditor(travel, labeller).audit(scenario, await hold(agent, user, replace(limits_for(travel), messages=4)))
    assert getattr(found, error) >= 1
    assert found.errors >= 1

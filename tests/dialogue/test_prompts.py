"""What writers on a model are told (no node id or condition, never the graph on the user's side, nothing untold on the agent's),
and how their structured replies are read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from workbench.dialogue.model_writer import read_whole
from workbench.dialogue.outline import outline, tidy
from workbench.dialogue.prompting import turn_request, whole_request
from workbench.dialogue.scenarios import scenario_for_path
from workbench.workflow.load import load_workflow
from workbench.workflow.model import Workflow
from workbench.workflow.paths import PathSpace


@pytest.fixture(scope="module")
def travel() -> Workflow:
    return load_workflow("travel_booking")


def prompts(travel: Workflow) -> Iterator[tuple[str, str, Any]]:
    """Every prompt of twenty dialogues: whose side, its text, the scenario."""
    for index, path in enumerate(list(PathSpace(travel))[::4]):
        scenario = scenario_for_path(travel, path, "train", index, deviation_share=1.0)
        turns = outline(travel, scenario)
        for manner in ("whole", "paraphrase"):
            request = whole_request(travel, scenario, turns, manner)
            yield manner, "\n".join(m.content for m in request.messages), scenario
        history = [turn.message for turn in turns]
        for at, turn in enumerate(turns):
            request = turn_request(travel, scenario, history[:at], turn)
            yield turn.role, "\n".join(m.content for m in request.messages), scenario


def test_no_prompt_holds_a_node_id_or_a_condition_and_the_user_never_sees_the_graph(travel: Workflow) -> None:
    ids = [node for node in travel.nodes if "_" in node]
    conditions = [edge.condition for edge in travel.edges if len(edge.condition) > 12]
    agent_prompts = [node.prompt for node in travel.nodes.values() if node.role != "user"]
    for side, text, _ in prompts(travel):
        assert not [node for node in ids if node in text]
        assert not [condition for condition in conditions if condition in text]
        if side == "user":
            assert not [prompt for prompt in agent_prompts if prompt in text]


def test_the_agents_side_is_handed_only_what_it_may_state(travel: Workflow) -> None:
    for index, path in enumerate(PathSpace(travel)):
        scenario = scenario_for_path(travel, path, "train", index, deviation_share=1.0)
        turns = outline(travel, scenario)
        told = ""
        for at, turn in enumerate(turns):
            if turn.role == "user":
                told += turn.meaning
                continue
            request = turn_request(travel, scenario, [t.message for t in turns[:at]], turn)
            shown = request.messages[-1].content
            open_values = {str(v) for n, v in scenario.variables.items() if travel.variables[n].type != "choice"}
            assert not [value for value in open_values if value in shown and value not in told]


def test_deviations_and_persona_reach_the_users_side(travel: Workflow) -> None:
    seen: Counter[str] = Counter()
    for side, text, scenario in prompts(travel):
        if side == "user":
            persona = next(p.description for p in travel.personas if p.id == scenario.persona)
            assert f"Who you are: {persona}" in text
            seen["also ask a side question"] += "also ask a side question" in text
            seen["correct a detail"] += "correct a detail" in text
    assert min(seen.values()) > 0


def test_a_structured_reply_is_read_or_says_what_is_wrong(travel: Workflow) -> None:
    turns = outline(travel, scenario_for_path(travel, PathSpace(travel)[0], "train", 1))
    good = [{"n": n, "text": f'"{t.meaning}"' if n == 1 else t.meaning} for n, t in enumerate(turns, 1)]
    for text in (json.dumps({"messages": good[::-1]}), f"```json\n{json.dumps({'messages': good})}\n```"):
        messages = read_whole(text, turns)
        assert [m.text for m in messages] == [tidy(t.meaning) for t in turns]
        assert [m.nodes for m in messages] == [t.message.nodes for t in turns]
    for wrong, says in [
        ("Here you are!", "not JSON"),
        ('{"messages": 3}', "not JSON"),
        ('{"messages": [{"n": 1}]}', "not JSON"),
        (json.dumps({"messages": good[:-1]}), "each of the messages"),
        (json.dumps({"messages": [*good, good[0]]}), "each of the messages"),
        (json.dumps({"messages": [{"n": "1", "text": "x"}, *good[1:]]}), "each of the messages"),
        (json.dumps({"messages": [{"n": 1, "text": None}, *good[1:]]}), "message 1: it is empty"),
        (json.dumps({"messages": [{"n": 1, "text": "x" * 5000}, *good[1:]]}), "characters"),
        (json.dumps({"messages": [{"n": 1, "text": "{place}"}, *good[1:]]}), "curly"),
        (json.dumps({"messages": [{**good[0]}, {"n": 2, "text": "Hi"}, *good[2:]]}), "message 2: it does not contain"),
    ]:
        with pytest.raises(ValueError, match=says):
            read_whole(wrong, turns)

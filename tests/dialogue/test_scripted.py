"""Scenarios and the scripted writer, on the shipped travel workflow: every path, every split, nothing leaked."""

from __future__ import annotations

from dataclasses import replace

import pytest

from workbench.dialogue.checks import check_dialogue, check_set
from workbench.dialogue.model import Dialogue, Message, chat_messages
from workbench.dialogue.scenarios import expected_path, expected_terminal, scenario_for_path
from workbench.dialogue.scripted import write
from workbench.errors import UserError
from workbench.workflow.load import load_workflow
from workbench.workflow.model import DEVIATIONS, SPLITS, Split, Workflow
from workbench.workflow.paths import PathSpace


@pytest.fixture(scope="module")
def travel() -> Workflow:
    return load_workflow("travel_booking")


@pytest.fixture(scope="module")
def dialogues(travel: Workflow) -> list[Dialogue]:
    """Four dialogues of every path."""
    return [
        write(travel, scenario_for_path(travel, path, "train", 100 * repetition + i))
        for repetition in range(4)
        for i, path in enumerate(PathSpace(travel))
    ]


@pytest.mark.parametrize("split", SPLITS)
def test_every_path_has_a_scenario_that_walks_it(travel: Workflow, split: Split) -> None:
    for path in PathSpace(travel):
        scenario = scenario_for_path(travel, path, split, 7)
        assert expected_path(travel, scenario) == path
        assert expected_terminal(travel, scenario) == travel.edge[path[-1]].target
        dialogue = write(travel, scenario)
        assert dialogue.path == path
        assert check_dialogue(travel, dialogue) == []


def test_a_set_of_all_paths_contradicts_itself_nowhere_and_holds_every_deviation(
    travel: Workflow, dialogues: list[Dialogue]
) -> None:
    findings = check_set(travel, dialogues)
    assert findings.contradictions == ()
    assert findings.ceiling == 1.0
    assert findings.paths == 86
    assert set(findings.deviations) == set(DEVIATIONS)
    assert set(findings.edges) == set(travel.edge)


def test_the_same_seed_says_the_same_and_another_seed_something_else(travel: Workflow) -> None:
    path = PathSpace(travel)[40]
    first, again, other = (write(travel, scenario_for_path(travel, path, "train", seed)) for seed in (1, 1, 2))
    assert first == again
    assert first.id != other.id
    assert [m.text for m in first.messages] != [m.text for m in other.messages]


def test_messages_alternate_and_the_agent_opens_and_closes(dialogues: list[Dialogue]) -> None:
    for dialogue in dialogues:
        roles = [message.role for message in dialogue.messages]
        assert roles == ["agent", "user"] * (len(roles) // 2) + ["agent"]


def test_a_training_text_holds_roles_and_words_only(travel: Workflow, dialogues: list[Dialogue]) -> None:
    chat = chat_messages(travel.instruction, travel.context, dialogues[0].messages)
    assert chat[0] == {"role": "system", "content": "You are a helpful travel booking assistant."}
    assert all(set(message) == {"role", "content"} for message in chat)
    said = " ".join(message["content"] for message in chat)
    assert not any(f"{node} " in said for node in travel.nodes if "_" in node)


def damaged(dialogue: Dialogue, index: int, **changes: object) -> Dialogue:
    messages = list(dialogue.messages)
    messages[index] = replace(messages[index], **changes)  # type: ignore[arg-type]
    return replace(dialogue, messages=tuple(messages))


@pytest.mark.parametrize(
    ("index", "changes", "code"),
    [
        (1, {"role": "agent"}, "not-alternating"),
        (1, {"text": "  "}, "empty"),
        (1, {"text": "x" * 3000}, "too-long"),
        (1, {"text": "I go to {destination}."}, "placeholder"),
        (2, {"text": "Now in handle_response."}, "leak"),
        (2, {"text": "The user wants other or cheaper packages."}, "leak"),
        (2, {"edges": ()}, "off-path"),
        (-1, {"nodes": ("open",)}, "wrong-terminal"),
    ],
)
def test_each_fault_is_found(
    travel: Workflow, dialogues: list[Dialogue], index: int, changes: dict[str, object], code: str
) -> None:
    assert code in {finding.code for finding in check_dialogue(travel, damaged(dialogues[0], index, **changes))}


def test_a_fact_that_nobody_told_is_found(travel: Workflow, dialogues: list[Dialogue]) -> None:
    path = next(d.path for d in dialogues if d.terminal == "success")
    dialogue = write(travel, scenario_for_path(travel, path, "train", 3, deviation_share=0))
    secret = dialogue.scenario.variables["new_destination"]
    told = damaged(dialogue, 2, text=f"How about {secret}?", facts={})
    assert "untold-fact" in {finding.code for finding in check_dialogue(travel, told)}


def test_a_wrong_fact_is_found(travel: Workflow, dialogues: list[Dialogue]) -> None:
    dialogue = next(d for d in dialogues if d.terminal == "success")
    last = dialogue.messages[-1]
    wrong = damaged(dialogue, -1, text=last.text.replace(str(last.facts["destination"]), "Atlantis"))
    assert "wrong-fact" in {finding.code for finding in check_dialogue(travel, wrong)}


def test_the_same_history_with_two_next_nodes_is_a_contradiction(travel: Workflow) -> None:
    scenario = scenario_for_path(travel, PathSpace(travel)[0], "train", 1)
    dialogue = write(travel, scenario)
    turned = damaged(dialogue, 2, nodes=("assess", "escalated"))
    findings = check_set(travel, [dialogue, turned])
    assert len(findings.contradictions) == 1
    assert findings.ceiling < 1.0


def test_a_plan_without_a_move_is_refused(travel: Workflow) -> None:
    scenario = scenario_for_path(travel, PathSpace(travel)[0], "train", 1)
    with pytest.raises(UserError, match="no move"):
        write(travel, replace(scenario, plan=scenario.plan[:1]))
    with pytest.raises(UserError, match="does not reach a terminal"):
        expected_path(travel, replace(scenario, plan=scenario.plan[:1]))


def test_chat_messages_carry_the_context_in_the_system_message() -> None:
    chat = chat_messages("Be kind.", "Policy 7", (Message("agent", "Hello"),))
    assert chat == [{"role": "system", "content": "Be kind.\nPolicy 7"}, {"role": "assistant", "content": "Hello"}]

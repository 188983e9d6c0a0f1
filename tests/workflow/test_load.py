"""Reading workflow files: what is read, and what one line says when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import UserError
from workbench.workflow.hashing import workflow_hash
from workbench.workflow.load import find_workflow, known_workflows, load_workflow, parse_workflow
from workbench.workflow.model import Condition, OrderRule
from workbench.workflow.scaffold import scaffold
from workbench.workflow.situation import Situation, decide, fill, holds, placeholders
from workbench.workflow.source import read_text

SMALL = """
name: tiny
instruction: Be helpful.
nodes:
  - {id: hello, role: agent, start: true, prompt: Greet., say: {training: ["Hi {name}"], evaluation: ["Hello {name}"]}}
  - id: answer
    role: user
    prompt: Answer.
    moves:
      - {id: agree, say: {training: [Yes.], evaluation: [Right.]}, sets: {name: other}}
      - {id: refuse, say: {training: [No.], evaluation: [Never.]}}
  - {id: choice, role: agent, prompt: Decide.}
  - {id: good, role: terminal, outcome: success, prompt: End.}
  - {id: bad, role: terminal, outcome: failure, prompt: End.}
variables:
  name: {type: choice, values: [Ann, Bob]}
  other: {type: choice, values: [Cid]}
edges:
  - {from: hello, to: answer}
  - {from: answer, to: choice}
  - {from: choice, to: good, condition: agreed, when: {moves: [agree]}}
  - {from: choice, to: bad, condition: else, when: {otherwise: true}}
"""


def test_a_file_becomes_a_workflow() -> None:
    workflow = parse_workflow(SMALL)
    assert workflow.start == "hello"
    assert workflow.hubs == ("choice",)
    assert workflow.terminals == ("good", "bad")
    assert [e.id for e in workflow.edges] == ["hello>answer", "answer>choice", "choice>good", "choice>bad"]
    assert workflow.nodes["answer"].move("agree").sets == {"name": "other"}
    assert workflow.max_visits == 2


def test_json_is_read_as_well(tmp_path: Path) -> None:
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(read_text(SMALL).data))
    assert load_workflow(path).nodes.keys() == parse_workflow(SMALL).nodes.keys()


def test_travel_booking_is_found_by_name_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    workflow = load_workflow("travel_booking")
    assert (len(workflow.nodes), len(workflow.hubs)) == (14, 3)
    assert find_workflow("travel_booking") in known_workflows()


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("role: user", "role: usr", 7, "unknown role 'usr'"),
        ("to: answer}", "to: anser}", 19, "no node 'anser'"),
        ("id: bad", "id: good", 14, "used twice"),
        ("start: true", "start: false", 5, "no node is marked"),
        ("instruction: Be helpful.", "instruction: [1]", 3, "must be text"),
        ("role: user", "rolle: user", 7, "unknown key 'rolle'"),
        ("name: tiny", "name: tiny\npersonas: 3", 3, "expected a list"),
        ("type: choice, values: [Cid]", "type: colour", 17, "unknown type 'colour'"),
        ("name: tiny", "name: tiny\nmax_visits: 0", 3, "from 1 to 9"),
        ("name: tiny", "name: [tiny", 3, "not valid YAML"),
    ],
)
def test_a_fault_is_one_line_with_its_place(old: str, new: str, line: int, words: str) -> None:
    with pytest.raises(UserError) as caught:
        parse_workflow(SMALL.replace(old, new, 1), "f.yaml")
    assert str(caught.value).startswith(f"f.yaml:{line}")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "- 1", "just words", "a: &a [*a]", "[" * 5000, "x: " + "[" * 60 + "]" * 60])
def test_what_is_no_workflow_is_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse_workflow(text)


def test_a_bomb_of_anchors_is_refused_in_time() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
    )
    with pytest.raises(UserError, match="multiplied by anchors"):
        parse_workflow(bomb)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"\xff\xfe\x00", "UTF-8"), (b"name: \x00x", "not"), (b"!!python/object:os.system {}", "start: true")],
)
def test_binary_and_tagged_files_are_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=words):
        load_workflow(path)


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match="travel_booking"):
        load_workflow("no_such_workflow")
    with pytest.raises(UserError, match="no such file"):
        load_workflow("nowhere.yaml")


def problem_of(text: str) -> str:
    """What the loader says of a text, "" if it takes it; anything but a UserError goes through."""
    try:
        parse_workflow(text)
    except UserError as error:
        return str(error)
    return ""


@given(st.text(max_size=300))
def test_no_text_whatever_raises_anything_but_a_user_error(text: str) -> None:
    assert "\n" not in problem_of(text)


def test_a_hub_decides_by_the_first_condition_that_holds_then_by_otherwise() -> None:
    workflow = parse_workflow(SMALL)
    after = Situation({"name": "Ann", "other": "Cid"}).entered("choice")
    assert decide(workflow, "choice", after.after_move("agree")) == workflow.edge["choice>good"]
    assert decide(workflow, "choice", after.after_move("refuse")) == workflow.edge["choice>bad"]
    assert decide(workflow, "hello", after) == workflow.edge["hello>answer"]
    assert after.after_move("agree", {"name": "other"}).variables["name"] == "Cid"


def test_every_part_of_a_condition_must_hold() -> None:
    situation = Situation({"kind": "auto", "sum": 40}, "agree", {"hub": 2})
    assert holds(
        Condition(moves=("agree",), visits=(2,), variables={"kind": ("auto",)}, bounds={"sum": (40, None)}),
        situation,
        "hub",
    )
    assert not holds(Condition(visits=(1,)), situation, "hub")
    assert not holds(Condition(moves=("refuse",)), situation, "hub")
    assert not holds(Condition(variables={"kind": ("home",)}), situation, "hub")
    assert not holds(Condition(bounds={"sum": (None, 39)}), situation, "hub")
    assert not holds(Condition(bounds={"kind": (1, 2)}), situation, "hub")


def test_placeholders_are_filled_and_unknown_ones_raise() -> None:
    assert placeholders("{a} to {b}, {a}") == ("a", "b")
    assert fill("{a} to {b}", {"a": 1, "b": "x"}) == "1 to x"
    with pytest.raises(KeyError):
        fill("{c}", {})


def test_order_rules_are_read_both_ways_and_traits_leave_the_hash_alone() -> None:
    text = scaffold("sample")
    ruled = parse_workflow(text + "rules:\n  - must_precede: [greet, ordered]\n  - never_before: [ordered, greet]\n")
    assert ruled.rules == (OrderRule("greet", "ordered"),) * 2
    assert workflow_hash(ruled) != workflow_hash(parse_workflow(text))
    tagged = parse_workflow(text.replace("      - id: stop\n", "      - id: stop\n        traits: [dissatisfied]\n"))
    assert tagged.nodes["user_order"].move("stop").traits == ("dissatisfied",)
    assert workflow_hash(tagged) == workflow_hash(parse_workflow(text))
    with pytest.raises(UserError, match="must_precede"):
        parse_workflow(text + "rules: [{must_precede: [greet]}]\n")

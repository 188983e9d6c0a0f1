"""The shipped procedures: exact counts, the rules of the graph, a scenario for every path, dialogues without a fault."""

from __future__ import annotations

from functools import cache

import pytest

from workbench.dialogue.checks import check_dialogue, check_set
from workbench.dialogue.model import Dialogue
from workbench.dialogue.scenarios import expected_path, scenario_for_path
from workbench.dialogue.scripted import write
from workbench.workflow.check import check_file
from workbench.workflow.load import find_workflow, load_workflow
from workbench.workflow.model import Split, Workflow
from workbench.workflow.paths import PathSpace, path_nodes

SHIPPED = ("travel_booking", "zoom_support", "insurance_claims")


@cache
def shipped(name: str) -> Workflow:
    return load_workflow(name)


@pytest.mark.parametrize(
    ("name", "nodes", "hubs", "paths", "steps", "terminals"),
    [
        ("travel_booking", 14, 3, 86, (4, 17), {"success", "abandoned", "escalated"}),
        ("zoom_support", 14, 3, 60, (4, 17), {"resolved", "unresolved", "escalated"}),
        ("insurance_claims", 55, 6, 2381, (9, 39), {"approved", "denied", "withdrawn", "escalated", "pending"}),
    ],
)
def test_exact_counts(
    name: str, nodes: int, hubs: int, paths: int, steps: tuple[int, int], terminals: set[str]
) -> None:
    workflow = shipped(name)
    space = PathSpace(workflow)
    assert workflow.max_visits == 2
    assert len(workflow.nodes) == nodes
    assert len(workflow.hubs) == hubs
    assert space.count() == sum(1 for _ in space) == paths
    assert space.step_range() == steps
    assert set(workflow.terminals) == terminals
    assert all(space.by_terminal().values())
    assert not space.cover().missing


@pytest.mark.parametrize("name", SHIPPED)
def test_all_branching_is_at_hubs_and_every_hub_edge_can_be_decided(name: str) -> None:
    workflow = shipped(name)
    for node in workflow.nodes.values():
        out = workflow.out[node.id]
        roles = [workflow.nodes[edge.target].role for edge in out]
        assert node.prompt
        if node.role == "terminal":
            assert not out
        elif node.role == "user":
            assert len(out) == 1
            assert roles[0] != "user"
        elif len(out) == 1:
            assert roles == ["user"]
        else:
            assert all(edge.condition and edge.when for edge in out)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_checks_find_nothing(name: str) -> None:
    assert list(check_file(find_workflow(name))) == []


@cache
def one_a_path(name: str, split: Split) -> tuple[Dialogue, ...]:
    """A dialogue for every path; UserError if a path has no scenario."""
    workflow = shipped(name)
    found = []
    for path in PathSpace(workflow):
        scenario = scenario_for_path(workflow, path, split, seed=1)
        assert expected_path(workflow, scenario) == path
        found.append(write(workflow, scenario))
    return tuple(found)


@pytest.mark.parametrize(
    ("name", "split"),
    [*((name, "train") for name in SHIPPED), *((name, split) for name in SHIPPED[:2] for split in ("dev", "test"))],
)
def test_every_path_has_a_scenario_and_its_dialogue_no_fault(name: str, split: Split) -> None:
    workflow = shipped(name)
    dialogues = one_a_path(name, split)
    faults = {(f.code, f.what) for dialogue in dialogues for f in check_dialogue(workflow, dialogue)}
    assert faults == set()
    findings = check_set(workflow, dialogues)
    assert findings.contradictions == ()
    assert set(findings.edges) == {edge.id for edge in workflow.edges}


def test_insurance_dialogues_are_not_copies() -> None:
    """Sharing of word 4-grams between dialogues (Jaccard) stays far below that of copies (1)."""
    texts = [" ".join(m.text for m in d.messages) for d in one_a_path("insurance_claims", "train")]
    assert len(set(texts)) == len(texts)
    grams = [frozenset(zip(*(text.split()[i:] for i in range(4)), strict=False)) for text in texts[::12]]
    pairs = [(a, b) for i, a in enumerate(grams) for b in grams[:i]]
    near = sum(len(a & b) > 0.8 * len(a | b) for a, b in pairs)
    assert near == 0


def test_insurance_needs_early_facts_in_later_phases() -> None:
    """The plan sets the deductible that is offered; the sum, told much earlier, decides about the second look."""
    deductible = {"Basic": "$1000", "Plus": "$500", "Premium": "$250"}
    workflow = shipped("insurance_claims")
    offers = looks = 0
    for dialogue in one_a_path("insurance_claims", "train"):
        values = dialogue.scenario.variables
        for message in dialogue.messages:
            if "make_offer" in message.nodes and values["claim_type"] != "life":
                offers += 1
                assert deductible[str(message.facts["plan"])] in message.text
        nodes = path_nodes(workflow, dialogue.path)
        if "ask_extra" not in nodes and {"ask_final", "user_inspection"} & set(nodes):
            looks += 1
            assert ("user_inspection" in nodes) == (int(values["amount"]) >= 10_000)
    assert offers > 100
    assert looks > 100

"""Designed scenario sets: what they cover, how they are weighted, and what they must not share."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from workbench.dialogue.generation import Order, keep_workflow, planned_scenarios
from workbench.dialogue.planning import hub_choices
from workbench.dialogue.scenarios import expected_path, expected_terminal
from workbench.evaluation.design import Design, design, shared_with_training, weigh
from workbench.home import Home
from workbench.store import connect
from workbench.store.scenarios import put_scenarios
from workbench.workflow.load import load_workflow
from workbench.workflow.model import DEVIATIONS, Workflow
from workbench.workflow.paths import PathSpace


@pytest.fixture(scope="module")
def made(travel: Workflow) -> Design:
    return design(travel, 120, "test", 7)


def test_it_covers_the_procedure_and_its_users(travel: Workflow, made: Design) -> None:
    assert len({s.id for s in made.scenarios}) == 120
    taken = {edge for s in made.scenarios for edge in expected_path(travel, s)}
    assert set(hub_choices(travel)) <= taken
    counts = made.summary()
    assert {name.split(",")[0] for name in counts["stratum"]} == set(travel.terminals)
    assert len(counts["stratum"]) == 9
    assert set(counts["persona"]) == {p.id for p in travel.personas}
    assert max(counts["persona"].values()) - min(counts["persona"].values()) <= 2
    assert min(counts["specificity"].values()) >= 20
    assert min(counts["satisfaction"].values()) >= 20
    assert min(counts["wish"].values()) >= 20
    assert set(counts["deviation"]) == {*DEVIATIONS, "none"}
    assert counts["deviating"] >= 40


@pytest.mark.parametrize("n", [1, 3, 10])
def test_a_third_deviates_even_in_a_small_set(travel: Workflow, n: int) -> None:
    found = design(travel, n, "dev", 1)
    assert len(found.scenarios) == n
    assert found.summary()["deviating"] >= n / 3


def test_weights_give_every_stratum_its_share_of_the_paths(travel: Workflow, made: Design) -> None:
    assert sum(t.weight for t in made.traits.values()) == pytest.approx(120)
    share = Counter[str]()
    for scenario in made.scenarios:
        share[expected_terminal(travel, scenario)] += made.traits[scenario.id].weight / 120  # type: ignore[assignment]
    paths = PathSpace(travel).by_terminal()
    assert share == pytest.approx({t: n / 86 for t, n in paths.items()})


def test_the_same_arguments_give_the_same_set_and_the_hash_tells_sets_apart(travel: Workflow, made: Design) -> None:
    again = design(travel, 120, "test", 7)
    assert [s.id for s in again.scenarios] == [s.id for s in made.scenarios]
    assert again.hash == made.hash
    assert design(travel, 120, "test", 8).hash != made.hash
    assert weigh(travel, made.scenarios).hash == made.hash
    assert weigh(travel, made.scenarios[:-1]).hash != made.hash


def test_shared_scenarios_and_values_are_found(travel: Workflow, made: Design, home: Home) -> None:
    with connect(home) as rec:
        keep_workflow(rec, travel)
        training = list(planned_scenarios(travel, Order(travel.name, train=90, least=1), "train"))
        put_scenarios(rec, training)
        assert shared_with_training(rec, travel, made.scenarios, "test") == []
        leaked = replace(made.scenarios[0], variables={**made.scenarios[0].variables, "destination": "Atlantis"})
        put_scenarios(rec, [replace(leaked, id="f" * 16, split="dev")])
        found = shared_with_training(rec, travel, [leaked], "test")
        assert found[0] == f"scenario {leaked.id}"
        assert "destination 'Atlantis'" in found
        assert shared_with_training(rec, travel, [leaked], "dev") == []


@pytest.mark.long
@pytest.mark.parametrize("name", ["zoom_support", "insurance_claims"])
def test_the_other_workflows(name: str) -> None:
    workflow = load_workflow(name)
    found = design(workflow, 200, "test", 42)
    counts = found.summary()
    assert len({s.id for s in found.scenarios}) == 200
    assert {n.split(",")[0] for n in counts["stratum"]} == set(workflow.terminals)
    assert counts["deviating"] >= 67

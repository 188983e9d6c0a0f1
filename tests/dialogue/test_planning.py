"""Which paths are written, and that splits share neither values nor wording."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from workbench.dialogue.datasets import build_dataset, changes, export_jsonl, find_dataset, overlaps, part_wordings
from workbench.dialogue.generation import Order, planned_scenarios, planned_total, write_all
from workbench.dialogue.model import Dialogue
from workbench.dialogue.planning import hub_choices, plan_paths, stratified_paths
from workbench.dialogue.variables import all_values, values_of
from workbench.errors import UserError
from workbench.home import Home
from workbench.store.dialogues import iterate_dialogues
from workbench.store.record import Record, connect
from workbench.workflow.load import load_workflow
from workbench.workflow.model import SPLITS, Split, Workflow


@pytest.fixture(scope="module")
def travel() -> Workflow:
    return load_workflow("travel_booking")


@pytest.fixture
def rec(tmp_path: Path) -> Record:
    return connect(Home(tmp_path / "runs").make())


ORDER = Order("travel_booking", train=120, dev=12, test=10, least=5)


def test_a_plan_holds_every_path_and_enough_of_every_choice(travel: Workflow) -> None:
    plan = plan_paths(travel, 400, seed=1)
    assert plan.distinct == plan.total == 86
    assert len(plan.paths) >= 400
    assert set(plan.choices) == set(hub_choices(travel))
    assert min(*plan.choices.values(), *plan.terminals.values()) >= 30
    assert plan == plan_paths(travel, 400, seed=1)
    assert plan.paths != plan_paths(travel, 400, seed=2).paths


def test_a_small_order_grows_until_the_minima_hold(travel: Workflow) -> None:
    plan = plan_paths(travel, 10, seed=1, least=3)
    assert len(plan.paths) > 10
    assert min(*plan.choices.values(), *plan.terminals.values()) >= 3


def test_an_evaluation_takes_every_hub_choice_and_terminal(travel: Workflow) -> None:
    paths = stratified_paths(travel, 40, seed=3)
    assert len(paths) == 40
    assert set(hub_choices(travel)) <= {edge for path in paths for edge in path}
    assert {travel.edge[path[-1]].target for path in paths} == set(travel.terminals)


def test_open_values_are_shared_by_no_two_splits(travel: Workflow) -> None:
    for variable in travel.variables.values():
        pools = [set(values_of(variable, split)) for split in SPLITS]
        if variable.type == "choice":
            assert pools[0] == pools[1] == pools[2]
        else:
            assert sum(len(pool) for pool in pools) == len(set.union(*pools))
            assert set.union(*pools) == set(all_values(variable))


def test_a_third_of_the_scenarios_or_more_deviate(travel: Workflow) -> None:
    scenarios = list(planned_scenarios(travel, ORDER, "train"))
    assert len({s.id for s in scenarios}) == len(scenarios)
    assert sum(bool(s.deviations) for s in scenarios) >= len(scenarios) / 3


def test_writing_again_writes_nothing_twice(travel: Workflow, rec: Record) -> None:
    first = write_all(rec, travel, ORDER)
    again = write_all(rec, travel, ORDER)
    assert first["new"] == sum(first[split] for split in SPLITS)
    assert again["new"] == 0
    assert first["quarantined"] == 0


def test_a_data_set_is_disjoint_named_and_the_same_for_the_same_dialogues(
    travel: Workflow, rec: Record, tmp_path: Path
) -> None:
    write_all(rec, travel, ORDER)
    row = build_dataset(rec, travel, "first")
    assert build_dataset(rec, travel, "again").id == row.id
    assert find_dataset(rec, "first").id == find_dataset(rec, row.id[:6]).id == row.id
    smaller = build_dataset(rec, travel, "smaller", {"train": 50})
    assert changes(rec, row, smaller)["removed"] == {"train": row.manifest["sizes"]["train"] - 50}  # type: ignore[index]
    files = export_jsonl(rec, travel, row.id, tmp_path / "out")
    examples = [json.loads(line) for line in files[0].read_text().splitlines()]
    assert len(examples) == row.manifest["sizes"]["train"]  # type: ignore[index]
    assert examples[0]["messages"][0]["role"] == "system"
    with pytest.raises(UserError, match="no data set 'nothing'"):
        find_dataset(rec, "nothing")


def test_a_shared_wording_is_found(travel: Workflow, rec: Record) -> None:
    write_all(rec, travel, ORDER)
    dialogues = list(iterate_dialogues(rec))
    train = [d for d in dialogues if d.scenario.split == "train"]
    assert overlaps(travel, {"train": train, "dev": [], "test": []}) == []
    shared = overlaps(travel, {"train": train, "test": train[:1]})
    assert any(text.startswith("wording") for text in shared)


def test_nothing_to_freeze_is_one_clear_line(travel: Workflow, rec: Record) -> None:
    with pytest.raises(UserError, match="workbench dialogues generate travel_booking"):
        build_dataset(rec, travel, "empty")


def test_a_models_long_wordings_are_kept_apart_and_its_short_ones_may_recur(travel: Workflow, rec: Record) -> None:
    write_all(rec, travel, ORDER)
    dialogues = [replace(d, writer="whole:anthropic/x") for d in iterate_dialogues(rec)]

    def saying(dialogue: Dialogue, text: str) -> Dialogue:
        messages = tuple(replace(m, text=text, facts={}) if i == 1 else m for i, m in enumerate(dialogue.messages))
        return replace(dialogue, messages=messages)

    train = [d for d in dialogues if d.scenario.split == "train"]
    test = [d for d in dialogues if d.scenario.split == "test"]
    long, short = "i have been wondering for weeks where we two should go", "yes, please"
    chosen: dict[Split, list[Dialogue]] = {
        "train": [saying(train[0], long), saying(train[1], short), train[2]],
        "dev": [],
        "test": [saying(test[0], long), saying(test[1], short)],
    }
    assert [text.split(" ")[0] for text in overlaps(travel, chosen)] == ["wording"]
    parted, left_out = part_wordings(chosen)
    assert left_out == 1
    assert [d.id for d in parted["train"]] == [train[1].id, train[2].id]
    assert parted["test"] == chosen["test"]
    assert overlaps(travel, parted) == []
    scripted: dict[Split, list[Dialogue]] = {
        split: [replace(d, writer="scripted") for d in found] for split, found in chosen.items()
    }
    assert part_wordings(scripted) == (scripted, 0)
    assert len(overlaps(travel, scripted)) == 2


def test_a_plan_of_n_per_path(travel: Workflow) -> None:
    order = Order("travel_booking", train=0, dev=0, test=0, per_path=3)
    assert planned_total(travel, order) == 3 * 86
    scenarios = list(planned_scenarios(travel, order, "train"))
    assert len({s.id for s in scenarios}) == 258

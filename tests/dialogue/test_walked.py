"""Which paths a data set covers and an evaluation has put to its agents."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.walked import make_walked
from workbench.dialogue.walked import choose_paths, covered_paths, seen_paths
from workbench.errors import UserError
from workbench.home import Home
from workbench.store import connect
from workbench.store.record import Record
from workbench.workflow.choosing import PathFilter
from workbench.workflow.load import load_workflow
from workbench.workflow.model import Workflow
from workbench.workflow.paths import PathSpace

COVERED, SEEN = [3, 1, 1, 20], [20, 4]


@pytest.fixture(scope="module")
def travel() -> Workflow:
    return load_workflow("travel_booking")


@pytest.fixture
def rec(tmp_path: Path, travel: Workflow) -> Record:
    found = connect(Home(tmp_path / "runs").make())
    make_walked(found, travel, COVERED, SEEN)
    return found


def test_paths_come_from_dialogues_and_from_scenarios(rec: Record, travel: Workflow) -> None:
    space = PathSpace(travel)
    assert covered_paths(rec, travel, "walked") == {space[rank] for rank in COVERED}
    assert seen_paths(rec, travel, "last") == {space[rank] for rank in SEEN}


@pytest.mark.parametrize(
    ("wanted", "ranks"),
    [
        (PathFilter(covered=("walked",)), [1, 3, 20]),
        (PathFilter(covered=("walked",), seen=("put",)), [20]),
        (PathFilter(covered=("walked",), unseen=("put",)), [1, 3]),
        (PathFilter(uncovered=("walked",)), [n for n in range(86) if n not in COVERED]),
        (PathFilter(uncovered=("walked",), unseen=("put",)), [n for n in range(86) if n not in {*COVERED, *SEEN}]),
    ],
)
def test_filters_combine(rec: Record, travel: Workflow, wanted: PathFilter, ranks: list[int]) -> None:
    space = PathSpace(travel)
    assert list(choose_paths(rec, travel, space, wanted).listing()) == [space[rank] for rank in ranks]
    terminal = PathFilter(("escalated",), covered=wanted.covered, uncovered=wanted.uncovered, seen=wanted.seen)
    found = list(choose_paths(rec, travel, space, terminal).listing())
    assert all(travel.edge[path[-1]].target == "escalated" for path in found)


def test_what_was_made_from_another_workflow_is_refused(rec: Record, travel: Workflow) -> None:
    other = load_workflow("zoom_support")
    with pytest.raises(UserError, match="data set walked was made from travel_booking"):
        covered_paths(rec, other, "walked")
    with pytest.raises(UserError, match="evaluation put was made from travel_booking"):
        seen_paths(rec, other, "put")
    with pytest.raises(UserError, match='no dataset "nope"'):
        covered_paths(rec, travel, "nope")

from __future__ import annotations

import pytest

from workbench.dialogue.generation import Order, planned_scenarios
from workbench.dialogue.model import Scenario
from workbench.evaluation.assess import Assessor
from workbench.workflow.load import load_workflow
from workbench.workflow.model import Workflow


@pytest.fixture(scope="session")
def travel() -> Workflow:
    return load_workflow("travel_booking")


@pytest.fixture(scope="session")
def assessor(travel: Workflow) -> Assessor:
    return Assessor(travel)


@pytest.fixture(scope="session")
def scenarios(travel: Workflow) -> list[Scenario]:
    return list(planned_scenarios(travel, Order(travel.name, test=30), "test"))


@pytest.fixture
def long_talk(scenarios: list[Scenario], travel: Workflow) -> Scenario:
    """A scenario that goes to success through the summary."""
    return next(s for s in scenarios if [p.move for p in s.plan][-1] == "confirm" and len(s.plan) >= 3)

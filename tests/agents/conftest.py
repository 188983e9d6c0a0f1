from __future__ import annotations

import pytest

from workbench.workflow.load import load_workflow
from workbench.workflow.model import Workflow


@pytest.fixture(scope="session")
def travel() -> Workflow:
    return load_workflow("travel_booking")

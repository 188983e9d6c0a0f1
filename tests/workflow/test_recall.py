from __future__ import annotations

import pytest

from workbench.errors import UserError
from workbench.workflow.hashing import canonical_workflow, workflow_hash
from workbench.workflow.load import known_workflows, load_workflow
from workbench.workflow.paths import PathSpace
from workbench.workflow.recall import recall_workflow


@pytest.mark.parametrize("file", known_workflows(), ids=lambda f: f.stem)
def test_a_workflow_comes_back_as_it_was_meant(file) -> None:  # type: ignore[no-untyped-def]
    workflow = load_workflow(file)
    back = recall_workflow(canonical_workflow(workflow))
    assert workflow_hash(back) == workflow_hash(workflow)
    ordered = recall_workflow(canonical_workflow(workflow), like=workflow)
    assert [e.id for e in ordered.edges] == [e.id for e in workflow.edges]
    assert PathSpace(ordered)[7] == PathSpace(workflow)[7]


@pytest.mark.parametrize("text", ["{}", "[]", "x", '{"name": 1}', '{"name": "w", "title": "t", "nodes": 3}'])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="no readable workflow"):
        recall_workflow(text)

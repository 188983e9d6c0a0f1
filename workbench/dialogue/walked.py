"""Which paths have been walked: those of a data set's dialogues, and those that an evaluation put to its agents."""

from __future__ import annotations

from workbench.dialogue.scenarios import expected_path
from workbench.errors import UserError
from workbench.store.comparisons import get_comparison
from workbench.store.datasets import dataset_paths, get_dataset
from workbench.store.find import find
from workbench.store.record import Record
from workbench.store.scenarios import comparison_scenarios
from workbench.store.workflows import get_workflow
from workbench.text import clean_line
from workbench.workflow.choosing import Chosen, PathFilter, choose
from workbench.workflow.model import Workflow
from workbench.workflow.paths import Path, PathSpace


def covered_paths(rec: Record, workflow: Workflow, dataset: str) -> set[Path]:
    """The paths of the dialogues in a data set (id, its beginning, name or "last").

    UserError if there is no such data set or it was made from another workflow.
    """
    row = get_dataset(rec, find(rec, "dataset", dataset))
    assert row is not None
    _same_workflow(rec, workflow, row.workflow_id, f"data set {row.name}")
    return dataset_paths(rec, row.id)


def seen_paths(rec: Record, workflow: Workflow, comparison: str) -> set[Path]:
    """The paths that the scenarios of an evaluation demand of an agent. UserError as in `covered_paths`.

    Scenarios whose plan leads nowhere in the workflow as it is now are passed over.
    """
    row = get_comparison(rec, find(rec, "comparison", comparison))
    assert row is not None
    _same_workflow(rec, workflow, row.workflow_id, f"evaluation {row.name}")
    found = set()
    for scenario in comparison_scenarios(rec, row.id):
        try:
            found.add(expected_path(workflow, scenario))
        except (UserError, KeyError):
            continue
    return found


def choose_paths(rec: Record | None, workflow: Workflow, space: PathSpace, wanted: PathFilter) -> Chosen:
    """The paths of `space` that pass a filter. The record may be None where the filter names nothing in it."""
    space = wanted.restrict(space)
    if rec is None:
        return Chosen(space)
    inside = [covered_paths(rec, workflow, name) for name in wanted.covered]
    inside += [seen_paths(rec, workflow, name) for name in wanted.seen]
    outside = [covered_paths(rec, workflow, name) for name in wanted.uncovered]
    outside += [seen_paths(rec, workflow, name) for name in wanted.unseen]
    return choose(space, inside, outside)


def _same_workflow(rec: Record, workflow: Workflow, made_from: str, what: str) -> None:
    row = get_workflow(rec, made_from)
    if row is not None and row.name != workflow.name:
        raise UserError(f"{clean_line(what)} was made from {clean_line(row.name)}, not from {workflow.name}")

"""A record in which a real workflow's paths have been walked: a data set `walked` and an evaluation `put`."""

from __future__ import annotations

from collections.abc import Sequence

from tests.fakes.record import START, sample_id
from workbench.dialogue.scenarios import scenario_for_path
from workbench.dialogue.scripted import write
from workbench.store.comparisons import put_comparison
from workbench.store.conversations import put_conversation
from workbench.store.datasets import put_dataset
from workbench.store.dialogues import put_dialogues
from workbench.store.record import Record
from workbench.store.rows import ComparisonRow, ConversationRow, DatasetRow, DialogueEntry, WorkflowRow
from workbench.store.scenarios import put_scenarios
from workbench.store.workflows import put_workflow
from workbench.workflow.hashing import workflow_hash
from workbench.workflow.model import Workflow
from workbench.workflow.paths import PathSpace


def make_walked(rec: Record, workflow: Workflow, covered: Sequence[int], seen: Sequence[int]) -> None:
    """Dialogues of the paths of these ranks in a data set, and scenarios of those in an evaluation."""
    space, key = PathSpace(workflow), workflow_hash(workflow)
    put_workflow(rec, WorkflowRow(key, workflow.name, workflow.title, "{}", created=START))
    made = [write(workflow, scenario_for_path(workflow, space[rank], "train", n)) for n, rank in enumerate(covered)]
    put_dialogues(rec, [DialogueEntry(d, rank, created=START) for d, rank in zip(made, covered, strict=True)])
    row = DatasetRow(sample_id("walked", workflow.name), "walked", key, {}, START)
    put_dataset(rec, row, [(d.id, "train") for d in made])
    asked = [scenario_for_path(workflow, space[rank], "test", n) for n, rank in enumerate(seen)]
    put_scenarios(rec, asked)
    comparison = ComparisonRow(sample_id("put", workflow.name), key, "put", {}, "done", {}, START)
    put_comparison(rec, comparison)
    for scenario in asked:
        key_of = sample_id("talk", scenario.id)
        put_conversation(
            rec,
            ConversationRow(key_of, comparison.id, "oracle", "oracle", scenario.id, key, status="done", created=START),
        )

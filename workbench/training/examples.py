"""A data set's dialogues as the chat examples that a model is trained on."""

from __future__ import annotations

import json
from typing import Any

from workbench.dialogue.datasets import find_dataset
from workbench.dialogue.model import chat_messages
from workbench.errors import UserError
from workbench.home import Home
from workbench.store import connect
from workbench.store.datasets import dataset_dialogues
from workbench.store.workflows import get_workflow
from workbench.workflow.model import Split

_SPLITS: tuple[Split, ...] = ("train", "dev")


def load_examples(home: Home, dataset: str) -> dict[str, list[dict[str, Any]]]:
    """`{"train": [...], "dev": [...]}` of a data set (id or name), each example `{"id", "messages"}`.

    The test split is never read here. Instruction and context are those of the workflow as it was recorded with the
    data set, not of a file that may have changed since. Raises UserError if one of them is missing.
    """
    with connect(home, readonly=True) as record:
        row = find_dataset(record, dataset)
        workflow = get_workflow(record, row.workflow_id)
        if workflow is None:
            raise UserError(f"data set {row.name}: its workflow {row.workflow_id} is not in the record; build it again")
        said = json.loads(workflow.canonical)
        instruction, context = said["instruction"], said.get("context", "")
        found: dict[str, list[dict[str, Any]]] = {
            split: [
                {"id": dialogue.id, "messages": chat_messages(instruction, context, dialogue.messages)}
                for dialogue, _ in dataset_dialogues(record, row.id, split)
            ]
            for split in _SPLITS
        }
    if not found["train"]:
        raise UserError(f"data set {row.name} has no training dialogue; build it again with `workbench dataset build`")
    return found

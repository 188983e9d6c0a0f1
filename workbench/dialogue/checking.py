"""Checking all dialogues of a workflow in the record, alone and as a set, and putting what is found on record."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from workbench.dialogue.checks import Finding, SetFindings, check_dialogue, check_set
from workbench.dialogue.diversity import NearDuplicate, near_duplicates
from workbench.dialogue.model import Dialogue
from workbench.store.dialogues import DialogueFilter, dialogue_counts, iterate_dialogues, set_checks
from workbench.store.record import Record
from workbench.workflow.hashing import workflow_hash
from workbench.workflow.model import Workflow
from workbench.workflow.paths import PathSpace


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found: faults by dialogue, the set's figures, near-duplicates, dialogues by the number of their path."""

    faulty: dict[str, list[Finding]]
    set: SetFindings
    near: list[NearDuplicate]
    by_path: dict[str, int]
    paths_total: int | None
    """Paths of the workflow; None if there are too many to count."""


def check_all(rec: Record, workflow: Workflow, near: float = 0.9, keep: bool = False) -> Checked:
    """Check every dialogue of this version of the workflow; the memory is that of the near-duplicates' index.

    `near` is the overlap from which dialogues count as near-duplicates (0: not looked for). With `keep` the faulty are
    quarantined with what is wrong, and the sound are freed.
    """
    wanted = DialogueFilter(workflow_id=workflow_hash(workflow))
    faulty: dict[str, list[Finding]] = {}
    sound: list[str] = []

    def checked() -> Iterator[Dialogue]:
        for dialogue in iterate_dialogues(rec, wanted):
            if faults := check_dialogue(workflow, dialogue):
                faulty[dialogue.id] = faults
            else:
                sound.append(dialogue.id)
            yield dialogue

    whole = check_set(workflow, checked())
    if keep:
        with rec.write():
            for key, faults in faulty.items():
                set_checks(rec, key, "quarantined", [asdict(fault) for fault in faults])
            for key in sound:
                set_checks(rec, key, "ok", [])
    space = PathSpace(workflow)
    return Checked(
        faulty,
        whole,
        near_duplicates(iterate_dialogues(rec, wanted), near) if near else [],
        dialogue_counts(rec, "path_rank", wanted),
        space.count() if space.exact else None,
    )

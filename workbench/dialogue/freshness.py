"""After a workflow has changed: which dialogues of its older versions still hold, and how they are kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from workbench.dialogue.model import Dialogue
from workbench.dialogue.scenarios import make_scenario
from workbench.errors import UserError
from workbench.store.dialogues import DialogueFilter, dialogue_rows, iterate_dialogues, put_dialogues, rowid_of
from workbench.store.record import Record
from workbench.store.reviews import put_reviews, reviews
from workbench.store.rows import DialogueEntry, WorkflowRow
from workbench.store.workflows import workflows
from workbench.workflow.diff import stale_parts
from workbench.workflow.hashing import digest, workflow_hash
from workbench.workflow.model import Workflow
from workbench.workflow.paths import PathSpace
from workbench.workflow.recall import recall_workflow

Place = tuple[tuple[str, ...], str, int, int, str]
"""A dialogue's place in a plan: path, split, seed, repetition, writer."""


@dataclass(frozen=True, slots=True)
class Adopted:
    """What became of older versions' dialogues: kept for the present version, stale (by the part that changed first)."""

    kept: int
    stale: int
    parts: dict[str, int]


def place_of(dialogue: Dialogue) -> Place:
    """Where in a plan a dialogue stands, whatever the version of the workflow."""
    scenario = dialogue.scenario
    return dialogue.path, scenario.split, scenario.seed, dialogue.repetition, dialogue.writer


def places(rec: Record, workflow_id: str) -> set[Place]:
    """The places that this version of the workflow has dialogues for."""
    return {place_of(d) for d in iterate_dialogues(rec, DialogueFilter(workflow_id=workflow_id))}


def stale_in(before: Workflow, after: Workflow, dialogue: Dialogue) -> tuple[str, ...]:
    """The parts that the dialogue used and that `after` lacks or words otherwise; empty if it still holds."""
    moves = [(m.nodes[0], m.move) for m in dialogue.messages if m.role == "user" and m.move and m.nodes]
    added = {p.deviation for p in dialogue.scenario.plan if p.deviation}
    return stale_parts(before, after, dialogue.path, moves, dialogue.scenario.persona, sorted(added))


def older_dialogues(rec: Record, workflow: Workflow) -> Iterator[tuple[Dialogue, tuple[str, ...]]]:
    """Sound dialogues of older versions of the workflow, the newest version first, each with its stale parts."""
    for row in _older(rec, workflow):
        try:
            before = recall_workflow(row.canonical, like=workflow)
        except UserError:
            continue  # made by something else: nothing can be said about it
        for dialogue in iterate_dialogues(rec, DialogueFilter(workflow_id=row.id, status="ok")):
            yield dialogue, stale_in(before, workflow, dialogue)


def adopt(rec: Record, workflow: Workflow) -> Adopted:
    """Keep what still holds of older versions as dialogues of this one, reviews included, so that only the stale is written anew.

    A place that this version has a dialogue for already is left alone. The workflow must be in the record.
    """
    workflow_id = workflow_hash(workflow)
    if not _older(rec, workflow):
        return Adopted(0, 0, {})
    taken, space = places(rec, workflow_id), PathSpace(workflow)
    kept, parts = 0, dict[str, int]()
    stale: set[Place] = set()
    for dialogue, changed in older_dialogues(rec, workflow):
        place = place_of(dialogue)
        if place in taken:
            continue
        if changed:
            stale.add(place)
            parts[changed[0]] = parts.get(changed[0], 0) + 1
            continue
        taken.add(place)
        kept += _adopt(rec, workflow, dialogue, space)
    return Adopted(kept, len(stale - taken), parts)


def kept_places(rec: Record, workflow: Workflow) -> set[Place]:
    """Adopt what still holds of older versions; returns the places that need not be written (none without older versions)."""
    if not _older(rec, workflow):
        return set()
    adopt(rec, workflow)
    return places(rec, workflow_hash(workflow))


def quarantined_places(rec: Record, workflow_id: str, writer: str) -> set[Place]:
    """The places of the writer's quarantined dialogues of this version."""
    wanted = DialogueFilter(workflow_id=workflow_id, status="quarantined", writer=writer)
    return {place_of(d) for d in iterate_dialogues(rec, wanted)}


def _older(rec: Record, workflow: Workflow) -> list[WorkflowRow]:
    present = workflow_hash(workflow)
    return [row for row in workflows(rec) if row.name == workflow.name and row.id != present]


def _adopt(rec: Record, workflow: Workflow, old: Dialogue, space: PathSpace) -> int:
    s = old.scenario
    scenario = make_scenario(workflow, s.split, s.seed, dict(s.variables), s.persona, s.plan)
    key = digest(["adopted", old.id, scenario.workflow_id])
    made = replace(old, id=key, workflow_id=scenario.workflow_id, scenario=scenario)
    rowid = rowid_of(rec, old.id)
    line = dialogue_rows(rec, [rowid])[0] if rowid is not None else None
    provenance = {"adopted_from": old.id, "workflow_id": old.workflow_id}
    rank = space.rank(old.path) if space.exact else None
    with rec.write():
        new = put_dialogues(rec, [DialogueEntry(made, rank, line.checks if line else (), "ok", provenance)])
        put_reviews(
            rec, (replace(r, id=digest([r.id, key]), subject_id=key) for r in reviews(rec, old.id, kind="dialogue"))
        )
    return new

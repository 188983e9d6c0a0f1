"""Writing a workflow's dialogues: what is to be written for each split, and the job that writes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import count
from typing import TYPE_CHECKING

import workbench
from workbench.dialogue.checks import check_dialogue
from workbench.dialogue.model import Scenario
from workbench.dialogue.planning import Path, plan_paths, stratified_paths
from workbench.dialogue.scenarios import scenario_for_path
from workbench.dialogue.scripted import WRITER, write
from workbench.errors import UserError
from workbench.store.dialogues import known_dialogues, put_dialogues
from workbench.store.record import Record, connect
from workbench.store.rows import DialogueEntry, WorkflowRow
from workbench.store.workflows import put_workflow
from workbench.workflow.hashing import canonical_workflow, digest, workflow_hash
from workbench.workflow.load import load_workflow
from workbench.workflow.model import SPLITS, Split, Workflow
from workbench.workflow.paths import PathSpace

if TYPE_CHECKING:
    from workbench.jobs.context import JobContext


@dataclass(frozen=True, slots=True)
class Order:
    """What to write: dialogues a split, the least number for every hub choice and terminal in train, the seed."""

    workflow: str
    train: int = 800
    dev: int = 60
    test: int = 40
    least: int = 30
    seed: int = 42
    writer: str = WRITER
    workflow_id: str | None = None
    """The workflow's hash when it was ordered, so that an edited file makes a new job."""

    def size(self, split: Split) -> int:
        """Dialogues ordered for a split."""
        return {"train": self.train, "dev": self.dev, "test": self.test}[split]


def planned_paths(workflow: Workflow, order: Order, split: Split) -> tuple[Path, ...]:
    """The paths to write for a split: all of them and enough of each choice in train, a stratified few elsewhere."""
    n = order.size(split)
    if n < 1:
        return ()
    if split == "train":
        return plan_paths(workflow, n, order.seed, order.least).paths
    return tuple(stratified_paths(workflow, n, order.seed))


def planned_scenarios(workflow: Workflow, order: Order, split: Split) -> Iterator[Scenario]:
    """The scenarios of a split, all different, in a fixed order."""
    seen: set[str] = set()
    for i, path in enumerate(planned_paths(workflow, order, split)):
        for attempt in count():
            # The id hashes the seed too; what must differ is the content.
            scenario = scenario_for_path(workflow, path, split, order.seed * 1_000_003 + i * 101 + attempt)
            content = digest([scenario.variables, scenario.persona, [asdict(p) for p in scenario.plan]])
            if content not in seen or attempt > 20:
                break
        seen.add(content)
        yield scenario


def keep_workflow(rec: Record, workflow: Workflow) -> str:
    """Put the workflow, as it is now, into the record; returns its id."""
    workflow_id = workflow_hash(workflow)
    put_workflow(
        rec, WorkflowRow(workflow_id, workflow.name, workflow.title, canonical_workflow(workflow), workflow.source)
    )
    return workflow_id


def write_all(rec: Record, workflow: Workflow, order: Order, ctx: JobContext | None = None) -> Mapping[str, int]:
    """Write what is ordered and not yet there; faulty dialogues are kept as quarantined, with what is wrong.

    Returns how many dialogues each split holds, plus "new" and "quarantined". Stops between two dialogues when asked.
    """
    if order.writer != WRITER:
        raise UserError(f"unknown writer '{order.writer}'; the offline one is '{WRITER}'")
    workflow_id = keep_workflow(rec, workflow)
    space = PathSpace(workflow)
    provenance = {"workbench": workbench.__version__, "order": asdict(order), "workflow_id": workflow_id}
    total = sum(order.size(split) for split in SPLITS)
    tally = dict.fromkeys([*SPLITS, "new", "quarantined"], 0)
    done = 0

    def entries() -> Iterator[DialogueEntry]:
        nonlocal done
        for split in SPLITS:
            for scenario in planned_scenarios(workflow, order, split):
                if ctx and ctx.stopping:
                    return
                dialogue = write(workflow, scenario)
                faults = tuple(asdict(finding) for finding in check_dialogue(workflow, dialogue))
                done += 1
                tally[split] += 1
                tally["quarantined"] += bool(faults)
                if ctx and done % 10 == 0:
                    ctx.progress(done, max(total, done), "dialogues")
                if not known_dialogues(rec, [dialogue.id]):
                    status = "quarantined" if faults else "ok"
                    yield DialogueEntry(dialogue, space.rank(dialogue.path), faults, status, provenance)

    tally["new"] = put_dialogues(rec, entries())
    if ctx:
        ctx.progress(done, max(total, done), "dialogues")
    return tally


def main(ctx: JobContext) -> dict[str, object]:
    """Entry point of the job kind `generate`; `args` are the fields of `Order`."""
    order = Order(**ctx.args)
    return dict(write_all(connect(ctx.home), load_workflow(order.workflow), order, ctx))

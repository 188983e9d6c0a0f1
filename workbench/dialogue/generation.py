"""Writing a workflow's dialogues: what is to be written for each split, and the job that writes it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import count
from typing import TYPE_CHECKING

import workbench
from workbench.dialogue.checks import check_dialogue
from workbench.dialogue.freshness import Place, kept_places, quarantined_places
from workbench.dialogue.model import Dialogue, Scenario
from workbench.dialogue.planning import Path, PathPlan, focused_paths, per_path, plan_paths, stratified_paths
from workbench.dialogue.scenarios import expected_path, scenario_for_path
from workbench.dialogue.scripted import WRITER, write
from workbench.dialogue.seen import Seen
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
    from workbench.dialogue.model_writer import Writer
    from workbench.jobs.context import JobContext


@dataclass(frozen=True, slots=True)
class Order:
    """What to write: dialogues a split, the least number for every hub choice and terminal in train, the seed.

    `per_path` above 0 takes the place of `train` and `least`: every path so many times. `writer` is `scripted` or a
    model's name; `manner` and `user` belong to models (see `model_writer.Writer`).
    """

    workflow: str
    train: int = 800
    dev: int = 60
    test: int = 40
    least: int = 30
    seed: int = 42
    writer: str = WRITER
    workflow_id: str | None = None
    """The workflow's hash when it was ordered, so that an edited file makes a new job."""
    manner: str = ""
    user: str | None = None
    per_path: int = 0
    through: tuple[str, ...] = ()
    """Train on paths through these edges only (to mend what an agent gets wrong); empty: on all."""

    def size(self, split: Split) -> int:
        """Dialogues ordered for a split."""
        return {"train": self.train, "dev": self.dev, "test": self.test}[split]


def planned_paths(workflow: Workflow, order: Order, split: Split) -> tuple[Path, ...]:
    """The paths to write for a split: all of them and enough of each choice in train, a stratified few elsewhere."""
    if split == "train":
        return train_plan(workflow, order).paths
    n = order.size(split)
    return tuple(stratified_paths(workflow, n, order.seed)) if n > 0 else ()


def train_plan(workflow: Workflow, order: Order) -> PathPlan:
    """The paths of the training split with what they cover."""
    if order.through:
        paths = tuple(focused_paths(workflow, order.train, order.seed, order.through))
        return PathPlan(paths, {}, {}, len(set(paths)), None)
    if order.per_path > 0:
        return per_path(workflow, order.per_path, order.seed)
    if order.train < 1:
        return PathPlan((), {}, {}, 0, None)
    return plan_paths(workflow, order.train, order.seed, order.least)


def planned_scenarios(workflow: Workflow, order: Order, split: Split) -> Iterator[Scenario]:
    """The scenarios of a split, all different, in a fixed order."""
    seen = Seen()
    for i, path in enumerate(planned_paths(workflow, order, split)):
        for attempt in count():
            # The id hashes the seed too; what must differ is the content.
            scenario = scenario_for_path(workflow, path, split, order.seed * 1_000_003 + i * 101 + attempt)
            content = digest([scenario.variables, scenario.persona, [asdict(p) for p in scenario.plan]])
            if seen.add(int(content, 16)) or attempt > 20:
                break
        yield scenario


def missing_scenarios(
    workflow: Workflow, order: Order, split: Split, writer: str, kept: Collection[Place]
) -> Iterator[Scenario]:
    """The planned scenarios of a split less those whose dialogues an older version of the workflow has left (`kept`)."""
    for scenario in planned_scenarios(workflow, order, split):
        if not kept or (expected_path(workflow, scenario), split, scenario.seed, 0, writer) not in kept:
            yield scenario


def keep_workflow(rec: Record, workflow: Workflow) -> str:
    """Put the workflow, as it is now, into the record; returns its id."""
    workflow_id = workflow_hash(workflow)
    put_workflow(
        rec, WorkflowRow(workflow_id, workflow.name, workflow.title, canonical_workflow(workflow), workflow.source)
    )
    return workflow_id


Faults = tuple[Mapping[str, object], ...]
"""What is wrong with a dialogue, as it stands in the record."""


def write_checked(workflow: Workflow, scenario: Scenario) -> tuple[Dialogue, Faults]:
    """The scripted dialogue of a scenario, with what is wrong with it."""
    dialogue = write(workflow, scenario)
    return dialogue, tuple(asdict(finding) for finding in check_dialogue(workflow, dialogue))


class Scripted:
    """One session of the scripted writer: what is missing of an order, and the count of what was written."""

    def __init__(self, rec: Record, workflow: Workflow, order: Order, ctx: JobContext | None = None) -> None:
        self.rec, self.workflow, self.order, self.ctx = rec, workflow, order, ctx
        workflow_id = keep_workflow(rec, workflow)
        self._space = PathSpace(workflow)
        self._provenance = {"workbench": workbench.__version__, "order": asdict(order), "workflow_id": workflow_id}
        self._kept = kept_places(rec, workflow)
        self._total = sum(order.size(split) for split in SPLITS)
        self._done = 0
        self.tally = dict.fromkeys([*SPLITS, "new", "quarantined"], 0)

    def missing(self) -> Iterator[Scenario]:
        """The scenarios to write, until the job is asked to stop."""
        for split in SPLITS:
            for scenario in missing_scenarios(self.workflow, self.order, split, WRITER, self._kept):
                if self.ctx and self.ctx.stopping:
                    return
                yield scenario

    def entry(self, dialogue: Dialogue, faults: Faults) -> DialogueEntry | None:
        """Count a dialogue; None if it stands in the record already."""
        self._done += 1
        self.tally[dialogue.scenario.split] += 1
        self.tally["quarantined"] += bool(faults)
        if self.ctx and self._done % 10 == 0:
            self.ctx.progress(self._done, max(self._total, self._done), "dialogues")
        if known_dialogues(self.rec, [dialogue.id]):
            return None
        status = "quarantined" if faults else "ok"
        return DialogueEntry(dialogue, self._space.rank(dialogue.path), faults, status, self._provenance)

    def end(self) -> Mapping[str, int]:
        """What each split holds, plus "new", "quarantined" and, after a change of the workflow, "kept"."""
        if self._kept:
            self.tally["kept"] = len(self._kept)
        if self.ctx:
            self.ctx.progress(self._done, max(self._total, self._done), "dialogues")
        return self.tally


def write_all(rec: Record, workflow: Workflow, order: Order, ctx: JobContext | None = None) -> Mapping[str, int]:
    """Write what is ordered and not yet there; faulty dialogues are kept as quarantined, with what is wrong.

    After a change of the workflow only what it has made stale is written: the rest is taken over, and counted as "kept".
    Returns how many dialogues each split holds, plus "new" and "quarantined". Stops between two dialogues when asked.
    """
    if order.writer != WRITER:
        raise UserError(f"'{order.writer}' is a model: only the job writes with models, not write_all")
    session = Scripted(rec, workflow, order, ctx)

    def entries() -> Iterator[DialogueEntry]:
        for scenario in session.missing():
            dialogue, faults = write_checked(workflow, scenario)
            if (entry := session.entry(dialogue, faults)) is not None:
                yield entry

    session.tally["new"] = put_dialogues(rec, entries())
    return session.end()


def writer_of_order(order: Order) -> Writer | None:
    """The model that writes, None for the scripted writer. Raises UserError for an unknown manner."""
    from workbench.dialogue.model_writer import writer_of

    if order.writer == WRITER:
        if order.manner or order.user:
            raise UserError("--manner and --user belong to writers on a model: add --writer MODEL")
        return None
    return writer_of(order.writer, order.manner or "whole", order.user)


def planned_total(workflow: Workflow, order: Order) -> int:
    """Dialogues of the whole plan."""
    return sum(len(planned_paths(workflow, order, split)) for split in SPLITS)


def main(ctx: JobContext) -> dict[str, object]:
    """Entry point of the job kind `generate`; `args` are the fields of `Order`. Raises UserError if the workflow's file
    says something else than when the dialogues were ordered."""
    order = Order(**ctx.args)
    workflow, rec = load_workflow(order.workflow), connect(ctx.home)
    workflow_id = workflow_hash(workflow)
    if order.workflow_id not in (None, workflow_id):
        raise UserError(f"{order.workflow} has changed since this was ordered: run the generate command again")
    writer = writer_of_order(order)
    if writer is None:
        if ctx.settings.on:
            from workbench.dialogue.scripting import write_spread

            return dict(asyncio.run(write_spread(rec, workflow, order, ctx)))
        return dict(write_all(rec, workflow, order, ctx))
    from workbench.dialogue.composing import Composing, provenance_of

    keep_workflow(rec, workflow)
    provenance = provenance_of(workflow_id, asdict(order), writer)
    kept = kept_places(rec, workflow)
    if kept and ctx.settings.retries:
        kept -= quarantined_places(rec, workflow_id, writer.name)
    total = planned_total(workflow, order)
    ctx.stage(
        "writing", f"{total} dialogues by {writer.name}" + (f", {len(kept)} kept of older versions" if kept else "")
    )

    def missing(split: Split) -> Iterator[Scenario]:
        return missing_scenarios(workflow, order, split, writer.name, kept)

    work = Composing(rec, workflow, writer, ctx, total, missing, provenance)
    return asyncio.run(work.run())

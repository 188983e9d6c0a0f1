"""Evaluate, mend, recompile: from what an agent got wrong to more dialogues of that branch and a run that goes on."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from workbench.agents.names import parse_name
from workbench.dialogue.datasets import extend_dataset, find_dataset
from workbench.dialogue.generation import Order, planned_scenarios
from workbench.dialogue.model_writer import writer_named
from workbench.dialogue.scenarios import expected_path
from workbench.dialogue.scripted import WRITER
from workbench.errors import UserError
from workbench.home import Home
from workbench.jobs import JobContext, jobs, launch, status
from workbench.jobs.folder import read_job
from workbench.jobs.parts import see_through
from workbench.store import connect
from workbench.store.conversations import conversations_of, get_conversation, held_counts
from workbench.store.datasets import dataset_dialogues
from workbench.store.find import find
from workbench.store.record import Record
from workbench.store.rows import ConversationRow, MeasureRow
from workbench.store.runs import get_run
from workbench.store.scenarios import get_scenario
from workbench.store.verdicts import iterate_measures, measures
from workbench.store.workflows import get_workflow
from workbench.training.launch import PATH_PROBE, find_run, launch_run
from workbench.training.recipe import recipe_dict, recipe_from
from workbench.workflow.hashing import digest, workflow_hash
from workbench.workflow.load import load_workflow
from workbench.workflow.model import Workflow

MOST_BRANCHES = 6
"""So many of the weakest branches are mended at once: beyond that the whole needs more dialogues, not a branch."""


@dataclass(frozen=True, slots=True)
class Weak:
    """An edge that an agent missed: of `n` times that it was due at `hub`, `wrong` took another way or never came.

    Hub choices, and the last edges of conversations that chose wrongly at no hub where a choice was due and yet ended
    elsewhere.
    """

    edge: str
    hub: str
    wrong: int
    n: int


@dataclass(frozen=True, slots=True)
class Mend:
    """What a mending job does: `dialogues` new ones by `writer` (as it stands in the record) through the edges `through`,
    the data set with them, and a run from `run`'s best checkpoint with `recipe` (keys and values) on it.
    """

    run: str
    dataset: str
    workflow: str
    through: tuple[str, ...]
    dialogues: int
    seed: int
    name: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    writer: str = WRITER

    @property
    def order(self) -> Order:
        """The dialogues to be written."""
        model = writer_named(self.writer)
        order = Order(self.workflow, self.dialogues, 0, 0, 0, self.seed, through=self.through)
        return replace(order, writer=model.model, manner=model.manner, user=model.user) if model else order


def weak_choices(rec: Record, comparison: str, condition: str) -> list[Weak]:
    """What a condition's conversations got wrong, the most often wrong first."""
    choices, ends = (iterate_measures(rec, comparison, condition, name) for name in ("hub_choice", "right_terminal"))
    return _weak(rec, choices, ends)


def weak_choices_of(rec: Record, conversation: ConversationRow) -> list[Weak]:
    """What one conversation got wrong; if no hub and no end, the hub choices that its scenario was made to take."""
    choices, ends = (measures(rec, conversation.id, name=name) for name in ("hub_choice", "right_terminal"))
    if found := _weak(rec, choices, ends):
        return found
    workflow = _workflow(rec, conversation)
    hubs, due = set(workflow.hubs), (workflow.edge[e] for e in _due(rec, workflow, conversation))
    return [Weak(e.id, e.source, 1, 1) for e in due if e.source in hubs]


def _weak(rec: Record, choices: Iterable[MeasureRow], ends: Iterable[MeasureRow]) -> list[Weak]:
    """What went wrong in conversations of one comparison, by their measures of the hub choices and of the ends."""
    wrong: Counter[tuple[str, str]] = Counter()
    every: Counter[tuple[str, str]] = Counter()
    astray: set[str] = set()
    for row in choices:
        hubs = row.detail.get("hubs")
        for choice in hubs if isinstance(hubs, list) else []:
            key = (str(choice["demanded"]), str(choice["hub"]))
            if choice["demanded"] is not None:
                every[key] += 1
                wrong[key] += not choice["right"]
                if not choice["right"]:
                    astray.add(row.conversation_id)
    due_at: Counter[object] = Counter()
    missed: dict[str, object] = {}
    for row in ends:
        expected = row.detail.get("expected")
        due_at[expected] += 1
        if not row.value and row.conversation_id not in astray:
            missed[row.conversation_id] = expected
    workflow: Workflow | None = None
    for conversation in conversations_of(rec, missed):
        workflow = workflow or _workflow(rec, conversation)
        if due := _due(rec, workflow, conversation):
            key = (due[-1], workflow.edge[due[-1]].source)
            wrong[key] += 1
            every[key] = max(every[key], due_at[missed[conversation.id]])
    ranked = sorted((key for key in wrong if wrong[key]), key=lambda k: (-wrong[k], -wrong[k] / every[k], k))
    return [Weak(edge, hub, wrong[edge, hub], every[edge, hub]) for edge, hub in ranked]


def _due(rec: Record, workflow: Workflow, conversation: ConversationRow) -> Sequence[str]:
    """The edges that the conversation's scenario leads along (none without a scenario)."""
    scenario = get_scenario(rec, conversation.scenario_id) if conversation.scenario_id else None
    return expected_path(workflow, scenario) if scenario else ()


def find_weak(home: Home, wanted: str, agent: str | None = None) -> tuple[str, list[Weak]]:
    """The run behind a conversation or a comparison, and what it got wrong. `agent` picks one of several compiled ones.

    Raises UserError if there is no compiled agent, or if nothing went wrong.
    """
    with connect(home, readonly=True) as rec:
        if found := get_conversation(rec, wanted):
            conversation = found[0]
            run, weak = _run_of(conversation.agent), weak_choices_of(rec, conversation)
        else:
            comparison = find(rec, "comparison", wanted)
            compiled = {c.condition: c.agent for c in held_counts(rec, comparison) if c.agent.startswith("compiled:")}
            chosen = [c for c, a in compiled.items() if agent in (None, c, a)]
            if not chosen:
                raise UserError(f"comparison {wanted} has no compiled agent{f' {agent}' if agent else ''} to mend")
            run, weak = _run_of(compiled[chosen[0]]), weak_choices(rec, comparison, chosen[0])
    if not weak:
        raise UserError("every hub choice and every end was right: there is nothing to mend")
    return run, weak


def _run_of(agent: str) -> str:
    name = parse_name(agent)
    if name.kind != "compiled" or name.model is None:
        raise UserError(f"{agent} has no weights of ours to mend: choose a conversation of a compiled agent")
    return name.model.removeprefix("local/")


def _workflow(rec: Record, conversation: ConversationRow) -> Workflow:
    stored = get_workflow(rec, conversation.workflow_id)
    if stored is None:
        raise UserError(f"the workflow of conversation {conversation.id} is not in the record")
    workflow = load_workflow(stored.source or stored.name)
    if workflow_hash(workflow) != conversation.workflow_id:
        raise UserError(f"{workflow.source} has changed since the conversation was held; evaluate again first")
    return workflow


def plan_mend(
    home: Home,
    run: str,
    weak: Sequence[Weak],
    dialogues: int = 120,
    changes: Mapping[str, Any] | None = None,
    writer: str | None = None,
) -> Mend:
    """A mending job for a run: half its learning rate and budget unless `changes` say otherwise.

    The `writer` (a name as in the record) is by default the one that wrote most of the run's data set.

    The dialogues' seed follows from branches and data set, so the same plan again is the same job, and mending what was
    mended before makes other dialogues.
    """
    row = find_run(home, run)
    if row.dataset_id is None:
        raise UserError(f"run {row.name} has no data set in the record")
    with connect(home, readonly=True) as rec:
        dataset = find_dataset(rec, row.dataset_id)
        stored = get_workflow(rec, dataset.workflow_id)
        written = Counter(d.writer for d, _ in dataset_dialogues(rec, dataset.id, "train"))
    through = tuple(w.edge for w in weak[:MOST_BRANCHES])
    seed = int(digest([row.id, dataset.id, through]), 16) % 1_000_000
    recipe: dict[str, Any] = dict(row.recipe)
    recipe["learning_rate"] = float(recipe["learning_rate"]) / 2
    for key in ("max_tokens_trained", "epochs"):
        if recipe.get(key) is not None:
            recipe[key] = type(recipe[key])(recipe[key] / 2)
    checked = recipe_from({**recipe, **(changes or {})}, "the mending run's recipe")
    source = (stored.source if stored else "") or str(dataset.manifest["workflow"])
    by = writer or (written.most_common(1)[0][0] if written else WRITER)
    plan = Mend(row.id, dataset.id, source, through, dialogues, seed, "", recipe_dict(checked), by)
    return replace(plan, name=_name(home, row.name, plan))


def _name(home: Home, run: str, plan: Mend) -> str:
    """`run`-mended, -mended2 and so on: the name that the same plan has already, else the next that no job has."""
    stem = run.rpartition("-mended")[0] or run
    taken = [dict(read_job(job.folder).args) for job in jobs(home, "mend")]
    wanted = json.loads(json.dumps(asdict(plan)))
    for args in taken:
        if {**args, "name": ""} == wanted:
            return str(args["name"])
    names = {str(args.get("name")) for args in taken} | {run}
    numbered = (f"{stem}-mended{number if number > 1 else ''}" for number in itertools.count(1))
    return next(name for name in numbered if name not in names)


def launch_mend(home: Home, plan: Mend, settings: Mapping[str, object] | None = None) -> str:
    """Start the mending job; returns its id. The same plan again joins it, goes on with it, or finds it done: then the run
    that it started goes on if it has not come to its end.

    `settings` (budget, concurrency) are those of the job that writes.
    """
    job = launch(home, "mend", asdict(plan), f"mend {plan.name}", settings=settings or {})
    if dataset := status(home, job.id).result.get("dataset"):
        _launch_run(home, plan, str(dataset))
    return job.id


def _launch_run(home: Home, plan: Mend, dataset: str) -> str:
    recipe = recipe_from(plan.recipe)
    return launch_run(home, dataset, recipe, name=plan.name, start_from=plan.run, probe=PATH_PROBE).id


def main(ctx: JobContext) -> dict[str, Any]:
    """Entry point of the job kind `mend`; `args` are the fields of `Mend`. Returns ids of the data set and the run."""
    plan = Mend(**{**ctx.args, "through": tuple(ctx.args["through"])})
    workflow = load_workflow(plan.workflow)
    order = replace(plan.order, workflow_id=workflow_hash(workflow))
    ctx.stage("dialogues", f"{plan.dialogues} by {plan.writer} through {', '.join(plan.through)}")
    title = f"more dialogues for {workflow.name}"
    writing = launch(ctx.home, "generate", asdict(order), title, settings=asdict(ctx.settings))
    see_through(ctx, writing.id, lambda event: _pass_on(ctx, event))
    ctx.stage("data set", "the old one with the new dialogues; dev and test stay as they are")
    with connect(ctx.home) as rec:
        old = find_dataset(rec, plan.dataset)
        if old.workflow_id != workflow_hash(workflow):
            raise UserError(f"{plan.workflow} has changed since data set {old.name} was built; build it again")
        scenarios = {s.id for s in planned_scenarios(workflow, order, "train")}
        dataset = extend_dataset(rec, workflow, old, scenarios, f"{old.name}+{len(plan.through)}")
        origin = get_run(rec, plan.run)
    ctx.stage("training", f"goes on from {origin.name if origin else plan.run}; the run is a job of its own")
    run = _launch_run(ctx.home, plan, dataset.id)
    return {"dataset": dataset.id, "run": run, "added": dataset.manifest["added"]}


def _pass_on(ctx: JobContext, event: Mapping[str, Any]) -> None:
    ctx.progress(event.get("done", 0), event.get("total"), str(event.get("unit", "")))

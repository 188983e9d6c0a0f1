"""The job kind `evaluate`: agents × scenarios × repetitions, held side by side, judged, kept row by row, summed up."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from workbench.agents.conversation import limits_for
from workbench.dialogue.generation import keep_workflow
from workbench.errors import ServiceError, UserError
from workbench.evaluation.assess import Assessor
from workbench.evaluation.design import Design, shared_with_training
from workbench.evaluation.holding import Holding
from workbench.evaluation.judging import Bench, Panel, judge_all, tasks_left
from workbench.evaluation.plan import EvaluationPlan, comparison_id, plan_of, rows_of, scenario_set
from workbench.evaluation.services import Services, services_for
from workbench.evaluation.simulation import Simulation
from workbench.evaluation.summary import summarise
from workbench.home import Home, make_folder
from workbench.jobs.context import JobContext
from workbench.jobs.folder import take
from workbench.models.ledger import BudgetSpent
from workbench.store.comparisons import put_comparison, set_comparison
from workbench.store.record import Record, connect
from workbench.store.rows import ComparisonRow
from workbench.store.scenarios import put_scenarios
from workbench.workflow.load import load_workflow
from workbench.workflow.model import Workflow


def main(ctx: JobContext) -> dict[str, object]:
    """Entry point of the job kind `evaluate`; `args` are the fields of `EvaluationPlan`. Returns the comparison's id
    and summary. Stopped or killed, the same command goes on with what is missing and asks nothing twice."""
    plan = plan_of(ctx.args)

    async def work(rec: Record) -> dict[str, object]:
        async with services_for(ctx, rec, plan.models()) as services:
            return await evaluate(ctx, rec, plan, services)

    with connect(ctx.home) as rec:
        return asyncio.run(work(rec))


async def evaluate(ctx: JobContext, rec: Record, plan: EvaluationPlan, services: Services) -> dict[str, object]:
    """Hold and judge what is missing, then sum up. Raises Stopped if the job was asked to stop, BudgetSpent once what
    there is has been summed up. `unfinished` in the result counts what infrastructure broke: the same command retries it.
    """
    workflow = load_workflow(plan.workflow)
    workflow_id = keep_workflow(rec, workflow)
    made = frozen_set(rec, workflow, plan)
    put_scenarios(rec, made.scenarios)
    comparison = comparison_id(rec, workflow, plan, list(made.scenarios))
    name = plan.name or f"{workflow.name}-{comparison[:6]}"
    panel = plan.panel()
    put_comparison(rec, ComparisonRow(comparison, workflow_id, name, _config(plan, made, panel), "running"))
    assessor = Assessor(workflow)
    simulation = Simulation(assessor, limits_for(workflow), plan.user, plan.seed, comparison, workflow_id)
    work = Holding(ctx, rec, simulation, services)
    unreached, spent = 0, None
    with alone(ctx.home, comparison):
        try:
            await work.run(rows_of(rec, plan, comparison, list(made.scenarios)))
            unreached = await judge(ctx, rec, workflow, comparison, panel, services, plan.retry_missing)
        except BudgetSpent as error:
            spent = error
        finally:
            await services.close()
            set_comparison(rec, comparison, "stopped")
        ctx.check()
        ctx.stage("summing up", "Statistics, the labeller's accuracy and the controls that the measures must pass.")
        summary = summarise(rec, comparison, assessor, hourly_price=plan.hourly_price)
        set_comparison(rec, comparison, "stopped" if spent else "done", summary)
    if spent:
        raise ServiceError(f"{spent}; `workbench results {name}` shows what there is")
    return {"comparison": comparison, "name": name, "summary": summary, "unfinished": work.broken + unreached}


async def judge(
    ctx: JobContext,
    rec: Record,
    workflow: Workflow,
    comparison: str,
    panel: Panel,
    services: Services,
    retry_missing: bool = False,
) -> int:
    """Have the panel's missing verdicts on a comparison; returns how many judgements could not be reached."""
    if not panel.judges or ctx.stopping:
        return 0
    tasks = tasks_left(rec, comparison, panel, retry_missing=retry_missing)
    if not tasks:
        return 0
    who = ", ".join(panel.judges)
    ctx.stage("judging", f"{len(tasks)} judgements by {who}, rubric {panel.rubric.name} ({panel.rubric_id})")
    tally = await judge_all(ctx, Bench(rec, workflow, panel, services), tasks)
    return tally.unreached


def frozen_set(rec: Record, workflow: Workflow, plan: EvaluationPlan) -> Design:
    """The plan's scenarios with their weights. Raises UserError if training or dev scenarios of the record share any."""
    made = scenario_set(rec, workflow, plan)
    if shared := shared_with_training(rec, workflow, made.scenarios, plan.split):
        raise UserError(
            f"{workflow.name}: the evaluation's scenarios are not disjoint from training: {len(shared)} shared, such as "
            f"{shared[0]}; use another split, or a workflow with more values"
        )
    return made


@contextmanager
def alone(home: Home, comparison: str) -> Iterator[None]:
    """One process at a time on a comparison, whatever its command was. Raises UserError if another is at it."""
    folder = home.root / "comparisons"
    make_folder(folder)
    handle = take(folder / f"{comparison}.lock", 1.0)
    if handle is None:
        raise UserError(
            f"another job works on comparison {comparison}: `workbench jobs list --state running` names it; wait or stop it"
        )
    try:
        yield
    finally:
        os.close(handle)


def _config(plan: EvaluationPlan, made: Design, panel: Panel) -> dict[str, object]:
    """What the comparison's row remembers: the plan, the frozen set with its weights, who judges by what."""
    return {
        **asdict(plan),
        "judges": ["rules", *panel.judges],
        "rubric": panel.record,
        "scenario_ids": [s.id for s in made.scenarios],
        "design": {
            "hash": made.hash,
            "counts": made.summary(),
            "traits": {sid: asdict(traits) for sid, traits in made.traits.items()},
        },
    }

"""What a plan has left to do, and what that will take."""

from __future__ import annotations

from workbench.dialogue.generation import keep_workflow
from workbench.dialogue.model import Scenario
from workbench.evaluation.estimate import SAMPLE, Estimate, Prices, estimate
from workbench.evaluation.judging import Left, tasks_left
from workbench.evaluation.plan import EvaluationPlan, comparison_id, rows_left, rows_of, scenario_set
from workbench.evaluation.rejudge import Rejudging, comparison_with_workflow
from workbench.models.prices import BATCH_SHARE
from workbench.store.record import Record
from workbench.store.scenarios import get_scenario
from workbench.workflow.load import load_workflow


def preview(rec: Record, plan: EvaluationPlan, prices: Prices, *, batch: bool = False) -> Estimate:
    """Conversations and judgements that are not in the record, with their estimate. Raises UserError for a bad plan."""
    workflow = load_workflow(plan.workflow)
    keep_workflow(rec, workflow)
    scenarios = list(scenario_set(rec, workflow, plan).scenarios)
    comparison, panel = comparison_id(rec, workflow, plan, scenarios), plan.panel()
    left = {rows.agent.text: sum(1 for _ in rows_left(rec, rows)) for rows in rows_of(rec, plan, comparison, scenarios)}
    known = tasks_left(rec, comparison, panel, retry_missing=plan.retry_missing)
    to_come = sum(left.values()) * panel.repetitions
    judgements = {judge: known.count(judge) + to_come for judge in panel.judges}
    share = BATCH_SHARE if batch else 1.0
    user = plan.user.removeprefix("llm:") if plan.user.startswith("llm:") else None
    return estimate(workflow, user, panel, scenarios, left, judgements, prices, batch_share=share)


def preview_judging(rec: Record, wanted: Rejudging, prices: Prices, *, batch: bool = False) -> Estimate:
    """The judgements of a comparison that are not in the record, with their estimate."""
    row, workflow = comparison_with_workflow(rec, wanted.comparison)
    panel = wanted.panel()
    known = tasks_left(rec, row.id, panel, retry_missing=wanted.retry_missing)
    judgements = {judge: known.count(judge) for judge in panel.judges}
    scenarios = _first_scenarios(rec, known)
    share = BATCH_SHARE if batch else 1.0
    return estimate(workflow, None, panel, scenarios, {}, judgements, prices, batch_share=share)


def _first_scenarios(rec: Record, tasks: Left) -> list[Scenario]:
    """The first few scenarios that the judgements are about."""
    ids: dict[str, None] = {}
    for task in tasks:
        if len(ids) == SAMPLE:
            break
        if task.scenario:
            ids[task.scenario] = None
    return [s for i in ids if (s := get_scenario(rec, i)) is not None]

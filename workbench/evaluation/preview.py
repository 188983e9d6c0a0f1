"""What a plan has left to do, and what that will take."""

from __future__ import annotations

from workbench.dialogue.generation import keep_workflow
from workbench.evaluation.estimate import SAMPLE, Estimate, Prices, estimate
from workbench.evaluation.judging import tasks_left
from workbench.evaluation.plan import EvaluationPlan, comparison_id, rows_of, scenario_set
from workbench.evaluation.rejudge import Rejudging, comparison_with_workflow
from workbench.models.prices import BATCH_SHARE
from workbench.store.conversations import ConversationFilter, conversations
from workbench.store.record import Record
from workbench.store.scenarios import get_scenario
from workbench.workflow.load import load_workflow


def preview(rec: Record, plan: EvaluationPlan, prices: Prices, *, batch: bool = False) -> Estimate:
    """Conversations and judgements that are not in the record, with their estimate. Raises UserError for a bad plan."""
    workflow = load_workflow(plan.workflow)
    keep_workflow(rec, workflow)
    scenarios = list(scenario_set(rec, workflow, plan).scenarios)
    comparison, panel = comparison_id(rec, workflow, plan, scenarios), plan.panel()
    held = {row.id for row in conversations(rec, ConversationFilter(comparison_id=comparison, status="done"))}
    left: dict[str, int] = {}
    for rows in rows_of(rec, plan, comparison, scenarios):
        left[rows[0].agent.text] = sum(row.id not in held for row in rows)
    known, _ = tasks_left(rec, comparison, panel, retry_missing=plan.retry_missing)
    to_come = sum(left.values()) * panel.repetitions
    judgements = {judge: sum(t.judge == judge for t in known) + to_come for judge in panel.judges}
    share = BATCH_SHARE if batch else 1.0
    user = plan.user.removeprefix("llm:") if plan.user.startswith("llm:") else None
    return estimate(workflow, user, panel, scenarios, left, judgements, prices, batch_share=share)


def preview_judging(rec: Record, wanted: Rejudging, prices: Prices, *, batch: bool = False) -> Estimate:
    """The judgements of a comparison that are not in the record, with their estimate."""
    row, workflow = comparison_with_workflow(rec, wanted.comparison)
    panel = wanted.panel()
    known, _ = tasks_left(rec, row.id, panel, retry_missing=wanted.retry_missing)
    judgements = {judge: sum(t.judge == judge for t in known) for judge in panel.judges}
    ids = dict.fromkeys(task.scenario for task in known if task.scenario)
    scenarios = [s for i in list(ids)[:SAMPLE] if (s := get_scenario(rec, i)) is not None]
    share = BATCH_SHARE if batch else 1.0
    return estimate(workflow, None, panel, scenarios, {}, judgements, prices, batch_share=share)

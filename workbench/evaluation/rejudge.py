"""Scoring kept conversations again, without holding them again: after a change of labeller, rubric, rules or judges."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from workbench.errors import ServiceError, UserError
from workbench.evaluation.assess import Assessor
from workbench.evaluation.judges import judge_models
from workbench.evaluation.judging import Panel
from workbench.evaluation.keep import measure_rows, verdict_rows
from workbench.evaluation.rubric import load_rubric
from workbench.evaluation.services import Services, services_for
from workbench.evaluation.summary import summarise
from workbench.jobs.context import JobContext
from workbench.models.ledger import BudgetSpent
from workbench.store.comparisons import get_comparison, put_comparison, set_comparison
from workbench.store.conversations import (
    ConversationFilter,
    conversation_messages,
    conversation_rowids,
    iterate_conversations,
    put_conversation,
)
from workbench.store.record import Record, connect
from workbench.store.rows import ComparisonRow
from workbench.store.scenarios import get_scenario
from workbench.store.verdicts import put_measures, put_verdicts
from workbench.workflow.hashing import workflow_hash
from workbench.workflow.load import load_workflow
from workbench.workflow.model import Workflow


@dataclass(frozen=True, slots=True)
class Rejudging:
    """The arguments of a `judge` job: who is to judge a comparison's conversations, by which rubric, how often."""

    comparison: str
    judges: tuple[str, ...]
    rubric: str | None = None
    repetitions: int = 1
    retry_missing: bool = False

    def panel(self) -> Panel:
        """The language models that judge, and by what. Raises UserError for a judge or a rubric that is not there."""
        return Panel(judge_models(self.judges), load_rubric(self.rubric), self.repetitions)


def main(ctx: JobContext) -> dict[str, object]:
    """Entry point of the job kind `judge`; `args` are the fields of `Rejudging`. Only verdicts that are missing under
    this rubric are asked for, and none that was answered is asked for again."""
    known = {f.name for f in fields(Rejudging)}
    if unknown := sorted(set(ctx.args) - known):
        raise UserError(f"unknown argument of a judge job: {', '.join(unknown)}")
    wanted = Rejudging(**{**ctx.args, "judges": tuple(ctx.args["judges"])})

    async def work(rec: Record) -> dict[str, object]:
        async with services_for(ctx, rec, wanted.panel().judges) as services:
            return await judge_again(ctx, rec, wanted, services)

    with connect(ctx.home) as rec:
        return asyncio.run(work(rec))


async def judge_again(ctx: JobContext, rec: Record, wanted: Rejudging, services: Services) -> dict[str, object]:
    """Have the verdicts that are missing and sum up anew. Raises Stopped, BudgetSpent, UserError."""
    from workbench.evaluation.run import alone, judge

    row, workflow = comparison_with_workflow(rec, wanted.comparison)
    panel, spent, unreached = wanted.panel(), None, 0
    named = row.config.get("judges")
    before = [str(n) for n in named] if isinstance(named, list | tuple) else ["rules"]
    changed = {"judges": list(dict.fromkeys([*before, *panel.judges])), "rubric": panel.record}
    with alone(ctx.home, row.id):
        put_comparison(rec, replace(row, config={**row.config, **changed}))
        try:
            unreached = await judge(ctx, rec, workflow, row.id, panel, services, wanted.retry_missing)
        except BudgetSpent as error:
            spent = error
        finally:
            await services.close()
        ctx.check()
        summary = summarise(rec, row.id, Assessor(workflow), hourly_price=_price(row))
        set_comparison(rec, row.id, row.status, summary)
    if spent:
        raise ServiceError(f"{spent}; `workbench results {row.name}` shows what there is")
    return {"comparison": row.id, "name": row.name, "summary": summary, "unfinished": unreached}


def rejudge(
    rec: Record, comparison_id: str, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, Any]:
    """Measure every kept conversation of a comparison anew, judge it by the rules, and sum up; returns the new summary.

    Verdicts of language models stay as they are. Raises UserError if the workflow file is no longer the comparison's.
    """
    row, workflow = comparison_with_workflow(rec, comparison_id)
    assessor = Assessor(workflow)
    wanted = ConversationFilter(comparison_id=comparison_id, status="done")
    total = len(conversation_rowids(rec, wanted))
    for done, conversation in enumerate(iterate_conversations(rec, wanted), 1):
        scenario = get_scenario(rec, conversation.scenario_id or "")
        if scenario is None:
            continue
        messages = conversation_messages(rec, conversation.id)
        found = assessor.assess(scenario, messages, conversation.ended_by or "")
        with rec.write():
            put_conversation(rec, replace(conversation, terminal=found.terminal))
            put_measures(rec, measure_rows(conversation.id, found))
            put_verdicts(rec, verdict_rows(conversation.id, assessor, found))
        on_progress(done, total)
    summary = summarise(rec, comparison_id, assessor, hourly_price=_price(row))
    set_comparison(rec, comparison_id, row.status, summary)
    return summary


def comparison_with_workflow(rec: Record, comparison_id: str) -> tuple[ComparisonRow, Workflow]:
    """A comparison and the workflow it was made with. Raises UserError if there is none, or its file has changed."""
    row = get_comparison(rec, comparison_id)
    if row is None:
        raise UserError(f"no comparison {comparison_id}")
    return row, workflow_of(row)


def workflow_of(row: ComparisonRow) -> Workflow:
    """The workflow that a comparison was made with. Raises UserError if its file has changed since."""
    workflow = load_workflow(str(row.config.get("workflow", "")))
    if workflow_hash(workflow) != row.workflow_id:
        raise UserError(f"{workflow.source or workflow.name} has changed since comparison {row.name} was made")
    return workflow


def _price(row: ComparisonRow) -> float | None:
    found = row.config.get("hourly_price")
    return float(str(found)) if found is not None else None

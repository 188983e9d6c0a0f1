"""Scoring kept conversations again, without holding them again: after a change of labeller, rubric or rules."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from workbench.errors import UserError
from workbench.evaluation.assess import Assessor
from workbench.evaluation.keep import measure_rows, verdict_rows
from workbench.evaluation.summary import summarise
from workbench.store.comparisons import get_comparison, set_comparison
from workbench.store.conversations import ConversationFilter, conversation_messages, conversations, put_conversation
from workbench.store.record import Record
from workbench.store.rows import ComparisonRow
from workbench.store.scenarios import get_scenario
from workbench.store.verdicts import put_measures, put_verdicts
from workbench.workflow.hashing import workflow_hash
from workbench.workflow.load import load_workflow
from workbench.workflow.model import Workflow


def rejudge(
    rec: Record, comparison_id: str, on_progress: Callable[[int, int], None] = lambda done, total: None
) -> dict[str, Any]:
    """Measure and judge every kept conversation of a comparison anew and sum up; returns the new summary.

    Raises UserError if the workflow file is no longer the one of the comparison.
    """
    row = get_comparison(rec, comparison_id)
    if row is None:
        raise UserError(f"no comparison {comparison_id}")
    assessor = Assessor(workflow_of(row))
    held = conversations(rec, ConversationFilter(comparison_id=comparison_id, status="done"))
    for done, conversation in enumerate(held, 1):
        scenario = get_scenario(rec, conversation.scenario_id or "")
        if scenario is None:
            continue
        messages = conversation_messages(rec, conversation.id)
        found = assessor.assess(scenario, messages, conversation.ended_by or "")
        with rec.write():
            put_conversation(rec, replace(conversation, terminal=found.terminal))
            put_measures(rec, measure_rows(conversation.id, found))
            put_verdicts(rec, verdict_rows(conversation.id, assessor, found))
        on_progress(done, len(held))
    price = row.config.get("hourly_price")
    summary = summarise(rec, comparison_id, assessor, hourly_price=float(str(price)) if price is not None else None)
    set_comparison(rec, comparison_id, row.status, summary)
    return summary


def workflow_of(row: ComparisonRow) -> Workflow:
    """The workflow that a comparison was made with. Raises UserError if its file has changed since."""
    workflow = load_workflow(str(row.config.get("workflow", "")))
    if workflow_hash(workflow) != row.workflow_id:
        raise UserError(f"{workflow.source or workflow.name} has changed since comparison {row.name} was made")
    return workflow

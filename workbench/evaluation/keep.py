"""A held conversation as rows, with its measures and its verdicts, and putting them into the record in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from workbench.agents.audit import Audit
from workbench.agents.conversation import Conversation
from workbench.evaluation.assess import Assessment, Assessor
from workbench.evaluation.plan import Row
from workbench.evaluation.rules import JUDGE, RUBRIC_HASH, judge
from workbench.store.conversations import put_conversation
from workbench.store.record import Record
from workbench.store.rows import ConversationRow, MeasureRow, MessageRow, VerdictRow
from workbench.store.verdicts import put_measures, put_verdicts
from workbench.workflow.hashing import digest


def message_rows(assessor: Assessor, conversation: Conversation) -> list[MessageRow]:
    """The messages for the record: agents' with their label, users' with the question they understood."""
    rows = []
    for spoken in conversation.messages:
        if spoken.role == "agent":
            label = assessor.labeller.label(spoken.text)
            seen: dict[str, Any] = (
                {"act": label.name, "nodes": label.nodes, "score": round(label.score, 3)}
                if label
                else {"act": "unknown"}
            )
        else:
            simulated = conversation.user == "agenda"
            seen = {"question": spoken.question, "planned": spoken.planned, "simulated": simulated}
        rows.append(
            MessageRow(
                role=spoken.role,
                text=spoken.text,
                nodes=spoken.nodes,
                edges=spoken.edges,
                move=spoken.move,
                deviation=spoken.deviation,
                facts=spoken.facts,
                usage=asdict(spoken.usage),
                calls=spoken.calls,
                latency_s=spoken.latency_s,
                ttft_s=spoken.ttft_s,
                cost=spoken.cost,
                label=seen,
                created=spoken.at,
            )
        )
    return rows


@dataclass(frozen=True, slots=True)
class Held:
    """What a conversation leaves in the record."""

    conversation: ConversationRow
    messages: tuple[MessageRow, ...] = ()
    measures: tuple[MeasureRow, ...] = ()
    verdicts: tuple[VerdictRow, ...] = ()

    @property
    def is_missing(self) -> bool:
        """Infrastructure broke it: the next run holds it again."""
        return self.conversation.status == "failed"

    @property
    def error(self) -> str:
        """What went wrong in it, "" if nothing did."""
        return str(self.conversation.totals.get("error", ""))


def held_rows(assessor: Assessor, row: Row, conversation: Conversation, about: ConversationRow) -> Held:
    """A finished conversation with all that is measured on it. One that infrastructure broke is failed and unmeasured.

    `about` is what is known of it beforehand (`row_of`).
    """
    messages = message_rows(assessor, conversation)
    missing = conversation.is_missing
    assessment = None if missing else assessor.assess(row.scenario, messages, conversation.ended_by)
    stored = replace(
        about,
        status="failed" if missing else "done",
        terminal=assessment.terminal if assessment else None,
        ended_by=conversation.ended_by,
        totals=conversation.totals() | ({"error": conversation.error} if conversation.error else {}),
        provenance={**about.provenance, "user": conversation.user},
        created=conversation.started,
    )
    if assessment is None:
        return Held(stored, tuple(messages))
    audit = assessor.auditor.audit(row.scenario, conversation)
    measures = (*measure_rows(row.id, assessment), *_audit_rows(row.id, audit))
    return Held(stored, tuple(messages), measures, tuple(verdict_rows(row.id, assessor, assessment)))


def row_of(row: Row, comparison: str, workflow_id: str, provenance: Mapping[str, Any]) -> ConversationRow:
    """A conversation's row before it is held, or where it could not be: failed, without an end."""
    return ConversationRow(
        id=row.id,
        comparison_id=comparison,
        agent=row.agent.text,
        condition=row.condition,
        scenario_id=row.scenario.id,
        workflow_id=workflow_id,
        rep=row.repetition,
        seed=row.scenario.seed,
        status="failed",
        provenance=dict(provenance),
    )


def keep(rec: Record, held: Held) -> None:
    """Store a conversation with its messages, measures and verdicts, all or nothing."""
    with rec.write():
        put_conversation(rec, held.conversation, held.messages)
        put_measures(rec, held.measures)
        put_verdicts(rec, held.verdicts)


def measure_rows(conversation_id: str, found: Assessment) -> list[MeasureRow]:
    """The measures of a conversation as rows."""
    return [MeasureRow(conversation_id, name, value, detail) for name, (value, detail) in found.measures().items()]


def verdict_rows(conversation_id: str, assessor: Assessor, found: Assessment) -> list[VerdictRow]:
    """The rules judge's verdicts as rows; the id hashes conversation, judge, criterion and rubric."""
    rows = []
    for finding in judge(assessor, found):
        quotes = [{"message": index, "quote": words} for index, words in finding.quotes]
        evidence = {"why": finding.note, "quotes": quotes, "quote": finding.quotes[0][1] if finding.quotes else ""}
        key = digest([conversation_id, JUDGE, finding.criterion, RUBRIC_HASH])
        rows.append(VerdictRow(key, conversation_id, JUDGE, finding.criterion, finding.score, evidence, RUBRIC_HASH))
    return rows


def _audit_rows(conversation_id: str, found: Audit) -> list[MeasureRow]:
    return [MeasureRow(conversation_id, "user_errors", float(found.errors), asdict(found))]

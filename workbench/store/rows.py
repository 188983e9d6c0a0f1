"""Rows as the rooms above see them: frozen dataclasses, JSON columns already read. Times are UTC epoch seconds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from workbench.dialogue.model import Dialogue, Speaker
from workbench.workflow.model import Split, Value

Json = Mapping[str, object]
SubjectKind = Literal["dialogue", "conversation"]
"""What a review may be about."""
Status = str
"""Of runs, conversations and comparisons: the state in which the work was left (running, done, stopped, failed, …)."""


def now() -> float:
    """The present, in UTC epoch seconds."""
    return time.time()


@dataclass(frozen=True, slots=True)
class WorkflowRow:
    """A workflow as it was when something was made from it; `canonical` is the canonical JSON that `id` hashes."""

    id: str
    name: str
    title: str
    canonical: str
    source: str | None = None
    created: float = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class DialogueEntry:
    """A dialogue to be stored, with what its maker knows beyond it.

    `path_rank` is its path's rank in the workflow's PathSpace; `checks` are the problems found, as plain mappings;
    `status` is "ok" or "quarantined"; `provenance` names versions, hashes and settings of writer and prompts.
    """

    dialogue: Dialogue
    path_rank: int | None = None
    checks: tuple[Json, ...] = ()
    status: str = "ok"
    provenance: Json = field(default_factory=dict)
    created: float = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class DialogueRow:
    """One line of a list of dialogues. `decision` is what its reviewers have
    decided: pass, flag, fix, "split" where no decision has more than half of them, None without a review, "hidden" where
    the one for whom the list is made has not decided yet."""

    rowid: int
    id: str
    workflow_id: str
    scenario_id: str
    path_rank: int | None
    steps: int
    message_count: int
    terminal: str
    writer: str
    split: Split
    seed: int
    rep: int
    deviations: tuple[str, ...]
    checks: tuple[Json, ...]
    status: str
    decision: str | None
    created: float


@dataclass(frozen=True, slots=True)
class ReviewRow:
    """One decision of a reviewer on a dialogue or conversation; reviews are only ever added, the newest counts.

    `decision` is pass, flag, fix or none (taken back; where it `undoes` nothing, the reviewer was shown what others decided
    before deciding). `subject_hash` is of the text that was judged; `copy_id` the edited dialogue that a fix made; `undoes`
    the review that this one takes back. `settles`: no review of its own but what settles a disagreement of reviewers.
    """

    id: str
    subject_id: str
    reviewer: str
    decision: str
    tags: tuple[str, ...] = ()
    note: str = ""
    created: float = field(default_factory=now)
    subject_kind: SubjectKind = "dialogue"
    subject_hash: str = ""
    copy_id: str | None = None
    undoes: str | None = None
    settles: bool = False


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """A data set: which dialogues stand in which split is in `dataset_items`; `manifest` says how it was chosen."""

    id: str
    name: str
    workflow_id: str
    manifest: Json = field(default_factory=dict)
    created: float = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class RunRow:
    """A training run. `job_id` leads to its folder, which holds the metrics; `summary` what came out."""

    id: str
    name: str
    job_id: str | None
    dataset_id: str | None
    workflow_id: str | None
    recipe: Json = field(default_factory=dict)
    status: Status = "queued"
    summary: Json = field(default_factory=dict)
    provenance: Json = field(default_factory=dict)
    created: float = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """An evaluation of several agents on the same scenarios."""

    id: str
    workflow_id: str
    name: str
    config: Json = field(default_factory=dict)
    status: Status = "running"
    summary: Json = field(default_factory=dict)
    created: float = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class ConversationRow:
    """A conversation with an agent, live (no comparison, perhaps no scenario) or simulated.

    `agent` is its full name (`compiled:RUN`), `condition` the column it stands in. `totals` sums usage, cost, calls,
    seconds and messages. `rowid` is 0 until it has been read from the record.
    """

    id: str
    comparison_id: str | None
    agent: str
    condition: str
    scenario_id: str | None
    workflow_id: str
    rep: int = 0
    seed: int = 0
    status: Status = "running"
    terminal: str | None = None
    ended_by: str | None = None
    totals: Json = field(default_factory=dict)
    provenance: Json = field(default_factory=dict)
    created: float = field(default_factory=now)
    rowid: int = 0


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One message of a conversation with all that was measured while it was made.

    `usage` has the keys of `models.client.Usage`; `calls` counts model calls; `cost` is in US dollars, None if unknown
    (never 0 for unknown); `label` is what the labeller read from the text; `nodes` are the agent's own, where it knows.
    """

    role: Speaker
    text: str
    nodes: tuple[str, ...] = ()
    edges: tuple[str, ...] = ()
    move: str | None = None
    deviation: str | None = None
    facts: Mapping[str, Value] = field(default_factory=dict)
    usage: Mapping[str, int] = field(default_factory=dict)
    calls: int = 0
    latency_s: float | None = None
    ttft_s: float | None = None
    cost: float | None = None
    label: Json | None = None
    created: float = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class VerdictRow:
    """What a judge said on one criterion of one conversation. `score` None is missing data, never a number."""

    id: str
    conversation_id: str
    judge: str
    criterion: str
    score: float | None
    evidence: Json = field(default_factory=dict)
    rubric_hash: str = ""
    rep: int = 0
    provenance: Json = field(default_factory=dict)
    created: float = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class MeasureRow:
    """A computed figure of one conversation (fitness, hub_choice, right_terminal …); None where it does not apply."""

    conversation_id: str
    name: str
    value: float | None
    detail: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One figure of one conversation, ready for statistics: a verdict's score or a measure's value."""

    conversation_id: str
    condition: str
    agent: str
    scenario_id: str | None
    rep: int
    judge: str
    """The judge's name, "" for a measure."""
    criterion: str
    value: float | None
    rubric: str = ""
    """The hash of the rubric it was judged by, "" for a measure."""


@dataclass(frozen=True, slots=True)
class JudgeRow:
    """What one judge gave under one rubric: verdicts with a score, verdicts without; `last` grows with time."""

    judge: str
    rubric_hash: str
    n: int
    missing: int
    last: int


@dataclass(frozen=True, slots=True)
class HeldRow:
    """How many conversations a comparison holds with one agent: all, finished ones, those that infrastructure broke."""

    condition: str
    agent: str
    n: int
    done: int
    broken: int


@dataclass(frozen=True, slots=True)
class SummaryRow:
    """Scores of one condition on one criterion: `n` with a value, `missing` without, and their mean (None if n = 0)."""

    condition: str
    agent: str
    judge: str
    criterion: str
    n: int
    missing: int
    mean: float | None


@dataclass(frozen=True, slots=True)
class CallRow:
    """One model call of the ledger. Token counts as in `models.client.Usage`; `cost` in US dollars, None if unknown.

    `job` is the job that paid for it; `reserved` what counts against its budget while the cost is unknown (the most that
    a call in flight, or one that broke off, can have cost); `request` hashes what was asked; `reply` is the answer (JSON)
    as long as a resumed job may need it again.
    """

    id: str
    purpose: str
    model: str
    owner_kind: str = ""
    owner_id: str = ""
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cost: float | None = None
    latency: float | None = None
    ttft: float | None = None
    price_date: str | None = None
    attempt: int = 1
    error: str | None = None
    job: str = ""
    reserved: float | None = None
    request: str = ""
    reply: str | None = None
    created: float = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class CallTotal:
    """The ledger summed over a group. `unpriced` calls have no known cost and are not in `cost`."""

    purpose: str
    model: str
    calls: int
    errors: int
    unpriced: int
    input: int
    output: int
    cache_read: int
    cache_write: int
    cost: float
    latency: float


@dataclass(frozen=True, slots=True)
class JobRow:
    """A line of the index of jobs; the job's folder is the truth."""

    id: str
    kind: str
    folder: str
    title: str
    created: float = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class VoteRow:
    """A judgement on conversations that a person held side by side, `agents` and `conversations` in the order shown.

    `verdict` is "win" (`winner` is the place of the best, from 0), "tie" or "bad" (all are); `job` the live conversation.
    """

    id: str
    job: str
    workflow_id: str
    agents: tuple[str, ...]
    conversations: tuple[str, ...]
    winner: int | None
    verdict: str
    note: str = ""
    blind: bool = True
    voter: str = ""
    created: float = field(default_factory=now)


@dataclass(frozen=True, slots=True)
class ChatRow:
    """A live conversation with its agents side by side; `name` is "" until somebody gives it one.

    `blind`: nobody may learn yet who is who, since there was no vote.
    """

    job: str
    name: str
    agents: tuple[str, ...]
    workflow: str
    messages: int
    open: bool
    blind: bool
    created: float

"""A small record with one of everything, for the tests of any room: `make_sample_record(home)`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from workbench.dialogue.model import Dialogue, Message, PlannedMove, Scenario
from workbench.home import Home
from workbench.store import connect
from workbench.store.calls import put_calls
from workbench.store.comparisons import put_comparison
from workbench.store.conversations import put_conversation
from workbench.store.datasets import put_dataset
from workbench.store.dialogues import put_dialogues
from workbench.store.record import Record
from workbench.store.reviews import put_reviews
from workbench.store.rows import (
    CallRow,
    ComparisonRow,
    ConversationRow,
    DatasetRow,
    DialogueEntry,
    MeasureRow,
    MessageRow,
    ReviewRow,
    RunRow,
    VerdictRow,
    WorkflowRow,
)
from workbench.store.runs import put_run
from workbench.store.verdicts import put_measures, put_verdicts
from workbench.store.workflows import put_workflow
from workbench.workflow.model import SPLITS

START = 1_790_000_000.0
"""The time of the first row; later rows are a second apart."""
WORKFLOW = "f" * 16
AGENTS = {"compiled": "compiled:sample", "oracle": "oracle", "orchestrated": "orchestrated:local/base"}
TERMINALS = ("booked", "abandoned", "escalated")


def sample_id(*parts: object) -> str:
    """Sixteen hex digits that are always the same for the same parts."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def sample_scenario(number: int) -> Scenario:
    """A scenario; every third one holds a deviation."""
    return Scenario(
        id=sample_id("scenario", number),
        workflow_id=WORKFLOW,
        split=SPLITS[number % 3],
        seed=2**64 + number,
        variables={"destination": ("Oslo", "Lima", "Kyoto")[number % 3], "travellers": 1 + number % 4},
        persona="plain",
        plan=(PlannedMove("ask_trip", 1, "answer"), PlannedMove("offer_reply", 1, ("accept", "reject")[number % 2])),
        deviations=("vague",) if number % 3 == 0 else (),
    )


def sample_dialogue(number: int) -> Dialogue:
    """A dialogue of four messages; the terminal goes round with the number."""
    scenario = sample_scenario(number)
    terminal = TERMINALS[number % 3]
    city = scenario.variables["destination"]
    return Dialogue(
        id=sample_id("dialogue", number),
        workflow_id=WORKFLOW,
        scenario=scenario,
        path=("greet->trip", "trip->offer", f"offer->{terminal}"),
        terminal=terminal,
        writer="scripted",
        repetition=0,
        messages=(
            Message("agent", "Hello, where would you like to go?", nodes=("greet",)),
            Message(
                "user",
                f"To {city}, number {number}.",
                ("trip",),
                ("greet->trip",),
                "answer",
                None,
                {"destination": city},
            ),
            Message("agent", f"I can offer a flight to {city}.", ("offer",), ("trip->offer",)),
            Message("user", "Fine, thank you.", (terminal,), (f"offer->{terminal}",), "accept"),
        ),
    )


def make_sample_record(home: Home, dialogues: int = 12) -> Record:
    """Fill the record of `home` and return it open: a workflow, dialogues with reviews, a data set, a run, a comparison
    of three agents on four scenarios with verdicts and measures, a live conversation, and ledger rows.
    """
    rec = connect(home)
    put_workflow(rec, WorkflowRow(WORKFLOW, "sample", "A sample workflow", "{}", "workflows/sample.yaml", START))
    made = [sample_dialogue(n) for n in range(dialogues)]
    put_dialogues(
        rec,
        (
            DialogueEntry(d, n, status="quarantined" if n % 7 == 6 else "ok", created=START + n)
            for n, d in enumerate(made)
        ),
    )
    put_reviews(rec, _reviews(made))
    dataset = DatasetRow(sample_id("dataset"), "sample-set", WORKFLOW, {"seed": 1}, START)
    put_dataset(rec, dataset, [(d.id, d.scenario.split) for n, d in enumerate(made) if n % 7 != 6])
    put_run(
        rec,
        RunRow(
            sample_id("run"),
            "sample-run",
            sample_id("job"),
            dataset.id,
            WORKFLOW,
            {"lr": 3e-4, "method": "full"},
            "done",
            {"heldout_loss": 0.21},
            {"version": "0.1.0"},
            START + 60,
        ),
    )
    _comparison(rec, made[: min(4, len(made))])
    return rec


def _reviews(made: list[Dialogue]) -> Iterator[ReviewRow]:
    for n, dialogue in enumerate(made[:6]):
        decision, tags = (("pass", ()), ("flag", ("repetitive",)))[n % 2]
        yield ReviewRow(sample_id("review", n), dialogue.id, "ann", decision, tags, "", START + 100 + n)


def _comparison(rec: Record, made: list[Dialogue]) -> None:
    comparison = ComparisonRow(
        sample_id("comparison"), WORKFLOW, "sample-comparison", {"scenarios": 4}, "done", {}, START
    )
    put_comparison(rec, comparison)
    for rank, (condition, agent) in enumerate(AGENTS.items()):
        for n, dialogue in enumerate(made):
            _conversation(rec, comparison.id, condition, agent, dialogue, rank, n)
    live = ConversationRow(sample_id("live"), None, "oracle", "oracle", None, WORKFLOW, status="running", created=START)
    put_conversation(rec, live, [MessageRow("agent", "Hello, where would you like to go?", created=START)])


def _conversation(
    rec: Record, comparison: str, condition: str, agent: str, dialogue: Dialogue, rank: int, n: int
) -> None:
    key = sample_id("conversation", condition, n)
    usage = {"input": 100, "output": 20, "cache_read": 0, "cache_write": 0}
    spoken = [
        MessageRow(
            role=m.role,
            text=m.text,
            nodes=m.nodes,
            edges=m.edges,
            move=m.move,
            usage=usage if m.role == "agent" else {},
            calls=1 if m.role == "agent" else 0,
            latency_s=0.25 if m.role == "agent" else None,
            ttft_s=0.1 if m.role == "agent" else None,
            cost=0.0 if m.role == "agent" else None,
            created=START + idx,
        )
        for idx, m in enumerate(dialogue.messages)
    ]
    row = ConversationRow(
        id=key,
        comparison_id=comparison,
        agent=agent,
        condition=condition,
        scenario_id=dialogue.scenario.id,
        workflow_id=WORKFLOW,
        seed=n,
        status="done",
        terminal=dialogue.terminal,
        ended_by="terminal",
        totals={"messages": 4, "calls": 2, "input": 200, "output": 40, "cost": 0.0, "seconds": 0.5},
        provenance={"user": "agenda", "version": "0.1.0"},
        created=START + n,
    )
    put_conversation(rec, row, spoken)
    score = None if rank == 2 and n == 0 else float(5 - rank)
    put_verdicts(
        rec,
        [
            VerdictRow(
                sample_id("verdict", key, criterion),
                key,
                "rules",
                criterion,
                score,
                {"quote": "Fine, thank you."},
                "rubric-1",
                created=START,
            )
            for criterion in ("task_success", "consistency")
        ],
    )
    put_measures(
        rec,
        [MeasureRow(key, "fitness", 1.0 - rank / 10), MeasureRow(key, "right_terminal", float(rank < 2), {"seen": n})],
    )
    put_calls(
        rec,
        [CallRow(sample_id("call", key), "agent", agent, "conversation", key, 200, 40, cost=None if rank else 0.0)],
    )

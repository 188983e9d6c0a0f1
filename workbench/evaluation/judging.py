"""Judging kept conversations with language models: what is missing of the verdicts, one request a conversation, judge and
repetition, kept as it arrives."""

from __future__ import annotations

import asyncio
from array import array
from collections import Counter
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random

import workbench
from workbench.dialogue.slots import Slots
from workbench.errors import ServiceError
from workbench.evaluation.judge_prompt import (
    PROMPT_VERSION,
    Case,
    Opinion,
    asked_again,
    notes_for,
    read_answer,
    request_for,
)
from workbench.evaluation.rubric import Rubric, rubric_hash
from workbench.evaluation.services import Services
from workbench.jobs.context import JobContext
from workbench.models.client import Reply, Request
from workbench.models.ledger import BudgetSpent
from workbench.models.limiter import each
from workbench.spread.work import Desk, Place
from workbench.store.conversations import (
    ConversationFilter,
    conversation_keys,
    conversation_messages,
    conversation_rowids,
)
from workbench.store.record import Record
from workbench.store.rows import VerdictRow
from workbench.store.scenarios import get_scenario
from workbench.store.select import windows
from workbench.store.verdicts import drop_verdicts, judged, put_verdicts
from workbench.workflow.hashing import digest
from workbench.workflow.model import Workflow


@dataclass(frozen=True, slots=True)
class Task:
    """One judgement to be had: all criteria of a rubric on one conversation. `id` owns its calls in the ledger."""

    conversation: str
    scenario: str | None
    judge: str
    repetition: int
    rubric: str

    @property
    def id(self) -> str:
        """The hash of all that it depends on."""
        return digest([self.conversation, self.judge, self.repetition, self.rubric])

    @property
    def owner(self) -> str:
        """The owner of its calls."""
        return f"verdict:{self.id}"


@dataclass(frozen=True, slots=True)
class Panel:
    """Who judges, by what, how often. `rubric_id` is the hash that stands in every verdict."""

    judges: tuple[str, ...]
    rubric: Rubric
    repetitions: int = 1

    @property
    def rubric_id(self) -> str:
        """The hash of the rubric's words and of the prompt around them."""
        return rubric_hash(self.rubric, PROMPT_VERSION)

    @property
    def record(self) -> dict[str, object]:
        """What a comparison remembers of the rubric."""
        rubric = self.rubric
        return {"name": rubric.name, "hash": self.rubric_id, "criteria": rubric.text, "titles": rubric.titles}


@dataclass(frozen=True, eq=False)
class Left:
    """The judgements that are left of `total`, in shuffled order: eight bytes each until it is their turn."""

    rec: Record
    panel: Panel
    total: int
    places: array[int]
    """(row id of the conversation, judge, repetition) in one number."""

    def __len__(self) -> int:
        return len(self.places)

    def __iter__(self) -> Iterator[Task]:
        return self._tasks(self.places)

    def count(self, judge: str) -> int:
        """How many of them are a judge's."""
        return sum(1 for _ in self._places_of(judge))

    def of(self, judge: str) -> Iterator[Task]:
        """Those of a judge."""
        return self._tasks(self._places_of(judge))

    def _places_of(self, judge: str) -> Iterator[int]:
        number, judges, repetitions = self.panel.judges.index(judge), len(self.panel.judges), self.panel.repetitions
        return (place for place in self.places if place // repetitions % judges == number)

    def _tasks(self, places: Iterable[int]) -> Iterator[Task]:
        judges, repetitions = self.panel.judges, self.panel.repetitions
        for window in windows(places):
            rowids = [place // repetitions // len(judges) for place in window]
            known = conversation_keys(self.rec, rowids)
            for rowid, place in zip(rowids, window, strict=True):
                if rowid in known:  # else it was deleted meanwhile
                    judge = judges[place // repetitions % len(judges)]
                    yield Task(*known[rowid], judge, place % repetitions, self.panel.rubric_id)


def tasks_left(rec: Record, comparison: str, panel: Panel, seed: int = 0, *, retry_missing: bool = False) -> Left:
    """The judgements that are not in the record.

    `retry_missing` also takes up those that were had with a criterion missing (refused, malformed, false quotation).
    """
    held = conversation_rowids(rec, ConversationFilter(comparison_id=comparison, status="done"), "made")
    every = [(judge, repetition) for judge in panel.judges for repetition in range(panel.repetitions)]
    left = array("q")
    for window in windows(held):
        had = {
            (rowid, judge, repetition)
            for rowid, judge, repetition, count, missing in judged(rec, window, panel.rubric_id)
            if count >= len(panel.rubric.criteria) and not (retry_missing and missing)
        }
        for rowid in window:
            for number, (judge, repetition) in enumerate(every):
                if (rowid, judge, repetition) not in had:
                    left.append(rowid * len(every) + number)
    Random(f"judging|{comparison}|{seed}").shuffle(left)
    return Left(rec, panel, len(held) * len(every), left)


@dataclass(frozen=True, slots=True)
class Judging:
    """The work of one judgement, wherever it is done: ask, read, ask once more where the answer cannot be used."""

    rubric: Rubric

    async def __call__(self, item: tuple[Task, Case], desk: Desk) -> tuple[VerdictRow, ...]:
        """The verdicts on every criterion. Raises ServiceError."""
        task, case = item
        if not any(role == "agent" and text.strip() for role, text in case.lines):
            opinions = tuple(Opinion(c.id, None, missing="empty transcript") for c in self.rubric.criteria)
            return _verdicts(task, opinions, None, 0)
        client, request = desk.client(task.judge), self.request(task, case)
        reply = await client.complete(request)
        opinions, asked = read_answer(reply, case, self.rubric), 1
        if (again := self.second_request(request, reply, opinions)) is not None:
            reply, asked = await client.complete(again), 2
            opinions = better(opinions, read_answer(reply, case, self.rubric))
        return _verdicts(task, opinions, reply, asked)

    def request(self, task: Task, case: Case) -> Request:
        """The first request of a task."""
        return request_for(case, self.rubric, judge=task.judge, repetition=task.repetition, owner=task.owner)

    def second_request(self, request: Request, reply: Reply, opinions: Sequence[Opinion]) -> Request | None:
        """What to ask once more: nothing after a refusal or where every criterion has its score."""
        faults = [o for o in opinions if o.missing]
        return asked_again(request, reply, faults) if faults and reply.stop_reason != "refusal" else None


class Bench:
    """The record's side of judging: the cases out of it, the verdicts into it."""

    def __init__(self, rec: Record, workflow: Workflow, panel: Panel, services: Services) -> None:
        self.rec, self.panel, self.services = rec, panel, services
        self._workflow, self._slots = workflow, Slots(workflow)
        self._notes = lru_cache(maxsize=_NOTES)(self._read_notes)

    def case(self, task: Task) -> Case:
        """The conversation as the judge gets it: no name of an agent, no node."""
        lines = tuple((m.role, m.text) for m in conversation_messages(self.rec, task.conversation))
        return Case(task.conversation, lines, self._notes(task.scenario or ""))

    def _read_notes(self, scenario_id: str) -> str:
        scenario = get_scenario(self.rec, scenario_id)
        return notes_for(self._workflow, scenario, self._slots) if scenario else "none"

    def keep(self, task: Task, rows: Sequence[VerdictRow]) -> None:
        """Store the verdicts and drop the answers they were read from, both or neither."""
        with self.rec.write():
            drop_verdicts(self.rec, [row.id for row in rows])
            put_verdicts(self.rec, rows)
            self.services.forget(task.owner)


def _verdicts(task: Task, opinions: Sequence[Opinion], reply: Reply | None, asked: int) -> tuple[VerdictRow, ...]:
    how = {
        "task": task.id,
        "model": reply.model if reply else task.judge,
        "workbench": workbench.__version__,
        "prompt": PROMPT_VERSION,
        "asked": asked,
        "sampling": reply.detail.get("sampling", "temperature 0") if reply else None,
    }
    return tuple(
        VerdictRow(
            id=digest([task.id, o.criterion]),
            conversation_id=task.conversation,
            judge=task.judge,
            criterion=o.criterion,
            score=None if o.score is None else float(o.score),
            evidence=_evidence(o),
            rubric_hash=task.rubric,
            rep=task.repetition,
            provenance=how,
        )
        for o in opinions
    )


def better(first: Sequence[Opinion], second: Sequence[Opinion]) -> tuple[Opinion, ...]:
    """The first answer's opinions, those that could not be had replaced by the second's."""
    again = {o.criterion: o for o in second}
    return tuple(o if o.missing is None else again.get(o.criterion, o) for o in first)


@dataclass(slots=True)
class Tally:
    """What a session of judging came to: judgements had, criteria missing by reason, judgements not reached."""

    done: int = 0
    unreached: int = 0
    missing: Counter[str] = field(default_factory=Counter)


async def judge_all(ctx: JobContext, bench: Bench, tasks: Left) -> Tally:
    """Do the tasks, the judges side by side, each as many at once as its service takes.

    Tasks that a service failed are counted and left for the next run. Raises Stopped, BudgetSpent.
    """
    total = tasks.total
    tally, work = Tally(total - len(tasks)), Judging(bench.panel.rubric)

    async def one(task: Task, place: Place) -> None:
        if ctx.stopping:
            return
        try:
            rows = await place.do(work, (task, bench.case(task)))
        except BudgetSpent:
            raise
        except ServiceError as error:
            tally.unreached += 1
            if tally.unreached <= _TOLD:
                ctx.log(f"judge {task.judge}, conversation {task.conversation}: {error}")
            return
        bench.keep(task, rows)
        tally.done += 1
        tally.missing.update(str(row.evidence["missing"]) for row in rows if "missing" in row.evidence)
        ctx.progress(tally.done, total, "judgements", judge=task.judge, failed=tally.unreached)

    async def all_of(judge: str) -> None:
        place, limiter = await bench.services.judge(judge)
        await each(tasks.of(judge), lambda task: one(task, place), limiter)

    ctx.progress(tally.done, total, "judgements")
    await together(all_of(judge) for judge in bench.panel.judges)
    if tally.unreached:
        ctx.log(f"{tally.unreached} judgements could not be reached; the same command asks for them alone")
    return tally


async def together(works: Iterable[Coroutine[None, None, None]]) -> None:
    """All of them at once; the first error, once the others have come to their own end."""
    found = await asyncio.gather(*works, return_exceptions=True)
    for error in found:
        if isinstance(error, BaseException):
            raise error


_NOTES = 2_000
"""Scenarios whose notes are kept for the next judge or repetition."""
_TOLD = 20
"""Errors told one by one in a log; the rest are in the count."""


def _evidence(opinion: Opinion) -> dict[str, object]:
    quotes = [{"message": index, "quote": words} for index, words in opinion.quotes]
    found: dict[str, object] = {"why": opinion.why, "quotes": quotes, "quote": quotes[0]["quote"] if quotes else ""}
    if opinion.missing:
        found["missing"] = opinion.missing
    if opinion.capped is not None:
        found["capped_from"] = opinion.capped
    return found

"""Dialogues in a model's words: the part of the job `generate` that calls models, pays for them and survives kills.

Every dialogue has its id before it is written, so what is in the record is not written again; every answer stands in
the ledger until its dialogue is stored, so a job killed in between asks nothing twice. What cannot be used is kept as
quarantined with the reason, and written anew as often as the job's setting `retries` says; what could not be had (a service
that is away) is left for the same command to try again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field

import workbench
from workbench.dialogue.checks import check_dialogue
from workbench.dialogue.generation import Faults
from workbench.dialogue.model import Dialogue, Scenario
from workbench.dialogue.model_writer import REJECTED, Unusable, Writer, compose, why_unusable
from workbench.dialogue.prompting import prompt_hash
from workbench.dialogue.scenarios import expected_path
from workbench.errors import ServiceError, UserError
from workbench.home import Home
from workbench.jobs.context import JobContext, Stopped
from workbench.jobs.settings import Settings
from workbench.models.attempt import AttemptFailed
from workbench.models.batch import under_way
from workbench.models.book import CallBook
from workbench.models.client import Client
from workbench.models.ledger import Budget, BudgetSpent, LedgerClient
from workbench.models.limiter import CEILING, START, Limiter, each
from workbench.models.open import choosing, open_attempts, open_batches, price_of, with_ledger
from workbench.spread.work import Desk, Place, Poisoned, open_place
from workbench.store.calls import call_totals
from workbench.store.dialogues import drop_dialogue, known_dialogues, put_dialogue, quarantined_rounds
from workbench.store.record import Record
from workbench.store.rows import DialogueEntry
from workbench.text import clean_line
from workbench.workflow.hashing import workflow_hash
from workbench.workflow.model import SPLITS, Split, Workflow
from workbench.workflow.paths import PathSpace

IN_A_ROW = 5
"""Dialogues that may fail one after another, none succeeding, before the service counts as away."""
_ALL_AT_ONCE = Settings(concurrency=1_000_000)
Scenarios = Callable[[Split], Iterator[Scenario]]


@dataclass(frozen=True, slots=True)
class Writing:
    """The work of one dialogue, wherever it is done: a scenario, and the round above 0 in which it is written anew."""

    workflow: Workflow
    writer: Writer

    async def __call__(self, item: tuple[Scenario, int], desk: Desk) -> tuple[Dialogue, Faults]:
        """The dialogue with what is wrong with it. Raises ServiceError if it could not be had."""
        scenario, round_ = item
        agent = desk.client(self.writer.model)
        user = desk.client(self.writer.user or self.writer.model)
        try:
            try:
                dialogue = await compose(self.workflow, scenario, self.writer, agent, user, round_=round_)
            except ServiceError as error:
                unusable = why_unusable(error)
                if unusable is None:
                    raise
                raise unusable from error
        except Unusable as unusable:
            return self._husk(scenario, unusable), ({"code": unusable.code, "index": None, "what": str(unusable)},)
        return dialogue, tuple(asdict(finding) for finding in check_dialogue(self.workflow, dialogue))

    def _husk(self, scenario: Scenario, unusable: Unusable) -> Dialogue:
        """What stands in the record for a dialogue that no usable reply made: its path and the messages so far."""
        path = expected_path(self.workflow, scenario)
        return Dialogue(
            self.writer.dialogue_id(self.workflow, scenario, path),
            scenario.workflow_id,
            scenario,
            path,
            self.workflow.edge[path[-1]].target,
            self.writer.name,
            0,
            unusable.messages,
        )


@dataclass(eq=False)
class Composing:
    """One session of a generation: what its dialogues share. `scenarios` gives the plan, the same every time."""

    rec: Record
    workflow: Workflow
    writer: Writer
    ctx: JobContext
    total: int
    scenarios: Scenarios
    provenance: Mapping[str, object]
    tally: dict[str, int] = field(default_factory=lambda: dict.fromkeys([*SPLITS, "new", "quarantined"], 0))
    failed: int = 0
    in_a_row: int = 0
    rejected: list[tuple[Dialogue, Faults]] = field(default_factory=list)
    """Requests that the service does not take: their dialogues' fault only if it takes others."""

    def __post_init__(self) -> None:
        self.book = CallBook(self.rec, self.ctx.id)
        self.budget = Budget(None, self.book.spent(), latest=lambda: self.ctx.settings.budget)
        self.limiter = Limiter.of_job(self.ctx)
        self.work = Writing(self.workflow, self.writer)
        self.space = PathSpace(self.workflow)
        self.batch = self.ctx.settings.batch
        rounds = quarantined_rounds(self.rec, workflow_hash(self.workflow), self.writer.name)
        self.rounds = {key: done + 1 for key, done in rounds.items() if done < self.ctx.settings.retries}
        self.shown: object = None

    async def run(self) -> dict[str, object]:
        """Write what is missing. Raises Stopped, BudgetSpent with what is left, ServiceError if some could not be had."""
        self._refuse_unknown_price()
        async with self._place() as place:
            reporter = asyncio.create_task(self._report())
            try:
                gate = Limiter(lambda: _ALL_AT_ONCE) if self.batch else self.limiter
                await each(self._missing(), lambda item: self._write(item, place), gate)
            except BudgetSpent as spent:
                raise BudgetSpent(self._left(spent)) from spent
            finally:
                reporter.cancel()
                self._progress()
        if self.rejected and not self._done:
            raise ServiceError(f"no request was accepted, the last: {self.rejected[-1][1][0]['what']}")
        self._quarantine_rejected()
        self._progress()
        if self.failed:
            raise ServiceError(
                f"{self.failed} of {self.total} dialogues could not be had from the service (see the log); "
                "the others are kept, and the same command tries these again"
            )
        left = quarantined_rounds(self.rec, workflow_hash(self.workflow), self.writer.name)
        return {**self.tally, **self.costs(), "unfinished": len(left)}

    @asynccontextmanager
    async def _place(self) -> AsyncIterator[Place]:
        clients = {name: await self._open(name) for name in self.writer.models}
        try:
            place = await open_place(self.ctx, clients.__getitem__, self.writer.models, self._ledger)
            self.limiter.widen(START * place.workers, CEILING * place.workers)
            try:
                yield place
            finally:
                await place.close()
        finally:
            for client in clients.values():
                await client.close()

    async def _open(self, name: str) -> Client:
        """The client; what earlier batches still hold is waited for in any case, since it is paid for."""
        waiting = under_way(self.ctx.folder, name)
        if waiting:
            self.ctx.log(f"{waiting} requests are in batches that were sent before; waiting for them")
        if self.batch or waiting:
            client = open_batches(
                name,
                self.ctx.home,
                self.book,
                self.ctx.folder,
                budget=self.budget,
                settings=lambda: self.ctx.settings,
                check=self.ctx.check,
                tell=self.ctx.log,
            )
            await client.recover()
            if self.batch:
                return client
            await client.settled()
            await client.close()
        return choosing(self._ledger(name, open_attempts(name, self.ctx.home)), name)

    def _ledger(self, name: str, attempts: Client) -> LedgerClient:
        return with_ledger(attempts, name, self.ctx.home, self.book, budget=self.budget, limiter=self.limiter)

    def _missing(self) -> Iterator[tuple[Scenario, int]]:
        """The scenarios to write, each with its round."""
        for split in SPLITS:
            for scenario in self.scenarios(split):
                if self.ctx.stopping:
                    raise Stopped
                key = self._id(scenario)
                if key not in self.rounds and known_dialogues(self.rec, [key]):
                    self.tally[split] += 1
                else:
                    yield scenario, self.rounds.get(key, 0)

    async def _write(self, item: tuple[Scenario, int], place: Place) -> None:
        try:
            written = await place.do(self.work, item)
        except BudgetSpent:
            raise
        except ServiceError as error:
            self._could_not(item[0], error)
        else:
            if any(fault["code"] == REJECTED for fault in written[1]):
                self._hold(written)
            else:
                self._keep(*written)

    def _keep(self, dialogue: Dialogue, faults: Faults) -> None:
        """Store a dialogue and drop the answers it was made of, both or neither; it takes the place of its last round."""
        rank, status = self.space.rank(dialogue.path), "quarantined" if faults else "ok"
        round_ = self.rounds.get(dialogue.id, 0)
        provenance = {**self.provenance, "round": round_} if round_ else self.provenance
        with self.rec.write():
            if round_:
                drop_dialogue(self.rec, dialogue.id)
            new = put_dialogue(self.rec, DialogueEntry(dialogue, rank, faults, status, provenance))
            self.book.forget(f"dialogue:{dialogue.id}")
        self.in_a_row = 0
        self.tally[dialogue.scenario.split] += 1
        self.tally["new"] += new
        self.tally["quarantined"] += bool(faults)
        if faults:
            self.ctx.log(f"quarantined {dialogue.id}: {clean_line(str(faults[0]['what']), 200)}")
        self._quarantine_rejected()  # the service takes others' requests

    def _hold(self, written: tuple[Dialogue, Faults]) -> None:
        """Wait for another request to be taken before the fault is this dialogue's; nothing but rejections end the job."""
        self.rejected.append(written)
        self.in_a_row += 1
        if self.in_a_row >= IN_A_ROW and not self.batch:  # a batch answers all at once, in no order
            last = written[1][0]["what"]
            raise ServiceError(f"{self.in_a_row} requests were rejected one after another, the last: {last}")

    def _quarantine_rejected(self) -> None:
        held, self.rejected = self.rejected, []
        for written in held:
            self._keep(*written)

    @property
    def _done(self) -> int:
        return sum(self.tally[split] for split in SPLITS)

    def _id(self, scenario: Scenario) -> str:
        return self.writer.dialogue_id(self.workflow, scenario, expected_path(self.workflow, scenario))

    def _could_not(self, scenario: Scenario, error: ServiceError) -> None:
        """Leave a dialogue for later, unless going on is pointless: a wrong key or model, no money, nothing but failures."""
        cause = error.__cause__
        again = isinstance(cause, AttemptFailed) and cause.retryable
        if not again and not isinstance(error, Poisoned):
            raise error
        self.failed += 1
        self.in_a_row += 1
        self.ctx.log(f"not written, scenario {scenario.id}: {error}")
        if self.in_a_row >= IN_A_ROW:
            raise ServiceError(f"{self.in_a_row} dialogues failed one after another, the last: {error}") from error

    def _refuse_unknown_price(self) -> None:
        for name in self.writer.models:
            refuse_unknown_price(name, self.ctx.home, self.ctx.settings.budget)

    async def _report(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            self._progress()

    def _progress(self) -> None:
        done = self._done
        data = {
            "spent": round(self.budget.spent, 6),
            "in_flight": self.limiter.running,
            "concurrency": "batch" if self.batch else self.limiter.width,
            "paused": self.ctx.settings.paused,
            "quarantined": self.tally["quarantined"],
            "failed": self.failed,
        }
        if (done, data) != self.shown:  # a pause writes nothing
            self.shown = (done, data)
            self.ctx.progress(done, max(self.total, done), "dialogues", **data)

    def costs(self) -> dict[str, object]:
        """What the job's calls took so far: calls, tokens, dollars (None if a price is unknown), the cache's saving."""
        return costs_of(self.rec, self.ctx.home, self.ctx.id)

    def _left(self, spent: BudgetSpent) -> str:
        done = self._done
        left, line = (
            self.total - done,
            str(spent).removesuffix(": finished work is kept; give a larger budget to go on"),
        )
        each_ = self.budget.spent / done if done else None
        more = f" (about ${each_ * left:.2f} more at ${each_:.4f} each so far)" if each_ else ""
        return f"{line}: {done} of {self.total} dialogues are written and kept, {left} are left{more}; the same " \
               "command with a larger --budget goes on and pays for nothing twice"  # fmt: skip


def costs_of(rec: Record, home: Home, job: str) -> dict[str, object]:
    """What a job's calls took: calls, tokens, dollars (None if a price is unknown), and what prompt caches saved."""
    from workbench.models.client import Usage

    totals = call_totals(rec, job=job)
    answered = [t for t in totals if t.calls > t.errors]
    saved = 0.0
    for total in totals:
        price, _ = price_of(total.model, home)
        if price is not None:
            saved += price.saved(Usage(total.input, total.output, total.cache_read, total.cache_write))
    unpriced = sum(t.unpriced - t.errors for t in answered)
    return {
        "calls": sum(t.calls for t in totals),
        "errors": sum(t.errors for t in totals),
        "input": sum(t.input for t in totals),
        "output": sum(t.output for t in totals),
        "cache_read": sum(t.cache_read for t in totals),
        "cache_write": sum(t.cache_write for t in totals),
        "cost": None if unpriced > 0 else sum(t.cost for t in totals),
        "cache_saving": saved,
    }


def refuse_unknown_price(name: str, home: Home, budget: float | None) -> None:
    """A budget over calls whose price nobody knows cannot be kept. Raises UserError; local models cost no money."""
    price, local = price_of(name, home)
    if budget is not None and price is None and not local:
        where = home.root / "prices.json"
        raise UserError(
            f"--budget: the price of {clean_line(name, 80)} is unknown, so ${budget:g} cannot be kept to; put "
            f'{{"models": {{"{clean_line(name, 80)}": {{"input": USD, "output": USD}}}}}} (per million tokens) into {where}'
        )


def provenance_of(workflow_id: str, order: Mapping[str, object], writer: Writer) -> dict[str, object]:
    """What every dialogue of a session remembers about its making."""
    return {
        "workbench": workbench.__version__,
        "order": order,
        "workflow_id": workflow_id,
        "writer": asdict(writer),
        "prompts": prompt_hash(writer.manner),
    }

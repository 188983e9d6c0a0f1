"""Calls by the batch: a client like any other whose requests travel together, at half the price, within a day.

`BatchClient.complete` waits for the batch that carries its request, so callers are written once: begin as many as there
are, and what is asked within the same second goes out together. Nothing is lost or paid twice by a kill: what is about
to be sent is written down first (`batches-….json` in the job's folder, custom ids that hash the requests), so that even a
batch whose id was never received is found again in the service's own list. Results come in any order and are joined on
the custom id; what expired, was cancelled or failed on the service's side goes out again with a later batch.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from workbench.errors import ServiceError
from workbench.jobs.folder import read_json, write_json
from workbench.jobs.settings import Settings
from workbench.models.attempt import AttemptFailed
from workbench.models.book import CallBook
from workbench.models.client import Reply, Request
from workbench.models.ledger import Budget, RetryPolicy, closed_row, dollars, opened_row
from workbench.models.prices import Price
from workbench.store.rows import CallRow
from workbench.workflow.hashing import digest

MOST_REQUESTS = 10_000
MOST_BYTES = 100_000_000
"""The API takes 100,000 requests or 256 MB; smaller batches end sooner and lose less when they expire."""
_CLOCK_SKEW_S = 300.0


@dataclass(frozen=True, slots=True)
class BatchState:
    """How far a batch is: `done` of `total` requests; `made` in UTC epoch seconds by the service's clock."""

    id: str
    ended: bool
    done: int
    total: int
    made: float


class BatchService(Protocol):
    """A provider's batch interface; single attempts, failures are AttemptFailed."""

    async def submit(self, requests: Mapping[str, Request]) -> str:
        """Send a batch; the keys are its custom ids. Returns the batch's id."""
        ...

    async def state(self, batch_id: str) -> BatchState:
        """How far the service is with a batch."""
        ...

    async def recent(self, since: float) -> list[BatchState]:
        """The batches made after `since` (UTC epoch seconds), newest first."""
        ...

    def results(self, batch_id: str) -> AsyncIterator[tuple[str, Reply | AttemptFailed]]:
        """What became of every request of a batch that has ended, by custom id, in no order."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


@dataclass(slots=True)
class _Batch:
    """A batch as the folder remembers it. `id` None: about to be sent, or sent and the answer never received."""

    items: list[str]
    sent: float
    id: str | None = None
    collected: bool = False


def state_file(folder: Path, name: str) -> Path:
    """Where the job in `folder` remembers its batches of one model: clients of several models share a folder."""
    return folder / f"batches-{digest(name)[:8]}.json"


def under_way(folder: Path, name: str) -> int:
    """Requests to a model in batches that were sent by the job in `folder` and not yet collected."""
    batches = read_json(state_file(folder, name)).get("batches", [])
    return sum(len(batch["items"]) for batch in batches if not batch["collected"])


@dataclass(slots=True)
class _Asked:
    """A request somebody waits for."""

    custom_id: str
    attempt: int
    request: Request
    answer: asyncio.Future[Reply | AttemptFailed]


@dataclass(eq=False)
class BatchClient:
    """A Client over a BatchService: rows in the book, money from the budget, state in `folder`. May be closed and opened
    again at any moment: `recover` comes before the first request.

    `price` is what a batch costs (half). `settings` says when to pause sending, `check` may raise (Stopped) while it
    waits. `linger_s` is how long the last request waits for company, `poll_s` how often the service is asked at least.
    """

    service: BatchService
    name: str
    price: Price | None
    book: CallBook
    folder: Path
    budget: Budget | None = None
    settings: Callable[[], Settings] = Settings
    check: Callable[[], None] = lambda: None
    attempts: int = 3
    linger_s: float = 1.0
    poll_s: tuple[float, float] = (2.0, 60.0)
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    tell: Callable[[str], None] = lambda line: None
    rng: random.Random = field(default_factory=random.Random)

    def __post_init__(self) -> None:
        self._file = state_file(self.folder, self.name)
        self._batches = [_Batch(**entry) for entry in read_json(self._file).get("batches", [])]
        self._queue: dict[str, _Asked] = {}
        self._waiting: dict[str, list[asyncio.Future[Reply | AttemptFailed]]] = {}
        self._rows: dict[str, CallRow] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._arrived = asyncio.Event()
        self._failure: BaseException | None = None

    @property
    def model(self) -> str:
        """The model's name."""
        return self.name

    async def recover(self) -> int:
        """Take up the batches that an earlier process sent and did not collect; returns how many requests they hold."""
        open_rows = {row.id: row for row in self.book.in_flight()}
        for batch in self._batches:
            if batch.collected:
                continue
            for custom_id in batch.items:
                row = open_rows.get(self._row_id(custom_id))
                if row is not None:
                    self._rows[custom_id] = row
                    if self.budget is not None:
                        self.budget.take_over(row.reserved or 0.0)
            self._start(self._follow(batch))
        return sum(len(b.items) for b in self._batches if not b.collected)

    async def settled(self) -> None:
        """Wait until every batch under way has been collected; their answers are in the book then. Raises Stopped."""
        while self._tasks:
            await asyncio.wait(self._tasks)
            await asyncio.sleep(0)
        if self._failure is not None:
            raise self._failure

    async def complete(self, request: Request) -> Reply:
        """The reply, once its batch has ended. Raises ServiceError after the last attempt, BudgetSpent, Stopped."""
        key = self.book.key(self.name, request)
        for attempt in range(1, self.attempts + 1):
            if known := self.book.answered(key):
                return known
            answer = await self._ask(key, request)
            if isinstance(answer, Reply):
                return answer
            if not answer.retryable or attempt == self.attempts:
                raise ServiceError(f"{answer} (in {attempt} batches)" if attempt > 1 else str(answer)) from answer
        raise AssertionError("the last attempt returns or raises")

    async def stream(self, request: Request) -> AsyncIterator[str | Reply]:
        """In one piece."""
        reply = await self.complete(request)
        yield reply.text
        yield reply

    async def close(self) -> None:
        """Stop waiting and release connections; what was sent is taken up again by the next `recover`."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.service.close()

    async def _ask(self, key: str, request: Request) -> Reply | AttemptFailed:
        if self._failure is not None:
            raise self._failure
        answer: asyncio.Future[Reply | AttemptFailed] = asyncio.get_running_loop().create_future()
        carried = [c for b in self._batches for c in b.items if c.startswith(f"{key}-")]
        waiting = next((c for b in self._batches if not b.collected for c in b.items if c in carried), None)
        if waiting is None:
            custom_id = f"{key}-{len(carried) + 1}"
            self._queue[custom_id] = _Asked(custom_id, len(carried) + 1, request, answer)
            if not self._arrived.is_set():
                self._arrived.set()
                self._start(self._flush())
        else:
            self._waiting.setdefault(waiting, []).append(answer)
        return await answer

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Awaitable[None]) -> None:
        """Whatever ends the work of the background ends everybody who waits for it."""
        try:
            await work
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._failure = error
            waiting = [*(a.answer for a in self._queue.values()), *(f for fs in self._waiting.values() for f in fs)]
            for future in waiting:
                if not future.done():
                    future.set_exception(error)

    async def _flush(self) -> None:
        """Once no more requests arrive, send what has come together."""
        seen = -1
        while seen != len(self._queue) or self.settings().paused:
            seen = len(self._queue)
            self.check()
            await self.sleep(self.linger_s)
        self._arrived.clear()
        asked, self._queue = self._queue, {}
        for group in _groups(asked.values()):
            if affordable := [a for a in group if self._reserve(a)]:
                batch = _Batch([a.custom_id for a in affordable], time.time())
                for a in affordable:
                    self._waiting.setdefault(a.custom_id, []).append(a.answer)
                self._batches.append(batch)
                self._save()
                await self._send(batch, {a.custom_id: a.request for a in affordable})

    def _reserve(self, asked: _Asked) -> bool:
        """Set its money aside and open its row; False (and its caller is told) if the budget does not allow it."""
        if asked.answer.done():  # nobody waits for it any more
            return False
        try:
            most = self.budget.reserve(self.name, self.price, asked.request) if self.budget is not None else 0.0
        except ServiceError as error:
            asked.answer.set_exception(error)
            return False
        key = asked.custom_id.rpartition("-")[0]
        row = opened_row(self.name, self.price, asked.request, key, most, asked.attempt)
        self._rows[asked.custom_id] = replace(row, id=self._row_id(asked.custom_id))
        self.book(self._rows[asked.custom_id])
        return True

    async def _send(self, batch: _Batch, requests: Mapping[str, Request]) -> None:
        tries = 0
        while batch.id is None:
            tries += 1
            try:
                batch.id = await self.service.submit(requests)
            except AttemptFailed as failure:
                if failure.kind not in ("limit", "overloaded", "refused", "unsupported"):
                    await self._find(batch)  # it may have arrived all the same
                wait = self.policy.wait(tries, failure, self.rng)
                if batch.id is None and wait is None:
                    self._collected(batch, dict.fromkeys(batch.items, failure), sent=False)
                    return
                if batch.id is None:
                    self.check()
                    await self.sleep(wait or 0.0)
        self._save()
        self.tell(f"batch {batch.id}: {len(batch.items)} requests sent")
        self._start(self._follow(batch))

    async def _find(self, batch: _Batch) -> None:
        """Look for a batch whose id was never received: of its size, made since then, holding its custom ids."""
        known = {b.id for b in self._batches}
        for found in await self._patiently(lambda: self.service.recent(batch.sent - _CLOCK_SKEW_S)):
            if found.id in known or found.total != len(batch.items):
                continue
            await self._ended(found.id)
            async for custom_id, _ in self.service.results(found.id):
                if custom_id in batch.items:
                    batch.id = found.id
                    self._save()
                break
            if batch.id is not None:
                return

    async def _follow(self, batch: _Batch) -> None:
        """Wait for the end of a batch and hand its results out."""
        if batch.id is None:
            await self._find(batch)
        if batch.id is None:
            never = AttemptFailed("connection", f"{self.name}: the batch was never received")
            self._collected(batch, dict.fromkeys(batch.items, never), sent=False)
            return
        try:
            await self._ended(batch.id)
            results = await self._patiently(lambda: self._results(str(batch.id)))
        except AttemptFailed as failure:  # it is gone: deleted, or older than the service keeps them
            results = dict.fromkeys(batch.items, AttemptFailed("server", str(failure), failure.status))
        missing = AttemptFailed("server", f"{self.name}: the batch has no result for the request")
        self._collected(batch, {c: results.get(c, missing) for c in batch.items})

    async def _results(self, batch_id: str) -> dict[str, Reply | AttemptFailed]:
        return {custom_id: result async for custom_id, result in self.service.results(batch_id)}

    async def _ended(self, batch_id: str) -> None:
        wait, longest = self.poll_s
        while True:
            self.check()
            state = await self._patiently(lambda: self.service.state(batch_id))
            if state.ended:
                return
            for _ in range(max(1, round(wait / self.poll_s[0]))):  # in small steps, to hear a request to stop
                self.check()
                await self.sleep(self.poll_s[0])
            wait = min(longest, wait * 1.5)

    async def _patiently(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """The call's result, tried again as long as the policy allows and for ever while the service only is away."""
        tries = 0
        while True:
            tries += 1
            try:
                return await call()
            except AttemptFailed as failure:
                if not failure.retryable:
                    raise
                self.check()
                await self.sleep(self.policy.wait(min(tries, self.policy.attempts - 1), failure, self.rng) or 1.0)

    def _collected(self, batch: _Batch, results: Mapping[str, Reply | AttemptFailed], sent: bool = True) -> None:
        """Book what came of a batch, remember that it did, then tell who waits."""
        spent = time.time() - batch.sent
        told: list[tuple[asyncio.Future[Reply | AttemptFailed], Reply | AttemptFailed]] = []
        with self.book.rec.write():
            for custom_id, result in results.items():
                row = self._rows.pop(custom_id, None)
                if isinstance(result, Reply):
                    cost = dollars(self.price, result)
                    result = replace(result, cost=cost, latency_s=spent)
                if row is not None:
                    self._book(row, result)
                told += [(future, result) for future in self._waiting.pop(custom_id, []) if not future.done()]
        batch.collected = True
        if not sent:
            self._batches.remove(batch)
        self._save()
        for future, result in told:
            future.set_result(result)

    def _book(self, row: CallRow, result: Reply | AttemptFailed) -> None:
        if isinstance(result, Reply):
            cost = result.cost
            self.book(replace(closed_row(row, result), latency=None, ttft=None))  # waiting is no speed of the model
        else:  # the API bills nothing for what errored, expired or was cancelled
            cost = 0.0
            self.book(replace(row, reserved=0.0, error=str(result)))
        if self.budget is not None:
            reserved = row.reserved or 0.0
            self.budget.settle(reserved, reserved if cost is None else cost)

    def _row_id(self, custom_id: str) -> str:
        return digest([self.book.job, custom_id])

    def _save(self) -> None:
        write_json(self._file, {"model": self.name, "batches": [asdict(batch) for batch in self._batches]})


def _groups(asked: Iterable[_Asked]) -> Iterable[list[_Asked]]:
    """Requests in batches that the service takes."""
    group: list[_Asked] = []
    size = 0
    for one in asked:
        bytes_ = sum(len(m.content.encode("utf-8", "replace")) for m in one.request.messages) + 2000
        if group and (len(group) >= MOST_REQUESTS or size + bytes_ > MOST_BYTES):
            yield group
            group, size = [], 0
        group.append(one)
        size += bytes_
    if group:
        yield group

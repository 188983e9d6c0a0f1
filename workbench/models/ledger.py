"""The ledger: every attempt at a call is a row, failed ones are tried again, and the budget is never overdrawn."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from dataclasses import dataclass, field, replace
from typing import Protocol

from workbench.errors import ServiceError
from workbench.models.attempt import AttemptFailed, advice
from workbench.models.client import Client, Reply, Request, Usage, whole
from workbench.models.limiter import Limiter
from workbench.models.prices import Price
from workbench.store.encode import to_json
from workbench.store.rows import CallRow

Recorder = Callable[[CallRow], None]
_NOTHING = 1e-12
"""Dollars: what rounding leaves of sums that are zero."""
IN_FLIGHT = "no answer recorded"
"""The error of a call that has begun and not ended: what a killed process leaves behind."""
_BYTES_A_TOKEN = 2
"""Pessimistic on purpose: what a call may cost at most is set aside before it is made."""


class BudgetSpent(ServiceError):
    """The next call does not fit into the budget; what is finished is kept, a larger budget goes on."""


class Book(Protocol):
    """A ledger that is written before a call as well as after it, and gives answers back (see `models.book`)."""

    def __call__(self, row: CallRow) -> None:
        """Keep a call; a row of the same id is brought up to date."""
        ...

    def key(self, name: str, request: Request) -> str:
        """What names a request in the ledger."""
        ...

    def answered(self, key: str) -> Reply | None:
        """The reply that is already paid for, if there is one."""
        ...


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and when to try again: waits double from `base_s` to `cap_s`, each drawn from its upper half.

    A wait that the service asks for is kept to, unless it is longer than `patience_s`: then the call fails at once.
    """

    attempts: int = 6
    base_s: float = 0.5
    cap_s: float = 30.0
    patience_s: float = 120.0

    def wait(self, attempt: int, failure: AttemptFailed, rng: random.Random) -> float | None:
        """Seconds to wait after the `attempt`-th attempt (from 1) failed; None: give up."""
        if not failure.retryable or attempt >= self.attempts:
            return None
        if failure.kind == "unsupported":
            return 0.0
        backoff = min(self.cap_s, self.base_s * 2.0 ** (attempt - 1)) * rng.uniform(0.5, 1.0)
        if failure.retry_after_s is None:
            return backoff
        return None if failure.retry_after_s > self.patience_s else failure.retry_after_s + backoff * 0.1


@dataclass(slots=True)
class Budget:
    """Dollars that may be spent, shared by all clients that are given it. What is in flight counts at its maximum.

    `limit` None only counts. `latest` is asked for the limit before every call, so that it may change meanwhile.
    """

    limit: float | None
    spent: float = 0.0
    reserved: float = 0.0
    calls: int = 0
    latest: Callable[[], float | None] | None = None
    _waiting: list[asyncio.Future[None]] = field(default_factory=list)

    async def reserve_patiently(self, model: str, price: Price | None, request: Request) -> float:
        """`reserve`, but while calls in flight hold money that may come back, wait for them before giving up."""
        while True:
            try:
                return self.reserve(model, price, request)
            except BudgetSpent:
                alone = self.spent + (most_cost(price, request) if price else 0.0)
                if self.reserved < _NOTHING or alone > (self.limit or 0.0):
                    raise
                self._waiting.append(asyncio.get_running_loop().create_future())
                await self._waiting[-1]

    def reserve(self, model: str, price: Price | None, request: Request) -> float:
        """Set aside the most that one attempt can cost. Raises BudgetSpent when it does not fit any more."""
        if self.latest is not None:
            self.limit = self.latest()
        if price is None:
            if self.limit is None:
                return 0.0
            raise ServiceError(
                f"the price of {model} is unknown, so the budget of ${self.limit:g} cannot be kept: "
                "add it to prices.json in the home folder"
            )
        most = most_cost(price, request)
        if self.limit is not None and self.spent + self.reserved + most > self.limit:
            raise BudgetSpent(
                f"the budget of ${self.limit:g} is used up (${self.spent:.4f} spent, and the next call may cost "
                f"${most:.4f}): finished work is kept; give a larger budget to go on"
            )
        self.reserved += most
        return most

    def take_over(self, reserved: float) -> None:
        """Count `reserved` as in flight instead of spent: a call that an earlier process began may still be answered."""
        self.spent -= reserved
        self.reserved += reserved

    def settle(self, reserved: float, cost: float) -> None:
        """Book what an attempt really cost."""
        self.reserved -= reserved
        self.spent += cost
        self.calls += 1
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


def most_cost(price: Price, request: Request) -> float:
    """The most US dollars that one attempt at `request` can cost, whatever a prompt cache does."""
    texts = (*(m.content for m in request.messages), *request.choices, str(request.schema or ""))
    tokens = sum(len(t.encode("utf-8", "replace")) for t in texts) // _BYTES_A_TOKEN + 16 * (1 + len(request.messages))
    return max(
        price.cost(Usage(input=tokens, output=request.max_tokens)),
        price.cost(Usage(cache_write=tokens, output=request.max_tokens)),
    )


def dollars(price: Price | None, reply: Reply) -> float | None:
    """What a reply cost, None where the price or the usage is unknown."""
    if price is None:
        return None
    if price.second:
        said = reply.detail.get("machine_s")
        return price.second * (float(said) if isinstance(said, int | float) else reply.latency_s)
    return price.cost(reply.usage) if reply.detail.get("usage") != "not reported" else None


async def one_attempt(client: Client, request: Request, name: str) -> Reply:
    """One attempt at a whole reply, read from a stream where the request says so. Raises AttemptFailed; `name` is for it."""
    reply = await (whole(client.stream(request)) if request.streamed else client.complete(request))
    if reply is None:
        raise _cut(name)
    return reply


def _cut(name: str) -> AttemptFailed:
    return AttemptFailed("cut", f"{name}: the stream ended without a reply")


@dataclass(eq=False)
class LedgerClient:
    """Wraps a client that makes single attempts: retries, prices, one CallRow an attempt, a hard budget.

    `name` is the model's name in the ledger. `price` None means unknown: cost is then None, never 0. `free` says that
    no money is owed for the calls (a local model), so that a budget does not concern them. A `book` takes the place of
    `record`: it also knows of calls in flight, and what it remembers as answered is not asked again. Every attempt
    waits for its slot in `limiter`; waits between attempts hold none, and `tell` hears of each in a line for people.
    """

    inner: Client
    name: str
    price: Price | None = None
    record: Recorder | None = None
    budget: Budget | None = None
    book: Book | None = None
    limiter: Limiter | None = None
    free: bool = False
    tell: Callable[[str], None] = lambda line: None
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.perf_counter
    rng: random.Random = field(default_factory=random.Random)

    @property
    def model(self) -> str:
        """The model's own name."""
        return self.inner.model

    async def complete(self, request: Request) -> Reply:
        """The whole reply; `detail["attempts"]` counts what it took. Raises ServiceError after the last attempt."""
        if known := self._answered(request):
            return known
        attempt = 0
        while True:
            attempt += 1
            try:
                async with self._slot():
                    return await self._attempt(request, attempt)
            except AttemptFailed as failure:
                await self._pause(attempt, failure)

    async def _attempt(self, request: Request, attempt: int) -> Reply:
        entry = await self._begin(request, attempt)
        try:
            reply = await one_attempt(self.inner, request, self.name)
        except BaseException as error:
            entry.failed(error)
            raise
        return entry.done(reply)

    async def stream(self, request: Request) -> AsyncIterator[str | Reply]:
        """Chunks, then the Reply. Tried again only while nothing has been given out; after that a failure is final."""
        if known := self._answered(request):
            yield known.text
            yield known
            return
        attempt = 0
        while True:
            attempt += 1
            given = False
            try:
                async with self._slot(), aclosing(self._streamed(request, attempt)) as pieces:
                    async for piece in pieces:
                        given = True
                        yield piece
                return
            except AttemptFailed as failure:
                if given:
                    raise ServiceError(_line(failure, 1)) from failure
                await self._pause(attempt, failure)

    async def _streamed(self, request: Request, attempt: int) -> AsyncGenerator[str | Reply]:
        entry = await self._begin(request, attempt)
        try:
            async for piece in self.inner.stream(request):
                if isinstance(piece, Reply):
                    yield entry.done(piece)
                    return
                yield piece
            raise _cut(self.name)
        except BaseException as error:
            entry.failed(error)
            raise

    async def close(self) -> None:
        """Release the inner client."""
        await self.inner.close()

    async def _begin(self, request: Request, attempt: int) -> _Entry:
        """Set the attempt's money aside and open its row. Raises BudgetSpent."""
        reserved = 0.0
        if self.budget is not None and not self.free:
            reserved = await self.budget.reserve_patiently(self.name, self.price, request)
        return _Entry(self, request, attempt, reserved)

    def _answered(self, request: Request) -> Reply | None:
        return self.book.answered(self.book.key(self.name, request)) if self.book else None

    def _slot(self) -> AbstractAsyncContextManager[object]:
        return self.limiter.slot() if self.limiter else nullcontext()

    async def _pause(self, attempt: int, failure: AttemptFailed) -> None:
        wait = self.policy.wait(attempt, failure, self.rng)
        if wait is None:
            raise ServiceError(_line(failure, attempt)) from failure
        if failure.kind != "unsupported":
            self.tell(f"trying again ({attempt + 1} of {self.policy.attempts}) in {wait:.1f} s: {failure}")
        await self.sleep(wait)


def _line(failure: AttemptFailed, attempts: int) -> str:
    """The failure for a person: what happened, how often it was tried, what to do."""
    tried = f" (after {attempts} attempts)" if attempts > 1 else ""
    todo = advice(failure)
    return f"{failure}{tried}{f'; {todo}' if todo else ''}"


class _Entry:
    """One attempt: money set aside at the start, booked and recorded once at the end."""

    def __init__(self, client: LedgerClient, request: Request, attempt: int, reserved: float) -> None:
        self.client, self.attempt, self.reserved = client, attempt, reserved
        self.began = client.clock()
        self.closed = False
        key = client.book.key(client.name, request) if client.book else ""
        self.row = opened_row(client.name, client.price, request, key, self.reserved, attempt)
        if client.book is not None:
            client.book(self.row)

    def done(self, reply: Reply) -> Reply:
        cost = dollars(self.client.price, reply)
        priced = replace(reply, cost=cost, detail={**reply.detail, "attempts": self.attempt})
        self._book(self.reserved if cost is None else cost)
        self._note(closed_row(self.row, priced))
        return priced

    def failed(self, error: BaseException) -> None:
        if self.closed:  # the consumer left after the reply had been booked
            return
        # what broke off on the way may have been billed: the budget counts the most it can have cost
        unbilled = isinstance(error, AttemptFailed) and error.kind not in ("cut", "timeout", "malformed")
        reserved = 0.0 if unbilled else self.reserved
        self._book(reserved)
        line = str(error) if isinstance(error, ServiceError) else type(error).__name__
        self._note(replace(self.row, reserved=reserved, latency=self.client.clock() - self.began, error=line))

    def _book(self, cost: float) -> None:
        self.closed = True
        if self.client.budget is not None and not self.client.free:
            self.client.budget.settle(self.reserved, cost)

    def _note(self, row: CallRow) -> None:
        keep = self.client.book or self.client.record
        if keep is not None:
            keep(row)


def opened_row(name: str, price: Price | None, request: Request, key: str, reserved: float, attempt: int) -> CallRow:
    """The ledger's row of a call that begins."""
    kind, _, owner = request.owner.rpartition(":")
    return CallRow(
        id=uuid.uuid4().hex,
        purpose=request.purpose,
        model=name,
        owner_kind=kind,
        owner_id=owner,
        price_date=price.date if price else None,
        attempt=attempt,
        error=IN_FLIGHT,
        reserved=reserved,
        request=key,
    )


def closed_row(row: CallRow, reply: Reply) -> CallRow:
    """The same row once the call was answered; `reply.cost` is known or None."""
    kept = {"text": reply.text, "stop_reason": reply.stop_reason, "model": reply.model, "detail": dict(reply.detail)}
    return replace(
        row,
        input=reply.usage.input,
        output=reply.usage.output,
        cache_read=reply.usage.cache_read,
        cache_write=reply.usage.cache_write,
        cost=reply.cost,
        latency=reply.latency_s,
        ttft=reply.ttft_s,
        error=None,
        reply=to_json(kept) if row.request else None,
    )

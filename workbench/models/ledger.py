"""The ledger: every attempt at a call is a row, failed ones are tried again, and the budget is never overdrawn."""

from __future__ import annotations

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace

from workbench.errors import ServiceError
from workbench.models.attempt import AttemptFailed
from workbench.models.client import Client, Reply, Request, Usage
from workbench.models.prices import Price
from workbench.store.rows import CallRow

Recorder = Callable[[CallRow], None]
_CHARACTERS_A_TOKEN = 2
"""Pessimistic on purpose: what a call may cost at most is set aside before it is made."""


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
    """Dollars that may be spent, shared by all clients that are given it. What is in flight counts at its maximum."""

    limit: float
    spent: float = 0.0
    reserved: float = 0.0
    calls: int = 0

    def reserve(self, model: str, price: Price | None, request: Request) -> float:
        """Set aside the most that one attempt can cost. Raises ServiceError when it does not fit any more."""
        if price is None:
            raise ServiceError(
                f"the price of {model} is unknown, so the budget of ${self.limit:g} cannot be kept: "
                "add it to prices.json in the home folder"
            )
        characters = sum(len(m.content) for m in request.messages) + sum(len(c) for c in request.choices)
        tokens = characters // _CHARACTERS_A_TOKEN + 16 * (1 + len(request.messages))
        most = max(
            price.cost(Usage(input=tokens, output=request.max_tokens)),
            price.cost(Usage(cache_write=tokens, output=request.max_tokens)),
        )
        if self.spent + self.reserved + most > self.limit:
            raise ServiceError(
                f"the budget of ${self.limit:g} is used up (${self.spent:.4f} spent in {self.calls} calls): "
                "finished work is kept; give a larger budget to go on"
            )
        self.reserved += most
        return most

    def settle(self, reserved: float, cost: float) -> None:
        """Book what an attempt really cost."""
        self.reserved -= reserved
        self.spent += cost
        self.calls += 1


@dataclass(eq=False)
class LedgerClient:
    """Wraps a client that makes single attempts: retries, prices, one CallRow an attempt, a hard budget.

    `name` is the model's name in the ledger. `price` None means unknown: cost is then None, never 0. `free` says that
    no money is owed for the calls (a local model), so that a budget does not concern them.
    """

    inner: Client
    name: str
    price: Price | None = None
    record: Recorder | None = None
    budget: Budget | None = None
    free: bool = False
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
        attempt = 0
        while True:
            attempt += 1
            entry = _Entry(self, request, attempt)
            try:
                reply = await self.inner.complete(request)
            except AttemptFailed as failure:
                entry.failed(failure)
                await self._pause(attempt, failure)
                continue
            except BaseException as error:
                entry.failed(error)
                raise
            return entry.done(reply)

    async def stream(self, request: Request) -> AsyncIterator[str | Reply]:
        """Chunks, then the Reply. Tried again only while nothing has been given out; after that a failure is final."""
        attempt = 0
        while True:
            attempt += 1
            entry = _Entry(self, request, attempt)
            given = False
            try:
                async for piece in self.inner.stream(request):
                    if isinstance(piece, Reply):
                        yield entry.done(piece)
                        return
                    given = True
                    yield piece
                raise AttemptFailed("cut", f"{self.name}: the stream ended without a reply")
            except AttemptFailed as failure:
                entry.failed(failure)
                if given:
                    raise
                await self._pause(attempt, failure)
            except BaseException as error:
                entry.failed(error)
                raise

    async def close(self) -> None:
        """Release the inner client."""
        await self.inner.close()

    async def _pause(self, attempt: int, failure: AttemptFailed) -> None:
        wait = self.policy.wait(attempt, failure, self.rng)
        if wait is None:
            tried = f" (after {attempt} attempts)" if attempt > 1 else ""
            raise ServiceError(f"{failure}{tried}") from failure
        await self.sleep(wait)


class _Entry:
    """One attempt: money set aside at the start, booked and recorded once at the end."""

    def __init__(self, client: LedgerClient, request: Request, attempt: int) -> None:
        self.client, self.request, self.attempt = client, request, attempt
        self.began = client.clock()
        self.closed = False
        self.reserved = 0.0
        if client.budget is not None and not client.free:
            self.reserved = client.budget.reserve(client.name, client.price, request)

    def done(self, reply: Reply) -> Reply:
        price = self.client.price
        known = price is not None and reply.detail.get("usage") != "not reported"
        cost = price.cost(reply.usage) if price is not None and known else None
        priced = replace(reply, cost=cost, detail={**reply.detail, "attempts": self.attempt})
        self._book(self.reserved if cost is None else cost)
        self._note(reply.usage, cost, priced.latency_s, priced.ttft_s, None)
        return priced

    def failed(self, error: BaseException) -> None:
        if self.closed:  # the consumer left after the reply had been booked
            return
        # what broke off on the way may have been billed: the budget counts the most it can have cost
        unbilled = isinstance(error, AttemptFailed) and error.kind not in ("cut", "timeout", "malformed")
        self._book(0.0 if unbilled else self.reserved)
        line = str(error) if isinstance(error, ServiceError) else type(error).__name__
        self._note(Usage(), None, self.client.clock() - self.began, None, line)

    def _book(self, cost: float) -> None:
        self.closed = True
        if self.client.budget is not None and not self.client.free:
            self.client.budget.settle(self.reserved, cost)

    def _note(self, usage: Usage, cost: float | None, latency: float, ttft: float | None, error: str | None) -> None:
        client = self.client
        if client.record is None:
            return
        kind, _, owner = self.request.owner.rpartition(":")
        client.record(
            CallRow(
                id=uuid.uuid4().hex,
                purpose=self.request.purpose,
                model=client.name,
                owner_kind=kind,
                owner_id=owner,
                input=usage.input,
                output=usage.output,
                cache_read=usage.cache_read,
                cache_write=usage.cache_write,
                cost=cost,
                latency=latency,
                ttft=ttft,
                price_date=client.price.date if client.price else None,
                attempt=self.attempt,
                error=error,
            )
        )

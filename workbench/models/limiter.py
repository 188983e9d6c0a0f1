"""How many calls may be in flight: it grows while the service keeps up and shrinks when it says "too many".

Additive increase, multiplicative decrease, as TCP does it: after each round of successes at full width one call more,
after a 429 or 529 four fifths of the width, once for all the calls that were in flight together. What the service asks
to wait (`retry-after`) holds all calls, not only the one that was turned away. A fixed concurrency neither grows nor
shrinks, but waits when asked to. Concurrency and pause are read again and again, so that both can be changed while the
work runs.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from workbench.jobs.context import JobContext
from workbench.jobs.settings import Settings
from workbench.models.attempt import AttemptFailed

START = 4
CEILING = 64
DECREASE = 0.8
_POLL_SECONDS = 0.2
T = TypeVar("T")


@dataclass(slots=True)
class Slot:
    """One call's leave to be in flight. `began` is the limiter's clock at its beginning."""

    began: float


class Limiter:
    """Shared by all clients that call one service. Belongs to one event loop.

    `settings` says concurrency (None: adapt, from `start` up to `ceiling`) and pause; `check` may raise (Stopped, when
    a job is asked to stop) and is asked by whoever waits. `width` is how many calls may be in flight now.
    """

    def __init__(
        self,
        settings: Callable[[], Settings] = Settings,
        check: Callable[[], None] = lambda: None,
        *,
        start: int = START,
        ceiling: int = CEILING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings, self._check, self._clock = settings, check, clock
        self._ceiling = ceiling
        self._width = float(start)
        self._shrunk = self._not_before = float("-inf")
        self._waiting: deque[asyncio.Future[None]] = deque()
        self.running = 0

    @classmethod
    def of_job(cls, ctx: JobContext, start: int = START, ceiling: int = CEILING) -> Limiter:
        """The limiter of a job: its settings file decides, and a request to stop ends the waiting (Stopped)."""
        return cls(lambda: ctx.settings, ctx.check, start=start, ceiling=ceiling)

    def widen(self, start: int, ceiling: int) -> None:
        """Begin anew at another width: more processes than one will make the calls."""
        self._width, self._ceiling = float(start), ceiling

    @property
    def width(self) -> int:
        """Calls that may be in flight now, pauses aside."""
        return self._settings().concurrency or max(1, int(self._width))

    @property
    def paused(self) -> bool:
        """Whether nothing new may begin, by the settings or because the service asked to wait."""
        return self._settings().paused or self._clock() < self._not_before

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[Slot]:
        """Wait for leave, first come, first served; hold it for the call in the block, and learn from its outcome.

        AttemptFailed of the kinds `limit` and `overloaded` narrows the width; a block that ends well widens it.
        """
        await self._enter()
        held = Slot(self._clock())
        try:
            yield held
            self._succeeded()
        except AttemptFailed as failure:
            if failure.kind in ("limit", "overloaded"):
                self._turned_away(held, failure.retry_after_s)
            raise
        finally:
            self.running -= 1
            self._admit()

    async def _enter(self) -> None:
        mine: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        try:
            while True:
                self._check()
                self._admit()
                if mine.done():
                    return
                await asyncio.wait((mine,), timeout=_POLL_SECONDS)  # settings change without telling
        except BaseException:
            if mine.done():  # admitted, but its caller is gone
                self.running -= 1
            else:
                self._waiting.remove(mine)
            self._admit()
            raise

    def _admit(self) -> None:
        while self._waiting and not self.paused and self.running < self.width:
            self._waiting.popleft().set_result(None)
            self.running += 1

    def _succeeded(self) -> None:
        if self.running >= int(self._width):  # only a width that is used can prove itself
            self._width = min(self._ceiling, self._width + 1 / self._width)

    def _turned_away(self, held: Slot, wait_s: float | None) -> None:
        now = self._clock()
        if held.began > self._shrunk:  # the others of the same crowd say nothing new
            self._width, self._shrunk = max(1.0, self._width * DECREASE), now
        if wait_s is not None:
            self._not_before = max(self._not_before, now + wait_s)


async def each(items: Iterable[T], work: Callable[[T], Awaitable[None]], limiter: Limiter) -> None:
    """Do `work` on every item, in order of beginning, with no more of them under way than calls may be in flight.

    Items are drawn only as they are begun. The first error, of the work or of the items, ends it once what is under way
    has come to its own end, so that calls which are paid for are also kept; cancelling it cancels what is under way.
    """
    active: set[asyncio.Task[None]] = set()
    source = iter(items)
    failed: BaseException | None = None
    try:
        more = True
        while active or more:
            while more and failed is None and len(active) < limiter.width:
                try:
                    active.add(asyncio.ensure_future(_run(work, next(source))))
                    await asyncio.sleep(0)  # begun one after another they stay apart; begun at once, all wait for all
                except StopIteration:
                    more = False
                except Exception as error:  # the source's own, a request to stop, say
                    failed = error
            if not active:
                break
            done, active = await asyncio.wait(active, timeout=_POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            for raised in [task.exception() for task in done]:
                failed = failed or raised
            more = more and failed is None
    finally:
        for task in active:
            task.cancel()
    if failed is not None:
        raise failed


async def _run(work: Callable[[T], Awaitable[None]], item: T) -> None:
    await work(item)

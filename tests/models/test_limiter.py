"""Concurrency that grows while it works, shrinks at 429 and 529, waits when asked to, and can be changed meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.jobs.context import Stopped
from workbench.jobs.settings import Settings
from workbench.models.attempt import AttemptFailed, Kind
from workbench.models.limiter import Limiter, each


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


class Crowd:
    """Calls that stay in flight until they are let go."""

    def __init__(self, limiter: Limiter) -> None:
        self.limiter = limiter
        self.inside: list[asyncio.Event] = []
        self.order: list[int] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def _call(self, number: int, failure: AttemptFailed | None) -> None:
        async with self.limiter.slot():
            go = asyncio.Event()
            self.inside.append(go)
            self.order.append(number)
            await go.wait()
            self.inside.remove(go)
            if failure:
                raise failure

    async def arrive(self, number: int, failure: AttemptFailed | None = None) -> None:
        first = len(self.tasks)
        self.tasks += [asyncio.create_task(self._call(first + n, failure)) for n in range(number)]
        await settle()

    async def leave(self) -> None:
        for go in list(self.inside):
            go.set()
        await settle()

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


def too_many(kind: Kind = "limit", wait: float | None = None) -> AttemptFailed:
    return AttemptFailed(kind, "too many", 429, wait)


async def test_it_starts_small_grows_while_full_and_serves_in_order() -> None:
    crowd = Crowd(Limiter(start=2, ceiling=5))
    await crowd.arrive(60)
    widths = []
    for _ in range(20):
        widths.append(len(crowd.inside))
        await crowd.leave()
    assert widths[0] == 2
    assert max(widths) == 5
    assert widths[:12] == sorted(widths[:12])
    assert crowd.order == sorted(crowd.order)
    assert crowd.limiter.running == 0


async def test_it_does_not_grow_while_its_width_is_not_used() -> None:
    limiter = Limiter(start=4)
    for _ in range(50):
        async with limiter.slot():
            pass
    assert limiter.width == 4


@pytest.mark.parametrize("kind", ["limit", "overloaded"])
async def test_a_crowd_turned_away_shrinks_it_once(kind: Kind) -> None:
    clock = Clock()
    crowd = Crowd(Limiter(start=10, clock=clock))
    clock.now = 1
    await crowd.arrive(10, too_many(kind))
    clock.now = 2
    await crowd.leave()
    assert crowd.limiter.width == 8
    clock.now = 3
    await crowd.arrive(8, too_many(kind))
    clock.now = 4
    await crowd.leave()
    assert crowd.limiter.width == 6
    await crowd.arrive(1, AttemptFailed("server", "500", 500))
    await crowd.leave()
    assert crowd.limiter.width == 6
    await crowd.end()


async def test_retry_after_holds_everybody_until_its_time() -> None:
    clock = Clock()
    crowd = Crowd(Limiter(start=2, clock=clock))
    await crowd.arrive(1, too_many(wait=30))
    await crowd.leave()
    await crowd.arrive(2)
    assert crowd.inside == []
    assert crowd.limiter.paused
    clock.now = 30
    crowd.limiter._admit()
    await settle()
    assert len(crowd.inside) == 1  # 2 x 0.8
    await crowd.end()


async def test_concurrency_and_pause_follow_the_settings_while_it_runs() -> None:
    now = Settings(concurrency=3)
    crowd = Crowd(Limiter(lambda: now))
    await crowd.arrive(30)
    assert len(crowd.inside) == 3
    now = replace(now, paused=True)
    await crowd.leave()
    assert crowd.inside == []
    now = replace(now, paused=False, concurrency=7)
    await asyncio.wait_for(_until(lambda: len(crowd.inside) == 7), 30)
    now = replace(now, concurrency=1)
    await crowd.leave()
    assert len(crowd.inside) == 1
    await crowd.end()
    assert crowd.limiter.running == 0


async def _until(condition: object) -> None:
    assert callable(condition)
    while not condition():
        await asyncio.sleep(0.01)


async def test_whoever_waits_is_told_to_stop() -> None:
    stopping = False

    def check() -> None:
        if stopping:
            raise Stopped

    crowd = Crowd(Limiter(lambda: Settings(concurrency=1), check))
    await crowd.arrive(2)
    stopping = True
    with pytest.raises(Stopped):
        await asyncio.wait_for(crowd.tasks[1], 30)
    await crowd.leave()
    assert crowd.tasks[0].exception() is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["ok", "limit", "cancel", "server"]), max_size=60), st.integers(1, 6))
def test_no_slot_is_ever_lost_or_lent_twice(outcomes: list[str], width: int) -> None:
    async def run() -> None:
        limiter = Limiter(lambda: Settings(concurrency=width))
        most = 0

        async def call(outcome: str) -> None:
            nonlocal most
            async with limiter.slot():
                most = max(most, limiter.running)
                await asyncio.sleep(0)
                if outcome in ("limit", "server"):
                    raise AttemptFailed(outcome, "no")  # type: ignore[arg-type]

        tasks = [asyncio.create_task(call(o)) for o in outcomes]
        await asyncio.sleep(0)
        for task, outcome in zip(tasks, outcomes, strict=True):
            if outcome == "cancel":
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (limiter.running, most <= width) == (0, True)

    asyncio.run(run())


async def test_each_draws_items_only_as_they_begin_and_ends_with_the_first_error() -> None:
    drawn: list[int] = []
    ended: list[int] = []

    def source() -> Iterator[int]:
        for number in range(1000):
            drawn.append(number)
            yield number

    async def work(number: int) -> None:
        await asyncio.sleep(0)
        if number == 5:
            raise ValueError("five")
        await asyncio.sleep(0.01)
        ended.append(number)

    with pytest.raises(ValueError, match="five"):
        await each(source(), work, Limiter(lambda: Settings(concurrency=3)))
    assert max(drawn) <= 8
    assert sorted([*ended, 5]) == drawn  # what had begun came to its own end


async def test_each_lets_what_is_under_way_end_when_its_items_raise() -> None:
    ended: list[int] = []

    def source() -> Iterator[int]:
        yield from (1, 2)
        raise Stopped

    async def work(number: int) -> None:
        await asyncio.sleep(0.01)
        ended.append(number)

    with pytest.raises(Stopped):
        await each(source(), work, Limiter(lambda: Settings(concurrency=3)))
    assert ended == [1, 2]

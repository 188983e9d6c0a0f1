"""One column of a live conversation by itself: what comes while it is busy with something else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import pytest

from workbench.agents.base import AgentTurn, UserTurn
from workbench.agents.conversation import Spoken
from workbench.agents.live_column import Column, Place
from workbench.dialogue.model import Message
from workbench.errors import ServiceError


class Greeter:
    """Says one thing, whatever it hears."""

    name = "greeter"

    async def stream(self, text: str | None) -> AsyncIterator[str | AgentTurn]:
        yield AgentTurn("Hello")

    async def close(self) -> None:
        pass


class Keeper:
    """Notes what is published; reading the place takes until `read` is set."""

    def __init__(self) -> None:
        self.types: list[str] = []
        self.reading, self.read = asyncio.Event(), asyncio.Event()

    def publish(self, type_: str, data: Mapping[str, Any]) -> None:
        self.types.append(type_)

    async def keep(self, column: Column, first: int, messages: Sequence[Spoken]) -> None:
        pass

    async def locate(self, messages: Sequence[object]) -> Place:
        self.reading.set()
        await self.read.wait()
        return Place()

    def remake(self, column: Column) -> tuple[Any, Any]:
        return Greeter(), column._user


class Thinker:
    """A simulated user that thinks until it is let go; then it says something, or fails as often as it is told to."""

    name = "llm:slow"

    def __init__(self, failures: int = 0) -> None:
        self.thinking, self.go = asyncio.Event(), asyncio.Event()
        self.failures = failures

    async def answer(self, history: Sequence[Message]) -> UserTurn:
        self.thinking.set()
        await self.go.wait()
        if self.failures:
            self.failures -= 1
            raise ServiceError("overloaded")
        return UserTurn("simulated")


async def settled() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def with_thinker(user: Thinker) -> tuple[Column, asyncio.Task[None]]:
    """A column whose agent has opened and whose simulated user thinks."""
    keeper = Keeper()
    keeper.read.set()
    column = Column(0, Greeter(), "c", keeper, user=user)  # type: ignore[arg-type]
    running = asyncio.create_task(column.run())
    column.autopilot(1)
    await user.thinking.wait()
    return column, running


def words(column: Column) -> list[str]:
    return [m.text for m in column.messages]


async def test_ended_while_its_place_is_read_it_stays_ended() -> None:
    keeper = Keeper()
    column = Column(0, Greeter(), "c", keeper)  # type: ignore[arg-type]
    running = asyncio.create_task(column.run())
    await keeper.reading.wait()
    await column.end()
    keeper.read.set()
    while "place" not in keeper.types:
        await asyncio.sleep(0)
    for _ in range(10):
        await asyncio.sleep(0)
    assert column.state == "ended"
    running.cancel()


async def test_who_takes_over_while_the_simulated_user_thinks_is_heard_alone() -> None:
    user = Thinker()
    column, running = await with_thinker(user)
    column.say("me")
    user.go.set()
    await settled()
    assert words(column) == ["Hello", "me", "Hello"]
    column.autopilot(1)
    await settled()
    assert words(column)[3:] == ["simulated", "Hello"]
    running.cancel()


async def test_ended_while_the_simulated_user_thinks_it_stays_ended() -> None:
    user = Thinker()
    column, running = await with_thinker(user)
    await column.end()
    user.go.set()
    await settled()
    assert (column.state, words(column)) == ("ended", ["Hello"])
    column.autopilot(1)
    await settled()
    assert (column.state, words(column)) == ("ended", ["Hello"])
    running.cancel()


async def test_going_back_while_the_simulated_user_thinks_says_nothing_of_its() -> None:
    user = Thinker()
    column, running = await with_thinker(user)
    column.go_back(1, "anew")
    user.go.set()
    await settled()
    assert words(column) == ["Hello", "anew", "Hello"]
    running.cancel()


@pytest.mark.parametrize("by_hand", [False, True])
async def test_a_simulated_user_that_failed_is_asked_again_or_somebody_speaks_instead(by_hand: bool) -> None:
    user = Thinker(failures=1)
    column, running = await with_thinker(user)
    user.go.set()
    await settled()
    assert (column.state, column.error) == ("failed", "the simulated user failed: overloaded")
    if by_hand:
        column.say("me")
    else:
        column.retry()
    await settled()
    assert (column.state, words(column)) == ("ready", ["Hello", "me" if by_hand else "simulated", "Hello"])
    running.cancel()


async def test_a_simulated_user_that_speaks_to_one_column_alone_lets_it_diverge() -> None:
    user = Thinker()
    column, running = await with_thinker(user)
    column.autopilot(0, alone=True)
    assert not column.diverged
    column.autopilot(1, alone=True)
    assert column.diverged
    running.cancel()

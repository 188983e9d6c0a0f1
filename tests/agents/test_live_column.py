"""One column of a live conversation by itself: what comes while it is busy with something else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from workbench.agents.base import AgentTurn
from workbench.agents.conversation import Spoken
from workbench.agents.live_column import Column, Place


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

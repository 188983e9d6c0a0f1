"""Works for the tests, by name importable on workers too."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from workbench.models.client import ChatMessage, Request
from workbench.spread.work import Desk


@dataclass(frozen=True)
class Echo:
    """Gives the item back, after a moment."""

    seconds: float = 0.0

    async def __call__(self, item: int, desk: Desk) -> tuple[int, bytes]:
        await asyncio.sleep(self.seconds)
        return item, bytes(1000)


@dataclass(frozen=True)
class Fragile:
    """ "raise" raises, "kill" takes its worker along; both note in a file that they were begun."""

    notes: Path

    async def __call__(self, item: str, desk: Desk) -> str:
        await asyncio.sleep(0.05)
        if not item.isdigit():
            with (self.notes / item).open("a") as out:
                out.write("x")
        if item == "kill":
            os._exit(1)
        if item == "raise":
            raise ValueError("this one is rotten")
        return item * 2


@dataclass(frozen=True)
class Asks:
    """Two calls, the second about the first one's answer."""

    model: str

    async def __call__(self, item: str, desk: Desk) -> str:
        client = desk.client(self.model)
        first = await client.complete(Request((ChatMessage("user", item),), owner=f"item:{item}"))
        second = await client.complete(Request((ChatMessage("user", f"{item} {first.text}"),), owner=f"item:{item}"))
        return second.text


class Unreadable:
    """An item that a worker cannot unpack, as when what it is made of is not installed there."""

    def __reduce__(self) -> tuple[object, tuple[()]]:
        return _unreadable, ()


def _unreadable() -> None:
    raise ModuleNotFoundError("unreadable here")

"""One item of work, and the place that does it: the seam between what is to be done and where it runs.

A *work* is an async function of an item (one dialogue, one conversation, one verdict) that keeps nothing: it gets its
models from the *desk* and returns what the caller puts into the record. So the same function runs on this event loop
(`Here`) and on a worker that has neither the record nor the budget (`workbench.spread.cluster`).
"""

from __future__ import annotations

import sqlite3
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from workbench.errors import ServiceError, UserError
from workbench.jobs.context import JobContext, Stopped
from workbench.jobs.where import parse_where, prepare
from workbench.models.client import Client
from workbench.models.ledger import LedgerClient
from workbench.text import clean_line

Item = TypeVar("Item", contravariant=True)
Result = TypeVar("Result", covariant=True)
_NOT_THE_ITEMS = (UserError, Stopped, OSError, MemoryError, sqlite3.Error)
"""What ends the whole work, or is the work's own way to say that an item could not be had."""


class Desk(Protocol):
    """What a work finds where it is done."""

    @property
    def stopping(self) -> bool:
        """Whether the work was asked to stop: an item may then end early."""
        ...

    def client(self, name: str) -> Client:
        """The client of a model by its name; its calls are limited, paid and recorded by whoever runs the work."""
        ...


class Work(Protocol[Item, Result]):
    """An async function of an item and a desk. It and its items and results can be pickled; it changes nothing."""

    async def __call__(self, item: Item, desk: Desk, /) -> Result:
        """The item's result. ServiceError: it could not be had now; anything unforeseen poisons the item."""
        ...


class Place(Protocol):
    """Where work is done. How many items are under way at once is the caller's business (`models.limiter.each`).

    `workers` says how many processes do it: what one of them may begin with, all of them may together.
    """

    workers: int

    async def do(self, work: Work[Item, Result], item: Item) -> Result:
        """The item's result. Raises what the work raises, and Poisoned for an item that cannot be done at all."""
        ...

    async def close(self) -> None:
        """Let go of what the place holds."""
        ...


class Poisoned(ServiceError):
    """An item that its work cannot do: it raises what nobody foresaw, or the workers die of it. The others go on."""


@dataclass(eq=False)
class Here:
    """This event loop: a desk with the clients that `opened` gives, and the place that works at it."""

    opened: Callable[[str], Client]
    asked_to_stop: Callable[[], bool] = lambda: False
    workers: int = 1

    @property
    def stopping(self) -> bool:
        """Whether the job was asked to stop."""
        return self.asked_to_stop()

    def client(self, name: str) -> Client:
        """The client of a model."""
        return self.opened(name)

    async def do(self, work: Work[Item, Result], item: Item) -> Result:
        """Do it now; of an item that is poisoned the log has the whole story."""
        try:
            return await work(item, self)
        except _NOT_THE_ITEMS:
            raise
        except Exception as error:
            traceback.print_exc()
            raise poisoned(error) from error

    async def close(self) -> None:
        """Nothing is held: the clients belong to whoever opened them."""


async def open_place(
    ctx: JobContext,
    opened: Callable[[str], Client],
    models: Sequence[str],
    ledger: Callable[[str, Client], LedgerClient],
) -> Place:
    """The place that the job's settings name: here, with the clients that `opened` gives, or a cluster, for which `ledger`
    puts the job's book, budget and limits around a client of single attempts. Raises UserError, ServiceError."""
    on = parse_where(ctx.settings.on)
    if not on:
        return Here(opened, lambda: ctx.stopping)
    if ctx.settings.batch:
        raise UserError("--batch sends everything from one place: leave out either --batch or --on")
    prepare(on)
    from workbench.spread.cluster import Cluster

    return await Cluster.open(on, ctx, models, ledger)


def poisoned(cause: BaseException | str, tries: int = 1) -> Poisoned:
    """The error of an item, in one line."""
    line = cause if isinstance(cause, str) else f"{type(cause).__name__}: {cause}"
    return Poisoned(clean_line(f"it cannot be done{f' (tried {tries} times)' if tries > 1 else ''}: {line}", 300))

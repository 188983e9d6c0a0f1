"""Work on the workers of a Ray cluster: Ray places them and says which have died; this side holds the books.

The driver (the job's own process) is the one place where calls wait for a slot, where the budget is kept and where the
record is written, as without a cluster: a call stands in the record before a worker makes it. So a lost node costs no
recorded answer, and nothing has to be agreed upon between machines. What was under way on a worker that died is begun
again on another; its answers that had reached the record are given back from there.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import platform
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from typing import Any

import workbench
from workbench.errors import ServiceError, UserError
from workbench.jobs.context import JobContext, Stopped
from workbench.jobs.identity import boot, host
from workbench.jobs.ray_cluster import (
    RayActorError,
    RayError,
    connect,
    cpus,
    disconnect,
    kill,
    last_line,
    soon,
    start_actor,
)
from workbench.models.client import Client, Reply, Request
from workbench.models.ledger import LedgerClient
from workbench.models.open import open_attempts, price_of
from workbench.spread.messages import (
    Answer,
    Ask,
    Attempt,
    Attempted,
    Begin,
    Drop,
    Ended,
    FromWorker,
    Gone,
    Halt,
    Hello,
    Outcome,
    ToWorker,
)
from workbench.spread.work import Item, Poisoned, Result, Work, poisoned
from workbench.spread.worker import Setup, Worker

TRIES = 3
"""How often an item is begun before it is listed as poisoned. The last time it is alone on a worker of its own, so that
no item is blamed for what another one did to the worker they shared."""
MOST_WORKERS = 256
_FALSE_STARTS = 3
_WATCH_S = 0.3
_LOOK_S = 2.0
_ADDRESSES = ("ANTHROPIC_BASE_URL", "OPENAI_BASE_URL")
"""Part of the driver's environment that workers get. Keys are none of it: a worker has those of its own environment."""

Ledger = Callable[[str, Client], LedgerClient]
"""Puts the job's book, budget and limits around a client of single attempts, given the model's name."""


class WorkerLost(Exception):
    """A worker died, or its node did."""


class Cluster:
    """The place that works on a cluster: one worker for each of its CPUs, replaced when they die. Belongs to one loop."""

    def __init__(self, ctx: JobContext, models: Sequence[str], ledger: Ledger) -> None:
        self.ctx = ctx
        self.workers = 1
        """How many there are to be."""
        self.own = {name: open_attempts(name, ctx.home) for name in models}
        self.ledgers = {name: ledger(name, client) for name, client in self.own.items()}
        self.local = {name for name in models if price_of(name, ctx.home)[1]}
        addresses = {name: os.environ[name] for name in _ADDRESSES if name in os.environ}
        self._setup = Setup({name: client.model for name, client in self.own.items()}, addresses, ctx.home.root)
        self._crew: set[_Remote] = set()
        self._ready = asyncio.Condition()
        self._alone = asyncio.Lock()
        self._works: dict[int, object] = {}
        self._items = itertools.count()
        self._false_starts = 0
        self._broken: BaseException | None = None
        self._watcher: asyncio.Task[None] | None = None

    @classmethod
    async def open(cls, on: str, ctx: JobContext, models: Sequence[str], ledger: Ledger) -> Cluster:
        """Connect to the cluster that `on` names (see `where.py`) and start workers. Raises UserError, ServiceError."""
        made = cls(ctx, models, ledger)
        await asyncio.to_thread(connect, on)
        made.workers = await asyncio.to_thread(cpus, MOST_WORKERS)
        ctx.log(f"{made.workers} workers on the cluster ({on})")
        made._watcher = asyncio.create_task(made._watch())
        return made

    async def do(self, work: Work[Item, Result], item: Item) -> Result:
        """The item's result, wherever a worker is least busy."""
        cause = ""
        for try_ in range(1, TRIES + 1):
            try:
                if try_ < TRIES:
                    outcome = await (await self._least_busy()).do(work, item)
                else:
                    outcome = await self._do_alone(work, item)
            except WorkerLost as lost:
                cause = str(lost)
                continue
            if not isinstance(outcome.error, Poisoned):
                result: Result = outcome.get()
                return result
            cause = str(outcome.error)
            print(outcome.story, flush=True)
        raise poisoned(cause, TRIES)

    async def close(self) -> None:
        """Stop the workers and leave the cluster; one that was started for this job ends."""
        if self._watcher:
            self._watcher.cancel()
        for worker in list(self._crew):
            worker.end()
        for client in self.own.values():
            await client.close()
        await asyncio.to_thread(disconnect)

    def number(self, work: object) -> int:
        """The number by which workers know a work."""
        self._works[id(work)] = work  # kept, so that the number stays its own
        return id(work)

    def item(self) -> int:
        """A new item's number."""
        return next(self._items)

    async def fail(self, error: BaseException) -> None:
        """Something broke that is nobody's item (the record, say): all that waits ends with it."""
        self._broken = error
        async with self._ready:
            self._ready.notify_all()
        for worker in list(self._crew):
            worker.abandon(error)

    async def begun(self) -> None:
        """A worker is there."""
        self._false_starts = 0
        async with self._ready:
            self._ready.notify_all()

    async def lost(self, worker: _Remote, why: str) -> None:
        """A worker is gone: its items know; another takes its place when the watcher next looks."""
        self._crew.discard(worker)
        self._false_starts += not worker.ready
        self.ctx.log(f"lost {worker.name}: {why}")
        if self._false_starts >= _FALSE_STARTS:
            await self.fail(ServiceError(f"workers do not start on the cluster: {why}"))
        async with self._ready:
            self._ready.notify_all()

    async def _least_busy(self) -> _Remote:
        async with self._ready:
            while True:
                if self._broken is not None:
                    raise self._broken
                self.ctx.check()
                if ready := [worker for worker in self._crew if worker.ready and not worker.alone]:
                    return min(ready, key=lambda worker: worker.load)
                await self._ready.wait()

    async def _do_alone(self, work: Work[Item, Result], item: Item) -> Outcome:
        async with self._alone:
            worker = self._hire(alone=True)
            try:
                async with self._ready:
                    await self._ready.wait_for(
                        lambda: worker.ready or worker not in self._crew or self._broken is not None
                    )
                if self._broken is not None:
                    raise self._broken
                return await worker.do(work, item)
            finally:
                self._crew.discard(worker)
                worker.end()

    def _hire(self, alone: bool = False) -> _Remote:
        worker = _Remote(self, start_actor(Worker, self._setup, cpus=0 if alone else 1), alone)
        self._crew.add(worker)
        return worker

    async def _watch(self) -> None:
        """Keep as many workers as the cluster has CPUs, and tell them when the job was asked to stop."""
        told, looked = False, 0.0
        clock = asyncio.get_running_loop().time
        try:
            while True:
                if clock() - looked >= _LOOK_S:
                    self.workers, looked = await asyncio.to_thread(cpus, MOST_WORKERS), clock()
                    for _ in range(self.workers - sum(not worker.alone for worker in self._crew)):
                        self._hire()
                if self.ctx.stopping and not told:
                    told = True
                    for worker in self._crew:
                        worker.tell(Halt())
                    async with self._ready:
                        self._ready.notify_all()
                await asyncio.sleep(_WATCH_S)
        except RayError as error:
            await self.fail(ServiceError(f"the cluster is gone: {error}"))
        except Exception as error:
            await self.fail(error)
            raise


class _Remote:
    """One worker as the driver sees it: what it was given, what it asks, and its death."""

    def __init__(self, cluster: Cluster, actor: Any, alone: bool) -> None:
        self.cluster, self.alone = cluster, alone
        self.name = "a worker"
        self.ready = self.near = False
        self._deaf = ""
        self._actor = actor
        self._items: dict[int, asyncio.Future[Outcome]] = {}
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._attempts: dict[int, asyncio.Future[Outcome]] = {}
        self._knows: set[int] = set()
        self._out: list[ToWorker] = []
        self._sending: asyncio.Task[None] | None = None
        self._listening = asyncio.create_task(self._listen())

    @property
    def load(self) -> int:
        """Items under way."""
        return len(self._items)

    async def do(self, work: Any, item: object) -> Outcome:
        """Have an item done. Raises WorkerLost."""
        if self._listening.done():
            raise WorkerLost(f"{self.name} had died")
        number, known = self.cluster.item(), self.cluster.number(work)
        ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._items[number] = ended
        self.tell(Begin(number, known, item, None if known in self._knows else work))
        self._knows.add(known)
        try:
            return await ended
        except asyncio.CancelledError:
            self.tell(Drop(number))
            raise
        finally:
            self._items.pop(number, None)

    async def attempt(self, call: int) -> Reply:
        """Have one attempt at a call made. Raises AttemptFailed."""
        made = self._attempts[call] = asyncio.get_running_loop().create_future()
        self.tell(Attempt(call))
        try:
            reply: Reply = (await made).get()
        finally:
            del self._attempts[call]
        return reply

    def tell(self, message: ToWorker) -> None:
        """Send a message, together with whatever else there is to be said by then; it may have to wait for the worker."""
        self._out.append(message)
        self._flush()

    def end(self) -> None:
        """Kill it."""
        self._listening.cancel()
        self.abandon(WorkerLost(f"{self.name} was let go"))
        kill(self._actor)

    def abandon(self, error: BaseException) -> None:
        """End all that waits for it with an error."""
        for task in self._calls.values():
            task.cancel()
        for ended in self._items.values():
            if not ended.done():
                ended.set_exception(error)

    async def _send(self) -> None:
        while self._out:
            batch, self._out = self._out, []
            try:
                await soon(self._actor.give.remote(batch))
            except RayActorError:
                break  # it is dead: whoever listens hears of it too
            except Exception as error:  # it lives but cannot read its work, and nobody would hear of it
                self._deaf = last_line(error)
                kill(self._actor)
                break
        self._sending = None

    async def _listen(self) -> None:
        try:
            self._greet(await soon(self._actor.hello.remote()))
            self.ready = True
            await self.cluster.begun()
            self._flush()
            while True:
                for message in await soon(self._actor.take.remote()):
                    self._hear(message)
        except RayError as error:
            deaf = self._deaf and f"could not be given its work: {self._deaf}"
            why = WorkerLost(f"{self.name} {deaf or f'died ({type(error).__name__})'}")
            self.abandon(why)
            await self.cluster.lost(self, f"{why}: {str(error).strip().splitlines()[0] if str(error) else ''}")
        except UserError as error:
            await self.cluster.fail(error)

    def _flush(self) -> None:
        if self._out and self.ready and self._sending is None:
            self._sending = asyncio.create_task(self._send())

    def _greet(self, hello: Hello) -> None:
        self.near = (hello.host, hello.boot) == (host(), boot())
        self.name = f"a worker on {hello.host}"
        mine = (workbench.__version__, platform.python_version())
        if hello.versions != mine:
            theirs = "workbench {} on Python {}".format(*hello.versions)
            raise UserError(f"{self.name} has {theirs}, here are {mine[0]} and {mine[1]}: install the same everywhere")

    def _hear(self, message: FromWorker) -> None:
        if isinstance(message, Ask):
            self._calls[message.call] = asyncio.create_task(self._answer(message))
        elif isinstance(message, Gone):
            if task := self._calls.get(message.call):
                task.cancel()
        elif isinstance(message, Attempted):
            if (made := self._attempts.get(message.call)) and not made.done():
                made.set_result(message.outcome)
        elif (ended := self._items.get(message.item)) and not ended.done():
            assert isinstance(message, Ended)
            ended.set_result(message.outcome)

    async def _answer(self, ask: Ask) -> None:
        """A call, as the driver's ledger makes it; a loopback address of this machine is called from this machine."""
        own = ask.model in self.cluster.local and not self.near
        inner = self.cluster.own[ask.model] if own else _Hands(self, ask.call, self.cluster.own[ask.model].model)
        try:
            outcome = Outcome(await replace(self.cluster.ledgers[ask.model], inner=inner).complete(ask.request))
        except (UserError, Stopped) as error:
            outcome = Outcome.failed(error)
        except Exception as error:
            await self.cluster.fail(error)
            return
        finally:
            del self._calls[ask.call]
        self.tell(Answer(ask.call, outcome))


class _Hands:
    """A client whose single attempts are made by the worker that asked."""

    def __init__(self, worker: _Remote, call: int, model: str) -> None:
        self._worker, self._call, self.model = worker, call, model

    async def complete(self, request: Request) -> Reply:
        """One attempt."""
        return await self._worker.attempt(self._call)

    async def stream(self, request: Request) -> AsyncIterator[str | Reply]:
        """One attempt, in one piece."""
        yield await self.complete(request)

    async def close(self) -> None:
        """Nothing is held."""

"""A worker of a cluster: does items at its own desk, many at once, and leaves every decision about calls to the driver."""

from __future__ import annotations

import asyncio
import itertools
import os
import platform
import traceback
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import workbench
from workbench.errors import ServiceError, UserError
from workbench.home import Home
from workbench.jobs.context import Stopped
from workbench.jobs.identity import boot, host
from workbench.models.choosing import ChoosingClient
from workbench.models.client import Client, Reply, Request
from workbench.models.ledger import one_attempt
from workbench.models.open import choosing, open_attempts
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
from workbench.spread.work import poisoned


@dataclass(frozen=True, slots=True)
class Setup:
    """What a worker must know beforehand: the models' own names, addresses of services, the driver's home."""

    models: Mapping[str, str]
    environment: Mapping[str, str]
    home: Path


class Worker:
    """The actor. Holds nothing that would be missed: what it was doing is begun again elsewhere if it dies."""

    def __init__(self, setup: Setup) -> None:
        os.environ.update(setup.environment)
        self.setup = setup
        self.stopping = False
        self._works: dict[int, Any] = {}
        self._items: dict[int, asyncio.Task[None]] = {}
        self._asked: dict[int, _Asked] = {}
        self._clients: dict[str, ChoosingClient] = {}
        self._attempts: dict[str, Client] = {}
        self._out: list[FromWorker] = []
        self._some = asyncio.Event()
        self._numbers = itertools.count()
        self._running: set[asyncio.Task[None]] = set()

    async def hello(self) -> Hello:
        """Who I am."""
        return Hello(host(), boot(), (workbench.__version__, platform.python_version()))

    async def give(self, messages: Sequence[ToWorker]) -> None:
        """Take messages from the driver, in order."""
        for message in messages:
            if isinstance(message, Begin):
                if message.function is not None:
                    self._works[message.work] = message.function
                self._items[message.item] = asyncio.create_task(self._do(message))
            elif isinstance(message, Drop):
                if task := self._items.get(message.item):
                    task.cancel()
            elif isinstance(message, Attempt):
                if asked := self._asked.get(message.call):
                    self._start(self._attempt(message.call, asked))
            elif isinstance(message, Answer):
                if (asked := self._asked.get(message.call)) and not asked.answer.done():
                    asked.answer.set_result(message.outcome)
            elif isinstance(message, Halt):
                self.stopping = True

    async def take(self) -> list[FromWorker]:
        """What there is to say to the driver, as soon as there is something."""
        await self._some.wait()
        self._some.clear()
        said, self._out = self._out, []
        return said

    def client(self, name: str) -> Client:
        """The client of a model; its calls go through the driver."""
        if name not in self._clients:
            self._clients[name] = choosing(_Asking(self, name, self.setup.models[name]), name)
        return self._clients[name]

    async def ask(self, model: str, request: Request) -> Reply:
        """Have the driver answer a request, making the attempts that it allows."""
        call, asked = next(self._numbers), _Asked(model, request, asyncio.get_running_loop().create_future())
        self._asked[call] = asked
        self._say(Ask(call, model, request))
        try:
            outcome = await asked.answer
        except asyncio.CancelledError:
            self._say(Gone(call))
            raise
        finally:
            del self._asked[call]
        reply: Reply = outcome.get()
        return reply

    def _say(self, message: FromWorker) -> None:
        self._out.append(message)
        self._some.set()

    def _start(self, doing: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(doing)
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _do(self, begin: Begin) -> None:
        try:
            outcome = Outcome(await self._works[begin.work](begin.what, self))
        except (UserError, Stopped) as error:
            outcome = Outcome.failed(error)
        except Exception as error:
            outcome = Outcome(error=poisoned(error), story=traceback.format_exc())
        finally:
            del self._items[begin.item]
        self._say(Ended(begin.item, outcome))

    async def _attempt(self, call: int, asked: _Asked) -> None:
        try:
            if asked.model not in self._attempts:
                self._attempts[asked.model] = open_attempts(asked.model, Home(self.setup.home))
            outcome = Outcome(await one_attempt(self._attempts[asked.model], asked.request, asked.model))
        except ServiceError as error:
            outcome = Outcome.failed(error)
        except UserError as error:  # a key or a package that is missing here
            outcome = Outcome(error=UserError(f"a worker on {host()}: {error}"))
        except Exception as error:
            outcome = Outcome(error=poisoned(error), story=traceback.format_exc())
        self._say(Attempted(call, outcome))


@dataclass(eq=False)
class _Asked:
    """A call that waits for its answer."""

    model: str
    request: Request
    answer: asyncio.Future[Outcome]


class _Asking:
    """The client of a model as a work on a worker sees it."""

    def __init__(self, worker: Worker, name: str, model: str) -> None:
        self._worker, self._name, self.model = worker, name, model

    async def complete(self, request: Request) -> Reply:
        """The reply, had or recalled by the driver."""
        return await self._worker.ask(self._name, request)

    async def stream(self, request: Request) -> AsyncIterator[str | Reply]:
        """The reply in one piece: nobody looks on."""
        reply = await self.complete(request)
        yield reply.text
        yield reply

    async def close(self) -> None:
        """Nothing is held."""

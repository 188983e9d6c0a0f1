"""Where an evaluation gets its text from, and where its work is done: one client and one limiter a model, all on the job's
book and budget."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from workbench.jobs.context import JobContext
from workbench.jobs.settings import Settings
from workbench.models.batch import BatchClient
from workbench.models.book import CallBook
from workbench.models.client import Client
from workbench.models.ledger import Budget, LedgerClient
from workbench.models.limiter import CEILING, Limiter
from workbench.models.open import choosing, open_attempts, open_batches, price_of, with_ledger
from workbench.spread.work import Here, Place, open_place
from workbench.store.record import Record

LOCAL_WIDTH = 16
"""Conversations at once with a model on this machine: more would only wait for the same cores."""
SERVICE_WIDTH = 8
"""Calls at once that a service is given to begin with; the limiter finds out how many it takes."""
MOST_IN_BATCHES = 100_000
"""Judgements under way at once when they travel by the batch; more wait for the first ones."""

Open = Callable[[str, Limiter], Client]
"""Opens the client for a model's name, with the limiter that its calls share."""


class Services:
    """Clients and limiters by model, opened when they are first needed; `close` ends them all.

    `forget` is told the owner of calls whose answers are in the record as a whole and need not be kept any longer. With
    `open_batch` judgements travel by the batch.
    """

    def __init__(
        self,
        open_model: Open,
        new_limiter: Callable[[str], Limiter] = lambda name: Limiter(start=LOCAL_WIDTH),
        forget: Callable[[str], None] = lambda owner: None,
        open_batch: Callable[[str], BatchClient] | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._open, self._new_limiter, self.forget, self._open_batch = open_model, new_limiter, forget, open_batch
        self.place: Place = Here(self.client, stopping)
        self._clients: dict[str, Client] = {}
        self._judges: dict[str, BatchClient] = {}
        self._limiters: dict[str, Limiter] = {}

    def client(self, name: str) -> Client:
        """The client of a model. Raises UserError for a name, a key or a package that is not there."""
        if name not in self._clients:
            self._clients[name] = self._open(name, self.limiter(name))
        return self._clients[name]

    def limiter(self, name: str) -> Limiter:
        """The limiter of a model; of agents without one under their own name."""
        if name not in self._limiters:
            self._limiters[name] = self._new_limiter(name)
        return self._limiters[name]

    async def judge(self, name: str) -> tuple[Place, Limiter]:
        """Where a model judges, and what bounds the judgements under way: by the batch all at once."""
        if self._open_batch is None:
            return self.place, self.limiter(name)
        if name not in self._judges:
            self._judges[name] = self._open_batch(name)
            await self._judges[name].recover()
        return Here(self._judges.__getitem__), Limiter(lambda: Settings(concurrency=MOST_IN_BATCHES))

    async def close(self) -> None:
        """Release the place and every client; may be called again."""
        await self.place.close()
        self.place = Here(self.client)
        for client in (*self._clients.values(), *self._judges.values()):
            await client.close()
        self._clients, self._judges = {}, {}


@asynccontextmanager
async def services_for(ctx: JobContext, rec: Record, models: Sequence[str]) -> AsyncIterator[Services]:
    """The services of a job that may call these models, with the place that its settings name. Raises UserError,
    ServiceError if that is a cluster which does not answer."""
    services, ledger = services_of(ctx, rec)
    try:
        services.place = await open_place(ctx, services.client, models, ledger)
        yield services
    finally:
        await services.close()


def services_of(ctx: JobContext, rec: Record) -> tuple[Services, Callable[[str, Client], LedgerClient]]:
    """The services of a job: answers kept against a kill, the budget and the concurrency of its settings; and what puts
    all that around a client of single attempts."""
    book = CallBook(rec, ctx.id)
    budget = Budget(ctx.settings.budget, spent=book.spent(), latest=lambda: ctx.settings.budget)

    def new_limiter(name: str) -> Limiter:
        local = price_of(name, ctx.home)[1]
        if local or "/" not in name:
            return Limiter.of_job(ctx, start=LOCAL_WIDTH * workers(), ceiling=LOCAL_WIDTH * workers())
        return Limiter.of_job(ctx, start=SERVICE_WIDTH * workers(), ceiling=CEILING * workers())

    def open_batch(name: str) -> BatchClient:
        return open_batches(
            name,
            ctx.home,
            book,
            ctx.folder,
            budget=budget,
            settings=lambda: ctx.settings,
            check=ctx.check,
            tell=ctx.log,
        )

    def workers() -> int:
        return services.place.workers

    def ledger(name: str, attempts: Client) -> LedgerClient:
        return with_ledger(attempts, name, ctx.home, book, budget=budget, limiter=services.limiter(name))

    services = Services(
        lambda name, limiter: choosing(ledger(name, open_attempts(name, ctx.home)), name),
        new_limiter,
        book.forget,
        open_batch if ctx.settings.batch else None,
        lambda: ctx.stopping,
    )
    return services, ledger

"""From a model's name to a client that is ready to use: retries, ledger, budget and choices included."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from urllib.parse import urlsplit

from workbench.errors import UserError
from workbench.home import Home
from workbench.jobs.settings import Settings
from workbench.models.attempt import AttemptFailed
from workbench.models.batch import BatchClient
from workbench.models.book import CallBook
from workbench.models.choosing import ChoosingClient
from workbench.models.client import Client, Reply, Request
from workbench.models.constraint import Constraint
from workbench.models.ledger import Budget, LedgerClient, Recorder, RetryPolicy
from workbench.models.limiter import Limiter
from workbench.models.loopback import is_local
from workbench.models.prices import BATCH_SHARE, LOCAL_PRICE, Price, load_prices
from workbench.text import clean_line

BATCH_POLL = "WORKBENCH_BATCH_POLL"
"""Seconds between two looks at a batch; unset: from 2, growing to 60."""
_FORMS = "anthropic/NAME, openai/NAME, local/RUN-or-path or URL#NAME"


def open_client(
    name: str,
    home: Home,
    ledger: Recorder | None = None,
    *,
    budget: Budget | None = None,
    policy: RetryPolicy | None = None,
    limiter: Limiter | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> Client:
    """The client for `anthropic/NAME`, `openai/NAME`, `local/RUN-or-path` or `URL#NAME` (any OpenAI-compatible server).

    Cheap: nothing is contacted, and a local server is started, only by the first call. `ledger` gets one CallRow an
    attempt (a function that calls `store.calls.put_calls`, say); a `CallBook` also gives answers back that are paid for.
    `limiter` bounds the calls in flight, of all clients that share it; `tell` hears of each wait
    before another try. Keys come from the environment alone:
    ANTHROPIC_API_KEY, OPENAI_API_KEY, and for a URL that asks for one WORKBENCH_SERVER_KEY. Raises UserError for an
    unknown form of name, a missing key or package, or a local model that is not there.
    """
    kept = with_ledger(
        open_attempts(name, home), name, home, ledger, budget=budget, policy=policy, limiter=limiter, tell=tell
    )
    return choosing(kept, name)


def open_attempts(name: str, home: Home) -> Client:
    """The bare client: one attempt a call, nothing recorded. Raises what `open_client` raises."""
    provider, _, rest = name.partition("/")
    if provider == "anthropic" and rest:
        from workbench.models.anthropic_client import AnthropicClient, anthropic_key

        return AnthropicClient(rest, anthropic_key(), os.environ.get("ANTHROPIC_BASE_URL"))
    if provider == "openai" and rest:
        from workbench.models.openai_client import OPENAI_URL, OpenAIClient, openai_key

        return OpenAIClient(rest, openai_key(), os.environ.get("OPENAI_BASE_URL") or OPENAI_URL)
    if provider == "local" and rest:
        from workbench.models.server.ensure import model_path

        return LocalClient(home, model_path(home, rest))
    return _at_url(name)


def with_ledger(
    attempts: Client,
    name: str,
    home: Home,
    ledger: Recorder | None = None,
    *,
    budget: Budget | None = None,
    policy: RetryPolicy | None = None,
    limiter: Limiter | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> LedgerClient:
    """A bare client with retries, prices, ledger, budget and limits around it, as `open_client` says."""
    price, local = price_of(name, home)
    book = ledger if isinstance(ledger, CallBook) else None
    kept = policy or RetryPolicy()
    return LedgerClient(attempts, name, price, ledger, budget, book, limiter, free=local, tell=tell, policy=kept)


def choosing(client: Client, name: str) -> ChoosingClient:
    """A model's client, able to choose among given texts."""
    return ChoosingClient(client, schema=name.partition("/")[0] in ("anthropic", "openai"))


def open_batches(
    name: str,
    home: Home,
    book: CallBook,
    folder: Path,
    *,
    budget: Budget | None = None,
    settings: Callable[[], Settings] = Settings,
    check: Callable[[], None] = lambda: None,
    tell: Callable[[str], None] = lambda line: None,
) -> BatchClient:
    """The client whose requests travel through the provider's batch interface, at half the price; its state lies in
    `folder` (the job's). Raises UserError for a model without one.
    """
    check_model(name, home, batch=True)
    rest = name.partition("/")[2]
    from workbench.models.anthropic_batches import AnthropicBatches
    from workbench.models.anthropic_client import AnthropicClient, anthropic_key

    service = AnthropicBatches(AnthropicClient(rest, anthropic_key(), os.environ.get("ANTHROPIC_BASE_URL")))
    price, _ = price_of(name, home)
    half = price.at_share(BATCH_SHARE) if price else None
    poll_s = batch_poll()
    return BatchClient(
        service,
        name,
        half,
        book,
        folder,
        budget,
        settings,
        check,
        tell=tell,
        poll_s=poll_s,
        linger_s=min(1.0, poll_s[0]),
    )


def check_model(name: str, home: Home, batch: bool = False) -> None:
    """What `open_client` and `open_batches` would refuse about a name, without loading an SDK. Raises UserError."""
    provider, _, rest = name.partition("/")
    if batch and not (provider == "anthropic" and rest):
        raise UserError(f"{clean_line(name, 80)} has no batch interface here: --batch works with anthropic/NAME")
    key = {"anthropic": "ANTHROPIC_API_KEY", "openai": "OPENAI_API_KEY"}.get(provider) if rest else None
    if key:
        if not os.environ.get(key, "").strip():
            raise UserError(f"{key} is not set: models named {provider}/… need it in the environment")
    elif provider == "local" and rest:
        from workbench.models.server.ensure import model_path

        model_path(home, rest)
    else:
        _url_parts(name)


def batch_poll() -> tuple[float, float]:
    """Shortest and longest wait between two looks at a batch, in seconds (WORKBENCH_BATCH_POLL sets both)."""
    try:
        seconds = float(os.environ[BATCH_POLL])
    except (KeyError, ValueError):
        return 2.0, 60.0
    return max(0.01, seconds), max(0.01, seconds)


def price_of(name: str, home: Home) -> tuple[Price | None, bool]:
    """The price of a model by its name (None if unknown), and whether it runs on a machine of one's own: then no money
    is owed for its calls, and a price says what the machine's time is worth.
    """
    local = is_local(name)
    price = load_prices(home).price(name)
    return price or (_local_price(home) if local else None), local


def _local_price(home: Home) -> Price | None:
    wanted = os.environ.get(LOCAL_PRICE, "").strip()
    return load_prices(home).machine(wanted) if wanted else None


def _url_parts(name: str) -> tuple[str, str]:
    url, _, model = name.rpartition("#")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not model:
        raise UserError(f'"{clean_line(name, 80)}" is not a model: write {_FORMS}')
    return url, model


def _at_url(name: str) -> Client:
    url, model = _url_parts(name)
    from workbench.models.openai_client import OpenAIClient
    from workbench.models.wire import sendable

    key = sendable(os.environ.get("WORKBENCH_SERVER_KEY") or "none", "WORKBENCH_SERVER_KEY")
    return OpenAIClient(model, key, url, constraint="choice")


class LateClient:
    """A client that `open_` makes at its first call: what it refuses (no key, no such model) fails that call alone, and
    the next one tries again."""

    def __init__(self, name: str, open_: Callable[[], Client]) -> None:
        self.model = name
        self._open = open_
        self._opened: Client | None = None
        self._lock = asyncio.Lock()

    async def complete(self, request: Request) -> Reply:
        """As the client does; UserError where there is none."""
        return await (await self._client()).complete(request)

    async def stream(self, request: Request) -> AsyncIterator[str | Reply]:
        """As the client does; UserError where there is none."""
        async for piece in (await self._client()).stream(request):
            yield piece

    async def close(self) -> None:
        """Release the client, if there is one."""
        if self._opened:
            await self._opened.close()

    async def _client(self) -> Client:
        async with self._lock:
            if self._opened is None:
                self._opened = await asyncio.to_thread(self._open)  # it may import an SDK
            return self._opened


class LocalClient:
    """A local model, whose server is joined or started when it is needed, and again should it have gone away."""

    def __init__(self, home: Home, folder: Path) -> None:
        from workbench.models.server.ensure import model_title

        self._home, self._folder = home, folder
        self._opened: Client | None = None
        self._clients: list[Client] = []
        self._lock = asyncio.Lock()
        self.model = model_title(folder)

    async def complete(self, request: Request) -> Reply:
        """One attempt."""
        client = await self._client()
        try:
            return await client.complete(request)
        except AttemptFailed as failure:
            self._forget(client, failure)
            raise

    async def stream(self, request: Request) -> AsyncIterator[str | Reply]:
        """One attempt."""
        client = await self._client()
        try:
            async for piece in client.stream(request):
                yield piece
        except AttemptFailed as failure:
            self._forget(client, failure)
            raise

    async def close(self) -> None:
        """Release connections; the server stays until it is idle for long enough."""
        for client in self._clients:
            await client.close()

    async def _client(self) -> Client:
        from workbench.models.openai_client import OpenAIClient
        from workbench.models.server.ensure import ensure_server

        async with self._lock:
            if self._opened is None:
                info = await asyncio.to_thread(ensure_server, self._home, self._folder)
                form: Constraint = "grammar" if info.program == "llama.cpp" else "choice"
                self._opened = OpenAIClient(
                    info.model, info.token or "none", info.url, constraint=form, timeout_s=600.0
                )
                self._clients.append(self._opened)
            return self._opened

    def _forget(self, client: Client, failure: AttemptFailed) -> None:
        """Look for the server again next time when it could not be reached; others may still be using the client."""
        if failure.kind in ("connection", "cut") and self._opened is client:
            self._opened = None

"""From a model's name to a client that is ready to use: retries, ledger, budget and choices included."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

from workbench.errors import UserError
from workbench.home import Home
from workbench.models.attempt import AttemptFailed
from workbench.models.choosing import ChoosingClient
from workbench.models.client import Client, Reply, Request
from workbench.models.ledger import Budget, LedgerClient, Recorder, RetryPolicy
from workbench.models.prices import Price, load_prices
from workbench.text import clean_line

LOCAL_PRICE = "WORKBENCH_LOCAL_PRICE"
"""What local models cost: a machine in prices.json (`paper-a100`) or DOLLARS_PER_HOUR:PREFILL:DECODE; unset: unknown."""
_FORMS = "anthropic/NAME, openai/NAME, local/RUN-or-path or URL#NAME"


def open_client(
    name: str,
    home: Home,
    ledger: Recorder | None = None,
    *,
    budget: Budget | None = None,
    policy: RetryPolicy | None = None,
) -> Client:
    """The client for `anthropic/NAME`, `openai/NAME`, `local/RUN-or-path` or `URL#NAME` (any OpenAI-compatible server).

    Cheap: nothing is contacted, and a local server is started, only by the first call. `ledger` gets one CallRow an
    attempt (a function that calls `store.calls.put_calls`, say). Keys come from the environment alone:
    ANTHROPIC_API_KEY, OPENAI_API_KEY, and for a URL that asks for one WORKBENCH_SERVER_KEY. Raises UserError for an
    unknown form of name, a missing key or package, or a local model that is not there.
    """
    prices = load_prices(home)
    provider, _, rest = name.partition("/")
    price: Price | None = prices.price(name)
    local = False
    if provider == "anthropic" and rest:
        from workbench.models.anthropic_client import AnthropicClient, anthropic_key

        inner: Client = AnthropicClient(rest, anthropic_key(), os.environ.get("ANTHROPIC_BASE_URL"))
        constrained = False
    elif provider == "openai" and rest:
        from workbench.models.openai_client import OPENAI_URL, OpenAIClient, openai_key

        inner = OpenAIClient(rest, openai_key(), os.environ.get("OPENAI_BASE_URL") or OPENAI_URL)
        constrained = False
    elif provider == "local" and rest:
        from workbench.models.server.ensure import model_folder

        inner, constrained, local = LocalClient(home, model_folder(home, rest)), True, True
        price = price or _local_price(home)
    else:
        inner, constrained = _at_url(name), True
        local = _is_loopback(name)
        price = price or (_local_price(home) if local else None)
    client = LedgerClient(inner, name, price, ledger, budget, free=local, policy=policy or RetryPolicy())
    return ChoosingClient(client, native=constrained)


def _local_price(home: Home) -> Price | None:
    wanted = os.environ.get(LOCAL_PRICE, "").strip()
    return load_prices(home).machine(wanted) if wanted else None


def _is_loopback(url: str) -> bool:
    return urlsplit(url).hostname in ("127.0.0.1", "localhost", "::1")


def _at_url(name: str) -> Client:
    url, _, model = name.rpartition("#")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or not model:
        raise UserError(f'"{clean_line(name, 80)}" is not a model: write {_FORMS}')
    from workbench.models.openai_client import OpenAIClient

    return OpenAIClient(model, os.environ.get("WORKBENCH_SERVER_KEY") or "none", url, constrained=True)


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
                self._opened = OpenAIClient(
                    info.model, info.token or "none", info.url, constrained=True, timeout_s=600.0
                )
                self._clients.append(self._opened)
            return self._opened

    def _forget(self, client: Client, failure: AttemptFailed) -> None:
        """Look for the server again next time when it could not be reached; others may still be using the client."""
        if failure.kind in ("connection", "cut") and self._opened is client:
            self._opened = None

"""The HTTP client under both SDKs: what a broken or hostile service sends costs bounded memory and time.

Redirects are not followed: the SDKs would, and take the `x-api-key` header along to whatever host they are sent to.
Bodies are counted as they arrive, uncompressed (a small compressed body may unfold into any size), and have to be
complete within a time, since a service that sends a byte a minute never runs into a read time-out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from types import ModuleType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from workbench.errors import UserError
from workbench.models.attempt import AttemptFailed
from workbench.models.loopback import on_loopback

MOST_BYTES = 16 << 20
"""Of one answer, streamed ones included: some hundred times what the longest reply takes."""
MOST_RESULT_BYTES = 512 << 20
"""Of a batch's results, which are read line by line and may hold 100,000 replies."""
PATIENCE = 2.0
"""How many times the time-out of a single read a whole answer may take."""
T = TypeVar("T")


def http_client(sdk: ModuleType, model: str, base_url: str | None, timeout_s: float) -> Any:
    """The client to hand to an SDK (`anthropic` or `openai`). A proxy of the environment is used except on loopback."""
    import httpx2

    class Counted(httpx2.AsyncByteStream):
        """A body that ends in AttemptFailed when it grows too long or takes too long."""

        def __init__(self, body: Any, most: int, deadline: float) -> None:
            self._body, self._left, self._deadline = body, most, deadline

        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for part in self._body:
                self._left -= len(part)
                if self._left < 0:
                    raise AttemptFailed("refused", f"{model}: the answer is larger than any reply; it was not read")
                if time.monotonic() > self._deadline:
                    raise AttemptFailed("timeout", f"{model}: the answer did not end in time")
                yield part

        async def aclose(self) -> None:
            await self._body.aclose()

    async def guard(response: Any) -> None:
        if response.has_redirect_location:
            there = urlsplit(str(response.headers.get("location", ""))).netloc or "another place"
            raise AttemptFailed(
                "refused",
                f"{model}: the service points to {there} (status {response.status_code}), which is not followed with a "
                "key: give its real address",
                response.status_code,
            )
        if response.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            raise AttemptFailed("refused", f"{model}: the answer is compressed, which was not asked for")
        results = response.request.url.path.endswith("/results")
        allowed = MOST_RESULT_BYTES if results else MOST_BYTES
        whole = timeout_s * PATIENCE * (10 if results else 1)
        response.stream = Counted(response.stream, allowed, time.monotonic() + whole)

    loopback = on_loopback(base_url or "")
    return sdk.DefaultAsyncHttpxClient(
        timeout=timeout_s,
        trust_env=not loopback,
        follow_redirects=False,
        headers={"accept-encoding": "identity"},
        event_hooks={"response": [guard]},
    )


async def in_time(answer: Awaitable[T], model: str, timeout_s: float) -> T:
    """`answer`, or AttemptFailed when it is not there after all the time that a whole answer may take."""
    try:
        return await asyncio.wait_for(answer, timeout_s * PATIENCE)
    except TimeoutError as error:
        raise AttemptFailed("timeout", f"{model}: no answer in time") from error


def sendable(key: str, variable: str) -> str:
    """`key` as it may stand in a header. Raises UserError, without showing it, where it holds what no key has."""
    key = key.strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UserError(f"{variable} holds a line break, a space or a letter that no key has: set it anew")
    return key

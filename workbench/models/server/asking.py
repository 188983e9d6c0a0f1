"""One GET to a server on this machine: past the environment's proxies, to that address alone, bounded."""

from __future__ import annotations

import urllib.request
from typing import Any

_MOST_BYTES = 8 << 20


class _Stay(urllib.request.HTTPRedirectHandler):
    """No answer sends us, and the token, anywhere else."""

    def redirect_request(self, *_: Any) -> None:
        """Never: the answer is then an HTTPError."""


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay())


def ask(url: str, token: str | None = None, timeout_s: float = 5.0) -> bytes:
    """The body of a GET of `url`. Raises OSError if nobody answers, or with another status than 200."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    with _OPENER.open(request, timeout=timeout_s) as answer:
        body: bytes = answer.read(_MOST_BYTES)
    return body

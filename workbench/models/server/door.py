"""Who is let in, by a server and by the front before several; what may be sent, and how a refusal reads."""

from __future__ import annotations

import hmac
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from workbench.models.loopback import LOOPBACK_HOSTS

_BODY_LIMIT = 8 << 20


class Refused(Exception):
    """A request that cannot be served; becomes an error answer with this status, message and code."""

    def __init__(self, status: int, message: str, code: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code

    def body(self) -> dict[str, Any]:
        """The error as the protocol writes it."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {"error": {"message": str(self), "type": kind, "param": None, "code": self.code}}


def admit(request: Request, token: str | None, host: str = "") -> None:
    """Raise Refused for web pages (a page may have its own name point here) and for a wrong token; None admits all.

    `host` is the address a replica of a cluster may be asked by besides loopback.
    """
    if "origin" in request.headers or request.url.hostname not in (*LOOPBACK_HOSTS, host):
        raise Refused(403, "this server answers programs on its own machine, no web pages", "forbidden")
    if token is None:
        return
    given = request.headers.get("authorization", "").removeprefix("Bearer ").encode()
    if not hmac.compare_digest(given, token.encode()):
        raise Refused(401, "wrong or missing bearer token", "invalid_api_key")


async def body_of(request: Request) -> bytes:
    """The body, as far as it may be that long. Raises Refused."""
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > _BODY_LIMIT:
            raise Refused(413, f"the body has more than {_BODY_LIMIT >> 20} MiB", "too_large")
    return bytes(raw)


def models_answer(model: str) -> Response:
    """The protocol's list of models: the one that is served."""
    entry = {"id": model, "object": "model", "created": 0, "owned_by": "workbench"}
    return JSONResponse({"object": "list", "data": [entry]})


async def refuse(_: Request, error: Exception) -> Response:
    """A refusal as an answer: the application's handler of `Refused`."""
    assert isinstance(error, Refused)
    return JSONResponse(error.body(), status_code=error.status)

"""One address for several replicas of a model: a conversation stays on one of them, so that its cached prefix is used.

The front passes requests on as they are. Where a conversation belongs is decided by its first words (rendezvous hashing:
when a replica dies only its own conversations move); a request without any goes where the fewest are under way.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from workbench.models.server.door import Refused, admit, body_of, models_answer, refuse
from workbench.models.server.ensure import ServerInfo, health

_DOWN_S = 1.0
"""Seconds that a replica which could not be reached is left alone."""
_SUMMED = ("active", "queued", "requests", "output_tokens", "tokens_per_s", "rss_bytes", "cache_bytes", "cache_limit")
_PASSED_ON = {"content-type", "retry-after", "retry-after-ms"}


@dataclass(eq=False)
class Replica:
    """One server behind the front. `info` is None while it is starting (again); `down_until` is monotonic."""

    number: int
    info: ServerInfo | None = None
    running: int = 0
    served: int = 0
    down_until: float = 0.0

    @property
    def up(self) -> bool:
        """Whether it may be asked."""
        return self.info is not None and time.monotonic() >= self.down_until


@dataclass(eq=False)
class Front:
    """What the web application serves. `last_used` (monotonic) is when the latest request came or ended."""

    model: str
    replicas: Sequence[Replica]
    token: str | None = None
    last_used: float = field(default_factory=time.monotonic)

    @property
    def idle_s(self) -> float:
        """Seconds without any request."""
        return 0.0 if any(replica.running for replica in self.replicas) else time.monotonic() - self.last_used

    def order(self, key: str | None) -> list[Replica]:
        """The replicas to try, best first; those that are down come last, since they may be up again."""
        if key is None:
            ranked = sorted(self.replicas, key=lambda replica: replica.running)
        else:
            ranked = sorted(self.replicas, key=lambda replica: _weight(key, replica.number))
        there = [replica for replica in ranked if replica.info is not None]
        return sorted(there, key=lambda replica: not replica.up)


def conversation_key(call: Any) -> str | None:
    """What all requests of one conversation have in common and others have not: `user` if it is given, else all up to
    the user's first words; None where nobody has spoken yet."""
    if not isinstance(call, dict):
        return None
    if isinstance(call.get("user"), str) and call["user"]:
        return str(call["user"])
    messages = call.get("messages")
    if not isinstance(messages, list):
        return None
    roles = [m.get("role") if isinstance(m, dict) else None for m in messages]
    if "user" not in roles:
        return None
    return json.dumps(messages[: roles.index("user") + 1], sort_keys=True)


def to_replicas() -> httpx.AsyncClient:
    """What the front asks its replicas with: no proxy, as many connections as it takes."""
    timeout, limits = httpx.Timeout(600.0, connect=5.0), httpx.Limits(max_connections=None)
    return httpx.AsyncClient(timeout=timeout, trust_env=False, limits=limits)


def build_front(front: Front, client: httpx.AsyncClient) -> Starlette:
    """The web application for `front`, which asks its replicas with `client`."""

    async def chat(request: Request) -> Response:
        admit(request, front.token)
        body = await body_of(request)
        try:
            key = conversation_key(json.loads(body))
        except (ValueError, RecursionError):
            key = None  # a replica says what is wrong with it
        for replica in front.order(key):
            answer = await _pass_on(front, client, replica, body)
            if answer is not None:
                return answer
        raise Refused(503, f"none of the {len(front.replicas)} replicas answers", "no_replica")

    async def models(request: Request) -> Response:
        admit(request, front.token)
        return models_answer(front.model)

    async def told(_: Request) -> Response:
        found = await readings(front)
        return JSONResponse(found, 200 if found["status"] == "ok" else 503)

    routes = [
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/models", models),
        Route("/health", told),
    ]
    return Starlette(routes=routes, exception_handlers={Refused: refuse})


async def readings(front: Front) -> dict[str, Any]:
    """What /health says: the sums, and each replica's own words beside them."""
    each = await asyncio.gather(*(asyncio.to_thread(_reading, replica) for replica in front.replicas))
    up = [one for one in each if one["status"] == "ok"]
    sums = {
        name: sum(one[name] or 0 for one in up if name in one) for name in _SUMMED if any(name in one for one in up)
    }
    return {
        "status": "ok" if up else "no replica answers",
        "model": front.model,
        "idle_s": round(front.idle_s, 1),
        **sums,
        "replicas": each,
    }


def _reading(replica: Replica) -> dict[str, Any]:
    about: dict[str, Any] = {"replica": replica.number, "status": "starting", "served": replica.served}
    if replica.info is None:
        return about
    about |= {"job": replica.info.job_id, "url": replica.info.url}
    try:
        return {**health(replica.info, 2.0), **about, "status": "ok"}
    except (OSError, ValueError):
        return {**about, "status": "no answer"}


async def _pass_on(front: Front, client: httpx.AsyncClient, replica: Replica, body: bytes) -> Response | None:
    """The replica's answer; None if it could not be had from this one and another one may be asked."""
    info = replica.info
    assert info is not None
    headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {info.token}"} if info.token else {})
    request = client.build_request("POST", f"{info.url}/chat/completions", content=body, headers=headers)
    replica.running += 1
    try:
        answer = await client.send(request, stream=True)
        passed = {k: v for k, v in answer.headers.items() if k.lower() in _PASSED_ON}
        if "text/event-stream" in answer.headers.get("content-type", ""):
            replica.running += 1  # until the stream has ended
            return StreamingResponse(_pieces(front, replica, answer), answer.status_code, passed)
        try:
            content = await answer.aread()
        finally:
            await answer.aclose()
    except httpx.TransportError:
        replica.down_until = time.monotonic() + _DOWN_S
        return None
    finally:
        _ended(front, replica)
    replica.served += 1
    return Response(content, answer.status_code, passed)


async def _pieces(front: Front, replica: Replica, answer: httpx.Response) -> AsyncIterator[bytes]:
    try:
        async for piece in answer.aiter_raw():
            yield piece
        replica.served += 1
    finally:
        await answer.aclose()
        _ended(front, replica)


def _ended(front: Front, replica: Replica) -> None:
    replica.running -= 1
    front.last_used = time.monotonic()


def _weight(key: str, number: int) -> bytes:
    return hashlib.sha256(f"{number}|{key}".encode()).digest()

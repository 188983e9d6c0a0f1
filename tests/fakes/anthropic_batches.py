"""The Message Batches protocol as the Anthropic API speaks it: slow, in any order, some requests failing in their own way."""

from __future__ import annotations

import asyncio
import datetime
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.fakes.openai_server import Act, Fake

Answer = Callable[[dict[str, Any]], dict[str, Any]]
"""From a request's parameters to the message that answers it, or to an error (`{"error": {...}}`)."""


@dataclass
class FakeBatch:
    """A batch as the service keeps it; it has ended once it was looked at `polls` times."""

    id: str
    entries: list[dict[str, Any]]
    polls: int
    created: datetime.datetime = field(default_factory=lambda: datetime.datetime.now(datetime.UTC))
    results: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class BatchDesk:
    """`polls`: looks until a batch has ended. `http`: what is wrong with the next calls (None: nothing), by order of
    arrival; an Act that hangs does its work and never answers. `cut_results`: how often the results break off.
    """

    polls: int = 1
    http: list[Act | None] = field(default_factory=list)
    cut_results: int = 0
    batches: dict[str, FakeBatch] = field(default_factory=dict)
    submitted: int = 0
    looks: int = 0


def _stamp(at: datetime.datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def routes(fake: Fake, desk: BatchDesk, outcome: Callable[[dict[str, Any]], tuple[str, dict[str, Any]]]) -> list[Route]:
    """The endpoints. `outcome` answers one request of a batch: its result type and what stands in it."""
    rng = random.Random(5)

    def shown(batch: FakeBatch, address: str) -> dict[str, Any]:
        ended = bool(batch.results)
        counts = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        for result in batch.results:
            counts[result["result"]["type"]] += 1
        if not ended:
            counts["processing"] = len(batch.entries)
        return {
            "id": batch.id,
            "type": "message_batch",
            "processing_status": "ended" if ended else "in_progress",
            "request_counts": counts,
            "created_at": _stamp(batch.created),
            "expires_at": _stamp(batch.created + datetime.timedelta(hours=24)),
            "ended_at": _stamp(datetime.datetime.now(datetime.UTC)) if ended else None,
            "archived_at": None,
            "cancel_initiated_at": None,
            "results_url": f"{address}v1/messages/batches/{batch.id}/results" if ended else None,
        }

    def end(batch: FakeBatch) -> None:
        for entry in batch.entries:
            kind, content = outcome(entry["params"])
            batch.results.append({"custom_id": entry["custom_id"], "result": {"type": kind, **content}})
        rng.shuffle(batch.results)

    async def wrong() -> Response | None:
        act = desk.http.pop(0) if desk.http else None
        if act is None:
            return None
        if act.hang:
            await asyncio.sleep(3600)
        body = {"type": "error", "error": {"type": act.kind, "message": act.message}}
        return JSONResponse(body, status_code=act.status, headers=act.headers)

    async def create(request: Request) -> Response:
        body = await request.json()
        hang = bool(desk.http and desk.http[0] and desk.http[0].hang)
        if not hang and (answer := await wrong()):
            return answer
        desk.submitted += 1
        batch = FakeBatch(f"msgbatch_{len(desk.batches) + 1}", body["requests"], desk.polls)
        fake.bodies.extend(entry["params"] for entry in body["requests"])
        fake.headers.append(dict(request.headers))
        desk.batches[batch.id] = batch
        if hang:
            await wrong()
        return JSONResponse(shown(batch, str(request.base_url)))

    async def retrieve(request: Request) -> Response:
        if answer := await wrong():
            return answer
        batch = desk.batches.get(request.path_params["id"])
        if batch is None:
            error = {"type": "not_found_error", "message": "no such batch"}
            return JSONResponse({"type": "error", "error": error}, status_code=404)
        batch.polls -= 1
        desk.looks += 1
        if batch.polls <= 0 and not batch.results:
            end(batch)
        return JSONResponse(shown(batch, str(request.base_url)))

    async def listed(request: Request) -> Response:
        if answer := await wrong():
            return answer
        data = [shown(b, str(request.base_url)) for b in reversed(desk.batches.values())]
        ids = {"first_id": data[0]["id"] if data else None, "last_id": data[-1]["id"] if data else None}
        return JSONResponse({"data": data, "has_more": False, **ids})

    async def results(request: Request) -> Response:
        lines = [json.dumps(result) + "\n" for result in desk.batches[request.path_params["id"]].results]
        if desk.cut_results:
            desk.cut_results -= 1
            lines = [*lines[: len(lines) // 2], '{"custom_id": "x", "res']
        return PlainTextResponse("".join(lines), media_type="application/x-jsonl")

    base = "/v1/messages/batches"
    return [
        Route(base, create, methods=["POST"]),
        Route(base, listed, methods=["GET"]),
        Route(f"{base}/{{id}}", retrieve, methods=["GET"]),
        Route(f"{base}/{{id}}/results", results, methods=["GET"]),
    ]

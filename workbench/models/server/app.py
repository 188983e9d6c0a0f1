"""The HTTP face of an engine: chat completions, the list of models, health. The job binds it to loopback."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import time
import uuid
from collections.abc import AsyncGenerator
from dataclasses import asdict, dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from workbench.models.server.door import Refused, admit, body_of, models_answer, refuse
from workbench.models.server.engine import Chunk, Engine, Finished, Ticket
from workbench.models.server.protocol import ChatCall, completion, parse_call, piece, usage

_DISCONNECT_POLL_S = 0.2


@dataclass(eq=False)
class Service:
    """One served model. `last_used` (monotonic) is when the latest request ended or came; `token` None admits all.
    `host` is the address of a replica on a cluster, "" on loopback.
    """

    engine: Engine
    model: str
    token: str | None = None
    host: str = ""
    started: float = field(default_factory=time.monotonic)
    last_used: float = field(default_factory=time.monotonic)
    running: int = 0

    @property
    def idle_s(self) -> float:
        """Seconds without any request."""
        return 0.0 if self.running else time.monotonic() - self.last_used


class _Exchange:
    """One request's events, carried from the engine's thread to the event loop."""

    def __init__(self, service: Service, call: ChatCall, prompt: list[int]) -> None:
        self._service = service
        self._events: asyncio.Queue[Chunk | Finished] = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def sink(event: Chunk | Finished) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                loop.call_soon_threadsafe(self._events.put_nowait, event)

        request = call.generation(prompt, service.engine.decoder.context)
        self._ticket: Ticket = service.engine.submit(request, sink)
        service.running += 1

    async def events(self) -> AsyncGenerator[Chunk | Finished, None]:
        """Chunks, then the Finished. Leaving the loop early cancels the request."""
        ended = False
        try:
            while not ended:
                event = await self._events.get()
                ended = isinstance(event, Finished)
                yield event
        finally:
            if not ended:
                self._ticket.cancel()
            self._service.running -= 1
            self._service.last_used = time.monotonic()


def _render(service: Service, call: ChatCall) -> list[int]:
    ids: list[int] = service.engine.tokenizer.apply_chat_template(
        list(call.messages), add_generation_prompt=True, tokenize=True, return_dict=False
    )
    return ids


async def _whole(service: Service, exchange: _Exchange, request: Request) -> Response:
    async def last() -> Finished | None:
        done = None
        async with contextlib.aclosing(exchange.events()) as events:
            async for event in events:
                done = event if isinstance(event, Finished) else None
        return done

    task = asyncio.create_task(last())
    while not (await asyncio.wait({task}, timeout=_DISCONNECT_POLL_S))[0]:
        if await request.is_disconnected():
            task.cancel()
            return Response(status_code=499)
    done = task.result()
    assert done is not None
    if done.reason == "error":
        raise Refused(500, f"the engine failed: {done.error}", "engine_error")
    return JSONResponse(completion(_call_id(), service.model, done))


async def _streamed(service: Service, call: ChatCall, exchange: _Exchange) -> AsyncGenerator[str, None]:
    call_id = _call_id()
    async with contextlib.aclosing(exchange.events()) as events:
        yield _event(piece(call_id, service.model, {"role": "assistant", "content": ""}))
        async for event in events:
            if isinstance(event, Chunk):
                yield _event(piece(call_id, service.model, {"content": event.text}))
            elif event.reason == "error":
                yield _event(Refused(500, f"the engine failed: {event.error}", "engine_error").body())
            else:
                if event.scores:  # a choice is made at once, there were no chunks
                    yield _event(piece(call_id, service.model, {"content": event.text}))
                yield _event(piece(call_id, service.model, {}, event))
                if call.include_usage:
                    yield _event({**piece(call_id, service.model, {}), "choices": [], "usage": usage(event)})
    yield "data: [DONE]\n\n"


def _call_id() -> str:
    return f"chatcmpl-{uuid.uuid4().hex[:24]}"


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"


async def _body(request: Request) -> object:
    raw = await body_of(request)
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body is not JSON: {error}", "invalid_json") from error


def build_app(service: Service) -> Starlette:
    """The web application for `service`."""

    async def chat(request: Request) -> Response:
        admit(request, service.token, service.host)
        call = parse_call(await _body(request))
        try:
            prompt = await asyncio.to_thread(_render, service, call)
        except Exception as error:  # a template may raise anything it likes about the messages it is given
            raise Refused(400, f"the chat template refuses these messages: {error}", "template_error") from error
        exchange = _Exchange(service, call, prompt)
        if call.stream:
            return StreamingResponse(_streamed(service, call, exchange), media_type="text/event-stream")
        return await _whole(service, exchange, request)

    async def models(request: Request) -> Response:
        admit(request, service.token, service.host)
        return models_answer(service.model)

    async def health(request: Request) -> Response:
        return JSONResponse(await asyncio.to_thread(readings, service))

    routes = [
        Route("/v1/chat/completions", chat, methods=["POST"]),
        Route("/v1/models", models),
        Route("/health", health),
    ]
    return Starlette(routes=routes, exception_handlers={Refused: refuse})


def readings(service: Service) -> dict[str, Any]:
    """What /health says: load, speed, memory (bytes) and cache of the served model."""
    import psutil

    shape = service.engine.decoder.shape
    return {
        "status": "ok",
        "model": service.model,
        "dtype": str(shape.dtype).removeprefix("torch."),
        "device": shape.device,
        "context": service.engine.decoder.context,
        "pid": os.getpid(),
        "rss_bytes": psutil.Process().memory_info().rss,
        "uptime_s": round(time.monotonic() - service.started, 1),
        "idle_s": round(service.idle_s, 1),
        **asdict(service.engine.load()),
    }

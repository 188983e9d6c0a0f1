"""The messages protocol as the Anthropic API speaks it, with the same scripts as the OpenAI fake."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.fakes.loopback import serving
from tests.fakes.openai_server import Act, Cut, Fake, words_of

NEWEST = "2026-10-21"
CACHE_MINIMUM = 1024


def _error(status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> Response:
    body = {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}
    return JSONResponse(body, status_code=status, headers=headers)


def _refused(body: dict[str, Any], headers: dict[str, str]) -> str | None:
    """What the API would not accept about a request; None if nothing."""
    if not headers.get("authorization", "").startswith("Bearer ") and "x-api-key" not in headers:
        return "no key"
    if set(body) & {"temperature", "top_p", "top_k"} and headers.get("anthropic-version") == NEWEST:
        return "temperature: sampling parameters are not supported in this version"
    turns = body["messages"]
    if not turns or turns[0]["role"] != "user":
        return "messages: the first message must use the user role"
    if any(not turn["content"] for turn in turns):
        return "messages: text content blocks must be non-empty"
    return None


class Account:
    """Remembers the system prompts it has cached, as the prompt cache does."""

    def __init__(self) -> None:
        self.cached: set[str] = set()

    def usage(self, body: dict[str, Any], act: Act) -> dict[str, Any]:
        usage = {"input_tokens": 30, "output_tokens": len(act.text.split())}
        usage |= {"cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
        for block in body.get("system", []):
            tokens = len(block["text"]) // 4
            if "cache_control" in block and tokens >= CACHE_MINIMUM:
                known = block["text"] in self.cached
                usage["cache_read_input_tokens" if known else "cache_creation_input_tokens"] = tokens
                self.cached.add(block["text"])
            else:
                usage["input_tokens"] += tokens
        return usage


async def _events(act: Act, body: dict[str, Any], usage: dict[str, Any]) -> AsyncIterator[str]:
    def event(kind: str, data: dict[str, Any]) -> str:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n"

    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "content": []}
    message |= {"stop_reason": None, "stop_sequence": None, "usage": {**usage, "output_tokens": 1}}
    yield event("message_start", {"message": message})
    yield event("content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}})
    yield event("ping", {})
    for word in words_of(act):
        yield event("content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": word}})
    if act.event:
        yield event("error", {"error": act.event})
        return
    if act.cut is not None:
        if act.clean_cut:
            return
        raise Cut
    yield event("content_block_stop", {"index": 0})
    delta = {"stop_reason": act.finish, "stop_sequence": None}
    yield event("message_delta", {"delta": delta, "usage": {"output_tokens": usage["output_tokens"]}})
    yield event("message_stop", {})


def app_for(fake: Fake) -> Starlette:
    """The fake as a web application."""
    account = Account()

    async def messages(request: Request) -> Response:
        act, body = await fake.act(request)
        wrong = _refused(body, fake.headers[-1])
        if wrong:
            return _error(400, "invalid_request_error", wrong)
        if act.malformed is not None:
            return PlainTextResponse(act.malformed, media_type="application/json")
        if act.status != 200:
            return _error(act.status, act.kind, act.message, act.headers)
        usage = account.usage(body, act)
        if body.get("stream"):
            return StreamingResponse(_events(act, body, usage), media_type="text/event-stream")
        answer = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "stop_sequence": None}
        content = [{"type": "text", "text": act.text}]
        return JSONResponse({**answer, "content": content, "stop_reason": act.finish, "usage": usage})

    return Starlette(routes=[Route("/v1/messages", messages, methods=["POST"])])


@contextmanager
def fake_anthropic(*script: Act | str) -> Iterator[Fake]:
    """A fake that answers along `script`; acts without a `finish` of their own end the turn."""
    acts: list[Act | str] = [_ended(act) for act in script] or [_ended(Act())]
    fake = Fake(script=acts)
    with serving(app_for(fake)) as address:
        fake.url = address
        yield fake


def _ended(act: Act | str) -> Act:
    from dataclasses import replace

    act = Act(act) if isinstance(act, str) else act
    return replace(act, finish="end_turn") if act.finish == "stop" else act

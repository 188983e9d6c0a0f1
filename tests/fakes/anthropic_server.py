"""The messages protocol as the Anthropic API speaks it, with the same scripts as the OpenAI fake."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.fakes.anthropic_batches import BatchDesk, routes
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
        blocks = [*body.get("system", [])]
        for turn in body["messages"]:
            blocks += [{"text": turn["content"]}] if isinstance(turn["content"], str) else turn["content"]
        prefix, read, marked = "", 0, 0
        for block in blocks:
            prefix += block["text"]
            tokens = len(prefix) // 4
            if "cache_control" in block and tokens >= CACHE_MINIMUM:
                read = tokens if prefix in self.cached else read
                marked = tokens
                self.cached.add(prefix)
        usage["cache_read_input_tokens"] = read
        usage["cache_creation_input_tokens"] = marked - read
        usage["input_tokens"] += max(0, sum(len(block["text"]) for block in body.get("system", [])) // 4 - marked)
        return usage


async def events(act: Act, body: dict[str, Any], usage: dict[str, Any]) -> AsyncIterator[str]:
    """The reply as a stream."""

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


def app_for(fake: Fake, desk: BatchDesk | None = None) -> Starlette:
    """The fake as a web application."""
    account = Account()

    def message(body: dict[str, Any], act: Act) -> dict[str, Any]:
        answer = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "stop_sequence": None}
        content: list[dict[str, Any]] = [{"type": "text", "text": act.text}]
        if "tool_choice" in body and act.finish == "end_turn":
            content = [
                {"type": "tool_use", "id": "t1", "name": body["tool_choice"]["name"], "input": json.loads(act.text)}
            ]
            act = replace(act, finish="tool_use")
        return {**answer, "content": content, "stop_reason": act.finish, "usage": account.usage(body, act)}

    def in_batch(body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        act = _ended(fake.next_act(body))
        if act.outcome:
            return act.outcome, {}
        if act.status != 200:
            return "errored", {"error": {"type": "error", "error": {"type": act.kind, "message": act.message}}}
        return "succeeded", {"message": message(body, act)}

    async def messages(request: Request) -> Response:
        act, body = await fake.act(request)
        wrong = _refused(body, fake.headers[-1])
        if wrong:
            return _error(400, "invalid_request_error", wrong)
        if act.malformed is not None:
            return PlainTextResponse(act.malformed, media_type="application/json")
        if act.status != 200:
            return _error(act.status, act.kind, act.message, act.headers)
        if body.get("stream"):
            return StreamingResponse(events(act, body, account.usage(body, act)), media_type="text/event-stream")
        return JSONResponse(message(body, act))

    return Starlette(
        routes=[Route("/v1/messages", messages, methods=["POST"]), *routes(fake, desk or BatchDesk(), in_batch)]
    )


@contextmanager
def fake_anthropic(*script: Act | str, desk: BatchDesk | None = None) -> Iterator[Fake]:
    """A fake that answers along `script`; acts without a `finish` of their own end the turn. `desk` handles batches."""
    acts: list[Act | str] = [_ended(act) for act in script] or [_ended(Act())]
    fake = Fake(script=acts)
    with serving(app_for(fake, desk)) as address:
        fake.url = address
        yield fake


def _ended(act: Act | str) -> Act:
    act = Act(act) if isinstance(act, str) else act
    return replace(act, finish="end_turn") if act.finish == "stop" else act

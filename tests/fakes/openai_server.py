"""The chat-completions protocol as its servers speak it, with a script of what to do wrong.

Each request takes the next act of the script (the last one stays): a text to reply with, or an Act.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.fakes.loopback import serving


@dataclass(frozen=True)
class Act:
    """`status` other than 200 is an error answer; `cut` breaks the stream off after that many words; `event` is an error
    event after them; `hang` never answers; `malformed` is sent instead of the protocol's JSON. `outcome` is what becomes
    of the request in a batch (`expired`, `canceled`). A `fixed` text is sent even where the fake makes its own answers.
    """

    text: str = "Hello there my friend"
    status: int = 200
    kind: str = "server_error"
    message: str = "no"
    headers: dict[str, str] = field(default_factory=dict)
    finish: str = "stop"
    refusal: str | None = None
    cut: int | None = None
    clean_cut: bool = False
    event: dict[str, Any] | None = None
    hang: bool = False
    malformed: str | None = None
    cached: int = 0
    machine_s: float | None = None
    outcome: str = ""
    fixed: bool = False

    @property
    def plain(self) -> bool:
        """Whether it is an ordinary answer."""
        return self.status == 200 and not (self.fixed or self.malformed or self.refusal or self.event or self.outcome)


@dataclass
class Fake:
    """A running fake: where it is, and what it was asked (`body` and `headers` of each request).

    With `answer` the script's plain texts give way to what it makes of the request's body; other acts stay.
    """

    url: str = ""
    script: list[Act | str] = field(default_factory=list)
    answer: Callable[[dict[str, Any]], str] | None = None
    delay_s: float = 0.0
    bodies: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    async def act(self, request: Request) -> tuple[Act, dict[str, Any]]:
        """Note the request and take the next act."""
        body = await request.json()
        self.bodies.append(body)
        self.headers.append(dict(request.headers))
        act = self.next_act(body)
        await asyncio.sleep(3600 if act.hang else self.delay_s)
        return act, body

    def next_act(self, body: dict[str, Any]) -> Act:
        """What happens to the next request."""
        act = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        act = Act(act) if isinstance(act, str) else act
        return replace(act, text=self.answer(body)) if self.answer and act.plain else act


class Cut(Exception):
    """Ends a response in the middle, as a broken connection does."""


def words_of(act: Act) -> Iterator[str]:
    """The reply in pieces, as far as it comes."""
    words = act.text.split(" ")
    for index, word in enumerate(words[: act.cut] if act.cut is not None else words):
        yield word if index == 0 else f" {word}"


def _usage(act: Act) -> dict[str, Any]:
    said = len(act.text.split())
    return {
        "prompt_tokens": 30,
        "completion_tokens": said,
        "total_tokens": 30 + said,
        "prompt_tokens_details": {"cached_tokens": act.cached},
        **({} if act.machine_s is None else {"machine_s": act.machine_s}),
    }


def _base(kind: str, model: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1, "model": model}


async def events(act: Act, body: dict[str, Any]) -> AsyncIterator[str]:
    """The reply as a stream."""

    def event(data: object) -> str:
        return f"data: {json.dumps(data)}\n\n"

    base = _base("chat.completion.chunk", body["model"])
    yield event({**base, "choices": [{"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}]})
    field_name = "refusal" if act.refusal else "content"
    for word in words_of(act):
        yield event({**base, "choices": [{"index": 0, "delta": {field_name: word}, "finish_reason": None}]})
    if act.event:
        yield event({"error": act.event})
        return
    if act.cut is not None:
        if act.clean_cut:
            return
        raise Cut
    yield event({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": act.finish}]})
    if body.get("stream_options", {}).get("include_usage"):
        yield event({**base, "choices": [], "usage": _usage(act)})
    yield "data: [DONE]\n\n"


def app_for(fake: Fake) -> Starlette:
    """The fake as a web application."""

    async def chat(request: Request) -> Response:
        act, body = await fake.act(request)
        if act.malformed is not None:
            return PlainTextResponse(act.malformed, media_type="application/json")
        if act.status != 200:
            error = {"message": act.message, "type": act.kind, "param": None, "code": None}
            return JSONResponse({"error": error}, status_code=act.status, headers=act.headers)
        if body.get("stream"):
            return StreamingResponse(events(act, body), media_type="text/event-stream")
        message: dict[str, Any] = {"role": "assistant", "content": None if act.refusal else act.text}
        message["refusal"] = act.refusal
        if "tool_choice" in body and act.refusal is None:
            called = {"name": body["tool_choice"]["function"]["name"], "arguments": act.text}
            message |= {"content": None, "tool_calls": [{"id": "call_1", "type": "function", "function": called}]}
        choice = {"index": 0, "message": message, "finish_reason": act.finish, "logprobs": None}
        return JSONResponse({**_base("chat.completion", body["model"]), "choices": [choice], "usage": _usage(act)})

    return Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])


@contextmanager
def fake_openai(*script: Act | str) -> Iterator[Fake]:
    """A fake that answers along `script`; its `url` ends in /v1."""
    fake = Fake(script=list(script) or [Act()])
    with serving(app_for(fake)) as address:
        fake.url = f"{address}/v1"
        yield fake

"""Services that answer as Claude and GPT would in an evaluation: as agents, as the simulated user, as judges.

Every answer is a function of the request alone, and so is what goes wrong before it is given (overload storms, broken
JSON, cut connections, refusals, quotations that do not occur). So a run that was killed and taken up again must end in the
same tables as one that was not, and what was answered is counted by request.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.fakes import anthropic_server, openai_server
from tests.fakes.loopback import serving
from tests.fakes.openai_server import Act

OPENING = "Good day! What is your destination, on what dates, and for how many people?"
ESCALATES = "A human advisor will take over from here. Goodbye!"
CRITERIA = ("task_success", "information_accuracy", "consistency", "graceful_handling", "naturalness")


@dataclass
class Frontier:
    """Both services, at `anthropic` and `openai`. `answered` counts whole answers by request; `asked` all requests;
    `second` holds the requests that ask a judge once more. `held` counts requests that had to wait, `waiting` those that
    wait now.

    `hostile`: the share of requests that are met with trouble first, and of judgements that are spoilt. After
    `hold_after` answers everything waits until `release` is called: the moment to kill a client.
    """

    hostile: float = 0.0
    hold_after: int | None = None
    anthropic: str = ""
    openai: str = ""
    answered: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    second: set[str] = field(default_factory=set)
    held: int = 0
    waiting: int = 0
    _go: threading.Event = field(default_factory=threading.Event)

    def release(self) -> None:
        """Let everything go on."""
        self.hold_after = None
        self._go.set()


def chance(key: str, what: str) -> float:
    """A number in 0…1 that is always the same for the same request."""
    return int(hashlib.sha256(f"{key}|{what}".encode()).hexdigest()[:8], 16) / 0xFFFFFFFF


def speak(system: str, talk: list[tuple[str, str]], key: str, hostile: float) -> tuple[str, bool]:
    """The text of an answer and whether it is a refusal, by the part that the system prompt gives."""
    if "# Criteria" in system:
        return judge_answer(talk[0][1], len(talk) > 1, key, hostile)
    if "You play a customer" in system:
        turns = sum(role == "assistant" for role, _ in talk)
        return ("###DONE###" if turns else facts_told(system)), False
    if "statements is true" in talk[-1][1]:
        return "1", False
    users = sum(role == "user" and not text.startswith("(") for role, text in talk)
    return (OPENING if not users else ESCALATES), False


def facts_told(system: str) -> str:
    """The customer's facts in one message."""
    return "Here is what I want: " + ", ".join(re.findall(r"^- [^:\n]+: (.+)$", system, re.M)[:3]) + "."


def judge_answer(asked: str, again: bool, key: str, hostile: float) -> tuple[str, bool]:
    """A verdict on every criterion; hostile ones are refused, broken, or quote what nobody said."""
    transcript = asked.split("<transcript>", 1)[1].split("</transcript>", 1)[0]
    luck = chance(hashlib.sha256(transcript.encode()).hexdigest(), "verdict")
    if luck < hostile / 3:
        return "I cannot judge this.", True
    if luck < hostile * 2 / 3 and (not again or luck < hostile / 2):
        return '{"challenged": true, "task_success": {"score": ', False
    lines = re.findall(r"^\[(\d+)\] Assistant: (.+)$", transcript, re.M)
    number, words = lines[-1]
    answer: dict[str, Any] = {"challenged": True}
    for criterion in CRITERIA:
        quote = words[:40]
        if luck < hostile and criterion == "consistency":
            quote = "Nobody ever said this in the talk"
        score = 1 + int(chance(transcript, criterion) * 4.999)
        quotes = [{"message": int(number), "quote": quote}]
        answer[criterion] = {"reason": "As quoted.", "quotes": quotes, "score": score}
    return json.dumps(answer), False


Shape = Callable[[dict[str, Any], str, bool], dict[str, Any]]
Events = Callable[[Act, dict[str, Any]], AsyncIterator[str]]


def app_for(fake: Frontier) -> Starlette:
    """Both protocols as one web application."""

    async def trouble(key: str, cut: AsyncIterator[str]) -> Response | None:
        tries = fake.asked[key]
        fake.asked[key] += 1
        luck = chance(key, "trouble")
        if luck >= fake.hostile or tries >= 1 + int(luck * 1000) % 2:
            return None
        kind = int(luck * 10_000) % 4
        if kind == 0:
            body = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
            return JSONResponse(body, status_code=529, headers={"retry-after": "0"})
        if kind == 1:
            return JSONResponse({"error": {"type": "rate_limit_error", "message": "slow"}}, status_code=429)
        if kind == 2:
            return PlainTextResponse('{"id": "x", ', media_type="application/json")
        return StreamingResponse(cut, media_type="text/event-stream")

    async def answer(
        request: Request,
        parts: Callable[[dict[str, Any]], tuple[str, list[tuple[str, str]]]],
        shape: Shape,
        events: Events,
    ) -> Response:
        import asyncio

        body = await request.json()
        key = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        if fake.hold_after is not None and sum(fake.answered.values()) >= fake.hold_after:
            fake.held += 1
            fake.waiting += 1
            try:
                while not fake._go.is_set():
                    if await request.is_disconnected():
                        return PlainTextResponse("", status_code=500)
                    await asyncio.sleep(0.01)
            finally:
                fake.waiting -= 1
        wrong = await trouble(key, events(Act(cut=2), body) if body.get("stream") else _cut())
        if wrong is not None:
            return wrong
        system, talk = parts(body)
        text, refused = speak(system, talk, key, fake.hostile)
        fake.answered[key] += 1
        if "# Criteria" in system and len(talk) > 1:
            fake.second.add(key)
        if body.get("stream"):
            return StreamingResponse(events(Act(text), body), media_type="text/event-stream")
        return JSONResponse(shape(body, text, refused))

    async def messages(request: Request) -> Response:
        return await answer(request, _anthropic_parts, _anthropic_shape, _anthropic_events)

    async def chat(request: Request) -> Response:
        return await answer(request, _openai_parts, _openai_shape, openai_server.events)

    routes = [Route("/v1/messages", messages, methods=["POST"])]
    return Starlette(routes=[*routes, Route("/openai/chat/completions", chat, methods=["POST"])])


async def _cut() -> Any:
    yield '{"id": "msg_1", "type": "mess'
    raise ConnectionError("cut")


def _anthropic_parts(body: dict[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    def text(content: Any) -> str:
        return content if isinstance(content, str) else "".join(block["text"] for block in content)

    return text(body.get("system", "")), [(m["role"], text(m["content"])) for m in body["messages"]]


def _anthropic_shape(body: dict[str, Any], text: str, refused: bool) -> dict[str, Any]:
    usage = {"input_tokens": len(json.dumps(body)) // 4, "output_tokens": len(text) // 4 + 1}
    usage |= {"cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": body["model"], "usage": usage,
        "content": [{"type": "text", "text": text}], "stop_sequence": None,
        "stop_reason": "refusal" if refused else "end_turn",
    }  # fmt: skip


def _anthropic_events(act: Act, body: dict[str, Any]) -> AsyncIterator[str]:
    usage = {**_anthropic_shape(body, act.text, False)["usage"]}
    return anthropic_server.events(replace(act, finish="end_turn"), body, usage)


def _openai_parts(body: dict[str, Any]) -> tuple[str, list[tuple[str, str]]]:
    talk = [(m["role"], m["content"]) for m in body["messages"]]
    return "\n".join(t for r, t in talk if r == "system"), [(r, t) for r, t in talk if r != "system"]


def _openai_shape(body: dict[str, Any], text: str, refused: bool) -> dict[str, Any]:
    message = {"role": "assistant", "content": None if refused else text, "refusal": text if refused else None}
    usage = {"prompt_tokens": len(json.dumps(body)) // 4, "completion_tokens": len(text) // 4 + 1}
    return {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"],
        "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
        "usage": usage | {"total_tokens": sum(usage.values())},
    }  # fmt: skip


@contextmanager
def frontier(hostile: float = 0.0, hold_after: int | None = None) -> Iterator[Frontier]:
    """Both services on one loopback port."""
    fake = Frontier(hostile, hold_after)
    with serving(app_for(fake)) as address:
        fake.anthropic, fake.openai = address, f"{address}/openai"
        try:
            yield fake
        finally:
            fake.release()

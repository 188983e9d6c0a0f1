"""The OpenAI chat-completions protocol as plain data: what is accepted, and what is answered."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from workbench.models.server.door import Refused
from workbench.models.server.engine import Finish, Finished, Generation

_REASONS: dict[Finish, str] = {"stop": "stop", "length": "length", "cancelled": "stop", "error": "stop"}


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A chat-completions request, checked."""

    messages: tuple[dict[str, str], ...]
    max_tokens: int | None
    temperature: float
    top_p: float
    seed: int | None
    stop: tuple[str, ...]
    choices: tuple[str, ...]
    stream: bool
    include_usage: bool

    def generation(self, prompt: list[int], context: int) -> Generation:
        """The engine's request. Raises Refused when the prompt leaves no room for a reply."""
        room = context - len(prompt)
        if room < 1:
            message = f"the conversation has {len(prompt)} tokens; this model's context is {context}"
            raise Refused(400, message, "context_length_exceeded")
        return Generation(
            prompt=tuple(prompt),
            max_tokens=min(self.max_tokens or room, room),
            temperature=self.temperature,
            top_p=self.top_p,
            seed=self.seed,
            stop=self.stop,
            choices=self.choices,
        )


def _number(body: dict[str, Any], name: str, default: float, low: float, high: float) -> float:
    value = body.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise Refused(400, f"{name} must be a number from {low:g} to {high:g}", "invalid_value")
    return float(value)


def _texts(value: object, name: str) -> tuple[str, ...]:
    if value is None:
        return ()
    several = [value] if isinstance(value, str) else value
    if not isinstance(several, list) or not all(isinstance(v, str) and v for v in several):
        raise Refused(400, f"{name} must be a list of non-empty texts", "invalid_value")
    return tuple(several)


def _message(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or value.get("role") not in ("system", "developer", "user", "assistant"):
        raise Refused(400, "each message needs a role: system, user or assistant", "invalid_value")
    content = value.get("content")
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content if isinstance(part, dict))
    if not isinstance(content, str):
        raise Refused(400, "each message needs its text in content", "invalid_value")
    return {"role": "system" if value["role"] == "developer" else value["role"], "content": content}


def parse_call(body: object) -> ChatCall:
    """The request in `body` (decoded JSON). Raises Refused (400) with what is wrong."""
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list) or not body["messages"]:
        raise Refused(400, "the body must be an object with a non-empty list of messages", "invalid_value")
    if body.get("n") not in (None, 1):
        raise Refused(400, "n must be 1", "unsupported_value")
    limit = body.get("max_completion_tokens", body.get("max_tokens"))
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise Refused(400, "max_tokens must be a whole number from 1", "invalid_value")
    seed = body.get("seed")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int)):
        raise Refused(400, "seed must be a whole number", "invalid_value")
    structured = body.get("structured_outputs") or {}
    if not isinstance(structured, dict) or set(structured) - {"choice"}:
        raise Refused(400, "of structured_outputs only choice is supported", "unsupported_value")
    options = body.get("stream_options")
    return ChatCall(
        messages=tuple(_message(m) for m in body["messages"]),
        max_tokens=limit,
        temperature=_number(body, "temperature", 1.0, 0.0, 2.0),
        top_p=_number(body, "top_p", 1.0, 0.0, 1.0),
        seed=seed % 2**63 if seed is not None else None,
        stop=_texts(body.get("stop"), "stop"),
        choices=_texts(structured.get("choice"), "structured_outputs.choice"),
        stream=bool(body.get("stream")),
        include_usage=isinstance(options, dict) and bool(options.get("include_usage")),
    )


def usage(done: Finished) -> dict[str, Any]:
    """Token counts as the protocol writes them."""
    return {
        "prompt_tokens": done.prompt_tokens,
        "completion_tokens": done.output_tokens,
        "total_tokens": done.prompt_tokens + done.output_tokens,
        "prompt_tokens_details": {"cached_tokens": done.cached_tokens},
        "machine_s": round(done.machine_s, 6),  # ours: the seconds of this server that the request took
    }


def _scores(done: Finished) -> dict[str, Any]:
    if not done.scores:
        return {}
    return {"choice_scores": [{"text": t, "logprob": p, "share": s} for t, p, s in done.scores]}


def completion(call_id: str, model: str, done: Finished) -> dict[str, Any]:
    """The whole answer to a call without streaming."""
    return {
        "id": call_id,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": done.text},
                "finish_reason": _REASONS[done.reason],
                "logprobs": None,
                **_scores(done),
            }
        ],
        "usage": usage(done),
    }


def piece(call_id: str, model: str, delta: dict[str, str], done: Finished | None = None) -> dict[str, Any]:
    """One event of a streamed answer; with `done` the one that carries the finish reason."""
    reason = _REASONS[done.reason] if done else None
    choice = {"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None, **(_scores(done) if done else {})}
    return {
        "id": call_id,
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": model,
        "choices": [choice],
    }

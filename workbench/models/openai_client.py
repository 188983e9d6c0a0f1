"""The OpenAI chat-completions protocol: GPT models, and every server that speaks it (ours, vLLM, llama.cpp, Ollama)."""

from __future__ import annotations

import math
import os
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

from workbench.errors import UserError
from workbench.models.attempt import AttemptFailed, attempt_failed
from workbench.models.capabilities import capability
from workbench.models.client import Reply, Request, StopReason, Usage, tokens
from workbench.models.constraint import Constraint, extra_body
from workbench.models.wire import http_client, in_time, sendable

OPENAI_URL = "https://api.openai.com/v1"
_REASONS: dict[str, StopReason] = {"stop": "end", "tool_calls": "end", "length": "length", "content_filter": "refusal"}


def openai_key() -> str:
    """OPENAI_API_KEY. Raises UserError when it is not set."""
    key = os.environ.get("OPENAI_API_KEY", "").strip()
    if not key:
        raise UserError("OPENAI_API_KEY is not set: models named openai/… need it in the environment")
    return sendable(key, "OPENAI_API_KEY")


class OpenAIClient:
    """One attempt a call, no retries; failures are AttemptFailed.

    `constraint` is the form in which `choices` are sent. The OpenAI API itself gets its newer parameter names, which
    other servers do not know.
    """

    def __init__(
        self,
        model: str,
        key: str,
        base_url: str = OPENAI_URL,
        *,
        constraint: Constraint = "none",
        timeout_s: float = 300.0,
    ) -> None:
        try:
            import openai
        except ModuleNotFoundError as error:
            raise UserError("the openai package is not installed: pip install openai") from error
        self._sdk = openai
        self.model = model
        self._constraint: Constraint = constraint
        self._official = base_url == OPENAI_URL
        self._capability = capability(model) if self._official else replace(capability(""), sampling=True)
        self._timeout_s = timeout_s
        self._client = openai.AsyncOpenAI(
            api_key=key,
            base_url=base_url,
            max_retries=0,
            timeout=timeout_s,
            http_client=http_client(openai, model, base_url, timeout_s),
        )

    def _params(self, request: Request) -> dict[str, Any]:
        params: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            ("max_completion_tokens" if self._official else "max_tokens"): request.max_tokens,
        }
        if self._capability.sampling:
            if request.temperature is not None:
                params["temperature"] = request.temperature
            if request.seed is not None:
                params["seed"] = request.seed
        if request.stop:
            params["stop"] = list(request.stop)
        if request.schema is not None and self._capability.form == "format":
            form = {"name": "reply", "schema": dict(request.schema), "strict": True}
            params["response_format"] = {"type": "json_schema", "json_schema": form}
        elif request.schema is not None and self._capability.form == "tool":
            tool = {"name": "reply", "description": "Give the answer in this form.", "parameters": dict(request.schema)}
            params["tools"] = [{"type": "function", "function": tool}]
            params["tool_choice"] = {"type": "function", "function": {"name": "reply"}}
        if request.choices and self._constraint != "none":
            params |= extra_body(self._constraint, request.choices)
        return params

    async def _ask(self, params: dict[str, Any], streamed: bool) -> Any:
        """The answer as plain JSON: making the SDK's objects of it, and of what is asked, takes half of a call's CPU time."""
        asked = self._client.post(
            "/chat/completions", cast_to=object, body=params, stream=streamed, stream_cls=self._sdk.AsyncStream[object]
        )
        return await in_time(asked, self.model, self._timeout_s)

    async def complete(self, request: Request) -> Reply:
        """The whole reply of one attempt."""
        began = time.perf_counter()
        try:
            answer = await self._ask(self._params(request), streamed=False)
            spent = time.perf_counter() - began
            choice = answer["choices"][0]
            message = choice["message"]
            refusal = message.get("refusal")
            text = _called(message) or message.get("content") or refusal or ""
            reason = "content_filter" if refusal else choice.get("finish_reason")
            return self._reply(text, reason, answer.get("usage"), spent, None, _scores(choice))
        except Exception as error:
            raise self._failed(error) from error

    async def stream(self, request: Request) -> AsyncIterator[str | Reply]:
        """Chunks as they come, then the Reply. A stream that ends without a finish reason is a failed attempt."""
        began = time.perf_counter()
        first: float | None = None
        text, reason, usage, scores = "", None, None, dict[str, object]()
        try:
            params = self._params(request) | {"stream": True, "stream_options": {"include_usage": True}}
            async with await self._ask(params, streamed=True) as events:
                async for event in events:
                    usage = event.get("usage") or usage
                    for choice in event.get("choices") or ():
                        delta = choice.get("delta") or {}
                        refusal = delta.get("refusal")
                        chunk = delta.get("content") or refusal or ""
                        if refusal:
                            reason = "content_filter"
                        if chunk:
                            first = first or time.perf_counter() - began
                            text += chunk
                            yield chunk
                        reason = reason or choice.get("finish_reason")
                        scores = _scores(choice) or scores
            if reason is None:
                raise AttemptFailed("cut", f"{self.model}: the stream ended in mid-reply")
            spent = time.perf_counter() - began
            reply = self._reply(text, reason, usage, spent, first, scores)
        except Exception as error:
            failed = self._failed(error)
            if first is not None and failed.kind == "connection":  # as the SDK calls a stream that breaks off
                failed = AttemptFailed("cut", f"{self.model}: the connection broke off in mid-reply")
            raise failed from error
        yield reply

    def _failed(self, error: Exception) -> AttemptFailed:
        failed = attempt_failed(self._sdk, self.model, error)
        if failed.status not in (400, 422):
            return failed
        if self._constraint != "none" and ("structured_outputs" in str(failed) or "grammar" in str(failed)):
            self._constraint = "none"
            return AttemptFailed("unsupported", str(failed), failed.status)
        left = self._capability.without(str(failed))
        if left is None:
            return failed
        self._capability = left
        return AttemptFailed("unsupported", str(failed), failed.status)

    def _reply(
        self, text: str, reason: Any, usage: Any, spent: float, first: float | None, scores: dict[str, object]
    ) -> Reply:
        if not isinstance(reason, str) or not isinstance(text, str):
            raise AttemptFailed("malformed", f"{self.model}: the answer has no finish reason")
        detail: dict[str, object] = dict(scores)
        if not self._capability.sampling:
            detail["sampling"] = "the model's own: it takes no temperature"
        counted = _usage(usage)
        machine_s = (usage or {}).get("machine_s")
        if isinstance(machine_s, int | float) and 0 <= machine_s < math.inf:
            detail["machine_s"] = float(machine_s)
        if counted is None:
            detail["usage"] = "not reported"
        return Reply(text, _REASONS.get(reason, "end"), counted or Usage(), spent, first, None, self.model, detail)

    async def close(self) -> None:
        """Release connections."""
        await self._client.close()


def _called(message: Any) -> str:
    """The arguments of the tool that was called (JSON text), "" if none was."""
    calls = message.get("tool_calls") or []
    return str(calls[0]["function"]["arguments"]) if calls and calls[0].get("type") == "function" else ""


def _scores(choice: Any) -> dict[str, object]:
    found = choice.get("choice_scores")
    return (
        {"scores": {s["text"]: s["logprob"] for s in found}, "shares": {s["text"]: s["share"] for s in found}}
        if (isinstance(found, list))
        else {}
    )


def _usage(usage: Any) -> Usage | None:
    if usage is None:
        return None
    cached = tokens((usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0)
    return Usage(tokens(usage["prompt_tokens"] - cached), tokens(usage["completion_tokens"]), cache_read=cached)

"""Claude through the anthropic SDK (version 2): messages, streaming, prompt caching of long system prompts."""

from __future__ import annotations

import json
import os
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from typing import Any

from workbench.errors import UserError
from workbench.models.attempt import AttemptFailed, attempt_failed
from workbench.models.capabilities import capability
from workbench.models.client import ChatMessage, Reply, Request, StopReason, Usage, tokens
from workbench.models.wire import http_client, in_time, sendable

OPENING = "(The conversation begins. Speak first.)"
"""The user message inserted where a conversation opens with the assistant: the API wants a user to begin."""
SILENCE = "(says nothing)"
"""What stands for an empty message, which the API refuses."""
ANSWER = "answer"
"""The tool whose input is the answer, for models that take a schema in no other form."""
SAMPLING_VERSION = "2023-06-01"
"""The newest API version that takes a temperature (evaluation.md); sent only to models that still sample."""
_CHARACTERS_A_TOKEN = 4
_REASONS: dict[str, StopReason] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "tool_use": "end",
    "pause_turn": "length",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
}


def anthropic_key() -> str:
    """ANTHROPIC_API_KEY. Raises UserError when it is not set."""
    key = os.environ.get("ANTHROPIC_API_KEY", "").strip()
    if not key:
        raise UserError("ANTHROPIC_API_KEY is not set: models named anthropic/… need it in the environment")
    return sendable(key, "ANTHROPIC_API_KEY")


def to_turns(messages: Iterable[ChatMessage]) -> tuple[str, list[dict[str, Any]]]:
    """System text and turns as the API wants them: a user first, none empty."""
    system: list[str] = []
    turns: list[dict[str, Any]] = []
    for message in messages:
        if message.role == "system":
            system.append(message.content)
        else:
            turns.append({"role": message.role, "content": message.content.strip() or SILENCE})
    if not turns or turns[0]["role"] != "user":
        turns.insert(0, {"role": "user", "content": OPENING})
    return "\n\n".join(system), turns


class AnthropicClient:
    """One attempt a call, no retries; failures are AttemptFailed."""

    def __init__(self, model: str, key: str, base_url: str | None = None, *, timeout_s: float = 300.0) -> None:
        try:
            import anthropic
        except ModuleNotFoundError as error:
            raise UserError("the anthropic package is not installed: pip install anthropic") from error
        self._sdk = anthropic
        self.model = model
        self._capability = capability(model)
        self._timeout_s = timeout_s
        http = http_client(anthropic, model, base_url, timeout_s)
        self._client = anthropic.AsyncAnthropic(
            api_key=key, base_url=base_url, max_retries=0, timeout=timeout_s, http_client=http
        )

    @property
    def sdk_client(self) -> Any:
        """The SDK's own asynchronous client."""
        return self._client

    def params(self, request: Request) -> dict[str, Any]:
        """The arguments of `messages.create`; what the SDK has no name for is in `extra_headers` and `extra_body`."""
        system, turns = to_turns(request.messages)
        shared = turns[: request.cached]
        params: dict[str, Any] = {"model": self.model, "max_tokens": request.max_tokens, "messages": turns}
        minimum = _CHARACTERS_A_TOKEN * self._capability.cache_tokens
        if system:
            params["system"] = [_block(system, len(system) >= minimum)]
        if shared and len(system) + sum(len(turn["content"]) for turn in shared) >= minimum:
            turns[len(shared) - 1] = {**shared[-1], "content": [_block(shared[-1]["content"], True)]}
        if request.schema is not None and self._capability.form == "format":
            params["output_config"] = {"format": {"type": "json_schema", "schema": dict(request.schema)}}
        elif request.schema is not None and self._capability.form == "tool":
            tool = {
                "name": ANSWER,
                "description": "Give the answer in this form.",
                "input_schema": dict(request.schema),
            }
            params["tools"] = [tool]
            params["tool_choice"] = {"type": "tool", "name": ANSWER, "disable_parallel_tool_use": True}
        if request.stop:
            params["stop_sequences"] = list(request.stop)
        if request.temperature is not None and self._capability.sampling:
            params["extra_headers"] = {"anthropic-version": SAMPLING_VERSION}
            params["extra_body"] = {"temperature": request.temperature}
        return params

    async def complete(self, request: Request) -> Reply:
        """The whole reply of one attempt."""
        began = time.perf_counter()
        try:
            answer = await in_time(self._client.messages.create(**self.params(request)), self.model, self._timeout_s)
            spent = time.perf_counter() - began
            return to_reply(self, answer, spent)
        except Exception as error:
            raise self.failed(error) from error

    async def stream(self, request: Request) -> AsyncIterator[str | Reply]:
        """Chunks as they come, then the Reply. A stream that ends without a stop reason is a failed attempt."""
        began = time.perf_counter()
        first: float | None = None
        text, reason, usage = "", None, Usage()
        try:
            asked = self._client.messages.create(**self.params(request), stream=True)
            async with await in_time(asked, self.model, self._timeout_s) as events:
                async for event in events:
                    if event.type == "message_start":
                        usage = _usage(event.message.usage)
                    elif event.type == "content_block_delta" and event.delta.type == "text_delta":
                        first = first or time.perf_counter() - began
                        text += event.delta.text
                        yield event.delta.text
                    elif event.type == "message_delta":
                        reason = event.delta.stop_reason or reason
                        usage = replace(usage, output=tokens(event.usage.output_tokens))
            if reason is None:
                raise AttemptFailed("cut", f"{self.model}: the stream ended in mid-reply")
            spent = time.perf_counter() - began
            reply = self.reply(text, reason, usage, spent, first)
        except Exception as error:
            raise self.failed(error) from error
        yield reply

    def failed(self, error: Exception) -> AttemptFailed:
        """What an exception of the SDK means."""
        return self.learnt(attempt_failed(self._sdk, self.model, error))

    def learnt(self, failed: AttemptFailed) -> AttemptFailed:
        """`failed`, unless it says that the model does not take a parameter, which is then left out from now on."""
        if failed.status != 400:
            return failed
        left = self._capability.without(str(failed))
        if left is None:
            return failed
        self._capability = left
        return AttemptFailed("unsupported", str(failed), 400)

    def reply(self, text: str, reason: str | None, usage: Usage, spent: float, first: float | None) -> Reply:
        """A reply of this model. Raises AttemptFailed if the answer lacks its stop reason."""
        if reason is None:
            raise AttemptFailed("malformed", f"{self.model}: the answer has no stop reason")
        sampling = {} if self._capability.sampling else {"sampling": "the model's own: it takes no temperature"}
        detail = {"stop_reason": reason, **sampling}
        return Reply(text, _REASONS.get(reason, "end"), usage, spent, first, None, self.model, detail)

    async def close(self) -> None:
        """Release connections."""
        await self._client.close()


def _block(text: str, cached: bool) -> dict[str, Any]:
    return {"type": "text", "text": text, **({"cache_control": {"type": "ephemeral"}} if cached else {})}


def to_reply(client: AnthropicClient, answer: Any, spent: float) -> Reply:
    """The SDK's message as a Reply; `spent` is seconds."""
    called = next((b for b in answer.content if b.type == "tool_use" and b.name == ANSWER), None)
    text = "".join(block.text for block in answer.content if block.type == "text")
    if called is not None:
        text = json.dumps(called.input, ensure_ascii=False)
    return client.reply(text, answer.stop_reason, _usage(answer.usage), spent, None)


def _usage(usage: Any) -> Usage:
    return Usage(
        input=tokens(usage.input_tokens),
        output=tokens(usage.output_tokens),
        cache_read=tokens(usage.cache_read_input_tokens or 0),
        cache_write=tokens(usage.cache_creation_input_tokens or 0),
    )

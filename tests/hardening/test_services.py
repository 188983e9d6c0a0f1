"""Hostile and broken services: bounded memory and time, one clear line, and the key goes nowhere else."""

from __future__ import annotations

import asyncio
import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes.anthropic_server import fake_anthropic
from tests.fakes.openai_server import Act as Reply_
from tests.fakes.openai_server import fake_openai
from tests.hardening.raw_server import Act, Send, head, raw_server
from workbench.errors import ServiceError, UserError
from workbench.home import Home
from workbench.models.anthropic_client import AnthropicClient
from workbench.models.attempt import AttemptFailed
from workbench.models.client import ChatMessage, Client, Request
from workbench.models.ledger import LedgerClient, RetryPolicy
from workbench.models.open import open_client
from workbench.models.openai_client import OpenAIClient
from workbench.models.wire import MOST_BYTES

KEY = "sk-test-0123456789abcdef"
ASKED = Request((ChatMessage("user", "Hello?"),))
KINDS = ("anthropic", "openai")
SLACK = 16 << 20
"""Bytes that may lie in buffers of the system and of the HTTP library when a connection is given up."""
JSON = "content-type: application/json"
STREAM = "content-type: text/event-stream"


def client(kind: str, url: str, timeout_s: float = 20.0) -> Client:
    if kind == "anthropic":
        return AnthropicClient("m", KEY, url, timeout_s=timeout_s)
    return OpenAIClient("m", KEY, f"{url}/v1", timeout_s=timeout_s)


async def whole(asked: Client) -> None:
    await asked.complete(ASKED)


async def streamed(asked: Client) -> None:
    async for _ in asked.stream(ASKED):
        pass


async def failure(
    kind: str, act: Act, way: Callable[[Client], Any] = whole, timeout_s: float = 20.0
) -> tuple[Any, Any]:
    """How one attempt at a server that does `act` fails, and the server."""
    with raw_server(act) as raw:
        asked = client(kind, raw.url, timeout_s)
        with pytest.raises(AttemptFailed) as caught:
            await asyncio.wait_for(way(asked), 60)
        await asked.close()
        line = str(caught.value)
        assert "\n" not in line
        assert KEY not in line
        return caught.value, raw


@pytest.mark.parametrize("way", [whole, streamed])
@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_redirect_is_not_followed_and_the_key_stays(kind: str, status: str, way: Callable[..., Any]) -> None:
    async def listen(send: Send) -> None:
        await send(head("200 OK", JSON, "content-length: 2") + b"{}")

    with raw_server(listen) as other:

        async def away(send: Send) -> None:
            await send(head(status, f"location: {other.url}/steal", "content-length: 0"))

        failed, _ = await failure(kind, away, way)
        assert other.heads == []
    assert failed.kind == "refused"
    assert "not followed" in str(failed)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_body_without_end_is_given_up(kind: str) -> None:
    async def act(send: Send) -> None:
        await send(head("200 OK", JSON, f"content-length: {1 << 40}"))
        while True:
            await send(b" " * (1 << 20))

    failed, raw = await failure(kind, act)
    assert raw.ended.wait(30)
    assert raw.sent < MOST_BYTES + SLACK
    assert "larger than any reply" in str(failed)
    assert not failed.retryable


@pytest.mark.parametrize("kind", KINDS)
async def test_an_error_answer_may_not_be_large_either(kind: str) -> None:
    async def act(send: Send) -> None:
        await send(head("500 No", JSON, f"content-length: {1 << 40}"))
        while True:
            await send(b"x" * (1 << 20))

    _, raw = await failure(kind, act)
    assert raw.ended.wait(30)
    assert raw.sent < MOST_BYTES + SLACK


@pytest.mark.parametrize("packed", ["gzip", "deflate"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_compressed_bomb_is_not_unfolded(kind: str, packed: str) -> None:
    bomb = gzip.compress(bytes(64 << 20)) if packed == "gzip" else zlib.compress(bytes(64 << 20))

    async def act(send: Send) -> None:
        await send(head("200 OK", JSON, f"content-encoding: {packed}", f"content-length: {len(bomb)}") + bomb)

    failed, _ = await failure(kind, act)
    assert "compressed" in str(failed)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_stream_without_end_is_given_up(kind: str) -> None:
    if kind == "anthropic":
        delta = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "x" * 50_000}}
        line = f"event: content_block_delta\ndata: {json.dumps(delta)}\n\n".encode()
    else:
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        chunk |= {"choices": [{"index": 0, "delta": {"content": "x" * 50_000}, "finish_reason": None}]}
        line = f"data: {json.dumps(chunk)}\n\n".encode()

    async def act(send: Send) -> None:
        await send(head("200 OK", STREAM, "connection: close"))
        while True:
            await send(line)

    failed, raw = await failure(kind, act, streamed)
    assert raw.ended.wait(30)
    assert raw.sent < MOST_BYTES + SLACK
    assert "larger than any reply" in str(failed)


@pytest.mark.parametrize("part", ["head", "body", "stream"])
@pytest.mark.parametrize("kind", KINDS)
async def test_a_slow_drip_is_a_time_out(kind: str, part: str) -> None:
    """Every byte comes well within the read time-out; the answer never does."""

    async def act(send: Send) -> None:
        if part != "head":
            await send(head("200 OK", STREAM if part == "stream" else JSON, "connection: close"))
        else:
            await send(b"HTTP/1.1 200 OK\r\nx-slow: ")
        while True:
            await send(b":\n\n" if part == "stream" else b" ")
            await asyncio.sleep(0.02)

    failed, _ = await failure(kind, act, streamed if part == "stream" else whole, timeout_s=0.2)
    assert failed.kind == "timeout"


BROKEN = {
    "invalid UTF-8": b'{"id": "\xff\xfe\xc3"',
    "a list": b"[1, 2]",
    "a number": b"17",
    "null": b"null",
    "wrong types": b'{"id": 5, "type": [], "role": 1, "content": "x", "choices": {"a": 1}, "usage": "no", "model": {}}',
    "empty": b"",
    "empty choices": b'{"id": "1", "choices": [], "content": [], "usage": {}, "model": "m", "object": "x", "created": 1}',
    "deeply nested": b"[" * 100_000,
    "a page": b"<html><body>Sign in to the hotel's network</body></html>",
}


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_no_answer_is_one_line(kind: str, what: str) -> None:
    async def act(send: Send) -> None:
        await send(head("200 OK", JSON, f"content-length: {len(BROKEN[what])}") + BROKEN[what])

    failed, _ = await failure(kind, act)
    assert failed.kind == "malformed"


@pytest.mark.parametrize(
    "line", [b"data: {\xff\xfe}\n\n", b"data: [1]\n\n", b"data: null\n\n", b"data: " + b"[" * 99_999 + b"\n\n"]
)
@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_no_stream_is_one_line(kind: str, line: bytes) -> None:
    async def act(send: Send) -> None:
        await send(head("200 OK", STREAM, "connection: close") + b"event: message_start\n" + line)

    failed, _ = await failure(kind, act, streamed)
    assert failed.kind in ("malformed", "cut")


@pytest.mark.parametrize("kind", KINDS)
async def test_an_untrusted_certificate_is_refused_at_once(kind: str) -> None:
    async def act(send: Send) -> None:
        await send(head())

    with raw_server(act, tls=True) as raw:
        asked = LedgerClient(client(kind, raw.url), f"{kind}/m", policy=RetryPolicy(attempts=3))
        with pytest.raises(ServiceError, match="certificate of the service is refused"):
            await asked.complete(ASKED)
        await asked.close()
        assert raw.heads == []


@pytest.mark.parametrize("numbers", [-5, 10**30, 1.5e300, "x", None, [3]])
@pytest.mark.parametrize("kind", KINDS)
async def test_numbers_of_tokens_that_no_call_has_are_not_booked(kind: str, numbers: object) -> None:
    usage: dict[str, Any]
    if kind == "anthropic":
        usage = {"input_tokens": numbers, "output_tokens": 1}
        body: dict[str, Any] = {"id": "1", "type": "message", "role": "assistant", "model": "m", "usage": usage}
        body |= {"content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn", "stop_sequence": None}
    else:
        usage = {"prompt_tokens": numbers, "completion_tokens": 1, "total_tokens": 1}
        body = {"id": "1", "object": "chat.completion", "created": 1, "model": "m", "usage": usage}
        body["choices"] = [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]
    sent = json.dumps(body).encode()

    async def act(send: Send) -> None:
        await send(head("200 OK", JSON, f"content-length: {len(sent)}") + sent)

    failed, _ = await failure(kind, act)
    assert failed.kind == "malformed"


@pytest.mark.parametrize("kind", KINDS)
async def test_what_a_service_says_about_an_error_is_cleaned_and_cut(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{kind.upper()}_API_KEY", KEY)
    nasty = f"no\x1b]52;c;aGk=\x07 \x9b31m\u202e{KEY} " + "y" * 100_000
    fake = fake_anthropic if kind == "anthropic" else fake_openai
    with fake(Reply_(status=400, message=nasty)) as server:
        asked = client(kind, server.url.removesuffix("/v1"))
        with pytest.raises(AttemptFailed) as caught:
            await asked.complete(ASKED)
        await asked.close()
    line = str(caught.value)
    assert line.isprintable()
    assert len(line) < 400
    assert KEY not in line


@pytest.mark.parametrize("key", ["sk-one\nx-evil: 1", "sk-one two", "sk-\u00e9", "sk-\x00"])
@pytest.mark.parametrize(
    ("variable", "name"),
    [
        ("ANTHROPIC_API_KEY", "anthropic/m"),
        ("OPENAI_API_KEY", "openai/m"),
        ("WORKBENCH_SERVER_KEY", "http://127.0.0.1:9/v1#m"),
    ],
)
def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(
    variable: str, name: str, key: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "\0" in key:
        pytest.skip("no environment can hold it")
    monkeypatch.setenv(variable, key)
    with pytest.raises(UserError, match=variable) as caught:
        open_client(name, home)
    assert "sk-" not in str(caught.value)

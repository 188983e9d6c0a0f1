"""The servers on this machine: no page of a browser reaches them, no proxy or redirect gets their token."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import httpx
import pytest

from tests.fakes.loopback import serving
from tests.hardening.raw_server import Send, head, raw_server
from workbench.models.server.app import Service, build_app
from workbench.models.server.asking import ask
from workbench.models.server.ensure import ServerInfo, health


class _NoEngine:
    """Refusals come before any engine."""


@pytest.fixture
def address() -> object:
    with serving(build_app(Service(_NoEngine(), "m", "open sesame"))) as url:  # type: ignore[arg-type]
        yield url


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "evil.example:80", "origin": "http://evil.example"},
        {"origin": "http://evil.example"},
        {"origin": "null"},
    ],
)
async def test_web_pages_are_refused_even_with_the_token(address: str, headers: dict[str, str]) -> None:
    async with httpx.AsyncClient(base_url=address, trust_env=False) as http:
        sent = {**headers, "authorization": "Bearer open sesame"}
        assert (await http.get("/v1/models", headers=sent)).status_code == 403
        assert (await http.post("/v1/chat/completions", headers=sent, content=b"{}")).status_code == 403


async def test_a_body_without_end_is_not_kept(address: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(address.rpartition(":")[2]))
    lines = ["POST /v1/chat/completions HTTP/1.1", f"host: {address.removeprefix('http://')}"]
    lines += ["authorization: Bearer open sesame", "transfer-encoding: chunked", "", ""]
    writer.write("\r\n".join(lines).encode())
    answered = asyncio.create_task(reader.readline())
    sent = 0
    while not answered.done() and sent < 256 << 20:
        with contextlib.suppress(ConnectionError, TimeoutError):
            writer.write(b"100000\r\n" + b" " * (1 << 20) + b"\r\n")
            await asyncio.wait_for(writer.drain(), 1)
        sent += 1 << 20
    assert b" 413 " in await asyncio.wait_for(answered, 30)
    assert sent < 64 << 20
    writer.transport.abort()


def test_a_token_goes_past_proxies_and_redirects(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def listen(send: Send) -> None:
        await send(head("200 OK", "content-length: 2") + b"{}")

    with raw_server(listen) as other:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, other.url)
        monkeypatch.delenv("no_proxy", raising=False)

        async def away(send: Send) -> None:
            await send(head("302 Found", f"location: {other.url}/", "content-length: 0"))

        with raw_server(away) as server:
            with pytest.raises(OSError, match="302"):
                ask(f"{server.url}/metrics", "secret-token")
            assert len(server.heads) == 1
        body = json.dumps({"model": "m"}).encode()

        async def well(send: Send) -> None:
            await send(head("200 OK", f"content-length: {len(body)}") + body)

        with raw_server(well) as server:
            info = ServerInfo(f"{server.url}/v1", "m", "job", tmp_path)
            assert health(info) == {"model": "m"}
        assert other.heads == []

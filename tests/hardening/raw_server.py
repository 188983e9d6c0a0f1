"""A server that sends whatever bytes a test wants, in whatever rhythm, and counts what it could get rid of."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

CERTIFICATE = Path(__file__).with_name("self_signed.pem")
"""Made for these tests alone; nobody trusts it."""


@dataclass
class Raw:
    """A running server: its address, the head of every request, the bytes sent."""

    url: str = ""
    heads: list[str] = field(default_factory=list)
    sent: int = 0
    ended: threading.Event = field(default_factory=threading.Event)


Send = Callable[[bytes], Awaitable[None]]
Act = Callable[[Send], Awaitable[None]]


def head(status: str = "200 OK", *lines: str) -> bytes:
    """The first lines of an answer, up to the empty one."""
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


@contextmanager
def raw_server(act: Act, *, tls: bool = False) -> Iterator[Raw]:
    """Answer every connection with `act`, in a thread, until the block is left."""
    raw = Raw()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()
    ready = threading.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def send(data: bytes) -> None:
            writer.write(data)
            await writer.drain()
            raw.sent += len(data)

        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            raw.heads.append((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
            await act(send)
        raw.ended.set()
        writer.transport.abort() if raw.sent > 1 << 20 else writer.close()

    async def run() -> None:
        context = None
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
        host, port = server.sockets[0].getsockname()[:2]
        raw.url = f"{'https' if tls else 'http'}://{host}:{port}"
        ready.set()
        await stop.wait()
        server.close()

    def work() -> None:
        with contextlib.suppress(asyncio.CancelledError):
            loop.run_until_complete(run())
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield raw
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)

"""A loopback server that speaks the OpenAI chat protocol, streaming included, from a function of the messages."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Fault(Exception):
    """Answer with this HTTP status."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


Answer = Callable[[list[dict[str, Any]]], str]


@contextmanager
def chat_server(answer: Answer, gate: threading.Event | None = None) -> Iterator[str]:
    """Serve until the block ends; gives the base URL (`…/v1`). `answer` may raise Fault.

    With a `gate` a stream stops after its second word until the gate is open.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            try:
                text = answer(body["messages"])
            except Fault as fault:
                self._send(fault.status, "application/json", json.dumps({"error": {"message": "faulty"}}))
                return
            usage = {"prompt_tokens": 7, "completion_tokens": len(text.split()), "total_tokens": 9}
            base = {"id": "x", "created": 1, "model": body["model"]}
            if not body.get("stream"):
                choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
                whole = {**base, "object": "chat.completion", "choices": [choice], "usage": usage}
                self._send(200, "application/json", json.dumps(whole))
                return
            base["object"] = "chat.completion.chunk"
            parts = [{"delta": {"content": f"{word} "}, "index": 0, "finish_reason": None} for word in text.split()]
            parts.append({"delta": {}, "index": 0, "finish_reason": "stop"})
            lines = [json.dumps({**base, "choices": [part]}) for part in parts]
            lines += [json.dumps({**base, "choices": [], "usage": usage}), "[DONE]"]
            events = [f"data: {line}\n\n" for line in lines]
            self._send(200, "text/event-stream", "".join(events[:2]))
            self.wfile.flush()
            if gate:
                gate.wait(60)
            with suppress(OSError):
                self.wfile.write("".join(events[2:]).encode())

        def _send(self, status: int, kind: str, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(text.encode())

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        if gate:
            gate.set()
        server.shutdown()
        server.server_close()

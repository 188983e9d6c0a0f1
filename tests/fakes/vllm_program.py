"""A stand-in for the program `vllm`: takes `vllm serve`'s flags (0.33) and no others, speaks as much of its server as we use.

Written from vLLM's own sources: the flags' names and types, `/health` (open to all, an empty body), `/metrics` (open to
all, counters ending in _total, labelled), the bearer token from VLLM_API_KEY on `/v1`, `structured_outputs.choice`, and
`prompt_tokens_details` only where `--enable-prompt-tokens-details` asks for it.
"""

from __future__ import annotations

import argparse
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

METRICS = """# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{engine="0",model_name="{name}"}} 0.0
vllm:num_requests_waiting{{engine="0",model_name="{name}"}} 0.0
vllm:num_requests_waiting_by_reason{{engine="0",model_name="{name}",reason="capacity"}} 0.0
vllm:kv_cache_usage_perc{{engine="0",model_name="{name}"}} 0.125
vllm:prefix_cache_queries_total{{engine="0",model_name="{name}"}} {prompt}.0
vllm:prefix_cache_hits_total{{engine="0",model_name="{name}"}} {cached}.0
vllm:prompt_tokens_total{{engine="0",model_name="{name}"}} {prompt}.0
vllm:prompt_tokens_created{{engine="0",model_name="{name}"}} 1.7e+09
vllm:generation_tokens_total{{engine="0",model_name="{name}"}} {output}.0
"""


def arguments() -> argparse.Namespace:
    """The command line, refused where vLLM would refuse it."""
    parser = argparse.ArgumentParser("vllm", allow_abbrev=False)
    serve = parser.add_subparsers(required=True).add_parser("serve", allow_abbrev=False)
    serve.add_argument("model_tag")
    serve.add_argument("--served-model-name", nargs="+", required=True)
    serve.add_argument("--host", required=True)
    serve.add_argument("--port", type=int, required=True)
    serve.add_argument("--dtype", choices=["auto", "bfloat16", "float", "float16", "float32", "half"])
    serve.add_argument("--gpu-memory-utilization", type=float, default=0.92)
    serve.add_argument("--kv-cache-memory-bytes", type=int)
    for flag in ("--enable-prefix-caching", "--enable-prompt-tokens-details"):
        serve.add_argument(flag, action=argparse.BooleanOptionalAction)
    return parser.parse_args()


def main() -> None:
    """Serve until ended."""
    given, key = arguments(), os.environ.get("VLLM_API_KEY")
    name = given.served_model_name[0]
    counted = {"prompt": 0, "cached": 0, "output": 0}
    print(f"share of the GPU: {given.gpu_memory_utilization}", flush=True)

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def answer(self, status: int, body: str, kind: str = "application/json") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body.encode())

        def do_GET(self) -> None:
            if self.path == "/health":
                self.answer(200, "")
            elif self.path == "/metrics":
                self.answer(200, METRICS.format(name=name, **counted), "text/plain; version=0.0.4; charset=utf-8")
            else:
                self.answer(404, '{"detail": "Not Found"}')

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if key and self.headers.get("Authorization") != f"Bearer {key}":
                self.answer(401, '{"error": "Unauthorized"}')
                return
            options = (body.get("structured_outputs") or {}).get("choice")
            text = options[0] if options else "Good day from vLLM"
            usage: dict[str, Any] = {"prompt_tokens": 40, "completion_tokens": 5, "total_tokens": 45}
            counted.update(prompt=counted["prompt"] + 40, output=counted["output"] + 5, cached=counted["cached"] + 32)
            if given.enable_prompt_tokens_details and given.enable_prefix_caching:
                usage["prompt_tokens_details"] = {"cached_tokens": 32}
            base = {"id": "chatcmpl-1", "created": 1, "model": name}
            choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
            if body["model"] != name:
                self.answer(404, json.dumps({"error": {"message": "no such model", "type": "NotFoundError"}}))
            elif body.get("stream"):
                self.answer(200, streamed(base, text, usage), "text/event-stream")
            else:
                whole = {**base, "object": "chat.completion", "choices": [choice], "usage": usage}
                self.answer(200, json.dumps(whole))

    ThreadingHTTPServer((given.host, given.port), Handler).serve_forever()


def streamed(base: dict[str, Any], text: str, usage: dict[str, Any]) -> str:
    """A reply as server-sent events, the usage in a chunk of its own at the end."""
    parts: list[dict[str, Any]] = [{"delta": {"role": "assistant", "content": ""}, "finish_reason": None}]
    parts += [{"delta": {"content": f"{word} "}, "finish_reason": None} for word in text.split()]
    parts.append({"delta": {}, "finish_reason": "stop"})
    chunks = [{"choices": [{"index": 0, **part}]} for part in parts] + [{"choices": [], "usage": usage}]
    lines = [json.dumps({**base, "object": "chat.completion.chunk", **chunk}) for chunk in chunks]
    return "".join(f"data: {line}\n\n" for line in [*lines, "[DONE]"])


if __name__ == "__main__":
    main()

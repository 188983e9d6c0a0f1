"""A server that is another program's process (vLLM, llama.cpp): started, watched, read, ended."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.errors import ServiceError
from workbench.jobs.states import last_log_line
from workbench.models.server.asking import ask
from workbench.models.server.programs import Command

_POLL_S = 0.5
_TERM_S = 10.0
_GAUGES = {
    "active": ("vllm:num_requests_running", "llamacpp:requests_processing"),
    "queued": ("vllm:num_requests_waiting", "llamacpp:requests_deferred"),
    "prompt_tokens": ("vllm:prompt_tokens_total", "llamacpp:prompt_tokens_total"),
    "cached_tokens": ("vllm:prefix_cache_hits_total", "llamacpp:prompt_tokens_cached_total"),
    "cache_share": ("vllm:kv_cache_usage_perc",),
    "tokens_per_s": ("llamacpp:predicted_tokens_seconds",),
    "output_tokens": ("vllm:generation_tokens_total", "llamacpp:tokens_predicted_total"),
}
_SAMPLE = re.compile(r"^([A-Za-z_:][\w:]*)(?:\{.*\})?\s+([-+\w.]+)")


@contextmanager
def running(command: Command, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command's process, its output added to `log`; ended when the block is left, killed if it will not end."""
    with log.open("ab") as out:
        process = subprocess.Popen(
            command.argv,
            env={**os.environ, **command.environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_TERM_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_up(process: subprocess.Popen[bytes], url: str, log: Path, sleep: Callable[[float], bool]) -> bool:
    """Wait until GET `url`/health is answered with 200; False if `sleep` (true: stop) ended the waiting.

    Raises ServiceError with the last line that the program wrote if it ends before that.
    """
    while not is_up(url):
        if (code := process.poll()) is not None:
            name = Path(str(process.args[0] if isinstance(process.args, tuple) else process.args)).name
            raise ServiceError(
                f"{name} ended with code {code} before it answered: {last_log_line(log.parent) or 'it said nothing'}"
            )
        if sleep(_POLL_S):
            return False
    return True


def read_load(url: str, token: str | None = None, timeout_s: float = 5.0) -> Mapping[str, float]:
    """What the server's Prometheus metrics say, in the words of our own /health: active, queued, tokens.

    Raises OSError if it does not answer.
    """
    found = parse_metrics(ask(f"{url}/metrics", token, timeout_s).decode("utf-8", "replace"))
    known = {ours: [found[name] for name in theirs if name in found] for ours, theirs in _GAUGES.items()}
    return {ours: values[0] for ours, values in known.items() if values}


def parse_metrics(text: str) -> dict[str, float]:
    """Samples of the Prometheus text format, those that differ in their labels only added up."""
    found: dict[str, float] = {}
    for line in text.splitlines():
        if match := _SAMPLE.match(line):
            with contextlib.suppress(ValueError):
                found[match[1]] = found.get(match[1], 0.0) + float(match[2])
    return found


def memory_of(pid: int) -> int | None:
    """Resident bytes of a process and its children, None if it is gone."""
    import psutil

    try:
        process = psutil.Process(pid)
        return sum(p.memory_info().rss for p in (process, *process.children(recursive=True)))
    except psutil.Error:
        return None


def watch(
    process: subprocess.Popen[bytes],
    load: Callable[[], Mapping[str, Any]],
    sleep: Callable[[float], bool],
    idle_minutes: float,
) -> str:
    """Wait for the end: "stopped" when `sleep` says so, "idle" when nothing was asked for `idle_minutes` (0: never).

    Raises ServiceError if the program dies.
    """
    seen: Mapping[str, Any] = {}
    used = time.monotonic()
    while not sleep(_POLL_S):
        if (code := process.poll()) is not None:
            raise ServiceError(f"the model server ended by itself with code {code}")
        with contextlib.suppress(OSError):
            now = load()
            if now != seen or now.get("active") or now.get("queued"):
                seen, used = now, time.monotonic()
        if idle_minutes and time.monotonic() - used > 60 * idle_minutes:
            return "idle"
    return "stopped"


def is_up(url: str, timeout_s: float = 2.0) -> bool:
    """Whether GET `url`/health is answered with 200: not by a server whose engine is loading or has died (503)."""
    try:
        ask(f"{url}/health", timeout_s=timeout_s)
    except OSError:
        return False
    return True

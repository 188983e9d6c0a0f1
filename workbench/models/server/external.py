"""A server that is another program's process (vLLM, llama.cpp): started, watched, read, ended."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workbench.errors import ServiceError, UserError
from workbench.home import Home
from workbench.jobs.folder import read_identity, read_job, read_json, write_json
from workbench.jobs.identity import identity
from workbench.jobs.states import ENDED, job_state, last_log_line
from workbench.models.server.asking import ask
from workbench.models.server.programs import Command
from workbench.text import clean_line

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
_CAUSE = re.compile(r"\bERROR \S+ \S+ \[[^\]]*\] ((?:\w+\.)*\w*(?:Error|Exception): .+)")
"""The line of vLLM's log that says what was raised. The first one is the cause: what follows are those that waited for it."""
_BOUND = str(Path(__file__).with_name("bound.py"))
_LONGEST_LOG = 1 << 20
_NOTE = "program.json"
"""Who the program's process is, while it runs."""


@contextmanager
def running(command: Command, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command's process, its output added to `log`; ended when the block is left, killed if it will not end.

    It ends with this process, whatever ends that (see `bound`); where that cannot be had, the next server of the home
    ends it by the `program.json` beside the log.
    """
    note = log.with_name(_NOTE)
    with log.open("ab") as out:
        process = subprocess.Popen(
            (sys.executable, "-I", _BOUND, str(os.getpid()), *command.argv),
            env={**os.environ, **command.environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    if who := identity(process.pid):
        write_json(note, who.as_dict())
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_TERM_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        note.unlink(missing_ok=True)


def end_left_overs(home: Home, own: Path) -> None:
    """End the programs of `serve` jobs that are gone; of the job in the folder `own`, which begins, whatever is there."""
    for note in home.jobs.glob(f"*/{_NOTE}"):
        if note.parent != own and not _has_ended(note.parent):
            continue
        left = read_identity(read_json(note))
        if left and left.near and left.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(left.pid, signal.SIGTERM)
        note.unlink(missing_ok=True)


def _has_ended(folder: Path) -> bool:
    """Whether the job of a folder has; a damaged one counts as lost, as in every list of jobs."""
    try:
        return job_state(read_job(folder))[0] in ENDED
    except UserError:
        return True


def wait_until_up(
    process: subprocess.Popen[bytes], name: str, url: str, log: Path, sleep: Callable[[float], bool]
) -> bool:
    """Wait until GET `url`/health is answered with 200; False if `sleep` (true: stop) ended the waiting.

    Raises ServiceError with the program's `name` and the line that it wrote of why if it ends before that.
    """
    begun = log.stat().st_size if log.exists() else 0
    while not is_up(url):
        if (code := process.poll()) is not None:
            raise ServiceError(f"{name} ended with code {code} before it answered: {_why(log, begun)}")
        if sleep(_POLL_S):
            return False
    return True


def _why(log: Path, begun: int) -> str:
    """What a program that ended wrote of the cause since the log was `begun` bytes long, else the last line."""
    with log.open("rb") as file:
        file.seek(begun)
        found = _CAUSE.search(file.read(_LONGEST_LOG).decode(errors="replace"))
    return clean_line(found[1], 400) if found else last_log_line(log.parent) or "it said nothing"


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

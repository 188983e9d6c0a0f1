"""The job `serve`: load a model, listen on loopback, answer until stopped or idle for too long."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
from pathlib import Path
from typing import TYPE_CHECKING

from workbench.errors import UserError

if TYPE_CHECKING:
    from workbench.jobs.context import JobContext
    from workbench.models.server.app import Service

LOOPBACK = "127.0.0.1"
IDLE_MINUTES = 15.0
_WATCH_S = 0.25


def main(ctx: JobContext) -> dict[str, object]:
    """Serve `args["model"]` (a Hugging Face folder) on `args["port"]` (0: any free one).

    Other args: `name` (the model's name in the protocol), `dtype` (auto, bfloat16, float32), `idle_minutes` (0: never
    stop by itself), `cache_mb`, `private` (ask for a bearer token, which lies in `token`, mode 0600). Writes
    `server.json {url, model, folder, version, dtype, private, pid}` when it listens and removes it at the end.
    """
    from workbench.models.server.app import Service
    from workbench.models.server.engine import load_engine

    args = ctx.args
    folder = Path(str(args["model"]))
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder}: no model here (config.json is missing); name a run or a Hugging Face folder")
    listener = listen(int(args.get("port") or 0))
    set_threads()
    ctx.stage("load", "the weights go into memory once and stay there")
    engine = load_engine(folder, str(args.get("dtype") or "auto"), int(args.get("cache_mb") or 1024) << 20)
    engine.start()
    service = Service(engine, str(args.get("name") or folder.name), _token(ctx) if args.get("private") else None)
    port = int(listener.getsockname()[1])
    record = ctx.folder / "server.json"
    facts = {
        "url": f"http://{LOOPBACK}:{port}/v1",
        "model": service.model,
        "folder": str(folder),
        "version": str(args.get("version", "")),
        "dtype": str(args.get("dtype") or "auto"),
        "private": service.token is not None,
        "pid": os.getpid(),
    }
    _write_private(record, json.dumps(facts))
    ctx.stage("serve", f"answering on {LOOPBACK}:{port}")
    try:
        ended = asyncio.run(_serve(service, listener, ctx, float(args.get("idle_minutes", IDLE_MINUTES))))
    finally:
        record.unlink(missing_ok=True)
        engine.close()
    load = engine.load()
    return {"ended": ended, "requests": load.requests, "output_tokens": load.output_tokens}


def listen(port: int) -> socket.socket:
    """A listening socket on loopback. Raises UserError when the port is taken or not ours to take."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"port {port}: {reason}; choose another with --port, or 0 for any free one") from error
    return listener


def set_threads() -> None:
    """Give torch WORKBENCH_THREADS threads, else as many as there are cores for us."""
    import torch

    given = os.environ.get("WORKBENCH_THREADS", "")
    if given and not given.isdigit():
        raise UserError(f"WORKBENCH_THREADS={given}: must be a whole number")
    torch.set_num_threads(int(given) if given else len(os.sched_getaffinity(0)))


async def _serve(service: Service, listener: socket.socket, ctx: JobContext, idle_minutes: float) -> str:
    import uvicorn

    from workbench.models.server.app import build_app

    config = uvicorn.Config(build_app(service), log_level="warning", lifespan="off", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    ended = "stopped"
    while not task.done():
        await asyncio.wait({task}, timeout=_WATCH_S)
        if idle_minutes and service.idle_s > 60 * idle_minutes:
            ended, server.should_exit = "idle", True
        elif ctx.stopping:
            server.should_exit = True
    await task
    return ended


def _token(ctx: JobContext) -> str:
    token = secrets.token_urlsafe(24)
    _write_private(ctx.folder / "token", token)
    return token


def _write_private(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    aside.replace(path)

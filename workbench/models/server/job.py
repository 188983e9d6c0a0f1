"""The job `serve`: load a model, listen on loopback, answer until stopped or idle for too long."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from workbench.errors import UserError
from workbench.home import open_private
from workbench.models.server.memory import check_fits
from workbench.models.server.programs import LOOPBACK, Program, Serving, choose_program, command_for

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from workbench.jobs.context import JobContext

IDLE_MINUTES = 15.0
_WATCH_S = 0.25
_FRONT_S = 2.0


def main(ctx: JobContext) -> dict[str, object]:
    """Serve `args["model"]` (a Hugging Face folder or a GGUF file) on `args["port"]` (0: any free one).

    Other args: `name` (the model's name in the protocol), `program` (light, vllm, llama.cpp), `dtype` (auto, bfloat16,
    float32), `idle_minutes` (0: never stop by itself), `cache_mb`, `private` (ask for a bearer token, which lies in
    `token`, mode 0600), `replicas` (above 1: a front before so many servers, which are jobs of their own). A replica has
    its `front`'s job, ends with it, and is given a `device` or `cores` (vLLM) or a number of `threads`; `on` a cluster they are actors,
    each at the address `host` of its machine. Writes
    `server.json {url, model, folder, version, program, dtype, private, pid}` when it listens
    and removes it at the end.
    """
    args = ctx.args
    model = Path(str(args["model"]))
    if not (model.is_file() if model.suffix == ".gguf" else (model / "config.json").is_file()):
        raise UserError(f"{model}: no model here; name a run, a Hugging Face folder (config.json) or a GGUF file")
    program = choose_program(model, str(args.get("program") or "light"))
    token = _token(ctx) if args.get("private") else None
    serving = Serving(
        model,
        str(args.get("name") or model.stem),
        int(args.get("port") or 0),
        str(args.get("dtype") or "auto"),
        ctx.folder / "token" if token else None,
        str(args["device"]) if "device" in args else None,
        str(args.get("host") or LOOPBACK),
        str(args["cores"]) if "cores" in args else None,
    )
    if (count := int(args.get("replicas") or 1)) > 1:
        return _serve_front(ctx, program, serving, token, count)
    ctx.stage("load", f"{program} takes the weights into memory once; they stay there")
    serve = _serve_light if program == "light" else _serve_external
    return serve(ctx, program, serving, token)


def _serve_light(ctx: JobContext, program: Program, serving: Serving, token: str | None) -> dict[str, object]:
    from workbench.models.server.app import Service, build_app
    from workbench.models.server.decoder import dtype_named
    from workbench.models.server.engine import load_engine

    listener = listen(serving.port, serving.host)
    set_threads(ctx.args.get("threads"))
    check_fits(serving.model, str(dtype_named(serving.dtype)).removeprefix("torch."))
    engine = load_engine(serving.model, serving.dtype, int(ctx.args.get("cache_mb") or 1024) << 20)
    engine.start()
    service = Service(engine, serving.name, token, serving.host)
    port = int(listener.getsockname()[1])
    try:
        with _announced(ctx, program, replace(serving, port=port), os.getpid()):
            ended = asyncio.run(_serve(service, build_app(service), listener, ctx))
    finally:
        engine.close()
    load = engine.load()
    return {"ended": ended, "requests": load.requests, "output_tokens": load.output_tokens}


def _serve_external(ctx: JobContext, program: Program, serving: Serving, token: str | None) -> dict[str, object]:
    from workbench.models.server import external

    with listen(serving.port, serving.host) as probe:  # closed again at once: the program binds the port itself
        serving = replace(serving, port=int(probe.getsockname()[1]))
    url, log = f"http://{serving.host}:{serving.port}", ctx.folder / "log.txt"
    orphaned = _orphaned(ctx)

    def sleep(seconds: float) -> bool:
        return ctx.sleep(seconds) or orphaned()

    external.end_left_overs(ctx.home, ctx.folder)
    command = command_for(program, serving)
    with external.running(command, log) as process:
        if not external.wait_until_up(process, Path(command.argv[0]).name, url, log, sleep):
            return {"ended": "stopped"}
        with _announced(ctx, program, serving, process.pid):
            ended = external.watch(process, lambda: external.read_load(url, token), sleep, _idle_minutes(ctx))
    return {"ended": ended}


def _serve_front(
    ctx: JobContext, program: Program, serving: Serving, token: str | None, count: int
) -> dict[str, object]:
    from workbench.models.server.cluster_replicas import ClusterFleet
    from workbench.models.server.front import Front, build_front, to_replicas
    from workbench.models.server.replicas import Fleet, replica_args

    listener = listen(serving.port)
    port = int(listener.getsockname()[1])
    ctx.stage("load", f"{count} replicas take the weights into memory")
    fleet: Fleet | ClusterFleet
    if ctx.args.get("on"):
        fleet = ClusterFleet(ctx, ctx.args, count)
    else:
        fleet = Fleet(ctx, replica_args(ctx.args, program, count, ctx.id), f"serve {serving.name}")
    front = Front(serving.name, fleet.replicas, token)

    async def serve() -> str:
        async with to_replicas() as client:
            looking = asyncio.create_task(fleet.look_after())
            answering = asyncio.create_task(_serve(front, build_front(front, client), listener, ctx))
            await asyncio.wait({looking, answering}, return_when=asyncio.FIRST_COMPLETED)
            if looking.done():
                answering.cancel()
                await looking
            looking.cancel()
            return await answering

    try:
        with _announced(ctx, program, replace(serving, port=port), os.getpid(), replicas=count):
            ended = asyncio.run(serve())
    finally:
        fleet.stop()
    return {"ended": ended, "requests": sum(replica.served for replica in front.replicas)}


def _orphaned(ctx: JobContext) -> Callable[[], bool]:
    """Whether the front that this replica stands behind is gone; asked seldom, since it reads files."""
    from workbench.jobs import ENDED, status

    front, asked = str(ctx.args.get("front") or ""), [0.0]

    def gone() -> bool:
        if not front or time.monotonic() - asked[0] < _FRONT_S:
            return False
        asked[0] = time.monotonic()
        return status(ctx.home, front).state in ENDED

    return gone


@contextmanager
def _announced(ctx: JobContext, program: Program, serving: Serving, pid: int, replicas: int = 1) -> Iterator[None]:
    """`server.json` stands in the job's folder for as long as the server answers."""
    record = ctx.folder / "server.json"
    facts = {
        "url": f"http://{serving.host}:{serving.port}/v1",
        "model": serving.name,
        "folder": str(serving.model),
        "version": str(ctx.args.get("version", "")),
        "program": program,
        "dtype": serving.dtype,
        "private": serving.token_file is not None,
        "pid": pid,
        "replicas": replicas,
        "front": str(ctx.args.get("front") or ""),
    }
    _write_private(record, json.dumps(facts))
    ctx.stage("serve", f"answering on {serving.host}:{serving.port}")
    try:
        yield
    finally:
        record.unlink(missing_ok=True)


def _idle_minutes(ctx: JobContext) -> float:
    return float(ctx.args.get("idle_minutes", IDLE_MINUTES))


def listen(port: int, host: str = LOOPBACK) -> socket.socket:
    """A listening socket, on loopback unless a cluster wants another address. Raises UserError when the port is taken
    or not ours to take."""
    # without the protocol asyncio leaves Nagle's algorithm on, and each piece of a stream waits 40 ms for the one before
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"port {port}: {reason}; choose another with --port, or 0 for any free one") from error
    return listener


def set_threads(share: int | None = None) -> None:
    """Give torch WORKBENCH_THREADS threads, else its share of the cores, else as many as there are for us."""
    import torch

    given = os.environ.get("WORKBENCH_THREADS", "")
    if given and not given.isdigit():
        raise UserError(f"WORKBENCH_THREADS={given}: must be a whole number")
    torch.set_num_threads(int(given) if given else share or len(os.sched_getaffinity(0)))


class _Used(Protocol):
    @property
    def idle_s(self) -> float: ...


async def _serve(used: _Used, app: Starlette, listener: socket.socket, ctx: JobContext) -> str:
    import uvicorn

    idle_minutes, orphaned = _idle_minutes(ctx), _orphaned(ctx)
    config = uvicorn.Config(app, log_level="warning", lifespan="off", timeout_graceful_shutdown=2)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    ended = "stopped"
    while not task.done():
        await asyncio.wait({task}, timeout=_WATCH_S)
        if idle_minutes and used.idle_s > 60 * idle_minutes:
            ended, server.should_exit = "idle", True
        elif ctx.stopping or orphaned():
            server.should_exit = True
    await task
    return ended


def _token(ctx: JobContext) -> str:
    token = secrets.token_urlsafe(24)
    _write_private(ctx.folder / "token", token)
    return token


def _write_private(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    handle = open_private(aside, os.O_WRONLY | os.O_TRUNC)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    aside.replace(path)

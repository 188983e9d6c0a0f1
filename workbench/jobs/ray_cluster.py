"""The few things that are asked of Ray itself; the only module that imports it (after `where.prepare`)."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
from typing import Any

import ray
from ray.exceptions import RayActorError, RayError

from workbench.errors import ServiceError
from workbench.text import clean_line

__all__ = [
    "RayActorError",
    "RayError",
    "connect",
    "cpus",
    "disconnect",
    "kill",
    "last_line",
    "node_address",
    "soon",
    "start_actor",
    "wait_for",
]
_CLIENT_PORT, _PATIENCE_S = 10001, 10.0
_OBJECT_STORE = 80 << 20
"""Bytes: messages are small, and nothing else is kept there."""


def connect(on: str) -> None:
    """Start a cluster on this machine (`ray`), or join the one at the address. Raises ServiceError if none answers."""
    quiet = {"logging_level": logging.ERROR, "log_to_driver": False}
    ours = signal.getsignal(signal.SIGTERM)
    try:
        if on == "ray":
            cores = len(os.sched_getaffinity(0))
            ray.init("local", num_cpus=cores, object_store_memory=_OBJECT_STORE, include_dashboard=False, **quiet)
        else:
            _look_for(on)
            ray.init(on, **quiet)
    except Exception as error:  # whatever lies between here and there has its own kind of error
        line = clean_line(str(error), 200) or type(error).__name__
        raise ServiceError(f"no Ray cluster at {on}: {line}") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(
                signal.SIGTERM, ours
            )  # Ray puts its own there: a job asked to stop would end as one that failed


def _look_for(on: str) -> None:
    """See that somebody listens: Ray itself would go on trying for minutes. Raises OSError."""
    host, _, port = on.removeprefix("ray://").partition(":")
    socket.create_connection((host, int(port or _CLIENT_PORT)), _PATIENCE_S).close()


def disconnect() -> None:
    """Leave the cluster; one that `connect` started ends."""
    ray.shutdown()


def cpus(most: int) -> int:
    """The cluster's logical CPUs, at least 1 and not more than `most`."""
    return max(1, min(most, int(ray.cluster_resources().get("CPU", 1))))


def start_actor(actor: type, *arguments: object, cpus: float, gpus: int = 0) -> Any:
    """An actor of the class, spread over the nodes; it may be waiting for its place still. Never restarted by Ray."""
    made = ray.remote(actor).options(
        num_cpus=cpus, num_gpus=gpus, max_concurrency=8, max_restarts=0, scheduling_strategy="SPREAD"
    )
    return made.remote(*arguments)


def node_address() -> str:
    """The address of the machine that this process runs on, as the others of the cluster reach it."""
    return str(ray.util.get_node_ip_address())


def kill(actor: Any) -> None:
    """End an actor now."""
    if ray.is_initialized():
        ray.kill(actor)


def wait_for(references: list[Any], seconds: float) -> None:
    """Wait until all have come to something, but no longer than so many seconds."""
    ray.wait(references, num_returns=len(references), timeout=seconds)


async def soon(reference: Any) -> Any:
    """What a reference comes to, through Ray's client or not. Raises RayError."""
    waited = asyncio.wrap_future(reference.future())
    waited.add_done_callback(
        lambda done: done.cancelled() or done.exception()
    )  # taken note of, should nobody wait any more
    return await asyncio.shield(waited)  # Ray's client does not bear a future that is cancelled


def last_line(error: Exception) -> str:
    """Why something failed there: the last line of Ray's report, which ends with the error that a worker met."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]

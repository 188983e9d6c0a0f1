"""Replicas on the machines of a Ray cluster: Ray finds each its GPU or CPU, and the front on the job's machine reaches them
by their machines' addresses. There they ask for a bearer token, made up for each; the traffic is plain HTTP.
"""

from __future__ import annotations

import asyncio
import dataclasses
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.home import Home
from workbench.models.server.ensure import ServerInfo, server_info, server_record
from workbench.models.server.front import Replica
from workbench.models.server.replicas import LOOK_S, Deaths

if TYPE_CHECKING:
    from workbench.jobs.context import JobContext


class Server:
    """The actor: the job `serve` in a thread, in a folder of its own that goes with it."""

    def __init__(self, args: Mapping[str, Any]) -> None:
        from workbench.jobs.context import JobContext
        from workbench.jobs.events import EventWriter
        from workbench.jobs.ray_cluster import node_address

        self._place = tempfile.TemporaryDirectory(prefix="workbench-replica-")
        home = Home(Path(self._place.name)).make()
        self._folder = home.jobs / "replica"
        self._folder.mkdir(mode=0o700)
        made = {**args, "host": node_address()}
        self._context = JobContext(home, self._folder, made, EventWriter(self._folder / "events.jsonl"))
        self._error = ""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def where(self) -> ServerInfo | None:
        """Where it listens; None until it answers. Raises RuntimeError once it has ended."""
        if not self._thread.is_alive():
            raise RuntimeError(self._error or "it ended")
        record = server_record(self._folder)
        return server_info(self._folder.name, self._folder, record) if record else None

    def stop(self) -> None:
        """End the server and leave nothing behind."""
        self._context.ask_to_stop()
        self._thread.join(20)
        self._place.cleanup()

    def _serve(self) -> None:
        from workbench.models.server.job import main

        try:
            main(self._context)
        except Exception as error:
            self._error = str(error)


class ClusterFleet:
    """The same as `replicas.Fleet`, with actors for jobs. Raises ServiceError if the cluster does not answer."""

    def __init__(self, ctx: JobContext, args: Mapping[str, Any], count: int) -> None:
        from workbench.jobs.where import prepare

        prepare(str(args["on"]))
        from workbench.jobs import ray_cluster

        self._ray = ray_cluster
        self._ray.connect(str(args["on"]))
        own = {name: value for name, value in args.items() if name not in ("replicas", "on")}
        self._args = {**own, "port": 0, "private": True, "idle_minutes": 0.0}
        self.ctx = ctx
        self.replicas = [Replica(number) for number in range(count)]
        self._deaths = Deaths(count, ctx.log)
        self._actors = [self._start() for _ in range(count)]

    async def look_after(self) -> None:
        """Note who answers, and begin those again that have died. Raises ServiceError when none is left."""
        while True:
            for replica in self.replicas:
                await self._look(replica)
            await asyncio.sleep(LOOK_S)

    def stop(self) -> None:
        """Stop them all, and leave the cluster."""
        self._ray.wait_for([actor.stop.remote() for actor in self._actors], 25.0)
        for actor in self._actors:
            self._ray.kill(actor)
        self._ray.disconnect()

    def _start(self) -> Any:
        gpu = self._args["program"] == "vllm"
        return self._ray.start_actor(Server, self._args, cpus=0 if gpu else 1, gpus=int(gpu))

    async def _look(self, replica: Replica) -> None:
        if self._deaths.given_up(replica.number):
            return
        try:
            async with asyncio.timeout(5.0):
                found = await self._ray.soon(self._actors[replica.number].where.remote())
        except TimeoutError:  # it waits for its place
            return
        except self._ray.RayError as error:
            replica.info = None
            self._ray.kill(self._actors[replica.number])
            if self._deaths.another(replica.number, self._ray.last_line(error)):
                self._actors[replica.number] = self._start()
            return
        # a process number of another machine means nothing here
        replica.info = found and dataclasses.replace(found, job_id=f"actor {replica.number + 1}", pid=0)

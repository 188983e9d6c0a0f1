"""The servers behind a front: jobs of their own, each with its device or its share of the cores, begun again if they die."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from workbench.errors import ServiceError, UserError
from workbench.models.server.ensure import server_of
from workbench.models.server.front import Replica
from workbench.models.server.programs import Program, gpus

if TYPE_CHECKING:
    from workbench.jobs.context import JobContext

LOOK_S = 0.5
DEATHS = 3
"""Times that a replica is begun again before the front goes on without it."""


def replica_args(args: Mapping[str, object], program: Program, count: int, front: str) -> list[dict[str, object]]:
    """The arguments of the replicas' own `serve` jobs. Raises UserError if there are GPUs, but fewer than vLLM is to have."""
    own = {name: value for name, value in args.items() if name != "replicas"}
    own |= {"port": 0, "private": True, "idle_minutes": 0.0, "front": front}
    cores = sorted(os.sched_getaffinity(0))
    if program == "vllm" and (devices := gpus()):
        if len(devices) < count:
            raise UserError(f"{count} replicas need as many GPUs, and there are {len(devices)}: name fewer")
        return [{**own, "replica": number, "device": devices[number]} for number in range(count)]
    if program == "vllm":  # its CPU build binds its threads to cores, and each to the same ones if it is not told
        shares = [cores[number::count] or [cores[number % len(cores)]] for number in range(count)]
        return [{**own, "replica": n, "cores": ",".join(map(str, share))} for n, share in enumerate(shares)]
    threads = max(1, len(cores) // count)
    return [{**own, "replica": number, "threads": threads} for number in range(count)]


class Deaths:
    """How often each replica has died, and whether it is begun again."""

    def __init__(self, count: int, log: Callable[[str], None]) -> None:
        self._died, self._log = [0] * count, log

    def given_up(self, number: int) -> bool:
        """Whether a replica is no longer begun again."""
        return self._died[number] > DEATHS

    def another(self, number: int, why: str) -> bool:
        """A replica has died, with the line that says why; whether to begin it again. Raises ServiceError for the last one."""
        self._died[number] += 1
        again = not self.given_up(number)
        self._log(f"replica {number + 1} died: {why}{'; begun again' if again else ''}")
        if all(self.given_up(n) for n in range(len(self._died))):
            raise ServiceError(f"all replicas have died again and again, the last: {why}")
        return again


class Fleet:
    """The replicas' jobs: launched, looked after, stopped."""

    def __init__(self, ctx: JobContext, args: Sequence[Mapping[str, object]], title: str) -> None:
        self.ctx, self._args, self._title = ctx, args, title
        self.replicas = [Replica(number) for number in range(len(args))]
        self._deaths = Deaths(len(args), ctx.log)
        self._jobs = [self._launch(number) for number in range(len(args))]

    async def look_after(self) -> None:
        """Note who answers, and begin those again that have died. Raises ServiceError when none is left."""
        while True:
            await asyncio.to_thread(self._look)
            await asyncio.sleep(LOOK_S)

    def stop(self) -> None:
        """Stop them all, and wait for their end."""
        from workbench.jobs import stop

        for job in self._jobs:
            stop(self.ctx.home, job, None)
        for job in self._jobs:
            stop(self.ctx.home, job)

    def _launch(self, number: int) -> str:
        from workbench.jobs import launch

        return launch(self.ctx.home, "serve", self._args[number], f"{self._title}, replica {number + 1}").id

    def _look(self) -> None:
        from workbench.jobs import ENDED, status

        for replica, job in zip(self.replicas, self._jobs, strict=True):
            now = status(self.ctx.home, job)
            if now.state not in ENDED:
                replica.info = server_of(now)
                continue
            replica.info = None
            if not self._deaths.given_up(replica.number) and self._deaths.another(
                replica.number, now.error or f"it {now.state} without a word of why"
            ):
                self._launch(replica.number)

"""Work on a Ray cluster: what an item costs, what a second node brings, and whether the driver's memory stays flat.

    python benchmarks/scale.py [--json] [--quick] [--only=items|throughput|jobs]

A real cluster of two nodes on this machine, one logical CPU each. Items: what one costs that does nothing, 64 at once, beside the
same on plain asyncio, and the driver's resident size after 10^3, 10^4 and 10^5 of them, each of which brings a kilobyte back
(--quick: up to 10^4). Throughput: items of two model calls each, to a server of fixed latency in a process of its own, with the job's
ledger in SQLite; one node and two, 32 items at once for each, and one process of asyncio with 32, each beside the ideal (items at
once / latency of an item). Jobs: the largest size that the job's process has had which plans, writes and keeps 10^3, 10^4 and
10^5 scripted dialogues on the cluster (--quick: 10^3 and 3,000), and one that holds as many conversations of an evaluation's
agent without a model (a thirtieth of them scenarios), judges them by rules and sums up.

On a machine with fewer cores than processes the nodes, the server and the driver share them: a second node then
shows what it costs, not what it brings. Nothing is measured where Ray is not installed.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import psutil
from common import ROOT, Finding, fixed_latency, main

from workbench.home import Home
from workbench.jobs.context import JobContext
from workbench.jobs.events import EventWriter
from workbench.jobs.settings import Settings
from workbench.jobs.where import prepare
from workbench.models.book import CallBook
from workbench.models.client import ChatMessage, Client, Request
from workbench.models.ledger import LedgerClient
from workbench.models.limiter import Limiter, each
from workbench.models.open import choosing, open_attempts, with_ledger
from workbench.spread.work import Desk, Here, Place
from workbench.store.record import connect

AT_ONCE = 32
LATENCY = 0.25
CALLS = 2
PLAIN = "plain asyncio"
STORE = 80 << 20
ONLY = [word.removeprefix("--only=") for word in sys.argv if word.startswith("--only=")]


@dataclass(frozen=True)
class Echo:
    """Does nothing and brings a kilobyte back."""

    async def __call__(self, item: int, desk: Desk) -> tuple[int, bytes]:
        """The item's number and a kilobyte."""
        return item, bytes(1000)


@dataclass(frozen=True)
class Talk:
    """Two calls, one after the other."""

    model: str

    async def __call__(self, item: int, desk: Desk) -> str:
        """The last reply."""
        client = desk.client(self.model)
        said = ""
        for number in range(CALLS):
            request = Request((ChatMessage("user", f"item {item}, call {number}"),), owner=f"item:{item}")
            said = (await client.complete(request)).text
        return said


def measure(quick: bool) -> Sequence[Finding]:
    if find_spec("ray") is None:
        print("Ray is not installed: pip install 'workbench[ray]'", file=sys.stderr)
        return [Finding("Ray is not installed: nothing measured", None, "")]
    prepare("")
    os.environ["PYTHONPATH"] = str(ROOT)
    found: list[Finding] = []
    for part in (items, throughput, jobs):
        if not ONLY or part.__name__ in ONLY:
            with tempfile.TemporaryDirectory() as folder:
                found += part(Path(folder), quick)
    return found


def items(folder: Path, quick: bool) -> list[Finding]:
    """What an item costs that does nothing, and the driver's memory."""

    async def on_two(address: str) -> list[Finding]:
        place = await spread(address, Home(folder).make(), None, "empty")
        try:
            return await empty(place, quick)
        finally:
            await place.close()

    with nodes(2) as cluster:
        return asyncio.run(on_two(cluster.address))


def throughput(folder: Path, quick: bool) -> list[Finding]:
    """Items of two calls, a second."""
    with fixed_latency(LATENCY) as address:
        return asyncio.run(talks(folder, f"{address}/v1#fixed", quick))


def jobs(folder: Path, quick: bool) -> list[Finding]:
    """The largest size of a job's own process, a process for each."""
    found, first = [], dict[str, float]()
    with nodes(2) as cluster:
        for count in (1_000, 3_000) if quick else (1_000, 10_000, 100_000):
            for kind, what in (("generate", "dialogues written"), ("evaluate", "conversations held")):
                begin = time.perf_counter()
                peak = peak_of(folder / f"{kind}{count}", kind, count, cluster.address)
                print(f"{kind} {count}: {time.perf_counter() - begin:.0f} s, {peak / 1e6:.0f} MB", file=sys.stderr)
                first.setdefault(kind, peak)
                name = f"largest size of the job, {count:,} {what}"
                found.append(Finding(name, peak / 1e6, "MB", "of 1,000", first[kind] / peak))
    return found


JOB = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[5])
from common import peak_memory
from workbench.dialogue import generation
from workbench.evaluation import run
from workbench.home import Home
from workbench.jobs.context import JobContext
from workbench.jobs.events import EventWriter
from workbench.jobs.settings import change_settings

folder, kind, count, on = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
home = Home(folder).make()
job = home.jobs / kind
job.mkdir()
change_settings(job, {"on": on})
if kind == "generate":
    main, args = generation.main, {"workflow": "travel_booking", "train": count, "dev": 0, "test": 0}
else:
    main, args = run.main, {"workflow": "travel_booking", "agents": ["oracle"], "scenarios": count // 30, "repetitions": 30}
main(JobContext(home, job, args, EventWriter(job / "events.jsonl")))
print("peak", peak_memory())
"""


def peak_of(folder: Path, kind: str, count: int, on: str) -> float:
    """Bytes that a process has held at the most while it did a job."""
    command = [sys.executable, "-c", JOB, str(folder), kind, str(count), on, str(Path(__file__).parent)]
    said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    (line,) = (line for line in said.splitlines() if line.startswith("peak "))
    return float(line.removeprefix("peak "))


@contextmanager
def nodes(count: int) -> Iterator[Any]:
    """A cluster of so many nodes; more can be added."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "object_store_memory": STORE})
    try:
        for _ in range(count - 1):
            cluster.add_node(num_cpus=1, object_store_memory=STORE)
        yield cluster
    finally:
        cluster.shutdown()


async def talks(folder: Path, model: str, quick: bool) -> list[Finding]:
    items = 200 if quick else 2000
    found: list[Finding] = []
    ideal = AT_ONCE / (CALLS * LATENCY)
    plain = await talk(here(Home(folder / "here").make(), model), model, items, AT_ONCE)
    found.append(Finding("one process of asyncio, 32 items at once", plain, "items/s", "the ideal", plain / ideal))
    with nodes(1) as cluster:
        for count in (1, 2):
            if count == 2:
                cluster.add_node(num_cpus=1, object_store_memory=STORE)
            home = Home(folder / f"nodes{count}").make()  # of its own: what is on record is not asked again
            place = await spread(cluster.address, home, model, f"talk{count}")
            try:
                rate = await talk(place, model, items * count, AT_ONCE * count)
                name = f"{count} node{'s' * (count > 1)}, {AT_ONCE * count} items at once"
                found.append(Finding(name, rate, "items/s", "the ideal", rate / (ideal * count)))
            finally:
                await place.close()
    return found


async def empty(place: Place, quick: bool) -> list[Finding]:
    """What an item costs that does nothing, and the driver's memory after more and more of them."""
    process = psutil.Process()
    await echo(place, 500)
    local = await echo(Here(_none), 10_000)
    found, first = [], 0
    for count in (1_000, 10_000) if quick else (1_000, 10_000, 100_000):
        cost = await echo(place, count)
        memory = process.memory_info().rss
        first = first or memory
        found.append(Finding(f"an item that does nothing, {count:,} of them", cost * 1e6, "us", PLAIN, local / cost))
        grown = Finding(f"driver's memory after {count:,} items", memory / 1e6, "MB", "after 1,000", first / memory)
        found.append(grown)
    return found


async def echo(place: Place, count: int) -> float:
    """Seconds an item."""
    work = Echo()

    async def one(item: int) -> None:
        await place.do(work, item)

    begin = time.perf_counter()
    await each(range(count), one, Limiter(lambda: Settings(concurrency=64)))
    return (time.perf_counter() - begin) / count


async def talk(place: Place, model: str, count: int, at_once: int) -> float:
    """Items a second, the workers being there already."""
    work = Talk(model)
    await asyncio.gather(*(place.do(work, -1 - number) for number in range(2 * place.workers)))

    async def one(item: int) -> None:
        assert await place.do(work, item)

    begin = time.perf_counter()
    await each(range(count), one, Limiter(lambda: Settings(concurrency=at_once)))
    return count / (time.perf_counter() - begin)


def here(home: Home, model: str) -> Here:
    ledger = ledger_of(home, "here")
    client = choosing(ledger(model, open_attempts(model, home)), model)
    return Here(lambda name: client)


async def spread(address: str, home: Home, model: str | None, name: str) -> Place:
    from workbench.spread.cluster import Cluster

    folder = home.jobs / name
    folder.mkdir()
    ctx = JobContext(home, folder, {}, EventWriter(folder / "events.jsonl"))
    return await Cluster.open(address, ctx, (model,) if model else (), ledger_of(home, name))


def ledger_of(home: Home, job: str) -> Callable[[str, Client], LedgerClient]:
    book, limiter = CallBook(connect(home), job), Limiter(lambda: Settings(concurrency=10_000))
    return lambda name, client: with_ledger(client, name, home, book, limiter=limiter)


def _none(name: str) -> Any:
    raise AssertionError(name)


if __name__ == "__main__":
    sys.argv = [word for word in sys.argv if not word.startswith("--only=")]
    main(measure, (__doc__ or "").splitlines()[0])

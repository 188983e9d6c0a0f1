"""The proof on a real cluster of two nodes: the same rows, nothing lost with a node, nothing paid for twice."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'workbench[ray]'")
pytestmark = pytest.mark.long

from tests.dialogue.writing import generate, job, logged, obliging  # noqa: E402
from tests.fakes.frontier import frontier  # noqa: E402
from tests.fakes.openai_server import Fake  # noqa: E402
from tests.spread.conftest import KEYS, ROOT, Nodes, rows  # noqa: E402
from tests.spread.works import Asks, Echo, Fragile, Unreadable  # noqa: E402
from workbench.dialogue.generation import Order, main  # noqa: E402
from workbench.errors import ServiceError  # noqa: E402
from workbench.evaluation import rejudge  # noqa: E402
from workbench.evaluation import run as evaluation  # noqa: E402
from workbench.home import Home  # noqa: E402
from workbench.jobs import launch, wait  # noqa: E402
from workbench.jobs.context import JobContext, Stopped  # noqa: E402
from workbench.jobs.events import EventWriter  # noqa: E402
from workbench.jobs.settings import Settings, change_settings  # noqa: E402
from workbench.models.book import CallBook  # noqa: E402
from workbench.models.client import Client  # noqa: E402
from workbench.models.ledger import Budget, BudgetSpent, LedgerClient  # noqa: E402
from workbench.models.limiter import Limiter, each  # noqa: E402
from workbench.models.open import with_ledger  # noqa: E402
from workbench.spread.cluster import TRIES, Cluster  # noqa: E402
from workbench.spread.work import Poisoned  # noqa: E402
from workbench.store import connect  # noqa: E402
from workbench.store.calls import calls, counted  # noqa: E402

CLAUDE, GPT = "anthropic/claude-sonnet-5-5", "openai/gpt-4.1"


def order_for(fake: Fake, test: int = 8) -> Order:
    fake.answer = obliging
    return Order("travel_booking", train=0, dev=0, least=0, test=test, writer=f"{fake.url}/v1#writer", manner="turns")


def in_the_middle(fake: Fake, requests: int, act: Callable[[], object]) -> threading.Thread:
    """Do something once the service has been asked so often."""

    def wait() -> None:
        deadline = time.monotonic() + 120
        while len(fake.bodies) < requests and time.monotonic() < deadline:
            time.sleep(0.005)
        act()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


def nothing_twice(home: Home, fake: Fake) -> None:
    """What was answered and recorded was asked once; what was asked besides was under way when its worker died."""
    with connect(home) as rec:
        found = calls(rec, limit=10**6)
    answered = Counter(row.request for row in found if row.error is None)
    assert set(answered.values()) == {1}
    assert 0 <= len(fake.bodies) - len(answered) <= sum(row.error is not None for row in found)


@contextmanager
def context(home: Home, name: str, args: dict[str, Any], on: str) -> Iterator[JobContext]:
    """A job's context without a process of its own."""
    folder = home.make().jobs / name
    folder.mkdir(exist_ok=True)
    change_settings(folder, {"on": on, "concurrency": 6})
    yield JobContext(home, folder, args, EventWriter(folder / "events.jsonl"))


@pytest.mark.parametrize("way", ["address", "client"])
def test_dialogues_are_the_same_rows(nodes: Nodes, server: Fake, tmp_path: Path, way: str) -> None:
    here, there = Home(tmp_path / "here"), Home(tmp_path / "there")
    order = order_for(server)
    plain = generate(here, order)
    spread = generate(there, order, on=nodes.address if way == "address" else nodes.client)
    assert rows(there) == rows(here)
    assert len(rows(there)["dialogues"]) == plain["new"] == spread["new"] == 8
    nothing_twice(there, Fake(bodies=server.bodies[len(server.bodies) // 2 :]))


def test_scripted_dialogues_are_the_same_rows(nodes: Nodes, tmp_path: Path) -> None:
    here, there = Home(tmp_path / "here"), Home(tmp_path / "there")
    order = Order("travel_booking", train=300, dev=20, test=20)
    assert generate(there, order, on=nodes.address) == generate(here, order)
    assert rows(there) == rows(here)


def test_an_evaluation_and_a_rejudging_are_the_same_rows(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    args: dict[str, Any] = {
        "workflow": "travel_booking",
        "agents": [f"in-context:{CLAUDE}", f"orchestrated:{GPT}", "oracle"],
        "user": f"llm:{GPT}",
        "scenarios": 3,
        "judges": ["rules", "pair"],
    }
    with frontier() as fake:
        for name, value in {**KEYS, "ANTHROPIC_BASE_URL": fake.anthropic, "OPENAI_BASE_URL": fake.openai}.items():
            monkeypatch.setenv(name, value)
        summaries, verdicts = [], []
        for on in ("", nodes.address):
            home = Home(tmp_path / ((on and "there") or "here"))
            with context(home, "evaluation", args, on) as ctx:
                result: Any = evaluation.main(ctx)
            assert result["unfinished"] == 0
            summaries.append(result["summary"]["comparison"]["tests"])
            again = {"comparison": result["comparison"], "judges": [f"llm:{CLAUDE}"], "repetitions": 2}
            with context(home, "rejudging", again, on) as ctx:
                rejudge.main(ctx)
            verdicts.append(rows(home))
    assert summaries[0] == summaries[1]
    assert verdicts[0] == verdicts[1]
    assert len(verdicts[0]["conversations"]) == 9
    assert any('"rep": 1' in line for line in verdicts[0]["verdicts"])


def test_a_node_killed_in_the_middle_costs_no_row_and_no_second_payment(
    nodes: Nodes, server: Fake, tmp_path: Path
) -> None:
    here, there = Home(tmp_path / "here"), Home(tmp_path / "there")
    order = order_for(server, 12)
    generate(here, order)
    total = len(server.bodies)
    server.bodies.clear()
    killer = in_the_middle(server, total // 2, nodes.kill_second)
    generate(there, order, on=nodes.address, concurrency=8)
    killer.join()
    assert nodes.second is None
    (folder,) = there.jobs.iterdir()
    assert "lost a worker" in logged(folder)
    for table in ("scenarios", "dialogues", "messages"):
        assert rows(there)[table] == rows(here)[table]
    nothing_twice(there, server)


def test_stopped_and_begun_again(nodes: Nodes, server: Fake, tmp_path: Path) -> None:
    here, there = Home(tmp_path / "here"), Home(tmp_path / "there")
    order = order_for(server, 10)
    generate(here, order)
    total = len(server.bodies)
    server.bodies.clear()
    with job(there, order, on=nodes.address, concurrency=4) as ctx:
        in_the_middle(server, total // 3, ctx.ask_to_stop)
        with pytest.raises(Stopped):
            main(ctx)
    assert len(server.bodies) < total
    generate(there, order, on=nodes.address)
    assert rows(there)["messages"] == rows(here)["messages"]
    nothing_twice(there, server)


def test_the_budget_is_hard_over_workers(
    nodes: Nodes, server: Fake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "runs").make()
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.url}/v1")
    order = replace(order_for(server, 10), writer=GPT)
    with job(home, order, on=nodes.address, concurrency=8, budget=0.01) as ctx, pytest.raises(BudgetSpent):
        main(ctx)
    with connect(home) as rec:
        assert 0 < counted(rec, ctx.id) <= 0.01
        assert len(server.bodies) > 4
    generate(home, order, on=nodes.address, budget=10.0)
    nothing_twice(home, server)


def test_a_cluster_of_its_own_for_a_job(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    order = Order("travel_booking", train=60, dev=5, test=5, least=1)
    begun = launch(home, "generate", asdict(order), "its own", settings={"on": "ray"})
    end = wait(home, begun.id, timeout=240)
    assert (end.state, end.error) == ("done", None), (begun.folder / "log.txt").read_text()[-2000:]
    here = Home(tmp_path / "here")
    generate(here, order)
    assert rows(home) == rows(here)


def ledger_for(ctx: JobContext) -> Callable[[str, Client], LedgerClient]:
    book = CallBook(connect(ctx.home), ctx.id)
    return lambda name, client: with_ledger(client, name, ctx.home, book, budget=Budget(None), limiter=Limiter())


async def test_poisoned_items_are_named_and_the_rest_goes_on(nodes: Nodes, home: Home, tmp_path: Path) -> None:
    done: list[str] = []
    rotten: dict[str, str] = {}
    with context(home, "poison", {}, nodes.address) as ctx:
        place = await Cluster.open(nodes.address, ctx, (), ledger_for(ctx))

        async def one(item: str) -> None:
            try:
                done.append(await place.do(Fragile(tmp_path), item))
            except Poisoned as error:
                rotten[item] = str(error)

        dying = [*map(str, range(20)), "kill", *map(str, range(20, 30))]
        raising = ["raise", *map(str, range(30, 40))]
        try:
            for part in (dying, raising):  # in turn: a worker that dies takes a try from whatever shares it
                await each(part, one, Limiter(lambda: Settings(concurrency=6)))
        finally:
            await place.close()
    assert sorted(done) == sorted(item * 2 for item in dying + raising if item.isdigit())
    assert rotten.keys() == {"kill", "raise"}
    assert "died" in rotten["kill"]
    assert f"(tried {TRIES} times)" in rotten["kill"]
    assert "ValueError: this one is rotten" in rotten["raise"]
    begun = {name: len((tmp_path / name).read_text()) for name in rotten}
    assert begun["raise"] == TRIES
    assert 1 <= begun["kill"] <= TRIES  # a worker that dies before it begins the item counts as a try, too


async def test_an_item_that_workers_cannot_read_is_named_and_nothing_waits_for_it(nodes: Nodes, home: Home) -> None:
    with context(home, "unreadable", {}, nodes.address) as ctx:
        place = await Cluster.open(nodes.address, ctx, (), ledger_for(ctx))
        try:
            with pytest.raises(Poisoned, match=rf"tried {TRIES} times.*not be given its work: .*unreadable here"):
                await asyncio.wait_for(place.do(Echo(), Unreadable()), timeout=120)  # type: ignore[arg-type]
            assert (await place.do(Echo(), 1))[0] == 1
        finally:
            await place.close()


async def test_a_service_that_turns_calls_away_narrows_all_workers(nodes: Nodes, server: Fake, home: Home) -> None:
    from tests.fakes.openai_server import Act

    model = f"{server.url}/v1#m"
    server.script = [*[Act(status=429, headers={"retry-after": "0"})] * 8, "fine"]
    limiter = Limiter(start=16)
    book = CallBook(connect(home), "adapting")
    with context(home, "adapting", {}, nodes.address) as ctx:
        place = await Cluster.open(
            nodes.address, ctx, (model,), lambda name, client: with_ledger(client, name, home, book, limiter=limiter)
        )
        try:
            got = await asyncio.gather(*(place.do(Asks(model), str(i)) for i in range(12)))
        finally:
            await place.close()
    assert got == ["fine"] * 12
    assert limiter.width < 16
    assert sum(row.error is not None for row in calls(connect(home))) == 8


async def test_a_record_that_breaks_ends_the_work(nodes: Nodes, server: Fake, home: Home) -> None:
    model = f"{server.url}/v1#m"

    class Full(CallBook):
        def __call__(self, row: object) -> None:
            raise OSError(28, "No space left on device")

    with context(home, "full", {}, nodes.address) as ctx:
        book = Full(connect(home), "full")
        place = await Cluster.open(
            nodes.address, ctx, (model,), lambda name, client: with_ledger(client, name, home, book)
        )
        try:
            with pytest.raises(OSError, match="No space left"):
                await asyncio.wait_for(place.do(Asks(model), "x"), 60)
        finally:
            await place.close()


async def test_the_drivers_memory_does_not_grow_with_the_items(nodes: Nodes, home: Home) -> None:
    process, seen = psutil.Process(), [0]

    async def many(place: Cluster, count: int) -> int:
        async def one(item: int) -> None:
            assert (await place.do(Echo(), item))[0] == item
            seen[0] += 1

        await each(range(count), one, Limiter(lambda: Settings(concurrency=64)))
        return int(process.memory_info().rss)

    with context(home, "memory", {}, nodes.address) as ctx:
        place = await Cluster.open(nodes.address, ctx, (), ledger_for(ctx))
        try:
            few, many_ = await many(place, 1_000), await many(place, 10_000)
        finally:
            await place.close()
    assert seen == [11_000]
    assert (
        many_ - few < 24 << 20
    )  # ten thousand results of a kilobyte each would be more than twice this with their tasks


async def test_replicas_on_the_nodes_behind_one_address(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.models.test_replicas import until, words
    from tests.models.tiny import make_model
    from workbench.jobs import ENDED, jobs, stop
    from workbench.models.client import ChatMessage, Request
    from workbench.models.open import open_client

    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    home, folder = Home(tmp_path / "runs").make(), tmp_path / "tiny"
    make_model(folder)
    started = words(home, "serve", str(folder), "--replicas", "2", "--on", nodes.address, "--json")
    replicas = until(
        lambda: (
            (found := words(home, "serve", "list", "--json")[0]["replicas"])
            and all(r["status"] == "ok" for r in found)
            and found
        )
    )
    assert len({r["url"] for r in replicas}) == 2
    assert not any("127.0.0.1" in r["url"] for r in replicas)
    client = open_client(f"local/{folder}", home)
    for number in range(6):
        asked = (ChatMessage("system", "You sell trips."), ChatMessage("user", f"I am {number}"))
        assert (await client.complete(Request(asked, max_tokens=4))).usage.output > 0
    await client.close()
    served = [r["served"] for r in words(home, "serve", "list", "--json")[0]["replicas"]]
    assert sum(served) == 6
    assert min(served) > 0
    stop(home, started["job"])
    until(lambda: all(job.state in ENDED for job in jobs(home, "serve")))
    # Not failed: Ray's own handler of SIGTERM is not in force.
    assert [job.state for job in jobs(home, "serve")] == ["stopped"]


def test_an_address_without_a_cluster_is_one_line(home: Home, server: Fake) -> None:
    with pytest.raises(ServiceError, match=r"no Ray cluster at 127\.0\.0\.1:9"):
        generate(home, order_for(server), on="127.0.0.1:9")

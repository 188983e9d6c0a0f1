"""Load: large records, many runs, many chats at once, a wide evaluation, and whether the app's memory grows.

    python benchmarks/load.py [--json] [--quick] [--hour] [--only=record|runs|metrics|chats|evaluation|memory]

Record: a million messages of a hundred thousand conversations (--quick: a tenth), made by SQL in a record of the tests. Runs: a
thousand job folders. Metrics: a million points of one run. Chats: 64 at once on one local server of a tiny random model, beside
the same 64 one after another. Evaluation: 256 calls in flight, to a service of fixed latency, beside the ideal schedule.

Memory: the app, without a screen, while another thread writes events and rows; the watcher looks fifty times a second
instead of four, so that 30 s stand for five minutes and 360 s for the hour (--quick: 10 s and 30 s). --hour does it in real time:
five minutes, then the rest of the hour. The ratio is resident memory at the first moment / at the second; 0.91 or more is within 10%.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

import psutil
from common import Finding, beside, median_of, seconds
from common import main as run_main

from tests.fakes.record import make_sample_record, sample_id
from workbench.home import Home
from workbench.jobs import jobs
from workbench.jobs.folder import Job, write_job, write_json
from workbench.jobs.identity import identity
from workbench.store import connect
from workbench.store.conversations import ConversationFilter, conversation_rowids, conversation_rows, get_conversation
from workbench.store.record import Record
from workbench.store.rows import RunRow
from workbench.store.runs import put_run
from workbench.training.curves import CurveReader
from workbench.training.launch import all_runs

HOUR = "--hour" in sys.argv
ONLY = [word.removeprefix("--only=") for word in sys.argv if word.startswith("--only=")]
MESSAGES_EACH = 10
CHATS = 64
WIDE = 256


def measure(quick: bool) -> Sequence[Finding]:
    found: list[Finding] = []
    for part in (record, runs, metrics, chats, evaluation, memory):
        if ONLY and part.__name__ not in ONLY:
            continue
        with tempfile.TemporaryDirectory(prefix="wb-load-") as folder:
            found += part(Home(Path(folder) / "runs").make(), quick)
    return found


def record(home: Home, quick: bool) -> Iterator[Finding]:
    count = 10_000 if quick else 100_000
    make_sample_record(home).close()
    with connect(home) as rec:
        yield Finding(
            f"making {count:,} conversations, {count * MESSAGES_EACH:,} messages",
            seconds(lambda: fill(rec, count)),
            "s",
        )
        yield Finding("the record's file", home.database.stat().st_size / 1e6, "MB")

        def window() -> object:
            ids = conversation_rowids(rec, ConversationFilter())
            return conversation_rows(rec, ids[:50])

        def plain() -> object:
            return rec.query("SELECT * FROM conversations ORDER BY created DESC")[:50]

        ours, _, ratio = beside(window, plain, 3 if quick else 7)
        yield Finding("the list of conversations and its first window", ours * 1e3, "ms", "all rows by SQL", ratio)
        one = f"{count // 2:016x}"
        yield Finding("one conversation", median_of(lambda: get_conversation(rec, one), 9) * 1e3, "ms")

        def searched() -> object:
            return rec.query("SELECT rowid FROM messages_fts WHERE messages_fts MATCH 'zanzibar'")

        def scanned() -> object:
            return rec.query("SELECT rowid FROM messages WHERE text LIKE '%zanzibar%'")

        ours, _, ratio = beside(searched, scanned, 3)
        yield Finding("a rare word", ours * 1e3, "ms", "LIKE over all messages", ratio)


def fill(rec: Record, count: int) -> None:
    """Copies of the sample's first conversation, with messages of a dozen words; one in ten thousand names a rare one."""
    numbers = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {})"
    with rec.write():
        rec.execute(
            f"{numbers.format(count)} INSERT INTO conversations (id, agent, condition, workflow_id, rep, seed, status, terminal, "
            "ended_by, totals, provenance, created) SELECT printf('%016x', i), c.agent, c.condition, c.workflow_id, i, '1', "
            "'done', c.terminal, c.ended_by, c.totals, c.provenance, c.created + i FROM n, "
            "(SELECT * FROM conversations LIMIT 1) AS c"
        )
        rec.execute(
            f"{numbers.format(count * MESSAGES_EACH)} INSERT INTO messages (owner_kind, owner_id, idx, role, text, data, created) "
            f"SELECT 'conversation', printf('%016x', i / {MESSAGES_EACH}), i % {MESSAGES_EACH}, "
            "iif(i % 2, 'user', 'agent'), 'we would like to travel to ' || iif(i % 10000 = 7, 'zanzibar', 'oslo') || "
            "' on day ' || i || ' with four people', '{}', i FROM n"
        )


def runs(home: Home, quick: bool) -> Iterator[Finding]:
    count = 100 if quick else 1000
    make_sample_record(home).close()
    me = identity()
    assert me is not None
    with connect(home) as rec, rec.write():
        for number in range(count):
            job = sample_id("load", number)
            folder = home.jobs / job
            folder.mkdir()
            write_job(Job(job, "train", f"run {number}", {}, folder, float(number), 1))
            write_json(folder / "process.json", {**me.as_dict(), "attempt": 1, "at": 1.0})
            write_json(folder / "done.json", {"attempt": 1, "at": 2.0, "state": "done", "result": {}})
            (folder / "events.jsonl").write_text('{"t":1,"type":"progress","done":1,"total":1,"unit":"steps"}\n')
            put_run(rec, RunRow(job, f"run-{number}", job, None, None, {"lr": 1e-4}, "done", {}, {}, float(number)))
    yield Finding(f"{count:,} job folders listed", median_of(lambda: jobs(home), 3) * 1e3, "ms")
    yield Finding(f"{count:,} runs listed", median_of(lambda: all_runs(home), 3) * 1e3, "ms")


def metrics(home: Home, quick: bool) -> Iterator[Finding]:
    count = 100_000 if quick else 1_000_000
    folder = home.jobs / sample_id("metrics")
    folder.mkdir()
    file = folder / "events.jsonl"
    with file.open("w") as out:
        for step in range(count):
            out.write(
                f'{{"loss":{2.0 / (1 + step):.6f},"lr":0.0001,"seconds":{step},"step":{step},"t":1,"type":"metric"}}\n'
            )

    def every() -> object:
        return [json.loads(line) for line in file.open()]

    theirs = seconds(every)
    began = psutil.Process().memory_info().rss
    ours = seconds(lambda: CurveReader(home, folder.name).read())
    yield Finding(f"curves of {count:,} points", ours, "s", "json.loads of every line", theirs / ours)
    yield Finding("memory that they took", (psutil.Process().memory_info().rss - began) / 1e6, "MB")
    yield Finding("curves again", seconds(lambda: CurveReader(home, folder.name).read()) * 1e3, "ms")


def chats(home: Home, quick: bool) -> Iterator[Finding]:
    from tests.models.tiny import make_model
    from workbench.jobs import stop
    from workbench.models.client import ChatMessage, Request
    from workbench.models.openai_client import OpenAIClient
    from workbench.models.server.ensure import ensure_server, health

    folder = home.models / "tiny"
    folder.mkdir(parents=True)
    make_model(folder)
    info = ensure_server(home, folder)
    turns = 2 if quick else 6
    client = OpenAIClient(info.model, info.token or "none", info.url, timeout_s=600)

    async def chat(number: int) -> None:
        said = [ChatMessage("system", "You are a travel agent."), ChatMessage("user", f"Paris, party of {number}")]
        for _ in range(turns):
            reply = await client.complete(Request(tuple(said), max_tokens=16))
            said += [ChatMessage("assistant", reply.text or "…"), ChatMessage("user", "yes please")]

    async def together() -> None:
        await asyncio.gather(*(chat(number) for number in range(CHATS)))

    async def in_turn() -> None:
        for number in range(CHATS):
            await chat(number)

    async def all_of() -> tuple[float, float]:
        began = time.perf_counter()
        await together()
        middle = time.perf_counter()
        await in_turn()
        return middle - began, time.perf_counter() - middle

    ours, theirs = asyncio.run(all_of())
    rss = health(info).get("rss_bytes", 0)
    stop(home, info.job_id)
    yield Finding(f"{CHATS} chats of {turns} turns at once", ours, "s", "one after another", theirs / ours)
    yield Finding("the server's memory after them", rss / 1e6, "MB")


def evaluation(home: Home, quick: bool) -> Iterator[Finding]:
    import evaluation as benchmark

    benchmark.CONCURRENCY = WIDE
    yield benchmark.running(quick, WIDE if quick else 2 * WIDE)


def memory(home: Home, quick: bool) -> Iterator[Finding]:
    from workbench.tui import watch

    first, whole = (300.0, 3600.0) if HOUR else (10.0, 30.0) if quick else (30.0, 360.0)
    if not HOUR:
        watch.PERIOD = 0.02
    make_sample_record(home).close()
    sizes, looks, frames = asyncio.run(_watched(home, first, whole))
    name = f"the app's memory after {whole:.0f} s under load ({looks:,} changes announced, {frames:,} keys)"
    yield Finding(name, sizes[1] / 1e6, "MB", f"after {first:.0f} s", sizes[0] / sizes[1])


async def _watched(home: Home, first: float, whole: float) -> tuple[list[int], int, int]:
    """Resident bytes at two moments of an app whose record and jobs grow all the time, while panes are changed."""
    from textual.message import Message

    from workbench.tui.shell import Workbench
    from workbench.tui.watch import Changed

    looks, keys = 0, 0

    app = Workbench(home)
    post = app.post_message

    def counted(message: Message) -> bool:
        nonlocal looks
        looks += isinstance(message, Changed)
        return post(message)

    app.post_message = counted  # type: ignore[method-assign]
    stop = threading.Event()
    writer = threading.Thread(target=_write, args=(home, stop), daemon=True)
    sizes: list[int] = []
    async with app.run_test(size=(120, 40)) as pilot:
        writer.start()
        began = time.monotonic()
        while (now := time.monotonic() - began) < whole:
            if not sizes and now >= first:
                sizes.append(psutil.Process().memory_info().rss)
            await pilot.press(("1", "2", "j", "3", "5", "j")[keys % 6])
            keys += 1
            await pilot.pause(0.05)
        sizes.append(psutil.Process().memory_info().rss)
        stop.set()
    writer.join(10)
    return sizes, looks, keys


def _write(home: Home, stop: threading.Event) -> None:
    """Metric and progress events of a run, and a row of the ledger, over and over."""
    folder = home.jobs / sample_id("job")
    folder.mkdir(exist_ok=True)
    write_job(Job(folder.name, "train", "load", {}, folder, 1.0, 1))
    me = identity()
    assert me is not None
    write_json(folder / "process.json", {**me.as_dict(), "attempt": 1, "at": 1.0})
    step = 0
    with (folder / "events.jsonl").open("a") as out, connect(home) as rec:
        while not stop.wait(0.02):
            step += 1
            out.write(
                json.dumps({"t": time.time(), "type": "metric", "step": step, "loss": 1 / step, "seconds": step}) + "\n"
            )
            out.flush()
            rec.execute("UPDATE conversations SET created = created WHERE rowid = 1")


if __name__ == "__main__":
    sys.argv = [word for word in sys.argv if word != "--hour" and not word.startswith("--only=")]
    run_main(measure, __doc__.splitlines()[0])

"""Reading a comparison, running one, and what batching brings on a CPU.

    python benchmarks/evaluation.py [--json] [--quick]

Reading: a made-up comparison of 200 scenarios × 5 agents × 3 judges is opened as the Results pane opens it (matrix, tests, the
conversations behind a figure, one of them whole), beside one plain SELECT of its scores; then the same with a million verdicts
(--quick: 150,000). Running: 200 conversations at concurrency 32 with a server of fixed latency in a process of its own (--quick:
64), every call in the ledger as in a job, beside the ideal schedule of the same conversations' calls (a free slot takes the next
conversation at once; the time of an emptying queue at the end is in both). The SDK is loaded before the clock starts. Batching:
agent replies of a local model asked for eight at once, beside one by one; WORKBENCH_BENCH_MODEL names a Hugging Face folder, else
SmolLM2 of this home, else a tiny random model.
"""

from __future__ import annotations

import asyncio
import heapq
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from common import Finding, beside, fixed_latency, main

from tests.fakes.comparison import make_comparison
from workbench.home import Home, find_home
from workbench.store import connect
from workbench.store.behind import Figure
from workbench.store.record import Record
from workbench.tui.panes.results import behind, parts, view

CONCURRENCY = 32
LATENCY = 0.5
PLAIN = "one plain SELECT of the scores"
SCORES = """SELECT c.condition, c.scenario_id, v.judge, v.criterion, v.score FROM verdicts v
            JOIN conversations c ON c.id = v.conversation_id WHERE c.comparison_id = ?"""


def measure(quick: bool) -> Sequence[Finding]:
    return [*reading(quick), running(quick), *batching(quick)]


@contextmanager
def scratch() -> Iterator[Home]:
    with tempfile.TemporaryDirectory() as folder:
        yield Home(Path(folder) / "runs").make()


def reading(quick: bool) -> Iterator[Finding]:
    with scratch() as home, connect(home) as rec:
        comparison = make_comparison(rec, 200, 5, 3)
        runs = 5 if quick else 15
        plain = lambda: rec.query(SCORES, (comparison,))  # noqa: E731
        mine, _, ratio = beside(lambda: open_it(home, comparison), plain, runs)
        yield Finding("open 200 scenarios × 5 agents × 3 judges", 1000 * mine, "ms", PLAIN, ratio)
        copies = 9 if quick else 66
        multiply(rec, copies)
        (verdicts,) = rec.one("SELECT count(*) FROM verdicts") or (0,)
        name = f"{verdicts:,} verdicts"
        mine, _, ratio = beside(lambda: view.matrix(home, comparison), plain, 3)
        yield Finding(f"{name}: open the matrix", 1000 * mine, "ms", PLAIN, ratio)
        figure = Figure(comparison, "task_success", "rules", "compiled:demo")
        mine, _, ratio = beside(lambda: listed(home, figure), plain, 3)
        yield Finding(f"{name}: conversations behind a figure", 1000 * mine, "ms", PLAIN, ratio)
        differing = Figure(comparison, "task_success", "rules", "compiled:demo", differ="conditions")
        mine, _, ratio = beside(lambda: listed(home, differing), plain, 3)
        yield Finding(f"{name}: where the agents differ", 1000 * mine, "ms", PLAIN, ratio)


def open_it(home: Home, comparison: str) -> None:
    """What the pane reads from the first key to a conversation on the screen."""
    matrix = view.matrix(home, comparison)
    assert matrix is not None
    assert parts.part(matrix.comparison, "tests", None).rows
    rows = listed(home, Figure(comparison, "task_success", matrix.measures[4][1], matrix.conditions[0]))
    assert behind.opened(home, rows[0].id) is not None


def listed(home: Home, figure: Figure) -> Sequence[Any]:
    """The list of a figure and its first window."""
    found = behind.find(home, figure, figure.judge, None)
    rows = found.window(0, 50)
    assert rows
    return rows


def multiply(rec: Record, copies: int) -> None:
    """Every conversation with its scores again, so many times, as further repetitions."""
    numbers = f"(WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {copies}) SELECT n FROM n)"
    with rec.write():
        columns = "comparison_id, agent, condition, scenario_id, workflow_id"
        rest = "seed, status, terminal, ended_by, totals, provenance, created"
        rec.execute(
            f"INSERT INTO conversations (id, {columns}, rep, {rest}) SELECT id || '-' || n, {columns}, n, {rest} "
            f"FROM conversations, {numbers}"
        )
        kept = "judge, criterion, score, evidence, rubric_hash, rep, provenance, created"
        rec.execute(
            f"INSERT INTO verdicts (id, conversation_id, {kept}) SELECT id || '-' || n, conversation_id || '-' || n, {kept} "
            f"FROM verdicts, {numbers}"
        )


def running(quick: bool, count: int = 0) -> Finding:
    """The share of the ideal throughput that an evaluation (of `count` conversations, if given) reaches."""
    count = count or (64 if quick else 200)
    with scratch() as home, fixed_latency(LATENCY) as url:
        took, calls = asyncio.run(evaluated(home, f"in-context:{url}/v1#fixed", count))
    ideal = schedule([n * LATENCY for n in calls], CONCURRENCY)
    name = f"{count} conversations, {sum(calls)} calls of {LATENCY} s at concurrency {CONCURRENCY}: share of ideal"
    return Finding(name, ideal / took, "", f"the same calls without overhead ({ideal:.1f} s)", ideal / took)


async def evaluated(home: Home, agent: str, count: int) -> tuple[float, list[int]]:
    """(seconds, calls of each conversation in the order in which they began); the summing up is not counted."""
    import openai  # noqa: F401  (loading the SDK is no part of the throughput)

    from tests.evaluation.test_run import Context
    from workbench.evaluation import run
    from workbench.evaluation.plan import plan_of
    from workbench.evaluation.services import Services
    from workbench.jobs.settings import Settings
    from workbench.models.book import CallBook
    from workbench.models.limiter import Limiter
    from workbench.models.open import open_client
    from workbench.store.conversations import conversations

    ended: list[float] = []
    summarise = run.summarise

    def noted(*arguments: Any, **options: Any) -> dict[str, Any]:
        ended.append(time.perf_counter())
        return {}

    run.summarise = noted  # type: ignore[assignment]
    try:
        with connect(home) as rec:
            plan = plan_of({"workflow": "travel_booking", "agents": [agent], "scenarios": count})
            book = CallBook(rec, "benchmark")
            began: list[float] = []

            def opened(name: str, limiter: Limiter) -> Any:
                began.append(time.perf_counter())
                return open_client(name, home, book, limiter=limiter)

            services = Services(opened, lambda name: Limiter(lambda: Settings(concurrency=CONCURRENCY)), book.forget)
            await run.evaluate(Context(home), rec, plan, services)  # type: ignore[arg-type]
            held = sorted(conversations(rec), key=lambda row: row.created)
    finally:
        run.summarise = summarise
    assert all(row.status == "done" for row in held), "a conversation was broken by infrastructure"
    return ended[0] - began[0], [int(str(row.totals["calls"])) for row in held]


def schedule(lengths: Sequence[float], slots: int) -> float:
    """Seconds until all are done when a free slot takes the next at once."""
    free = [0.0] * slots
    for length in lengths:
        heapq.heappush(free, heapq.heappop(free) + length)
    return max(free)


def batching(quick: bool) -> Iterator[Finding]:
    """Replies a second of a local model, eight at once beside one by one, through the client that evaluations use."""
    at_once, tokens, turns = 8, 24, 8 if quick else 32
    with scratch() as home:
        folder, name = model_folder(home)
        requests = prompts(2 * turns, tokens)  # no prompt twice: the server would remember it
        one, many = asyncio.run(asked(home, str(folder), requests, at_once))
        yield Finding(f"{name}: replies, {at_once} at once", turns / many, "replies/s", "one by one", one / many)


async def asked(home: Home, model: str, requests: Sequence[Any], at_once: int) -> tuple[float, float]:
    from workbench.models.open import open_client

    client = open_client(f"local/{model}", home)
    try:
        await client.complete(prompts(1, 1)[0])  # the server is up and warm
        gate = asyncio.Semaphore(at_once)

        async def one(request: Any) -> None:
            async with gate:
                await client.complete(request)

        began = time.perf_counter()
        half = len(requests) // 2
        for request in requests[:half]:
            await client.complete(request)
        alone = time.perf_counter() - began
        began = time.perf_counter()
        await asyncio.gather(*(one(request) for request in requests[half:]))
        return alone, time.perf_counter() - began
    finally:
        await client.close()
        stop_servers(home)


def stop_servers(home: Home) -> None:
    from workbench.jobs import jobs, stop

    for job in jobs(home, "serve"):
        stop(home, job.id)


def prompts(count: int, tokens: int) -> list[Any]:
    """Requests for agent turns of dialogues in evaluation wording, at most so many tokens each."""
    from workbench.dialogue.generation import Order, planned_scenarios
    from workbench.dialogue.scripted import write
    from workbench.models.client import ChatMessage, Request
    from workbench.workflow.load import load_workflow

    workflow = load_workflow("travel_booking")
    found: list[Any] = []
    for scenario in planned_scenarios(workflow, Order(workflow.name, test=count), "test"):
        said = write(workflow, scenario).messages[:2]
        talk = tuple(ChatMessage("assistant" if m.role == "agent" else "user", m.text) for m in said)
        system = ChatMessage("system", "You are a helpful travel booking assistant.")
        found.append(Request((system, *talk), max_tokens=tokens, temperature=0.0))
    return found[:count]


def model_folder(home: Home) -> tuple[Path, str]:
    """The model to measure with, and what it is called in the table."""
    named = os.environ.get("WORKBENCH_BENCH_MODEL")
    base = find_home().models / "SmolLM2-135M-Instruct"
    for folder in (Path(named) if named else base, base):
        if (folder / "config.json").is_file():
            return folder, folder.name
    from tests.models.tiny import make_model

    folder = home.root / "tiny"
    make_model(folder)
    return folder, "tiny random model"


if __name__ == "__main__":
    main(measure, __doc__ or "")

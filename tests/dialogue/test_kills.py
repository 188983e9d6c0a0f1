"""`kill -9` at random moments: the set at the end equals an uninterrupted one's, and nothing was paid for twice."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from tests.dialogue.writing import SONNET, generate, obliging
from tests.fakes.anthropic_batches import BatchDesk
from tests.fakes.anthropic_server import fake_anthropic
from tests.fakes.openai_server import Fake
from workbench.dialogue.generation import Order
from workbench.home import Home
from workbench.jobs import ENDED, launch, status
from workbench.jobs.launcher import reap
from workbench.models.ledger import IN_FLIGHT
from workbench.store import connect
from workbench.store.calls import calls, counted
from workbench.store.dialogues import iterate_dialogues

ROOT = Path(__file__).parents[2]
ORDER = Order("travel_booking", train=0, dev=0, least=0, test=12, writer=SONNET, manner="turns")


@pytest.fixture(autouse=True)
def surroundings(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-test-0123456789abcdef")
    monkeypatch.setenv("WORKBENCH_BATCH_POLL", "0.05")
    monkeypatch.delenv("WORKBENCH_LAUNCHER", raising=False)
    yield
    reap()


@contextmanager
def claude(monkeypatch: pytest.MonkeyPatch, desk: BatchDesk | None = None) -> Iterator[Fake]:
    with fake_anthropic("", desk=desk) as fake:
        fake.answer, fake.delay_s = obliging, 0.01
        monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.url)
        yield fake


def texts(home: Home) -> dict[str, list[object]]:
    return {d.id: [d.path, *((m.text, m.nodes) for m in d.messages)] for d in iterate_dialogues(connect(home))}


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.002)


def run_with_kills(home: Home, order: Order, moments: list[Callable[[], object]], **settings: object) -> str:
    """Launch the job again and again, kill its process at each moment (or let it end before), then let it finish."""
    job = launch(home, "generate", asdict(order), "kills", settings=settings)
    for moment in moments:
        until(lambda: status(home, job.id).pid or status(home, job.id).state in ENDED)
        until(lambda moment=moment: moment() or status(home, job.id).state in ENDED)  # type: ignore[misc]
        now = status(home, job.id)
        if now.pid and now.state not in ENDED:
            os.kill(now.pid, signal.SIGKILL)
        until(lambda: status(home, job.id).state in ENDED)
        launch(home, "generate", asdict(order), "kills", settings=settings)
    until(lambda: status(home, job.id).state in ENDED)
    end = status(home, job.id)
    assert (end.state, end.error) == ("done", None)
    assert end.attempt > 1
    return job.id


def nothing_twice(home: Home, job: str, fake: Fake) -> None:
    """The server's own log against the ledger: what was answered and recorded was asked once."""
    with connect(home) as rec:
        rows = calls(rec, limit=10**6)
        answered = Counter(row.request for row in rows if row.error is None)
        unanswered = sum(row.error == IN_FLIGHT for row in rows)
        assert counted(rec, job) == pytest.approx(sum(r.cost if r.cost is not None else r.reserved or 0 for r in rows))
    assert set(answered.values()) == {1}
    assert 0 <= len(fake.bodies) - len(answered) <= unanswered
    assert {row.error for row in rows} <= {None, IN_FLIGHT}


def kills(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, order: Order) -> None:
    rng = random.Random(number)
    with claude(monkeypatch) as fake:
        undisturbed = Home(tmp_path / "undisturbed" / "runs")
        generate(undisturbed, order)
        total = len(fake.bodies)
        fake.bodies.clear()

        def after(requests: int) -> Callable[[], object]:
            """True once the server has seen so many more; 0 kills the process as it starts."""
            began: list[int] = []

            def moment() -> bool:
                began.append(len(fake.bodies)) if not began else None
                return len(fake.bodies) - began[0] >= requests

            return moment

        moments = [after(rng.randrange(0, max(2, 2 * total // number))) for _ in range(number)]
        job = run_with_kills(home, order, moments)
        nothing_twice(home, job, fake)
    assert texts(home) == texts(undisturbed)


def test_three_kills_lose_and_repeat_nothing(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kills(home, tmp_path, monkeypatch, 3, ORDER)


@pytest.mark.long
@pytest.mark.parametrize("manner", ["turns", "whole"])
def test_twenty_kills_lose_and_repeat_nothing(
    manner: str, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kills(home, tmp_path, monkeypatch, 20, replace(ORDER, test=300 if manner == "whole" else 60, manner=manner))


@pytest.mark.long
def test_kills_around_a_batch_lose_and_repeat_nothing(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = replace(ORDER, manner="whole", test=60)
    desk = BatchDesk(polls=15)
    with claude(monkeypatch, desk) as fake:
        undisturbed = Home(tmp_path / "undisturbed" / "runs")
        generate(undisturbed, order)
        fake.bodies.clear()
        state = home.jobs

        def sent() -> bool:
            return bool(desk.batches)

        def known() -> bool:
            return any('"id": "msgbatch' in file.read_text() for file in state.glob("*/batches-*.json"))

        def ended() -> bool:
            return bool(desk.batches) and all(batch.results for batch in desk.batches.values())

        job = run_with_kills(home, order, [lambda: True, sent, known, known, ended, ended], batch=True)
        nothing_twice(home, job, fake)
        assert len(fake.bodies) == 60
    assert texts(home) == texts(undisturbed)

"""`kill -9` at random moments: the set at the end equals an uninterrupted one's, and nothing was paid for twice."""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

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


def run_with_kills(
    home: Home, order: Order, moments: list[Callable[[], object]], least: int, **settings: object
) -> str:
    """Launch the job again and again, kill its process at each moment (or let it end before), then let it finish.

    At least so many kills must have met a process at work.
    """
    job = launch(home, "generate", asdict(order), "kills", settings=settings)
    killed = 0
    for moment in moments:
        until(lambda: status(home, job.id).pid or status(home, job.id).state in ENDED)
        until(lambda moment=moment: moment() or status(home, job.id).state in ENDED)  # type: ignore[misc]
        now = status(home, job.id)
        if now.pid and now.state not in ENDED:
            os.kill(now.pid, signal.SIGKILL)
            killed += 1
        until(lambda: status(home, job.id).state in ENDED)
        launch(home, "generate", asdict(order), "kills", settings=settings)
    until(lambda: status(home, job.id).state in ENDED)
    end = status(home, job.id)
    assert (end.state, end.error) == ("done", None)
    assert (killed >= least, end.attempt > least) == (True, True), f"{killed} kills in {end.attempt} attempts"
    return job.id


def log_of(fake: Fake) -> Counter[str]:
    """What the server was asked, and how often (two dialogues may begin with the same request)."""
    return Counter(json.dumps(body, sort_keys=True) for body in fake.bodies)


def nothing_twice(home: Home, job: str, fake: Fake, undisturbed: Counter[str]) -> None:
    """The server's log against the ledger and an undisturbed run's: what was answered and recorded was asked once."""
    with connect(home) as rec:
        rows = calls(rec, limit=10**6)
        answered = Counter(row.request for row in rows if row.error is None)
        unanswered = sum(row.error == IN_FLIGHT for row in rows)
        assert counted(rec, job) == pytest.approx(sum(r.cost if r.cost is not None else r.reserved or 0 for r in rows))
    assert set(answered.values()) == {1}
    asked = log_of(fake)
    assert 0 <= len(fake.bodies) - len(answered) <= unanswered
    assert not undisturbed - asked
    assert (asked - undisturbed).total() <= unanswered  # only what a kill left without an answer was asked again
    assert {row.error for row in rows} <= {None, IN_FLIGHT}


def kills(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, order: Order, seed: int = 1
) -> None:
    """Kill at `number` moments: half of them after a random number of further requests, half after a random time."""
    rng = random.Random(seed)
    with claude(monkeypatch) as fake:
        fake.delay_s = 0.03
        undisturbed = Home(tmp_path / "undisturbed" / "runs")
        generate(undisturbed, order)
        total, log = len(fake.bodies), log_of(fake)
        fake.bodies.clear()

        def after(requests: int, seconds: float) -> Callable[[], object]:
            """True once the server has seen so many more and then so much time has gone; none: as the process starts."""
            began: list[int] = []
            until_: list[float] = []

            def moment() -> bool:
                began.append(len(fake.bodies)) if not began else None
                if len(fake.bodies) - began[0] < requests:
                    return False
                until_.append(time.monotonic() + seconds) if not until_ else None
                return time.monotonic() >= until_[0]

            return moment

        # So few requests a session that the last of the kills still meets a job at work.
        most = max(1, total // (2 * number))
        moments = [after(rng.randint(0, most), rng.choice([0.0, rng.uniform(0, 0.02)])) for _ in range(number)]
        job = run_with_kills(home, order, moments, number)
        nothing_twice(home, job, fake, log)
    assert texts(home) == texts(undisturbed)


def test_three_kills_lose_and_repeat_nothing(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kills(home, tmp_path, monkeypatch, 3, ORDER)


@pytest.mark.long
@pytest.mark.parametrize("manner", ["turns", "whole", "paraphrase"])
def test_twenty_kills_lose_and_repeat_nothing(
    manner: str, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = replace(ORDER, test=80 if manner == "turns" else 500, manner=manner)
    kills(home, tmp_path, monkeypatch, 20, order, seed=20)


def badly_at_first(body: dict[str, Any]) -> str:
    """Every fourth request is answered with what cannot be used, so that several batches are needed; always the same ones."""
    text = json.dumps(body, sort_keys=True)
    return "no JSON" if int(hashlib.sha256(text.encode()).hexdigest(), 16) % 4 == 0 else obliging(body)


@pytest.mark.long
def test_twenty_kills_around_batches_lose_and_repeat_nothing(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch is killed as it starts, is sent, is waited for, has ended and is collected, and between batches: at random."""
    order = replace(ORDER, manner="whole", test=60)
    desk, rng = BatchDesk(polls=10), random.Random(21)
    with claude(monkeypatch, desk) as fake:
        fake.answer = badly_at_first
        undisturbed = Home(tmp_path / "undisturbed" / "runs")
        generate(undisturbed, order)
        log = log_of(fake)
        fake.bodies.clear()

        def after(looks: int, seconds: float) -> Callable[[], object]:
            """True after so many of the process's looks at batches (0: as it starts), and then so much time."""
            began: list[int] = []
            until_: list[float] = []

            def moment() -> bool:
                began.append(desk.looks) if not began else None
                if desk.looks - began[0] < looks:
                    return False
                until_.append(time.monotonic() + seconds) if not until_ else None
                return time.monotonic() >= until_[0]

            return moment

        def sent() -> bool:
            return desk.submitted > 0

        def known() -> bool:
            return any('"id": "msgbatch' in file.read_text() for file in home.jobs.glob("*/batches-*.json"))

        desk.polls, desk.submitted = 60, 0
        moments = [lambda: True, sent, known]
        moments += [after(rng.randint(0, 9), rng.uniform(0, 0.1)) for _ in range(17)]
        job = run_with_kills(home, order, moments, 20, batch=True)
        nothing_twice(home, job, fake, log)
        assert desk.submitted >= 3
    assert texts(home) == texts(undisturbed)

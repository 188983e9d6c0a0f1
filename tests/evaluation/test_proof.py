"""The whole evaluation against services that answer as Claude and GPT would, hostile ones and kills included.

What must hold: the final tables are those of a run that nothing disturbed, and no request that was answered and kept is
ever asked again.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.anthropic_batches import BatchDesk
from tests.fakes.anthropic_server import app_for
from tests.fakes.frontier import Frontier, frontier, judge_answer
from tests.fakes.loopback import serving
from tests.fakes.openai_server import Act, Fake
from workbench.home import Home
from workbench.jobs import ENDED, launch, status, wait
from workbench.jobs.folder import read_json
from workbench.store import connect
from workbench.store.calls import calls
from workbench.store.comparisons import comparisons
from workbench.store.conversations import ConversationFilter, conversations
from workbench.store.verdicts import measures, verdicts

CLAUDE, GPT = "anthropic/claude-sonnet-5-5", "openai/gpt-4.1"
ARGS: dict[str, Any] = {
    "workflow": "travel_booking",
    "agents": [f"in-context:{CLAUDE}", f"orchestrated:{GPT}"],
    "scenarios": 3,
    "judges": ["rules", "pair"],
    "name": "proof",
}
PATIENCE = 180.0


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> Callable[[Frontier], None]:
    """Point both SDKs at a fake."""

    def point(fake: Frontier) -> None:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test-0123456789")
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", fake.anthropic)
        monkeypatch.setenv("OPENAI_BASE_URL", fake.openai)
        monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))

    return point


def run(home: Home, args: dict[str, Any]) -> dict[str, Any]:
    """The job to its end."""
    job = launch(home.make(), "evaluate", args, "proof", settings={"concurrency": 6})
    now = wait(home, job.id, timeout=PATIENCE)
    assert now.state == "done", (now.state, now.error, (job.folder / "log.txt").read_text()[-2000:])
    return dict(now.result)


def table(home: Home) -> dict[str, Any]:
    """Every figure, verdict and message of the comparison; no times."""
    with connect(home) as rec:
        (comparison,) = comparisons(rec)
        held = conversations(rec, ConversationFilter(comparison_id=comparison.id))
        summary: Any = comparison.summary
        return {
            "ends": {c.id: (c.status, c.ended_by, c.terminal) for c in held},
            "measures": {(m.conversation_id, m.name): m.value for m in measures(rec)},
            "verdicts": {v.id: (v.judge, v.criterion, v.score, v.evidence, v.rep) for v in verdicts(rec)},
            "tests": summary["comparison"]["tests"],
            "missing": {c: e["missing"] for c, e in summary["agents"].items()},
        }


def kill_when_held(home: Home, fake: Frontier, args: dict[str, Any]) -> bool:
    """Start the job, wait until the service holds back and all that it answered is in the record, then kill -9.

    False if the job ended before.
    """
    job = launch(home.make(), "evaluate", args, "proof", settings={"concurrency": 6})
    deadline = time.monotonic() + PATIENCE
    while True:
        assert time.monotonic() < deadline, (job.folder / "log.txt").read_text()[-2000:]
        if status(home, job.id).state in ENDED:  # it needed fewer answers than the service gives before it holds
            return False
        if fake.held and kept(home) >= sum(fake.answered.values()):
            break
        time.sleep(0.02)
    os.killpg(int(read_json(job.folder / "process.json")["pid"]), signal.SIGKILL)
    wait(home, job.id, timeout=PATIENCE)
    assert status(home, job.id).state == "lost"
    while fake.waiting:  # the service has noticed, too, that nobody waits for these any more
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return True


def kept(home: Home) -> int:
    """Answers in the ledger."""
    with connect(home) as rec:
        return sum(call.error is None for call in calls(rec, limit=100_000))


def first_tokens(home: Home) -> bool:
    """Whether every conversation's spoken replies of the models came as streams, seen from their first token on."""
    with connect(home) as rec:
        (comparison,) = comparisons(rec)
        summary: Any = comparison.summary
        costs = [e["costs"] for e in summary["agents"].values() if e["costs"]["calls"]]
        spoken = [call for call in calls(rec, limit=100_000) if call.purpose.startswith("agent:") and not call.error]
        streamed = [call.ttft is not None for call in spoken if not call.purpose.endswith(":hub")]
        others = [call.ttft is None for call in calls(rec, limit=100_000) if not call.purpose.startswith("agent:")]
    return all(0 < c["ttft_p50"] <= c["latency_p50"] for c in costs) and bool(costs) and all(streamed + others)


def test_killed_in_the_middle_it_ends_as_if_nothing_had_been(tmp_path: Path, keys: Callable[[Frontier], None]) -> None:
    with frontier() as calm:
        keys(calm)
        run(Home(tmp_path / "calm" / "runs"), ARGS)
    with frontier(hostile=0.4, hold_after=11) as fake:
        keys(fake)
        home = Home(tmp_path / "killed" / "runs")
        assert kill_when_held(home, fake, ARGS)
        fake.release()
        result = run(home, ARGS)
    assert result["unfinished"] == 0
    # Some requests are the same in several conversations (the opening); none is asked more often than without the kill.
    assert {key: n for key, n in fake.answered.items() if key not in fake.second} == calm.answered
    assert all(fake.answered[key] == 1 for key in fake.second)
    assert sum(fake.asked.values()) > sum(fake.answered.values())  # there was trouble
    assert first_tokens(home)
    before, after = table(Home(tmp_path / "calm" / "runs")), table(home)
    assert after["ends"] == before["ends"]
    assert after["measures"] == before["measures"]
    scored = {i: v for i, v in after["verdicts"].items() if v[2] is not None}
    assert scored == {i: before["verdicts"][i] for i in scored}
    assert set(after["verdicts"]) == set(before["verdicts"])  # what could not be had is there, without a number


@pytest.mark.parametrize("unheard", [False, True], ids=["sent", "sent and not heard of"])
def test_a_batch_that_was_sent_before_a_kill_is_fetched_and_never_paid_twice(
    tmp_path: Path, keys: Callable[[Frontier], None], monkeypatch: pytest.MonkeyPatch, unheard: bool
) -> None:
    keys(Frontier())
    monkeypatch.setenv("WORKBENCH_BATCH_POLL", "0.1")
    args = {**ARGS, "agents": ["oracle"], "judges": ["rules", f"llm:{CLAUDE}"]}
    home, desk = Home(tmp_path / "runs"), BatchDesk(polls=1_000_000, http=[Act(hang=True)] if unheard else [])
    answers = lambda body: judge_answer(body["messages"][0]["content"], False, "", 0.0)[0]  # noqa: E731
    fake = Fake(script=[Act(finish="end_turn")], answer=answers)
    with serving(app_for(fake, desk)) as address:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", address)
        job = launch(home.make(), "evaluate", args, "proof", settings={"batch": True})
        deadline = time.monotonic() + PATIENCE
        while not desk.batches or (not unheard and next(iter(desk.batches.values())).polls > 999_998):
            assert time.monotonic() < deadline, (job.folder / "log.txt").read_text()[-2000:]
            time.sleep(0.02)
        os.killpg(int(read_json(job.folder / "process.json")["pid"]), signal.SIGKILL)
        wait(home, job.id, timeout=PATIENCE)
        assert status(home, job.id).state == "lost"
        for batch in desk.batches.values():
            batch.polls = 1
        launch(home, "evaluate", args, "proof", settings={"batch": True})
        assert wait(home, job.id, timeout=PATIENCE).state == "done"
    assert desk.submitted == 1
    assert len(fake.bodies) == 3  # one request a conversation, in all
    with connect(home) as rec:
        judged = [v for v in verdicts(rec) if v.judge == CLAUDE]
        paid = [c for c in calls(rec, limit=100) if c.purpose == "judge" and c.error is None]
    assert len(judged) == 15
    assert all(v.score is not None for v in judged)
    assert len(paid) == 3


@pytest.mark.long
def test_killed_at_many_places(tmp_path: Path, keys: Callable[[Frontier], None]) -> None:
    args = {
        **ARGS,
        "agents": [*ARGS["agents"], "oracle"],
        "scenarios": 8,
        "user": f"llm:{GPT}",
        "repetitions": 2,
        "judge_repetitions": 2,
    }
    with frontier(hostile=0.3) as whole:
        keys(whole)
        run(Home(tmp_path / "whole" / "runs"), args)
    needed = sum(whole.answered.values())
    home, chance = Home(tmp_path / "killed" / "runs"), random.Random(7)
    places = sorted(chance.sample(range(1, needed), 8))
    with frontier(hostile=0.3) as fake:
        keys(fake)
        for place in places:
            fake.hold_after, fake.held = place, 0
            fake._go.clear()
            assert kill_when_held(home, fake, args)
        fake.release()
        run(home, args)
    assert fake.answered == whole.answered
    assert table(home) == table(Home(tmp_path / "whole" / "runs"))

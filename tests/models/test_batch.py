"""Message Batches through the real SDK: half price, any order, what fails goes again, a kill loses and repeats nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.anthropic_batches import BatchDesk
from tests.fakes.anthropic_server import fake_anthropic
from tests.fakes.openai_server import Act, Fake
from workbench.errors import ServiceError, UserError
from workbench.home import Home
from workbench.jobs.context import Stopped
from workbench.jobs.settings import Settings
from workbench.models.anthropic_batches import AnthropicBatches
from workbench.models.anthropic_client import AnthropicClient
from workbench.models.batch import BatchClient
from workbench.models.book import CallBook
from workbench.models.client import ChatMessage, Reply, Request
from workbench.models.ledger import Budget, BudgetSpent, most_cost
from workbench.models.open import open_batches
from workbench.models.prices import Price
from workbench.store import connect
from workbench.store.calls import call_totals, calls, counted

HALF = Price(3.0, 15.0, 0.3, 3.75, "2026-11-01").at_share(0.5)
FINE = "good day to you"


def asked(number: int) -> Request:
    return Request((ChatMessage("user", f"Question {number}"),), purpose="judge", owner=f"verdict:v{number}")


class Bench:
    def __init__(self, stack: ExitStack, home: Home, folder: Path) -> None:
        self.stack, self.home, self.folder = stack, home, folder
        self.desk, self.fake = BatchDesk(), Fake()
        self.now = Settings()
        self.stopping = False

    def serve(self, *script: Act | str) -> None:
        self.fake = self.stack.enter_context(fake_anthropic(*script, desk=self.desk))

    def client(self, budget: Budget | None = None, timeout_s: float = 20, job: str = "j1") -> BatchClient:
        """A client as a new process would open it."""
        inner = AnthropicClient("claude-sonnet-4-6", "sk-test-0123456789abcdef", self.fake.url, timeout_s=timeout_s)

        async def sleep(_: float) -> None:
            await asyncio.sleep(0.005)

        def check() -> None:
            if self.stopping:
                raise Stopped

        book = CallBook(self.stack.enter_context(connect(self.home)), job)
        return BatchClient(
            AnthropicBatches(inner),
            "anthropic/claude-sonnet-4-6",
            HALF,
            book,
            self.folder,
            budget,
            lambda: self.now,
            check,
            sleep=sleep,
            rng=random.Random(1),
        )


@pytest.fixture
def bench(home: Home, tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack, home, tmp_path)


async def ask(client: BatchClient, *numbers: int) -> list[Reply | BaseException]:
    return await asyncio.gather(*(client.complete(asked(n)) for n in numbers), return_exceptions=True)


async def test_many_requests_travel_together_and_come_back_in_any_order(bench: Bench) -> None:
    bench.serve(FINE)
    bench.fake.answer = lambda body: f"reply to {body['messages'][-1]['content']}"
    bench.desk.polls = 3
    client = bench.client()
    await client.recover()
    replies = await ask(client, *range(40))
    assert [r.text for r in replies if isinstance(r, Reply)] == [f"reply to Question {n}" for n in range(40)]
    assert bench.desk.submitted == 1
    assert bench.fake.headers[0]["anthropic-version"] == "2023-06-01"
    assert bench.fake.bodies[0]["temperature"] == 0.0
    (total,) = call_totals(client.book.rec, job="j1")
    assert (total.calls, total.errors, total.unpriced) == (40, 0, 0)
    first = replies[0]
    assert isinstance(first, Reply)
    assert first.cost == HALF.cost(first.usage)
    await client.close()


async def test_what_expired_or_failed_goes_again_and_what_is_refused_does_not(bench: Bench) -> None:
    bench.serve(
        Act(outcome="expired"),
        Act(status=500, kind="api_error"),
        Act(status=400, kind="invalid_request_error", message="too long"),
        Act(outcome="canceled"),
        FINE,
    )
    client = bench.client()
    replies = await ask(client, *range(8))
    errors = [r for r in replies if isinstance(r, BaseException)]
    assert len(errors) == 1
    assert "too long" in str(errors[0])
    assert sum(isinstance(r, Reply) for r in replies) == 7
    assert bench.desk.submitted == 2
    assert len(bench.desk.batches["msgbatch_2"].entries) == 3
    assert counted(client.book.rec, "j1") == pytest.approx(sum(r.cost or 0 for r in replies if isinstance(r, Reply)))


async def test_it_gives_up_after_the_last_batch_with_one_line(bench: Bench) -> None:
    bench.serve(Act(outcome="expired"))
    (error,) = await ask(bench.client(), 1)
    assert isinstance(error, ServiceError)
    assert "was expired in its batch (in 3 batches)" in str(error)
    assert bench.desk.submitted == 3


async def test_a_parameter_that_is_declined_is_left_out_the_next_time(bench: Bench) -> None:
    bench.serve(Act(status=400, kind="invalid_request_error", message="temperature: not supported"), FINE)
    (reply,) = await ask(bench.client(), 1)
    assert isinstance(reply, Reply)
    assert ["temperature" in body for body in bench.fake.bodies] == [True, False]


@pytest.mark.parametrize(
    "wrong",
    [Act(status=429, kind="rate_limit_error"), Act(status=529, kind="overloaded_error"), Act(status=500)],
    ids=["429", "529", "500"],
)
async def test_a_service_that_is_busy_is_asked_again(wrong: Act, bench: Bench) -> None:
    bench.serve(FINE)
    bench.desk.http = [wrong, wrong, None, wrong, wrong, wrong]
    bench.desk.polls = 2
    bench.desk.cut_results = 1
    (reply,) = await ask(bench.client(), 1)
    assert isinstance(reply, Reply)
    assert bench.desk.submitted == 1


async def test_a_batch_whose_answer_was_lost_is_found_and_not_sent_again(bench: Bench) -> None:
    bench.serve(FINE)
    bench.desk.http = [Act(hang=True)]
    client = bench.client(timeout_s=0.5)
    replies = await ask(client, 1, 2, 3)
    assert all(isinstance(r, Reply) for r in replies)
    assert bench.desk.submitted == 1


async def test_a_new_process_takes_up_what_an_old_one_sent(bench: Bench) -> None:
    bench.serve(FINE)
    bench.desk.polls = 10**9
    old = bench.client(Budget(1.0))
    waiting = asyncio.create_task(ask(old, 1, 2))
    while not bench.desk.submitted or not old._batches or old._batches[0].id is None:
        await asyncio.sleep(0.01)
    waiting.cancel()  # killed: nothing is tidied up
    for task in old._tasks:
        task.cancel()
    reserved = 2 * most_cost(HALF, asked(1))
    assert counted(old.book.rec, "j1") == pytest.approx(reserved)
    bench.desk.batches["msgbatch_1"].polls = bench.desk.polls = 1
    budget = Budget(1.0, spent=old.book.spent())
    new = bench.client(budget)
    assert await new.recover() == 2
    assert (budget.spent, budget.reserved) == (pytest.approx(0), pytest.approx(reserved))
    replies = await ask(new, 1, 2, 3)
    assert all(isinstance(r, Reply) for r in replies)
    assert [len(b.entries) for b in bench.desk.batches.values()] == [2, 1]
    assert budget.reserved == pytest.approx(0)
    assert budget.spent == pytest.approx(counted(new.book.rec, "j1"))
    assert len(calls(new.book.rec)) == 3


async def test_a_kill_between_sending_and_hearing_of_it_sends_nothing_twice(bench: Bench) -> None:
    bench.serve(FINE)
    bench.desk.http = [Act(hang=True)]
    old = bench.client()
    waiting = asyncio.create_task(ask(old, 1, 2))
    while not bench.desk.submitted:
        await asyncio.sleep(0.01)
    waiting.cancel()
    for task in old._tasks:
        task.cancel()
    new = bench.client()
    await new.recover()
    assert all(isinstance(r, Reply) for r in await ask(new, 1, 2))
    assert bench.desk.submitted == 1


async def test_a_kill_before_sending_sends_it_and_counts_nothing(bench: Bench) -> None:
    bench.serve(FINE)
    bench.desk.http = [Act(status=529, kind="overloaded_error")] * 10**5
    old = bench.client(Budget(1.0))
    waiting = asyncio.create_task(ask(old, 1))
    while len(bench.desk.http) == 10**5:
        await asyncio.sleep(0.01)
    waiting.cancel()
    for task in old._tasks:
        task.cancel()
    bench.desk.http = []
    new = bench.client(budget := Budget(1.0, spent=old.book.spent()))
    await new.recover()
    (reply,) = await ask(new, 1)
    assert isinstance(reply, Reply)
    assert (bench.desk.submitted, budget.spent) == (1, pytest.approx(reply.cost))


async def test_answers_that_are_recorded_are_not_asked_again(bench: Bench) -> None:
    bench.serve(FINE)
    await ask(bench.client(), 1, 2)
    again = bench.client()
    await again.recover()
    replies = await ask(again, 1, 2)
    assert [r.detail["recalled"] for r in replies if isinstance(r, Reply)] == [True, True]
    assert bench.desk.submitted == 1
    again.book.forget("verdict:v1")
    await ask(again, 1)
    assert bench.desk.submitted == 2


async def test_the_budget_sends_what_fits_and_stops_there(bench: Bench) -> None:
    bench.serve(FINE)
    budget = Budget(5.5 * most_cost(HALF, asked(1)))
    client = bench.client(budget)
    replies = await ask(client, *range(9))
    assert sum(isinstance(r, Reply) for r in replies) == 5
    assert sum(isinstance(r, BudgetSpent) for r in replies) == 4
    assert (budget.reserved, budget.spent <= (budget.limit or 0)) == (pytest.approx(0), True)


async def test_pause_and_stop(bench: Bench) -> None:
    bench.serve(FINE)
    bench.now = replace(bench.now, paused=True)
    client = bench.client()
    waiting = asyncio.create_task(ask(client, 1))
    await asyncio.sleep(0.1)
    assert bench.desk.submitted == 0
    bench.now = Settings()
    assert isinstance((await waiting)[0], Reply)
    bench.desk.polls = 10**9
    waiting = asyncio.create_task(ask(client, 2))
    while bench.desk.submitted < 2:
        await asyncio.sleep(0.01)
    bench.stopping = True
    assert isinstance((await asyncio.wait_for(waiting, 30))[0], Stopped)


async def test_a_batch_that_is_gone_is_sent_again(bench: Bench) -> None:
    bench.serve(FINE)
    bench.desk.polls = 10**9
    client = bench.client()
    waiting = asyncio.create_task(ask(client, 1))
    while not bench.desk.submitted:
        await asyncio.sleep(0.01)
    bench.desk.polls = 1
    bench.desk.batches.clear()
    assert isinstance((await asyncio.wait_for(waiting, 30))[0], Reply)
    assert bench.desk.submitted == 2


def test_a_model_without_batches_says_so(bench: Bench) -> None:
    with pytest.raises(UserError, match="--batch works with anthropic/NAME"):
        open_batches("openai/gpt-4.1", bench.home, CallBook(connect(bench.home), "j"), bench.folder)


async def test_clients_of_two_models_share_a_folder(bench: Bench) -> None:
    bench.serve(FINE)
    one, two = bench.client(), bench.client()
    two.name = "anthropic/another"
    two.__post_init__()
    replies = [*await ask(one, 1), *await ask(two, 1), *await ask(one, 2)]
    assert all(isinstance(r, Reply) for r in replies)
    assert len(list(bench.folder.glob("batches-*.json"))) == 2
    assert await bench.client().recover() == 0

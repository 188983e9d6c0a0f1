"""Both API clients through their real SDKs against loopback servers that speak the protocols."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.anthropic_server import fake_anthropic
from tests.fakes.openai_server import Act, Fake, fake_openai
from workbench.errors import ServiceError, UserError
from workbench.home import Home
from workbench.models.anthropic_client import OPENING, SILENCE, AnthropicClient, to_turns
from workbench.models.choosing import ChoosingClient, read_choice
from workbench.models.client import ChatMessage, Client, Reply, Request, Usage
from workbench.models.constraint import Constraint, choice_grammar
from workbench.models.ledger import Budget, BudgetSpent, LedgerClient, RetryPolicy, most_cost
from workbench.models.open import open_client
from workbench.models.openai_client import OpenAIClient
from workbench.models.prices import Price, load_prices
from workbench.store.rows import CallRow

KEY = "sk-test-0123456789abcdef"
ASKED = Request(
    (ChatMessage("system", "You help."), ChatMessage("user", "Hello?")), purpose="test", owner="dialogue:d1"
)
PRICE = Price(3.0, 15.0, 0.3, 3.75, "2026-11-01")


class Bench:
    """Starts fakes and wraps their clients in a ledger whose sleeps are only noted."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self.fake = Fake()
        self.slept: list[float] = []
        self.rows: list[CallRow] = []

    def client(
        self,
        kind: str,
        *script: Act | str,
        model: str = "",
        timeout_s: float = 20,
        constraint: Constraint = "choice",
        **options: Any,
    ) -> LedgerClient:
        if kind == "anthropic":
            self.fake = self._stack.enter_context(fake_anthropic(*script))
            inner: Client = AnthropicClient(model or "claude-sonnet-4-6", KEY, self.fake.url, timeout_s=timeout_s)
        else:
            self.fake = self._stack.enter_context(fake_openai(*script))
            inner = OpenAIClient(model or "gpt-4.1", KEY, self.fake.url, constraint=constraint, timeout_s=timeout_s)

        async def sleep(seconds: float) -> None:
            self.slept.append(seconds)

        settings = {"price": PRICE, "record": self.rows.append, "rng": random.Random(1), **options}
        return LedgerClient(inner, f"{kind}/x", sleep=sleep, **settings)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with ExitStack() as stack:
        yield Bench(stack)


async def streamed(client: Client, request: Request = ASKED) -> tuple[list[str], Reply]:
    pieces = [piece async for piece in client.stream(request)]
    reply = pieces.pop()
    assert isinstance(reply, Reply)
    return [p for p in pieces if isinstance(p, str)], reply


both = pytest.mark.parametrize("kind", ["anthropic", "openai"])


@both
async def test_a_reply_whole_and_streamed(kind: str, bench: Bench) -> None:
    client = bench.client(kind, "Good day to you")
    whole = await client.complete(ASKED)
    chunks, reply = await streamed(client)
    assert whole.text == reply.text == "".join(chunks) == "Good day to you"
    assert len(chunks) == 4
    assert reply.stop_reason == "end"
    assert whole.usage == reply.usage
    assert (reply.usage.output, reply.cost) == (4, PRICE.cost(reply.usage))
    assert whole.ttft_s is None
    assert reply.ttft_s is not None
    assert 0 < reply.ttft_s <= reply.latency_s
    assert [(r.purpose, r.owner_kind, r.owner_id, r.attempt, r.error) for r in bench.rows] == [
        ("test", "dialogue", "d1", 1, None)
    ] * 2
    await client.close()


@both
@pytest.mark.parametrize(
    "wrong",
    [
        Act(status=429, kind="rate_limit_error"),
        Act(status=529, kind="overloaded_error"),
        Act(status=500, kind="api_error"),
        Act(malformed="{"),
        Act(malformed="{}"),
        Act(malformed='"nothing of the kind"'),
    ],
    ids=["429", "529", "500", "broken JSON", "empty", "a string"],
)
async def test_what_may_pass_is_tried_again_with_growing_waits(kind: str, wrong: Act, bench: Bench) -> None:
    client = bench.client(kind, wrong, wrong, "fine")
    reply = await client.complete(ASKED)
    assert (reply.text, reply.detail["attempts"]) == ("fine", 3)
    assert 0.25 <= bench.slept[0] <= 0.5 <= bench.slept[1] <= 1.0
    assert [bool(r.error) for r in bench.rows] == [True, True, False]
    assert [r.attempt for r in bench.rows] == [1, 2, 3]


@both
async def test_the_wait_that_a_service_asks_for_is_kept(kind: str, bench: Bench) -> None:
    client = bench.client(kind, Act(status=429, kind="rate_limit_error", headers={"retry-after": "7"}), "fine")
    await client.complete(ASKED)
    assert 7 <= bench.slept[0] < 8
    patient = bench.client(kind, Act(status=429, kind="rate_limit_error", headers={"retry-after": "9999"}))
    with pytest.raises(ServiceError, match="429"):
        await patient.complete(ASKED)


@both
async def test_it_gives_up_after_the_last_attempt_with_one_line(kind: str, bench: Bench) -> None:
    client = bench.client(kind, Act(status=529, kind="overloaded_error", message="busy\nbusy"), policy=RetryPolicy(3))
    with pytest.raises(ServiceError, match=r"busy busy \[529\] \(after 3 attempts\)"):
        await client.complete(ASKED)
    assert len(bench.rows) == 3


@both
@pytest.mark.parametrize("status", [400, 401, 403, 404])
async def test_what_cannot_pass_is_not_tried_again(kind: str, status: int, bench: Bench) -> None:
    client = bench.client(kind, Act(status=status, kind="invalid_request_error", message=f"wrong {KEY}"))
    with pytest.raises(ServiceError) as caught:
        await client.complete(ASKED)
    assert len(bench.fake.bodies) == 1
    assert KEY not in str(caught.value)
    assert KEY not in (bench.rows[0].error or "")


@both
async def test_a_service_that_never_answers_is_a_time_out(kind: str, bench: Bench) -> None:
    client = bench.client(kind, Act(hang=True), timeout_s=0.3, policy=RetryPolicy(2))
    with pytest.raises(ServiceError, match="no answer in time"):
        await client.complete(ASKED)


@both
async def test_a_service_that_is_not_there(kind: str, bench: Bench) -> None:
    client = bench.client(kind, policy=RetryPolicy(2))
    inner = client.inner
    inner._client.base_url = "http://127.0.0.1:9/"  # type: ignore[attr-defined]
    with pytest.raises(ServiceError, match="cannot reach the service"):
        await client.complete(ASKED)


BROKEN = [
    Act(cut=0),
    Act(cut=0, clean_cut=True),
    Act(cut=0, event={"type": "overloaded_error", "message": "busy"}),
]


@both
@pytest.mark.parametrize("wrong", BROKEN, ids=["cut", "ends early", "error event"])
async def test_a_stream_that_breaks_before_its_first_word_is_tried_again(kind: str, wrong: Act, bench: Bench) -> None:
    chunks, reply = await streamed(bench.client(kind, wrong, "fine again"))
    assert (reply.text, reply.detail["attempts"]) == ("fine again", 2)
    assert "".join(chunks) == "fine again"


@both
@pytest.mark.parametrize("wrong", BROKEN, ids=["cut", "ends early", "error event"])
async def test_a_stream_that_breaks_later_keeps_what_it_gave(kind: str, wrong: Act, bench: Bench) -> None:
    stream = bench.client(kind, replace(wrong, cut=2)).stream(ASKED)
    got = [str(await anext(stream)), str(await anext(stream))]
    with pytest.raises(ServiceError):
        await anext(stream)
    assert "".join(got) == "Hello there"
    assert len(bench.rows) == 1
    assert bench.rows[0].error


@both
@pytest.mark.parametrize("wrong", BROKEN, ids=["cut", "ends early", "error event"])
async def test_a_whole_reply_asked_for_as_a_stream_has_its_first_token_and_is_retried_when_it_breaks_off(
    kind: str, wrong: Act, bench: Bench
) -> None:
    client = bench.client(kind, replace(wrong, cut=2), "fine again")
    reply = await client.complete(replace(ASKED, streamed=True))
    assert (reply.text, reply.detail["attempts"]) == ("fine again", 2)
    assert [body["stream"] for body in bench.fake.bodies] == [True, True]
    first, last = bench.rows
    assert (bool(first.error), first.ttft, last.error) == (True, None, None)
    assert 0 < (last.ttft or 0) <= (last.latency or 0)
    assert last.cost == reply.cost is not None
    assert last.ttft == reply.ttft_s


async def test_refusals_and_cut_offs_are_stop_reasons(bench: Bench) -> None:
    for kind, act, reason in [
        ("anthropic", Act(finish="refusal"), "refusal"),
        ("anthropic", Act(finish="max_tokens"), "length"),
        ("anthropic", Act(finish="model_context_window_exceeded"), "length"),
        ("openai", Act(refusal="I cannot"), "refusal"),
        ("openai", Act(finish="content_filter"), "refusal"),
        ("openai", Act(finish="length"), "length"),
    ]:
        client = bench.client(kind, act)
        assert (await client.complete(ASKED)).stop_reason == reason
        assert (await streamed(client))[1].stop_reason == reason


async def test_a_consumer_that_leaves_is_one_row_and_closes_the_stream(bench: Bench) -> None:
    budget = Budget(1.0)
    client = bench.client("openai", "a b c d e f", budget=budget)
    stream = client.stream(ASKED)
    assert await anext(stream) == "a"
    await stream.aclose()  # type: ignore[attr-defined]
    assert [r.error for r in bench.rows] == ["GeneratorExit"]
    assert budget.reserved == pytest.approx(0)
    assert budget.spent > 0


async def test_claude_gets_a_user_first_and_its_long_system_prompt_cached(bench: Bench) -> None:
    client = bench.client("anthropic", "Welcome.")
    request = Request(
        (ChatMessage("system", "Rules. " * 900), ChatMessage("assistant", "Hi"), ChatMessage("user", " "))
    )
    first, second = await client.complete(request), await client.complete(request)
    body = bench.fake.bodies[0]
    assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert [m["content"] for m in body["messages"]] == [OPENING, "Hi", SILENCE]
    assert first.usage.cache_write == second.usage.cache_read > 1024
    assert second.cost is not None
    assert first.cost is not None
    assert second.cost < first.cost
    assert "cache_control" not in str(to_turns(ASKED.messages))


async def test_sampling_is_sent_only_where_it_is_taken(bench: Bench) -> None:
    await bench.client("anthropic", "ok").complete(ASKED)
    assert bench.fake.bodies[0]["temperature"] == 0.0
    assert bench.fake.headers[0]["anthropic-version"] == "2023-06-01"
    reply = await bench.client("anthropic", "ok", model="claude-sonnet-5-5").complete(ASKED)
    assert "temperature" not in bench.fake.bodies[0]
    assert "sampling" in reply.detail
    declined = Act(status=400, kind="invalid_request_error", message="temperature is not supported with this model")
    reply = await bench.client("openai", declined, "ok").complete(ASKED)
    assert ["temperature" in body for body in bench.fake.bodies] == [True, False]
    assert (reply.text, bench.slept) == ("ok", [0.0])


WHICH = Request((ChatMessage("user", "Which?"),), choices=("accept", "reject", "unclear"))


async def test_free_choices_are_read_asked_again_and_counted(bench: Bench) -> None:
    client = ChoosingClient(bench.client("anthropic", "Well, hard to say", "2"))
    reply = await client.complete(replace(WHICH, free=True))
    assert (reply.text, reply.detail["malformed"], reply.detail["calls"]) == ("reject", 1, 2)
    assert reply.usage == Usage(input=60, output=5)
    assert "3. unclear" in bench.fake.bodies[0]["messages"][0]["content"]
    assert not any("output_config" in body for body in bench.fake.bodies)
    hopeless = await ChoosingClient(bench.client("openai", "never")).complete(WHICH)
    assert (hopeless.text, hopeless.detail["malformed"]) == ("never", 3)
    assert bench.fake.bodies[0]["structured_outputs"] == {"choice": ["accept", "reject", "unclear"]}
    chunks, last = await streamed(ChoosingClient(bench.client("openai", "accept")), WHICH)
    assert (chunks, last.detail["malformed"]) == (["accept"], 0)


@pytest.mark.parametrize(("kind", "field"), [("anthropic", "output_config"), ("openai", "response_format")])
async def test_apis_hold_a_choice_to_a_schema_and_those_that_decline_are_asked_by_number(
    kind: str, field: str, bench: Bench
) -> None:
    client = ChoosingClient(bench.client(kind, '{"choice": "reject"}'), schema=True)
    assert (await client.complete(WHICH)).text == "reject"
    assert str(["accept", "reject", "unclear"]) in str(bench.fake.bodies[0][field])
    assert bench.fake.bodies[0]["max_tokens"] >= 256
    declined = Act(status=400, kind="invalid_request_error", message=f"{field}: not supported by this model")
    client = ChoosingClient(bench.client(kind, declined, '{"choice": "none of them"}', "3"), schema=True)
    reply = await client.complete(WHICH)
    assert (reply.text, reply.detail["malformed"]) == ("unclear", 1)
    assert [field in body for body in bench.fake.bodies] == [True, False, False]


async def test_llama_cpp_gets_a_grammar(bench: Bench) -> None:
    client = ChoosingClient(bench.client("openai", "accept", constraint="grammar"))
    assert (await client.complete(WHICH)).text == "accept"
    assert bench.fake.bodies[0]["grammar"] == 'root ::= "accept" | "reject" | "unclear"'
    assert choice_grammar(['say "no"\n']) == r'root ::= "say \"no\"\n"'


ADVICE = [
    (Act(status=529, kind="overloaded_error"), "overloaded: send again in a while"),
    (Act(status=401, kind="authentication_error"), "see whether the key"),
    (Act(status=404, kind="not_found_error"), "model's name is right"),
    (Act(cut=2), "what had come is kept: send again"),
    (Act(status=400, kind="invalid_request_error", message="prompt is too long: 9 > 8"), "begin a new one"),
    (Act(status=400, kind="invalid_request_error", message="this model's context is 512"), "begin a new one"),
]


@both
@pytest.mark.parametrize(("wrong", "says"), ADVICE, ids=["529", "401", "404", "cut", "full", "full here"])
async def test_every_failure_says_in_one_line_what_to_do(kind: str, wrong: Act, says: str, bench: Bench) -> None:
    got: list[str | Reply] = []

    async def read() -> None:
        async for piece in bench.client(kind, wrong, policy=RetryPolicy(1)).stream(ASKED):
            got.append(piece)

    with pytest.raises(ServiceError, match=says) as caught:
        await read()
    assert "\n" not in str(caught.value)
    assert got == (["Hello", " there"] if wrong.cut else [])


@pytest.mark.parametrize(
    ("said", "index"),
    [("2", 1), ("2. no thanks", 1), ("**Yes**.", 0), ("I choose 1", 0), ("1 or 2", None), ("7", None), ("", None)],
)
def test_reading_a_choice(said: str, index: int | None) -> None:
    assert read_choice(said, ["Yes", "No thanks"]) == index


async def test_the_budget_is_never_overdrawn(bench: Bench) -> None:
    budget = Budget(0.01)
    client = bench.client("openai", "word " * 118, budget=budget)
    answers = await asyncio.gather(*(client.complete(ASKED) for _ in range(20)), return_exceptions=True)
    assert {type(a) for a in answers} == {Reply, BudgetSpent}
    most = most_cost(PRICE, ASKED)  # money set aside and given back is used: less than one call is left
    assert budget.spent > 0.01 - most
    with pytest.raises(ServiceError, match="budget"):
        await client.complete(ASKED)
    assert 0 < budget.spent <= 0.01
    assert budget.reserved == pytest.approx(0)
    with pytest.raises(ServiceError, match="price"):
        await bench.client("openai", "x", budget=Budget(1), price=None).complete(ASKED)
    assert (await bench.client("openai", "x", budget=Budget(0), price=None, free=True).complete(ASKED)).cost is None


def test_prices(home: Home) -> None:
    prices = load_prices()
    price = prices.price("anthropic/claude-sonnet-4-5-20250929")
    assert price is not None
    assert price.cost(Usage(1_000_000, 1_000_000, 1_000_000, 1_000_000)) == pytest.approx(3 + 15 + 0.3 + 3.75)
    assert prices.price("anthropic/claude-unheard-of") is None
    paper = prices.machine("paper-a100")
    assert (round(paper.input, 2), round(paper.output, 2)) == (0.05, 0.23)
    (home.root / "prices.json").write_text(
        '{"date": "2027-01-01", "models": {"openai/mine": {"input": 1, "output": 2}}}'
    )
    mine = load_prices(home).price("openai/mine")
    assert mine is not None
    assert (mine.cache_read, mine.date) == (0.1, "2027-01-01")
    assert load_prices(home).price("openai/gpt-4.1") is not None
    with pytest.raises(UserError, match="DOLLARS_PER_HOUR"):
        prices.machine("-1")
    (home.root / "prices.json").write_text("[]")
    with pytest.raises(UserError, match="price list"):
        load_prices(home)


@pytest.mark.parametrize(
    ("price", "cost"),
    [
        ("paper-a100", 30 * 2.5 / 3600 / 15000 + 1 * 2.5 / 3600 / 3000),  # 30 tokens in, 1 out
        ("3.6", 0.25 * 3.6 / 3600),
        ("", None),
    ],
)
async def test_what_a_local_model_costs(
    price: str, cost: float | None, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_LOCAL_PRICE", price)
    with fake_openai(Act("hello", machine_s=0.25)) as fake:
        client = open_client(f"{fake.url}#mine", home)
        replies = [await client.complete(ASKED), (await streamed(client))[1]]
        await client.close()
    assert [r.cost for r in replies] == [cost if cost is None else pytest.approx(cost)] * 2


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("anthropic/claude-sonnet-5-5", "ANTHROPIC_API_KEY"),
        ("openai/gpt-4.1", "OPENAI_API_KEY"),
        ("local/nothing", "no model"),
        ("ftp://x#y", "is not a model"),
        ("gpt-4.1", "is not a model"),
    ],
)
def test_a_name_that_cannot_be_opened_says_why(
    name: str, says: str, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UserError, match=says):
        open_client(name, home)


async def test_a_server_at_a_url_gets_no_key_that_is_not_meant_for_it(home: Home, bench: Bench) -> None:
    rows: list[CallRow] = []
    record: Callable[[CallRow], None] = rows.append
    with fake_openai("hello") as fake:
        client = open_client(f"{fake.url}#some-model", home, record)
        assert (await client.complete(ASKED)).text == "hello"
        await client.close()
    assert KEY not in str(fake.headers)
    assert fake.bodies[0]["max_tokens"] == 120
    assert (rows[0].model, rows[0].cost) == (f"{fake.url}#some-model", None)

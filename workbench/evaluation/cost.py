"""What an agent costs: tokens, calls, dollars, seconds and waiting per conversation, and when compiling has paid
back."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from workbench.store.rows import ConversationRow, MessageRow

PAID_BY_CALL = "prices of the model's calls"
PAID_BY_HOUR = "machine seconds at the stated price of an hour"
FREE = "runs no model"
UNPRICED = "no price known"


@dataclass(frozen=True, slots=True)
class AgentCost:
    """Means per conversation (tokens, calls, messages, seconds, dollars) and waiting times per agent message in
    seconds.

    `input` counts tokens read anew, `cached` those read from a cache. `dollars` is None if any price is unknown;
    `basis` says what they rest on. `seconds` is wall time, in which conversations run side by side; `model_seconds` sums
    the calls' own latency. `machine_seconds` (GPU-seconds where a GPU serves) is the time in which a local model had at
    least one call of the agent in flight, divided by the conversations; None for models elsewhere. `ttft` is the time to
    the first token of replies that were streamed. Agents without a model (the oracle) cost 0.
    """

    n: int
    messages: float | None
    calls: float | None
    input: float | None
    output: float | None
    cached: float | None
    seconds: float | None
    model_seconds: float | None
    machine_seconds: float | None
    dollars: float | None
    basis: str
    latency_p50: float | None
    latency_p95: float | None
    ttft_p50: float | None
    ttft_p95: float | None

    @property
    def tokens(self) -> float | None:
        """Tokens in, out and cached, a conversation."""
        parts = (self.input, self.output, self.cached)
        return None if None in parts else sum(p or 0.0 for p in parts)

    @property
    def dollars_per_thousand(self) -> float | None:
        """Dollars for 1,000 conversations."""
        return None if self.dollars is None else 1000 * self.dollars


def agent_cost(
    rows: Iterable[ConversationRow],
    messages: Iterable[MessageRow],
    hourly_price: float | None = None,
    *,
    local: bool = False,
) -> AgentCost:
    """The cost of one agent from its conversations and their messages (each read once, none is kept).

    Calls with a price cost that. With `hourly_price` (dollars an hour of the machine) a `local` agent's conversations
    cost their share of the time in which the machine worked for it.
    """
    sums = _summed(rows)
    latencies, firsts, ends = array("d"), array("d"), array("d")
    for message in messages:
        if message.role == "agent" and message.latency_s is not None:
            latencies.append(message.latency_s)
            ends.append(message.created)
            if message.ttft_s is not None and message.ttft_s < message.latency_s:  # else it came whole
                firsts.append(message.ttft_s)
    machine = None
    if local and sums.n:
        machine = busy_seconds((end - took, end) for end, took in zip(ends, latencies, strict=True)) / sums.n
    dollars, basis = _price(sums, machine, hourly_price)
    return AgentCost(
        n=sums.n,
        messages=sums.mean("messages"),
        calls=sums.mean("calls"),
        input=sums.mean("input", "cache_write"),
        output=sums.mean("output"),
        cached=sums.mean("cache_read"),
        seconds=sums.mean("seconds"),
        model_seconds=sums.mean("model_s"),
        machine_seconds=machine,
        dollars=dollars,
        basis=basis,
        latency_p50=percentile(latencies, 0.5),
        latency_p95=percentile(latencies, 0.95),
        ttft_p50=percentile(firsts, 0.5),
        ttft_p95=percentile(firsts, 0.95),
    )


def busy_seconds(spans: Iterable[tuple[float, float]]) -> float:
    """Length of the union of the intervals: the time in which at least one was open."""
    import numpy as np

    table = np.fromiter(spans, dtype=np.dtype((np.float64, 2)))
    begin, end = table[np.lexsort((table[:, 1], table[:, 0]))].T
    reached = np.maximum.accumulate(np.append(-np.inf, end))[:-1]
    new = end > reached
    spells = (end - np.maximum(begin, reached))[new]
    return float(np.cumsum(np.append(0.0, spells))[-1])  # added one after another: numpy's sum would round otherwise


@dataclass(frozen=True, slots=True)
class _Sums:
    """Totals added up over `n` conversations, `priced` of which have a known price."""

    n: int
    priced: int
    totals: Mapping[str, float]

    def mean(self, *names: str) -> float | None:
        """Of these totals together, a conversation."""
        return sum(self.totals.get(name, 0.0) for name in names) / self.n if self.n else None


def _summed(rows: Iterable[ConversationRow]) -> _Sums:
    n = priced = 0
    totals: dict[str, float] = {}
    for row in rows:
        n += 1
        priced += isinstance(row.totals.get("cost"), int | float)
        for name, value in row.totals.items():
            if isinstance(value, int | float):
                totals[name] = totals.get(name, 0.0) + value
    return _Sums(n, priced, totals)


def _price(sums: _Sums, machine: float | None, hourly_price: float | None) -> tuple[float | None, str]:
    """Mean dollars of a conversation and what they rest on."""
    if not sums.n:
        return None, UNPRICED
    if sums.priced == sums.n:
        return sums.mean("cost"), PAID_BY_CALL if sums.totals.get("calls") else FREE
    if machine is None or hourly_price is None:
        return None, UNPRICED
    return hourly_price * machine / 3600, PAID_BY_HOUR


def ratios(costs: Mapping[str, AgentCost]) -> dict[str, float | None]:
    """How many times cheaper each agent is than the dearest one; None for unknown prices and for what costs nothing."""
    known = [c.dollars for c in costs.values() if c.dollars]
    dearest = max(known) if known else None
    return {name: dearest / c.dollars if dearest and c.dollars else None for name, c in costs.items()}


def break_even(one_time: float, per_conversation: float, instead: float) -> float | None:
    """Conversations after which a one-time cost (generation, training; dollars) is paid back by the cheaper
    conversation.

    None if it never is.
    """
    saved = instead - per_conversation
    return one_time / saved if saved > 0 else None


def total_curves(
    one_time: float, per_conversation: float, instead: float, upto: float, points: int = 50
) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """(conversations, dollars in total) of the compiled agent, its one-time cost included, and of the rival."""
    counts = [upto * i / (points - 1) for i in range(points)]
    return [(n, one_time + n * per_conversation) for n in counts], [(n, n * instead) for n in counts]


def percentile(values: Sequence[float | None], share: float) -> float | None:
    """The value below which `share` of the known values lie (linear interpolation), None without values."""
    import numpy as np

    known = np.sort(np.fromiter((v for v in values if v is not None), dtype=np.float64))
    if not len(known):
        return None
    at = share * (len(known) - 1)
    low = int(at)
    high = min(low + 1, len(known) - 1)
    return float(known[low] + (known[high] - known[low]) * (at - low))

"""What an agent costs: tokens, calls, dollars, seconds and waiting per conversation, and when compiling has paid
back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from workbench.store.rows import ConversationRow, MessageRow


@dataclass(frozen=True, slots=True)
class AgentCost:
    """Means per conversation (tokens, calls, messages, seconds, dollars) and waiting times per agent message in
    seconds.

    `input` counts tokens read anew, `cached` those read from a cache. `dollars` is None if any price is unknown.
    `seconds` is wall time, in which conversations run side by side; `model_seconds` sums the calls' own latency. `ttft`
    is the time to the first token. Agents without a model (the oracle) cost 0.
    """

    n: int
    messages: float | None
    calls: float | None
    input: float | None
    output: float | None
    cached: float | None
    seconds: float | None
    model_seconds: float | None
    dollars: float | None
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
    rows: Sequence[ConversationRow], messages: Sequence[MessageRow], hourly_price: float | None = None
) -> AgentCost:
    """The cost of one agent from its conversations and their messages.

    With `hourly_price` (dollars an hour of the local machine) a conversation whose calls have no price costs its share
    of the machine's time: its model seconds, an upper bound where calls are batched.
    """
    spoken = [m for m in messages if m.role == "agent"]
    dollars = [_dollars(row, hourly_price) for row in rows]
    return AgentCost(
        n=len(rows),
        messages=_mean(rows, "messages"),
        calls=_mean(rows, "calls"),
        input=_mean(rows, "input", "cache_write"),
        output=_mean(rows, "output"),
        cached=_mean(rows, "cache_read"),
        seconds=_mean(rows, "seconds"),
        model_seconds=_mean(rows, "model_s"),
        dollars=None if not rows or None in dollars else sum(d or 0.0 for d in dollars) / len(rows),
        latency_p50=percentile([m.latency_s for m in spoken], 0.5),
        latency_p95=percentile([m.latency_s for m in spoken], 0.95),
        ttft_p50=percentile([m.ttft_s for m in spoken], 0.5),
        ttft_p95=percentile([m.ttft_s for m in spoken], 0.95),
    )


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


def saving_curve(
    one_time: float, per_conversation: float, instead: float, upto: int, points: int = 50
) -> list[tuple[int, float]]:
    """(conversations, dollars saved in total) from 0 to `upto`, for a plot; below zero until the break-even."""
    counts = [round(upto * i / (points - 1)) for i in range(points)]
    return [(n, n * (instead - per_conversation) - one_time) for n in counts]


def percentile(values: Sequence[float | None], share: float) -> float | None:
    """The value below which `share` of the known values lie (linear interpolation), None without values."""
    known = sorted(v for v in values if v is not None)
    if not known:
        return None
    at = share * (len(known) - 1)
    low = int(at)
    high = min(low + 1, len(known) - 1)
    return known[low] + (known[high] - known[low]) * (at - low)


def _dollars(row: ConversationRow, hourly_price: float | None) -> float | None:
    cost = row.totals.get("cost")
    if isinstance(cost, int | float):
        return float(cost)
    seconds = row.totals.get("model_s")
    if hourly_price is not None and isinstance(seconds, int | float):
        return hourly_price * seconds / 3600
    return None


def _mean(rows: Sequence[ConversationRow], *names: str) -> float | None:
    values = [row.totals.get(name, 0) for row in rows for name in names]
    numbers = [float(v) for v in values if isinstance(v, int | float)]
    return sum(numbers) / len(rows) if rows else None

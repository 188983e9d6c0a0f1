from __future__ import annotations

import pytest

from workbench.evaluation.cost import agent_cost, break_even, percentile, ratios, total_curves
from workbench.store.rows import ConversationRow, MessageRow


def row(**totals: object) -> ConversationRow:
    return ConversationRow("c", None, "compiled:x", "compiled", None, "w", totals=totals)


def test_means_and_waiting() -> None:
    rows = [
        row(input=100, output=20, cache_read=10, cost=0.01, messages=6, calls=3, seconds=4.0, model_s=2.0)
        for _ in range(2)
    ]
    messages = [MessageRow("agent", "", latency_s=s, ttft_s=s / 2) for s in (1.0, 2.0, 3.0)] + [MessageRow("user", "")]
    cost = agent_cost(rows, messages)
    assert (cost.n, cost.tokens, cost.dollars, cost.dollars_per_thousand) == (2, 130, 0.01, 10)
    assert (cost.latency_p50, cost.ttft_p50) == (2.0, 1.0)


def test_an_unknown_price_is_unknown_unless_the_machine_has_one() -> None:
    rows = [row(cost=None, model_s=36.0), row(cost=0.01, model_s=36.0)]
    assert agent_cost(rows, []).dollars is None
    said = [MessageRow("agent", "", latency_s=72.0, created=100.0)]
    assert agent_cost(rows, said, hourly_price=2.5, local=True).dollars == pytest.approx(2.5 * 36 / 3600)
    assert agent_cost(rows, said, hourly_price=2.5).dollars is None  # not a machine of ours
    assert agent_cost([], []).dollars is None


def test_ratio_to_the_dearest() -> None:
    costs = {
        name: agent_cost([row(cost=c)], []) for name, c in (("a", 0.1), ("b", 0.001), ("free", 0.0), ("none", None))
    }
    assert ratios(costs) == {"a": 1, "b": pytest.approx(100), "free": None, "none": None}


def test_break_even() -> None:
    assert break_even(60, 0.001, 0.121) == pytest.approx(500)
    assert break_even(60, 0.2, 0.1) is None
    ours, theirs = total_curves(60, 0.0, 0.12, 1000, points=3)
    assert ours == [(0, 60), (500, 60), (1000, 60)]
    assert theirs == [(0, 0), (500, 60), (1000, 120)]


def test_percentile() -> None:
    assert percentile([], 0.5) is None
    assert percentile([None, 4.0], 0.95) == 4
    assert percentile([1.0, 2.0], 0.5) == 1.5

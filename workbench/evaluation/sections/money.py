"""Sections on what it costs, and after how many conversations compiling has paid back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.evaluation.economy import Economy, dollars_of
from workbench.evaluation.sections.table import Rows, Section, Target
from workbench.evaluation.words import (
    Summary,
    agents_in_order,
    dollars,
    number,
)

COSTS = (
    ("messages", "messages", 1),
    ("calls", "calls", 1),
    ("input", "tokens in, read anew", 0),
    ("cached", "tokens in, from a cache", 0),
    ("output", "tokens out", 0),
    ("seconds", "wall seconds", 1),
    ("model_seconds", "seconds of its calls", 1),
    ("machine_seconds", "machine (GPU) seconds", 2),
    ("latency_p50", "latency p50, s a message", 2),
    ("latency_p95", "latency p95, s a message", 2),
    ("ttft_p50", "first token p50, s", 2),
    ("ttft_p95", "first token p95, s", 2),
)
"""Figures of cost: name, title, decimal places."""


_SUMS = ("messages", "calls", "input", "cached", "output", "seconds", "model_seconds")
"""Those that each conversation has a sum of."""


def costs(summary: Summary, hourly_price: float | None = None) -> Section:
    """What a conversation takes with each agent."""
    agents = {c: e for c, e in agents_in_order(summary).items() if e.get("costs")}
    if not agents:
        return Section("cost", "Cost", "", [])
    price = hourly_price if hourly_price is not None else summary.get("hourly_price")
    paid = {c: dollars_of(e, price, anew=hourly_price is not None) for c, e in agents.items()}
    dearest = max((d for d in paid.values() if d), default=None)
    rows: Rows = [("a conversation", *agents)]
    rows += [(title, *(number(e["costs"].get(name), places) for e in agents.values())) for name, title, places in COSTS]
    rows += [
        ("dollars", *(dollars(d) for d in paid.values())),
        ("dollars for 1,000", *(dollars(None if d is None else 1000 * d) for d in paid.values())),
        (
            "times cheaper than the dearest",
            *(f"{dearest / d:,.1f}×" if dearest and d else "–" for d in paid.values()),
        ),
        ("the price rests on", *(_basis(e["costs"], d, price) for e, d in zip(agents.values(), paid.values(), strict=True))),
    ]  # fmt: skip
    hour = f"${price:g} an hour of the local machine" if price is not None else "no price for the local machine's hour"
    note = (
        f"Means over finished conversations, held side by side; {hour}. Machine seconds: the time in which a local "
        "model had at least one of the agent's calls in flight, shared among its conversations."
    )
    sums = {"cached": "cache_read", "model_seconds": "model_s"}
    targets = [Target(sums.get(n, n)) if n in _SUMS else Target("seconds") for n, _, _ in COSTS]
    return Section("cost", "Cost", note, rows, (*targets, *[Target("cost")] * 3))


def _basis(costs: Mapping[str, Any], paid: float | None, price: float | None) -> str:
    basis = str(costs.get("basis", "–"))
    if paid is not None and costs.get("dollars") is None and price is not None:
        return "machine seconds at the stated price of an hour"
    return basis


def break_even(found: Economy) -> Section:
    """One-time cost, running cost, and after how many conversations it has paid back; the curve as a few points."""
    if found.compiled is None or not found.rivals:
        return Section("break-even", "Break-even", "", [])
    rows: Rows = [("", "dollars", "")]
    rows += [
        ("generation of its data set, once", dollars(found.generation), ""),
        ("training, once", dollars(found.training), "" if found.training is not None else "give --hourly-price"),
        ("one-time cost", dollars(found.one_time), "" if found.one_time is not None else "or state it: --one-time"),
        (f"a conversation with {found.compiled}", dollars(found.per_conversation), ""),
    ]
    for r in found.rivals:
        met = f"paid back after {r.conversations:,.0f} conversations" if r.conversations is not None else r.why
        rows.append((f"a conversation with {r.condition}", dollars(r.dollars), met))
    curves = found.curves(5)
    for name, points in curves.items():
        rows += [(f"{n:,.0f} conversations with {name}", dollars(total), "in total") for n, total in points[1:]]
    return Section("break-even", "Break-even", "What compiling cost once, against what each conversation saves.", rows)

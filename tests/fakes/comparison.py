"""A judged comparison of any size, made up from a seed: for the Results pane, its commands and benchmarks/evaluation.py.

The scores are drawn, the summary is made of their means: nothing here was measured on a model.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from random import Random
from typing import Any

from tests.fakes.record import START, WORKFLOW, sample_id
from workbench.dialogue.model import PlannedMove, Scenario
from workbench.store.comparisons import put_comparison
from workbench.store.conversations import put_conversation
from workbench.store.record import Record
from workbench.store.rows import ComparisonRow, ConversationRow, MeasureRow, MessageRow, VerdictRow, WorkflowRow
from workbench.store.scenarios import put_scenarios
from workbench.store.verdicts import put_measures, put_verdicts
from workbench.store.workflows import put_workflow

CRITERIA = ("task_success", "information_accuracy", "consistency", "graceful_handling", "naturalness")
MEASURES = ("right_terminal", "fitness", "hub_choice", "slot_accuracy")
AGENTS = ("compiled:demo", "orchestrated:acme/big", "in-context:acme/big", "orchestrated:local/base", "oracle")
JUDGES = ("llm:acme/one", "llm:acme/two", "rules")
RUBRIC = "ab" * 8


def make_comparison(
    rec: Record, scenarios: int = 12, agents: int = 3, judges: int = 2, *, words: str = "", name: str = "made-up"
) -> str:
    """Put a finished comparison into the record and return its id; `words` stand wherever a model could have spoken."""
    random = Random(name)
    put_workflow(rec, WorkflowRow(WORKFLOW, "sample", "A sample workflow", "{}", None, START))
    comparison = sample_id("made-up", name, scenarios, agents, judges)
    row = ComparisonRow(
        comparison, WORKFLOW, name, {"agents": list(AGENTS[:agents]), "scenarios": scenarios}, "done", {}, START
    )
    put_comparison(rec, row)
    drawn: dict[tuple[str, str, str], Counter[float | None]] = defaultdict(Counter)
    with rec.write():
        put_scenarios(rec, (_scenario(n) for n in range(scenarios)))
        for condition in AGENTS[:agents]:
            for n in range(scenarios):
                _conversation(rec, comparison, condition, n, judges, random, drawn, words)
        put_comparison(
            rec,
            ComparisonRow(
                comparison,
                WORKFLOW,
                name,
                row.config,
                "done",
                _summary(comparison, agents, judges, scenarios, drawn),
                START,
            ),
        )
    return comparison


def _scenario(n: int) -> Scenario:
    kinds = ((), ("vague",), ("off_topic",))[n % 3]
    return Scenario(
        sample_id("made-up", n),
        WORKFLOW,
        "test",
        n,
        {"city": "Oslo"},
        "plain",
        (PlannedMove("trip", 1, "answer"),),
        kinds,
    )


def _conversation(
    rec: Record,
    comparison: str,
    condition: str,
    n: int,
    judges: int,
    random: Random,
    drawn: dict[tuple[str, str, str], Counter[float | None]],
    words: str,
) -> None:
    key = sample_id(comparison, condition, n)
    rank = AGENTS.index(condition)
    said = [
        MessageRow(
            "agent", f"Where to? {words}", calls=1, latency_s=0.4, ttft_s=0.1, cost=0.001 * rank, created=START + n
        ),
        MessageRow("user", f"To Oslo, number {n}. {words}", created=START + n),
        MessageRow(
            "agent",
            f"Booked by {condition}. {words}",
            calls=1,
            latency_s=0.5,
            ttft_s=0.1,
            cost=0.001,
            created=START + n,
        ),
    ]
    totals = {
        "messages": 3,
        "calls": 2,
        "input": 300 * (rank + 1),
        "output": 40,
        "cache_read": 0,
        "cache_write": 0,
        "cost": 0.002 * rank,
        "seconds": 1.0 + n % 7,
        "model_s": 0.9,
    }
    put_conversation(
        rec,
        ConversationRow(
            key,
            comparison,
            condition,
            condition,
            sample_id("made-up", n),
            WORKFLOW,
            0,
            n,
            "done",
            words or "booked",
            "agent",
            totals,
            {"workbench": "0.1.0"},
            START + n,
        ),
        said,
    )
    right = float(random.random() > 0.1 * rank)
    walk = {
        "nodes": ["greet", "trip", words or "offer"],
        "edges": [],
        "skipped": ["confirm"] if not right else [],
        "extra": [],
    }
    hubs = {"hubs": [{"hub": "check", "taken": words or "x", "demanded": "y", "message": 2, "right": bool(right)}]}
    details: dict[str, Any] = {
        "fitness": walk,
        "hub_choice": hubs,
        "right_terminal": {"reached": words or "booked", "expected": "booked"},
    }
    for name in MEASURES:
        value = right if name != "fitness" else 1.0 - 0.05 * rank
        drawn[condition, "", name][value] += 1
        put_measures(rec, [MeasureRow(key, name, value, details.get(name, {}))])
    for judge in JUDGES[:judges]:
        for criterion in CRITERIA:
            score = None if random.random() < 0.01 else float(min(5, max(1, 5 - rank + random.randrange(-1, 2))))
            drawn[condition, judge, criterion][score] += 1
            evidence = {"why": f"said so {words}", "quote": f"Where to? {words}"}
            put_verdicts(
                rec,
                [
                    VerdictRow(
                        sample_id(key, judge, criterion), key, judge, criterion, score, evidence, RUBRIC, created=START
                    )
                ],
            )


def _summary(
    comparison: str, agents: int, judges: int, scenarios: int, drawn: dict[tuple[str, str, str], Counter[float | None]]
) -> dict[str, Any]:
    entries = {c: dict(_entry(c, judges, scenarios, drawn)) for c in AGENTS[:agents]}
    tests = [
        {
            "criterion": name,
            "judge": judge,
            "agent": agent,
            "against": AGENTS[0],
            "n": scenarios,
            "difference": -0.2,
            "interval": [-0.3, -0.1],
            "test": "Wilcoxon signed-rank",
            "p": 0.001,
            "p_pratt": 0.001,
            "p_holm": 0.004,
            "significant": True,
            "plus": 2,
            "minus": 9,
            "zero": 1,
            "d_pooled": -0.4,
            "d_z": -0.3,
            "rank_biserial": -0.5,
        }
        for agent in AGENTS[1:agents]
        for judge, name in [*(("", m) for m in MEASURES), *((j, c) for j in JUDGES[:judges] for c in CRITERIA)]
    ]
    return {
        "agents": entries,
        "order": list(entries),
        "comparison": {
            "id": comparison,
            "against": AGENTS[0],
            "tests": tests,
            "pairing": "same scenarios",
            "correction": "Holm",
        },
        "labeller_accuracy": 0.98,
        "adherence_reliable": True,
        "controls": {"oracle fitness": {"passed": True, "value": 1.0, "least": 0.95, "n": 9}},
        "judge": {"name": JUDGES[0], "rubric": RUBRIC, "offline": False, "n": 9, "missing": 1, "not_judged": []},
        "judges": [
            {"name": j, "rubric": RUBRIC, "offline": j == "rules", "n": 99, "missing": 1, "not_judged": []}
            for j in JUDGES[:judges]
        ],
        "agreement": [
            {
                "criterion": "task_success",
                "who": list(JUDGES[:2]),
                "n": scenarios,
                "alpha": 0.7,
                "alpha_interval": [0.6, 0.8],
                "kappa": 0.7,
                "kappa_interval": [0.6, 0.8],
                "same": 0.5,
            }
        ]
        if judges > 1
        else [],
        "coverage": {
            "evaluation": {
                "walks": scenarios,
                "nodes": 1.0,
                "edges": 0.9,
                "hub_choices": 0.8,
                "missing_nodes": [],
                "missing_edges": ["a->b"],
            }
        },
        "one_time": {AGENTS[0]: {"run": "demo", "generation_dollars": 40.0, "training_seconds": 3600.0}},
        "hourly_price": 2.5,
        "user": "agenda",
        "scenarios": scenarios,
        "statement": "Drawn from a seed: nothing was measured.",
        "provenance": {
            "workflow": "travel_booking",
            "seed": 42,
            "versions": {"workbench": ["0.1.0"]},
            "agents": {},
            "scenario_set": "cd" * 8,
        },
    }


def _entry(
    condition: str, judges: int, scenarios: int, drawn: dict[tuple[str, str, str], Counter[float | None]]
) -> Iterator[tuple[str, Any]]:
    rank = AGENTS.index(condition)
    found = {(judge, name): _mean(counts) for (of, judge, name), counts in drawn.items() if of == condition}
    yield "agent", condition
    yield "baseline", "untrained baseline" if condition.endswith("local/base") else None
    yield from {"n": scenarios, "missing": 0, "tokens": 340.0 * (rank + 1), "seconds": 4.0, "messages": 3.0}.items()
    yield from ((name, mean) for (judge, name), mean in found.items() if judge in ("", JUDGES[0]))
    yield (
        "intervals",
        {
            n: {"low": m - 0.05, "high": min(m + 0.05, 1.0 if j == "" else 5.0), "n": scenarios, "missing": 0}
            for (j, n), m in found.items()
        },
    )
    yield (
        "judges",
        {
            judge: {
                n: {"mean": m, "low": m - 0.1, "high": min(m + 0.1, 5.0), "n": scenarios, "missing": 0, "fives": 0.4}
                for (j, n), m in found.items()
                if j == judge
            }
            for judge in JUDGES[:judges]
        },
    )
    yield "failures", {"rate": 0.1 * rank, "count": rank, "n": scenarios, "low": 0.0, "high": 0.3}
    yield (
        "by_deviation",
        {
            k: {"n": scenarios // 3, "task_success": 4.0} | dict.fromkeys(MEASURES, 0.9)
            for k in ("none", "vague", "off_topic")
        },
    )
    yield (
        "distributions",
        {
            f"{j}|{n}": {
                ("missing" if v is None else f"{v:.0f}" if j else f"{10 * int(v * 10)}%"): c for v, c in counts.items()
            }
            for (of, j, n), counts in drawn.items()
            if of == condition
        },
    )
    yield (
        "walks",
        {
            "coverage": {
                "walks": scenarios,
                "nodes": 0.9,
                "edges": 0.8,
                "hub_choices": 0.7,
                "missing_nodes": [],
                "missing_edges": [],
            },
            "hubs": {"check": {"n": scenarios, "right": scenarios - rank, "wrong": {"y → x": rank}}},
            "skipped": {"confirm": rank},
            "extra": 0,
            "wrong_ends": {},
        },
    )
    yield "cost", 0.002 * rank or 0.0005
    yield (
        "costs",
        {
            "n": scenarios,
            "messages": 3.0,
            "calls": 2.0,
            "input": 300.0 * (rank + 1),
            "output": 40.0,
            "cached": 0.0,
            "seconds": 4.0,
            "model_seconds": 0.9,
            "machine_seconds": 0.7 if not rank else None,
            "dollars": 0.002 * rank or 0.0005,
            "basis": "prices of the model's calls",
            "latency_p50": 0.4,
            "latency_p95": 0.5,
            "ttft_p50": 0.1,
            "ttft_p95": 0.1,
        },
    )


def _mean(counts: Counter[float | None]) -> float:
    known = {v: n for v, n in counts.items() if v is not None}
    return sum(v * n for v, n in known.items()) / max(sum(known.values()), 1)

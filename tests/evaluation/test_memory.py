"""Summing up a comparison keeps a few numbers of each conversation, however many there are."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Callable

import pytest

from workbench.dialogue.generation import keep_workflow
from workbench.dialogue.model import Scenario
from workbench.evaluation import statistics
from workbench.evaluation.agreement import agree, judges_agree, plain
from workbench.evaluation.standing import TASK, standing
from workbench.evaluation.tables import MEASURED, Column, Tables, tables_of
from workbench.home import Home
from workbench.store.comparisons import put_comparison
from workbench.store.record import Record, connect
from workbench.store.rows import ComparisonRow
from workbench.store.scenarios import put_scenarios
from workbench.workflow.model import Workflow

SMALL, LARGE = 500, 4_000
SCENARIOS = 30
ROOM = 60
"""Bytes that a conversation more may take: two judges' scores of it (of one criterion at a time), and a sort of them."""


def fill(rec: Record, workflow: str, comparison: str, conversations: int, scenarios: list[Scenario]) -> None:
    """Conversations of two agents, measured, and judged by two models on one criterion; every ninth score is missing."""
    put_comparison(rec, ComparisonRow(comparison, workflow, comparison, {}, "done"))
    numbers = f"(WITH RECURSIVE k(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM k WHERE n + 1 < {conversations}) SELECT n FROM k)"
    agent, mine = (
        "CASE k.n % 2 WHEN 0 THEN 'oracle' ELSE 'other' END",
        f"printf('{comparison}%06d', k.n * 7919 % 100003)",
    )
    with rec.write():
        rec.execute("CREATE TEMP TABLE IF NOT EXISTS chosen (n, id)")
        rec.execute("DELETE FROM chosen")
        for n, scenario in enumerate(scenarios):
            rec.execute("INSERT INTO chosen VALUES (?, ?)", (n, scenario.id))
        rec.execute(
            "INSERT INTO conversations (id, comparison_id, agent, condition, scenario_id, workflow_id, rep, seed, status, totals,"
            f" provenance, created) SELECT {mine}, '{comparison}', {agent}, {agent}, id, '{workflow}',"
            f" k.n / {2 * len(scenarios)}, 1, 'done', '{{}}', '{{}}', 0 FROM {numbers} k, chosen"
            f" WHERE chosen.n = (k.n / 2) % {len(scenarios)}"
        )
        rec.execute(
            f"INSERT INTO measures SELECT {mine}, 'fitness', (k.n % 7) / 7.0, '{{}}' FROM {numbers} k",
        )
        for judge, step in (("acme/one", 5), ("acme/two", 4)):
            rec.execute(
                "INSERT INTO verdicts (id, conversation_id, judge, criterion, score, evidence, rubric_hash, rep, provenance, created)"
                f" SELECT {mine} || '{judge}', {mine}, '{judge}', '{TASK}',"
                f" CASE WHEN k.n % 9 = 0 THEN NULL ELSE 1.0 + k.n % {step} END, '{{}}', 'r', 0, '{{}}', 0 FROM {numbers} k"
            )


def peak(work: Callable[[], object]) -> int:
    """The most that Python's objects take while it runs, beyond what they took before."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_conversations(
    home: Home, travel: Workflow, scenarios: list[Scenario], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (statistics.agreement, statistics.intervals):
        monkeypatch.setattr(module, "LARGE", 100)  # resampling beyond it takes the same whatever the number
    with connect(home) as rec:
        workflow = keep_workflow(rec, travel)
        put_scenarios(rec, scenarios[:SCENARIOS])

        def summed(comparison: str) -> None:
            tables = tables_of(rec, comparison)
            assert judges_agree(rec, comparison)
            assert standing(rec, comparison, ["oracle", "other"], tables, {})["pass_k"]["oracle"]["2"] is not None

        for comparison, count in (("few", SMALL), ("many", LARGE)):
            fill(rec, workflow, comparison, count, scenarios[:SCENARIOS])
        summed("few")  # imports
        assert peak(lambda: summed("many")) - peak(lambda: summed("few")) < ROOM * (LARGE - SMALL)


def test_agreement_from_the_stream_is_that_of_the_scores(
    home: Home, travel: Workflow, scenarios: list[Scenario]
) -> None:
    with connect(home) as rec:
        fill(rec, keep_workflow(rec, travel), "c", 600, scenarios[: put_scenarios(rec, scenarios[:SCENARIOS])])
        rows = rec.query("SELECT conversation_id AS id, judge, score FROM verdicts WHERE score IS NOT NULL")
        given: dict[str, dict[str, float]] = {}
        for row in rows:
            given.setdefault(row["judge"], {})[row["id"]] = row["score"]
        found = judges_agree(rec, "c")
        assert plain(found) == plain(agree(TASK, given))
        assert 0 < found[0].n < 600


@pytest.mark.parametrize("raters", [2, 3])
def test_units_that_are_alike_are_counted(raters: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many units only those that differ are kept: the same estimate, and an interval around it that is as wide."""
    rng = random.Random(1)
    table = [[None if rng.random() < 0.1 else float(rng.randint(1, 5)) for _ in range(400)] for _ in range(raters)]
    one_by_one = statistics.alpha_interval(table), statistics.kappa_interval(table[0], table[1])
    for module in (statistics.agreement, statistics.intervals):
        monkeypatch.setattr(module, "LARGE", 100)
    alike = statistics.alpha_interval(table), statistics.kappa_interval(table[0], table[1])
    for (value, limits), (same, close) in zip(one_by_one, alike, strict=True):
        assert value == pytest.approx(same, abs=1e-12)
        assert limits == pytest.approx(close, abs=0.02)


def test_a_column_is_a_mapping_in_the_order_of_its_places() -> None:
    places = {"a": 0, "b": 1, "c": 2, "d": 3}
    column = Column(places)
    for scenario, value in (("d", 0.0), ("a", 4.5), ("c", None)):
        column.put(scenario, value)
    assert dict(column) == {"a": 4.5, "c": None, "d": 0.0}
    assert len(column) == 3
    assert "b" not in column
    assert column.get("b") is column.get("nowhere") is None
    tables = Tables({("x", MEASURED, "fitness"): column}, {}, ())
    assert tables.values("x", MEASURED, "fitness") == [4.5, None, 0.0]

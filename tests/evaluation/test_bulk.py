"""Large comparisons: what is left to do is told from what is done without holding either in memory as a whole."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from random import Random

import pytest

from workbench.agents.names import parse_name
from workbench.dialogue.generation import keep_workflow
from workbench.dialogue.model import Scenario
from workbench.evaluation.judging import Panel, Task, tasks_left
from workbench.evaluation.plan import Rows, rows_left
from workbench.evaluation.rubric import load_rubric
from workbench.home import Home
from workbench.store import behind
from workbench.store.comparisons import put_comparison
from workbench.store.conversations import ConversationFilter, conversations, put_conversation
from workbench.store.record import Record, connect
from workbench.store.rows import ComparisonRow, ConversationRow, VerdictRow
from workbench.store.verdicts import put_verdicts, verdicts
from workbench.workflow.hashing import workflow_hash
from workbench.workflow.model import Workflow

COMPARISON, COUNT = "large", 1_203
PANEL = Panel(("fake/one", "fake/two"), load_rubric(None), 2)
RUBRIC = PANEL.rubric_id


@pytest.fixture
def rec(home: Home, travel: Workflow) -> Iterator[Record]:
    with connect(home) as record:
        workflow = keep_workflow(record, travel)
        put_comparison(record, ComparisonRow(COMPARISON, workflow, "large", {}, "done"))
        with record.write():
            for number in range(COUNT):
                keep(record, f"{number * 7919 % 100_003:016x}", workflow, "failed" if number % 7 == 0 else "done")
        yield record


def keep(rec: Record, key: str, workflow: str, status: str) -> None:
    put_conversation(rec, ConversationRow(key, COMPARISON, "oracle", "oracle", None, workflow, status=status))


def judge(rec: Record, conversation: str, judge: str, rep: int, missing: int, of: int) -> None:
    """`of` verdicts, `missing` of them without a score."""
    criteria = [c.id for c in PANEL.rubric.criteria][:of]
    put_verdicts(
        rec,
        [
            VerdictRow(
                f"{conversation}{judge}{rep}{c}", conversation, judge, c, None if i < missing else 3.0, {}, RUBRIC, rep
            )
            for i, c in enumerate(criteria)
        ],
    )


@pytest.mark.parametrize("retry", [False, True])
def test_judgements_left_are_all_less_those_had_in_one_shuffled_order(rec: Record, retry: bool) -> None:
    done = conversations(rec, ConversationFilter(comparison_id=COMPARISON, status="done"))
    whole = len(PANEL.rubric.criteria)
    for place, row in enumerate(done[::3]):
        judge(rec, row.id, PANEL.judges[place % 2], place // 2 % 2, missing=place % 5 == 0, of=whole - (place % 4 == 0))
    had: dict[tuple[str, str, int], list[float | None]] = {}
    for v in verdicts(rec, comparison_id=COMPARISON):
        had.setdefault((v.conversation_id, v.judge, v.rep), []).append(v.score)
    wanted = [
        Task(row.id, None, name, rep, RUBRIC)
        for row in done
        for name in PANEL.judges
        for rep in range(2)
        if len(scores := had.get((row.id, name, rep), [])) < whole or (retry and None in scores)
    ]
    Random(f"judging|{COMPARISON}|0").shuffle(wanted)
    left = tasks_left(rec, COMPARISON, PANEL, retry_missing=retry)
    assert list(left) == wanted
    assert (len(left), left.total) == (len(wanted), 4 * len(done))
    for name in PANEL.judges:
        mine = [task for task in wanted if task.judge == name]
        assert (list(left.of(name)), left.count(name)) == (mine, len(mine))


def test_judgements_of_a_conversation_deleted_meanwhile_are_passed_over(rec: Record) -> None:
    left = tasks_left(rec, COMPARISON, PANEL)
    gone = next(iter(left)).conversation
    rec.execute("DELETE FROM conversations WHERE id = ?", (gone,))
    assert len(list(left)) == len(left) - 4
    assert gone not in {task.conversation for task in left}


def test_judgements_left_take_little_room(rec: Record) -> None:
    tracemalloc.start()
    try:
        left = tasks_left(rec, COMPARISON, PANEL)
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for _ in left:
            pass
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(left) > 4_000
    assert kept < 12 * len(left) + 20_000
    assert peak - kept < 600_000  # a window of them, however many there are


def test_conversations_left_are_those_not_held_to_their_end(
    rec: Record, travel: Workflow, scenarios: list[Scenario]
) -> None:
    agent = parse_name("oracle")
    rows = Rows(agent, "oracle", scenarios, 40, COMPARISON, "oracle")
    every = list(rows)
    assert len(every) == len(rows) == 1_200  # more than two windows
    held, broken = every[::4], every[1]
    for row in held:
        keep(rec, row.id, workflow_hash(travel), "done")
    keep(rec, broken.id, workflow_hash(travel), "failed")
    ids = {row.id for row in held}
    assert list(rows_left(rec, rows)) == [row for row in every if row.id not in ids]


def test_the_first_rows_behind_a_figure_are_found_without_looking_at_all(
    rec: Record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(behind, "GLANCE", 20)
    rec.execute("INSERT INTO measures SELECT id, 'fitness', (rowid % 100) / 100.0, '{}' FROM conversations")
    steps = [0]

    def step() -> None:
        steps[0] += 1

    rec.connection.set_progress_handler(step, 10)  # of SQLite's own machine: work, not time
    try:
        first = behind.glance(rec, behind.Figure(COMPARISON, "fitness", condition="oracle"))
        glanced, steps[0] = steps[0], 0
        whole = behind.behind(rec, behind.Figure(COMPARISON, "fitness", condition="oracle"))
    finally:
        rec.connection.set_progress_handler(None, 0)
    assert first is not None
    assert (len(first), len(whole)) == (20, COUNT)
    assert list(first.values) == sorted(first.values)
    assert glanced * 20 < steps[0]

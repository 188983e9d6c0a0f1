from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.record import WORKFLOW, make_sample_record, sample_dialogue, sample_id, sample_scenario
from workbench.dialogue.model import Message
from workbench.errors import UserError
from workbench.home import Home
from workbench.store import Record, connect
from workbench.store.calls import call_totals, calls, spent
from workbench.store.comparisons import comparisons, get_comparison, set_comparison
from workbench.store.conversations import (
    ConversationFilter,
    conversation_messages,
    conversation_rowids,
    conversation_rows,
    conversations,
    cut_conversation,
    first_conversations,
    get_conversation,
    iterate_conversations,
    put_conversation,
    put_conversation_messages,
)
from workbench.store.datasets import dataset_dialogues, dataset_items, dataset_sizes, datasets, put_dataset
from workbench.store.dialogues import (
    SORTS,
    DialogueFilter,
    dialogue_counts,
    dialogue_rowids,
    dialogue_rows,
    get_dialogue,
    iterate_dialogues,
    known_dialogues,
    put_dialogue,
    put_dialogues,
    set_checks,
)
from workbench.store.encode import from_json, to_json
from workbench.store.find import find
from workbench.store.reviews import put_reviews, review_counts, reviews
from workbench.store.rows import DatasetRow, DialogueEntry, MessageRow, ReviewRow
from workbench.store.runs import get_run, runs, set_run
from workbench.store.scenarios import get_scenario, put_scenarios, scenarios
from workbench.store.select import full_text, said
from workbench.store.verdicts import measures, put_verdicts, score_summary, scores, verdicts
from workbench.store.workflows import get_workflow, workflows


@pytest.fixture
def rec(tmp_path: Path) -> Iterator[Record]:
    with make_sample_record(Home(tmp_path / "runs")) as made:
        yield made


def test_a_dialogue_is_read_back_whole(rec: Record) -> None:
    dialogue = sample_dialogue(3)
    assert get_dialogue(rec, dialogue.id) == dialogue
    assert get_scenario(rec, dialogue.scenario.id) == sample_scenario(3)
    assert get_dialogue(rec, "nothing") is None


def test_writing_again_changes_nothing(rec: Record) -> None:
    before = dialogue_rowids(rec)
    assert put_dialogues(rec, [sample_dialogue(n) for n in range(12)]) == 0
    assert not put_dialogue(rec, sample_dialogue(0))
    assert put_scenarios(rec, [sample_scenario(0)]) == 0
    assert dialogue_rowids(rec) == before
    assert known_dialogues(rec, [sample_dialogue(0).id, "new"]) == {sample_dialogue(0).id}


def test_a_dialogue_needs_its_workflow(rec: Record) -> None:
    orphan = replace(sample_dialogue(50), workflow_id="unknown")
    with pytest.raises(sqlite3.IntegrityError):
        put_dialogue(rec, orphan)
    assert get_scenario(rec, orphan.scenario.id) is None


@given(text=st.text(max_size=60), value=st.text(max_size=20), rank=st.integers(0, 2**80))
@settings(max_examples=40, deadline=None)
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, text: str, value: str, rank: int) -> None:
    with make_sample_record(Home(tmp_path_factory.mktemp("any")), dialogues=0) as rec:
        dialogue = replace(sample_dialogue(1), messages=(Message("user", text, facts={"city": value}),))
        put_dialogue(rec, DialogueEntry(dialogue, rank))
        assert get_dialogue(rec, dialogue.id) == dialogue
        assert list(iterate_dialogues(rec, DialogueFilter(text=text))) in ([], [dialogue])


def test_lone_surrogates_are_stored_as_question_marks(rec: Record) -> None:
    dialogue = replace(sample_dialogue(50), messages=(Message("user", "a\ud800b", facts={"city": "\udfff"}),))
    put_dialogue(rec, dialogue)
    stored = get_dialogue(rec, dialogue.id)
    assert stored is not None
    assert (stored.messages[0].text, stored.messages[0].facts) == ("a?b", {"city": "?"})


@pytest.mark.parametrize(
    ("wanted", "numbers"),
    [
        (DialogueFilter(), list(range(12))),
        (DialogueFilter(terminal="booked"), [0, 3, 6, 9]),
        (DialogueFilter(split="dev"), [1, 4, 7, 10]),
        (DialogueFilter(status="quarantined"), [6]),
        (DialogueFilter(nodes=("escalated",)), [2, 5, 8, 11]),
        (DialogueFilter(edges=("offer->booked", "greet->trip")), [0, 3, 6, 9]),
        (DialogueFilter(deviations=("vague",)), [0, 3, 6, 9]),
        (DialogueFilter(review="none"), [6, 7, 8, 9, 10, 11]),
        (DialogueFilter(review="any"), [0, 1, 2, 3, 4, 5]),
        (DialogueFilter(review="flag"), [1, 3, 5]),
        (DialogueFilter(reviewer="ann", tags=("repetitive",)), [1, 3, 5]),
        (DialogueFilter(reviewer="bob"), []),
        (DialogueFilter(dataset_id=sample_id("dataset"), split="train"), [0, 3, 9]),
        (DialogueFilter(least_steps=5), []),
        (DialogueFilter(most_steps=4, path_rank=8), [8]),
        (DialogueFilter(text="lima 4"), [4]),
        (DialogueFilter(text="KYO"), [2, 5, 8, 11]),
        (DialogueFilter(text='"'), []),
        (DialogueFilter(text="flight NEAR("), []),
        (DialogueFilter(nodes=("book",)), []),
    ],
)
def test_filters(rec: Record, wanted: DialogueFilter, numbers: list[int]) -> None:
    shown = [d.id for d in dialogue_rows(rec, dialogue_rowids(rec, wanted, "made"))]
    assert shown == [sample_dialogue(n).id for n in numbers]


def test_a_search_asks_the_index_once_and_not_for_every_message(rec: Record) -> None:
    condition, arguments = said("dialogue", "d.id", "oslo")
    plan = [
        row["detail"] for row in rec.query(f"EXPLAIN QUERY PLAN SELECT 1 FROM dialogues d WHERE {condition}", arguments)
    ]
    inner = [step for step in plan if " f " in step or " m " in step]
    assert "VIRTUAL TABLE" in inner[0]
    assert "INTEGER PRIMARY KEY" in inner[1]


@pytest.mark.parametrize("sort", [*SORTS, *(f"-{name}" for name in SORTS)])
def test_every_sort_lists_all_once(rec: Record, sort: str) -> None:
    assert sorted(dialogue_rowids(rec, None, sort)) == sorted(dialogue_rowids(rec))


def test_sorts_go_both_ways(rec: Record) -> None:
    up = [d.terminal for d in dialogue_rows(rec, dialogue_rowids(rec, None, "terminal"))]
    assert up == sorted(up)
    assert list(dialogue_rowids(rec, None, "-terminal")) == list(dialogue_rowids(rec, None, "terminal"))[::-1]
    with pytest.raises(UserError, match="cannot sort"):
        dialogue_rowids(rec, None, "id; DROP TABLE dialogues")


def test_windows_keep_the_order_asked_for_and_leave_out_the_deleted(rec: Record) -> None:
    rowids = list(dialogue_rowids(rec, None, "made"))
    asked = [rowids[5], 10_000, rowids[1]]
    assert [row.rowid for row in dialogue_rows(rec, asked)] == [rowids[5], rowids[1]]
    line = dialogue_rows(rec, rowids[:1])[0]
    assert (line.decision, line.message_count, line.steps, line.path_rank, line.seed) == ("pass", 4, 4, 0, 2**64)


def test_row_ids_survive_vacuum(rec: Record) -> None:
    rec.execute("DELETE FROM messages WHERE owner_id = ?", (sample_dialogue(11).id,))
    rowids = list(dialogue_rowids(rec, None, "made"))
    rec.connection.execute("VACUUM")
    assert list(dialogue_rowids(rec, None, "made")) == rowids
    assert len(dialogue_rowids(rec, DialogueFilter(text="kyoto"))) == 3


def test_counts_and_checks(rec: Record) -> None:
    assert dialogue_counts(rec, "terminal") == {"abandoned": 4, "booked": 4, "escalated": 4}
    set_checks(rec, sample_dialogue(0).id, "quarantined", [{"code": "leak", "message": "node id in text"}])
    line = dialogue_rows(rec, dialogue_rowids(rec, DialogueFilter(status="quarantined"), "made"))[0]
    assert line.checks == ({"code": "leak", "message": "node id in text"},)


def test_the_newest_review_of_each_reviewer_counts(rec: Record) -> None:
    first = sample_dialogue(0).id
    put_reviews(rec, [ReviewRow("r-new", first, "bob", "flag", ("too long",), "see turn 3", 2e9)])
    assert [r.decision for r in reviews(rec, first)] == ["pass", "flag"]
    assert reviews(rec, reviewer="bob")[0].tags == ("too long",)
    assert review_counts(rec) == {"flag": 3, "none": 6, "pass": 2, "split": 1}


def test_data_sets(rec: Record) -> None:
    row = datasets(rec, WORKFLOW)[0]
    assert dataset_sizes(rec, row.id) == {"train": 3, "dev": 4, "test": 4}
    assert [split for _, split in dataset_items(rec, row.id, "dev")] == ["dev"] * 4
    assert [d.id for d, _ in dataset_dialogues(rec, row.id, "train")] == [sample_dialogue(n).id for n in (0, 3, 9)]
    assert not put_dataset(rec, row, [])
    with pytest.raises(sqlite3.IntegrityError):
        put_dataset(rec, DatasetRow("other", "other", WORKFLOW), [("no dialogue", "train")])
    assert len(datasets(rec)) == 1


def test_runs_and_comparisons_change_state(rec: Record) -> None:
    run = runs(rec, WORKFLOW)[0]
    set_run(rec, run.id, "stopped")
    assert get_run(rec, run.id) == replace(run, status="stopped")
    comparison = comparisons(rec, WORKFLOW)[0]
    set_comparison(rec, comparison.id, "done", {"winner": None, "p": float("nan")})
    assert get_comparison(rec, comparison.id) == replace(comparison, summary={"winner": None, "p": None})


def test_conversations_are_written_message_by_message(rec: Record) -> None:
    found = get_conversation(rec, sample_id("live"))
    assert found is not None
    row, spoken = found
    assert len(spoken) == 1
    user = MessageRow(
        "user", "Lima", ("trip",), ("greet->trip",), "answer", "vague", {"destination": "Lima"}, created=5.0
    )
    agent = MessageRow(
        "agent",
        "Fine",
        usage={"input": 3},
        calls=2,
        latency_s=0.0,
        ttft_s=0.5,
        cost=0.0,
        label={"act": "?"},
        created=6.0,
    )
    put_conversation_messages(rec, row.id, [user, agent], first=1)
    put_conversation_messages(rec, row.id, [user, agent], first=1)
    assert conversation_messages(rec, row.id) == [*spoken, user, agent]
    cut_conversation(rec, row.id, 2)
    put_conversation(rec, replace(row, status="done", terminal="booked"))
    again = get_conversation(rec, row.id)
    assert again == (replace(row, status="done", terminal="booked"), [*spoken, user])


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        (ConversationFilter(), 13),
        (ConversationFilter(live=True), 1),
        (ConversationFilter(live=False, condition="oracle"), 4),
        (ConversationFilter(criterion="task_success", judge="rules", least=4), 8),
        (ConversationFilter(criterion="fitness", judge="", most=0.95), 8),
        (ConversationFilter(terminal="booked", text="oslo"), 6),
        (ConversationFilter(text="where would"), 13),
    ],
)
def test_conversation_filters(rec: Record, wanted: ConversationFilter, count: int) -> None:
    rowids = conversation_rowids(rec, wanted)
    assert len(rowids) == count
    assert [row.rowid for row in conversation_rows(rec, rowids)] == list(rowids)
    assert len(conversations(rec, wanted, "messages")) == count
    assert first_conversations(rec, wanted, 3) == (conversation_rows(rec, rowids[:3]), count)


def test_scores(rec: Record) -> None:
    comparison = sample_id("comparison")
    summary = {(s.condition, s.criterion): s for s in score_summary(rec, comparison)}
    failed = summary["orchestrated", "task_success"]
    assert (failed.n, failed.missing, failed.mean, failed.judge) == (3, 1, 3.0, "rules")
    assert summary["oracle", "fitness"].mean == pytest.approx(0.9)
    assert len(list(scores(rec, comparison))) == 48
    assert [s.value for s in scores(rec, comparison, "task_success", "rules")].count(None) == 1
    assert {s.criterion for s in scores(rec, comparison, judge="")} == {"fitness", "right_terminal"}
    one = verdicts(rec, comparison_id=comparison)[0]
    assert put_verdicts(rec, [replace(one, score=1.0)]) == 0
    assert verdicts(rec, one.conversation_id)[0] == one
    assert len(measures(rec, comparison_id=comparison)) == 24
    assert measures(rec, one.conversation_id)[1].detail == {"seen": 0}


def test_the_ledger_never_counts_unknown_prices_as_free(rec: Record) -> None:
    totals = {t.model: t for t in call_totals(rec)}
    assert (totals["compiled:sample"].unpriced, totals["oracle"].unpriced, totals["oracle"].calls) == (0, 4, 4)
    assert totals["oracle"].input == 800
    assert spent(rec, "conversation") == 0.0
    assert call_totals(rec, since=3e9) == []
    assert len(calls(rec, limit=5)) == 5


def test_find(rec: Record) -> None:
    dialogue = sample_dialogue(0).id
    assert find(rec, "dialogue", dialogue) == find(rec, "dialogue", dialogue[:8]) == dialogue
    assert find(rec, "run", "sample-run") == find(rec, "run", "last") == sample_id("run")
    for wanted in ("nothing", "", "abc", "%", "\x1b[2J"):
        with pytest.raises(UserError, match="no dialogue") as caught:
            find(rec, "dialogue", wanted)
        assert "\x1b" not in str(caught.value)


def test_workflows(rec: Record) -> None:
    assert get_workflow(rec, WORKFLOW) == workflows(rec)[0]
    assert [s.id for s in scenarios(rec, WORKFLOW, "test")] == [sample_scenario(n).id for n in (2, 5, 8, 11)]


def test_json_is_canonical() -> None:
    assert to_json({"b": (1, float("inf")), "a": {"é"}}) == '{"a":["é"],"b":[1,null]}'
    assert from_json(to_json({"x": [1.5, None, "y"]})) == {"x": [1.5, None, "y"]}
    assert full_text('say "hi" to') == '"say" """hi""" "to"*'


def test_the_record_imports_nothing_heavy(tmp_path: Path) -> None:
    import subprocess
    import sys

    code = (
        "import sys; from pathlib import Path; from workbench.home import Home; import workbench.store.dialogues;"
        "from workbench.store import connect; connect(Home(Path(sys.argv[1]))).close();"
        "print(sorted({'numpy', 'pandas', 'sqlite_utils', 'torch', 'psutil'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_new_home_has_empty_lists(tmp_path: Path) -> None:
    with connect(Home(tmp_path / "new"), readonly=True) as rec:
        assert list(dialogue_rowids(rec)) == []
        assert dialogue_rows(rec, []) == []


def test_a_part_of_a_list_is_evenly_spread(rec: Record) -> None:
    every = [row.id for row in iterate_conversations(rec, ConversationFilter())]
    some = [row.id for row in iterate_conversations(rec, ConversationFilter(), most=5)]
    assert len(every) > 5
    assert some == every[:: -(-len(every) // 5)]
    assert [row.id for row in iterate_conversations(rec, ConversationFilter(), most=10_000)] == every

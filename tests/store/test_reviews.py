"""Reviews over versions of the record, and with what they are about."""

from __future__ import annotations

import sqlite3

import pytest

from tests.fakes.record import WORKFLOW, make_sample_record, sample_dialogue, sample_id
from workbench.home import Home
from workbench.store import connect, migrations
from workbench.store.dialogues import put_dialogues, same_path
from workbench.store.record import Record
from workbench.store.review_plans import PlanItem, PlanRow, plan_items, plans, put_plan
from workbench.store.reviews import put_reviews, review_counts, review_states, reviews
from workbench.store.rows import DialogueEntry, ReviewRow, WorkflowRow
from workbench.store.workflows import put_workflow

BEFORE = next(n for n, script in enumerate(migrations.scripts()) if "reviews_before" in script)


def test_reviews_of_an_older_record_are_kept_and_counted(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    every = migrations.scripts()
    monkeypatch.setattr(migrations, "scripts", lambda: every[:BEFORE])
    one, two = sample_dialogue(0), sample_dialogue(1)
    with connect(home) as rec:
        put_workflow(rec, WorkflowRow(WORKFLOW, "sample", "s", "{}"))
        put_dialogues(rec, [DialogueEntry(one, 0), DialogueEntry(two, 1)])
        for n, (key, who, decision) in enumerate(
            [
                (one.id, "ann", "pass"),
                (one.id, "ann", "flag"),
                (one.id, "bob", "flag"),
                (two.id, "ann", "pass"),
                (two.id, "ann", "none"),
            ]
        ):
            rec.execute(
                "INSERT INTO reviews VALUES (NULL, ?, ?, ?, ?, '[]', '', ?)", (f"r{n}", key, who, decision, float(n))
            )
    monkeypatch.setattr(migrations, "scripts", lambda: every)
    with connect(home) as rec:
        assert [r.id for r in reviews(rec, one.id)] == ["r0", "r1", "r2"]
        assert review_states(rec, "dialogue") == {one.id: "flag"}
        assert review_counts(rec) == {"flag": 1, "none": 1}


@pytest.fixture
def rec(home: Home) -> Record:
    return make_sample_record(home)


def test_a_review_needs_its_subject_and_goes_with_it(rec: Record) -> None:
    with pytest.raises(sqlite3.IntegrityError, match="needs its dialogue"):
        put_reviews(rec, [ReviewRow("x", "nothing", "ann", "pass")])
    with pytest.raises(sqlite3.IntegrityError, match="needs its dialogue"):
        put_reviews(rec, [ReviewRow("x", sample_dialogue(0).id, "ann", "pass", subject_kind="conversation")])
    talk = sample_id("live")
    put_reviews(rec, [ReviewRow("x", talk, "ann", "flag", subject_kind="conversation")])
    rec.execute("DELETE FROM conversations WHERE id = ?", (talk,))
    assert reviews(rec, talk) == []
    assert review_states(rec, "conversation") == {}


def test_an_older_row_that_arrives_late_does_not_count(rec: Record) -> None:
    subject = sample_dialogue(9).id
    put_reviews(rec, [ReviewRow("new", subject, "ann", "flag", created=2e9)])
    put_reviews(rec, [ReviewRow("old", subject, "ann", "pass", created=1e9)])
    assert review_states(rec, "dialogue")[subject] == "flag"


def test_a_plan_is_kept_once(rec: Record) -> None:
    plan = PlanRow("p", "first", "dialogue", WORKFLOW, {"each": 1})
    assert put_plan(rec, plan, [PlanItem("a", "s"), PlanItem("b", "s", 2)])
    assert not put_plan(rec, plan, [])
    assert plan_items(rec, "p") == [PlanItem("a", "s"), PlanItem("b", "s", 2)]
    assert plans(rec) == [plan]


def test_dialogues_of_the_same_path(rec: Record) -> None:
    first = sample_dialogue(0)
    assert same_path(rec, first.id) == [first.id]  # the others have another number or other edges

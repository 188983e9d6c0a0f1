from __future__ import annotations

import multiprocessing
import random
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.record import WORKFLOW, make_sample_record, sample_dialogue, sample_id
from workbench.dialogue.reviewing import (
    amend,
    blind_votes,
    decide,
    find_plan,
    make_plan,
    open_decisions,
    reviewer_name,
    seen_by,
    settle,
    standing,
    undo,
)
from workbench.errors import UserError
from workbench.home import Home
from workbench.store import connect
from workbench.store.dialogues import DialogueFilter, dialogue_rowids, dialogue_rows, same_path
from workbench.store.record import Record
from workbench.store.review_plans import LEASE_SECONDS, leases, plan_items, plans, progress, take_next
from workbench.store.reviews import review_counts, review_states, reviews, votes
from workbench.store.rows import ReviewRow

FREE = [sample_dialogue(n).id for n in range(6, 12)]
"""Dialogues of the sample record that nobody has reviewed."""
ONE, TWO, THREE = FREE[:3]
TALK = sample_id("conversation", "oracle", 0)


@pytest.fixture
def rec(tmp_path: Path) -> Iterator[Record]:
    with make_sample_record(Home(tmp_path / "runs")) as made:
        yield made


def state(rec: Record, subject: str) -> str | None:
    return review_states(rec, "dialogue").get(subject)


def test_a_decision_that_stands_already_adds_nothing(rec: Record) -> None:
    first = decide(rec, "dialogue", ONE, "eve", "pass")
    assert first is not None
    assert len(first.subject_hash) == 16
    assert decide(rec, "dialogue", ONE, "eve", "pass") is None
    assert decide(rec, "dialogue", ONE, "eve", "flag") is not None
    assert [r.decision for r in reviews(rec, ONE)] == ["pass", "flag"]
    with pytest.raises(UserError, match="choose among pass, flag, fix"):
        decide(rec, "dialogue", ONE, "eve", "maybe")
    with pytest.raises(UserError, match="no dialogue nothing"):
        decide(rec, "dialogue", "nothing", "eve", "pass")


def test_tags_and_a_note_go_with_what_stands_and_flag_without_it(rec: Record) -> None:
    amend(rec, "dialogue", ONE, "eve", note="see turn 3")
    row = standing(rec, "dialogue", ONE, "eve")
    assert row is not None
    assert (row.decision, row.note) == ("flag", "see turn 3")
    decide(rec, "dialogue", TWO, "eve", "pass")
    amend(rec, "dialogue", TWO, "eve", tags=("tone", "tone", " "))
    row = standing(rec, "dialogue", TWO, "eve")
    assert row is not None
    assert (row.decision, row.tags) == ("pass", ("tone",))


def test_undo_walks_back_over_subjects_and_restores_what_stood_before(rec: Record) -> None:
    decide(rec, "dialogue", ONE, "eve", "pass", at=3e9)
    decide(rec, "dialogue", TWO, "eve", "flag", ("tone",), "rude", at=3e9 + 1)
    decide(rec, "dialogue", ONE, "eve", "flag", at=3e9 + 2)
    decide(rec, "conversation", TALK, "eve", "pass", at=3e9 + 3)
    walked = []
    while row := undo(rec, "eve"):
        walked.append((row.subject_id, row.decision))
    assert walked == [(TALK, "none"), (ONE, "pass"), (TWO, "none"), (ONE, "none")]
    assert state(rec, ONE) == state(rec, TWO) is None
    assert len(reviews(rec, ONE, "eve")) == 4
    assert undo(rec, "nobody") is None


def test_undo_goes_on_after_new_decisions(rec: Record) -> None:
    decide(rec, "dialogue", ONE, "eve", "pass")
    undo(rec, "eve")
    decide(rec, "dialogue", ONE, "eve", "flag")
    decide(rec, "dialogue", ONE, "eve", "pass")
    back = undo(rec, "eve")
    assert back is not None
    assert back.decision == "flag"
    last = undo(rec, "eve")
    assert last is not None
    assert last.decision == "none"
    assert undo(rec, "eve") is None


def test_a_clock_that_goes_back_does_not_bring_an_old_decision_back(rec: Record) -> None:
    decide(rec, "dialogue", ONE, "eve", "pass", at=3e9)
    decide(rec, "dialogue", ONE, "eve", "flag", at=1.0)
    assert state(rec, ONE) == "flag"
    undo(rec, "eve", at=1.0)
    assert state(rec, ONE) == "pass"


def test_a_state_needs_more_than_half_and_a_split_is_a_queue_of_its_own(rec: Record) -> None:
    decide(rec, "dialogue", ONE, "eve", "pass")
    decide(rec, "dialogue", ONE, "bob", "flag")
    assert state(rec, ONE) == "split"
    rows = dialogue_rows(rec, dialogue_rowids(rec, DialogueFilter(review="split")))
    assert [row.id for row in rows] == [ONE]
    assert rows[0].decision == "split"
    decide(rec, "dialogue", ONE, "zoe", "flag")
    assert state(rec, ONE) == "flag"
    undo(rec, "zoe")
    undo(rec, "bob")
    assert state(rec, ONE) == "pass"
    assert votes(rec, "dialogue", [ONE, TWO]) == {ONE: {"eve": "pass"}}
    assert review_counts(rec, WORKFLOW) == {"flag": 3, "none": 5, "pass": 4}
    assert review_counts(rec, kind="conversation") == {"none": 13}


def test_a_reviewer_sees_others_only_after_deciding(rec: Record) -> None:
    decide(rec, "dialogue", ONE, "eve", "flag", note="secret")
    before = seen_by(rec, "dialogue", ONE, "bob")
    assert (before.mine, before.shown, before.hidden) == (None, (), 1)
    decide(rec, "dialogue", ONE, "bob", "pass")
    after = seen_by(rec, "dialogue", ONE, "bob")
    assert {row.reviewer for row in after.shown} == {"eve", "bob"}
    undo(rec, "bob")
    assert {row.reviewer for row in seen_by(rec, "dialogue", ONE, "bob").shown} == {"eve"}  # seen is seen


def test_a_mended_copy_is_hidden_from_the_second_reviewer_of_its_original(rec: Record) -> None:
    path = TWO
    decide(rec, "dialogue", ONE, "ann", "fix", copy_id=path)  # stands for a copy beside the original
    shown = {r.id for r in dialogue_rows(rec, dialogue_rowids(rec, DialogueFilter(viewer="eve")))}
    assert path not in shown
    assert path in {r.id for r in dialogue_rows(rec, dialogue_rowids(rec, DialogueFilter(viewer="ann")))}
    assert same_path(rec, path, "eve") == []
    decide(rec, "dialogue", ONE, "eve", "pass")
    assert same_path(rec, path, "eve") == [path]


def test_who_was_shown_a_decision_is_no_second_reviewer(rec: Record) -> None:
    plan = make_plan(rec, "dialogue", WORKFLOW, "p", [], 12, 1.0)
    decide(rec, "dialogue", ONE, "ann", "flag")
    assert open_decisions(rec, "dialogue", [ONE, TWO], "eve") == 1  # nobody has said anything about the other
    assert open_decisions(rec, "dialogue", [ONE], "eve") == 0
    assert {r.reviewer for r in seen_by(rec, "dialogue", ONE, "eve").shown} == {"ann"}
    given = []
    while subject := take_next(rec, plan, "eve", 1e9):
        decide(rec, "dialogue", subject, "eve", "pass")
        given.append(subject)
    assert ONE not in given
    assert len(given) == 11


def test_what_settles_a_disagreement_counts_and_is_no_vote(rec: Record) -> None:
    decide(rec, "dialogue", ONE, "eve", "pass")
    decide(rec, "dialogue", ONE, "bob", "fix", copy_id=TWO)
    before = blind_votes(reviews(rec))
    row = settle(rec, "dialogue", ONE, "zoe", "fix", "bob is right")
    assert row is not None
    assert (row.settles, row.copy_id, len(row.subject_hash)) == (True, TWO, 16)
    assert state(rec, ONE) == "fix"
    assert votes(rec, "dialogue", [ONE]) == {ONE: {"eve": "pass", "bob": "fix"}}
    assert blind_votes(reviews(rec)) == before
    decide(rec, "dialogue", ONE, "amy", "pass")
    assert state(rec, ONE) == "fix"  # it stands until it is taken back or settled anew
    assert settle(rec, "dialogue", ONE, "zoe", "flag") is not None
    assert state(rec, ONE) == "flag"
    undo(rec, "zoe")
    assert state(rec, ONE) == "fix"
    undo(rec, "zoe")
    assert state(rec, ONE) == "pass"
    assert undo(rec, "zoe") is None


def row(who: str, decision: str, subject: str = "s") -> ReviewRow:
    return ReviewRow(f"{who}{decision}", subject, who, decision)


def test_only_what_was_said_before_seeing_the_others_counts_as_independent() -> None:
    rows = [row("a", "pass"), row("a", "flag"), row("b", "pass"), row("a", "pass"), row("c", "flag"), row("b", "none")]
    assert blind_votes(rows) == {"s": {"a": "flag", "b": "pass", "c": "flag"}}
    assert blind_votes([row("a", "pass"), row("a", "none")]) == {}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["pass", "flag", "none"]), st.sampled_from("xy"))))
def test_independent_votes_are_never_more_than_were_given(given_rows: list[tuple[str, str, str]]) -> None:
    found = blind_votes(row(who, what, subject) for who, what, subject in given_rows)
    for subject, given_votes in found.items():
        for who, decision in given_votes.items():
            assert (who, decision, subject) in given_rows


def test_a_plan_takes_so_many_of_each_stratum_in_turns(rec: Record) -> None:
    plan = make_plan(rec, "dialogue", WORKFLOW, "first", ["terminal"], 2, 0.5, seed=7)
    items = plan_items(rec, plan.id)
    assert Counter(i.stratum for i in items) == {"booked": 2, "abandoned": 2, "escalated": 2}
    assert len({i.stratum for i in items[:3]}) == 3
    assert sum(i.reviewers == 2 for i in items) == 3
    assert make_plan(rec, "dialogue", WORKFLOW, "first", ["terminal"], 2, 0.5, seed=7).id == plan.id
    assert find_plan(rec, "dialogue") == plan
    assert find_plan(rec, "conversation") is None
    with pytest.raises(UserError, match="a name of its own"):
        make_plan(rec, "dialogue", WORKFLOW, "first", ["terminal"], 3)
    with pytest.raises(UserError, match="choose among terminal"):
        make_plan(rec, "dialogue", WORKFLOW, "other", ["colour"], 3)
    with pytest.raises(UserError, match="known: first"):
        find_plan(rec, "dialogue", "second")
    talks = make_plan(rec, "conversation", WORKFLOW, "talks", ["condition"], 1)
    assert len(plan_items(rec, talks.id)) == 3
    assert [p.name for p in plans(rec)] == ["talks", "first"]
    personas = make_plan(rec, "dialogue", WORKFLOW, "personas", ["persona", "split"], 1)
    assert {i.stratum for i in plan_items(rec, personas.id)} == {"plain · train", "plain · dev", "plain · test"}


def test_two_reviewers_are_handed_different_items_and_share_the_stated_part(rec: Record) -> None:
    plan = make_plan(rec, "dialogue", WORKFLOW, "p", [], 8, 0.25)
    twice = {i.subject_id for i in plan_items(rec, plan.id) if i.reviewers == 2}
    assert len(twice) == 2
    seen: dict[str, list[str]] = {"eve": [], "bob": []}
    for turn in range(20):
        who = ("eve", "bob")[turn % 2]
        if subject := take_next(rec, plan, who, 1e9):
            decide(rec, "dialogue", subject, who, "pass", at=3e9 + turn)
            seen[who].append(subject)
    assert len(seen["eve"]) == len(set(seen["eve"]))
    assert set(seen["eve"]) & set(seen["bob"]) == twice - {i for i in twice if "ann" in votes(rec, "dialogue", [i])[i]}
    total = progress(rec, plan.id)[0]
    assert (total.items, total.done, total.twice, total.twice_done) == (8, 8, 2, 2)


def test_a_lease_holds_a_quarter_of_an_hour_and_a_skipped_item_comes_again(rec: Record) -> None:
    plan = make_plan(rec, "dialogue", WORKFLOW, "p", [], 12, 0.0)
    free = [i.subject_id for i in plan_items(rec, plan.id) if i.subject_id in FREE]
    assert take_next(rec, plan, "eve", 1000.0) == free[0]
    assert leases(rec, plan.id, 1000.0) == {"eve": (free[0], 1000.0 + LEASE_SECONDS)}
    assert take_next(rec, plan, "bob", 1001.0) == free[1]
    assert take_next(rec, plan, "eve", 1002.0) == free[2]  # skipped, not decided
    assert take_next(rec, plan, "zoe", 1003.0) in (free[3], free[0])
    assert take_next(rec, plan, "amy", 1001.0 + LEASE_SECONDS) in (free[0], free[1])  # bob's has run out
    for subject in free:
        decide(rec, "dialogue", subject, "eve", "pass")
    assert take_next(rec, plan, "bob", 9e9) is None
    assert leases(rec, plan.id, 9e9) == {}


def _review(root: Path, name: str) -> None:
    with connect(Home(root)) as rec:
        plan = find_plan(rec, "dialogue")
        assert plan is not None
        while subject := take_next(rec, plan, name, 1e9):
            decide(rec, "dialogue", subject, name, random.choice(["pass", "flag"]))


def test_two_processes_on_one_database_decide_each_item_once(tmp_path: Path) -> None:
    home = Home(tmp_path / "runs")
    with make_sample_record(home, 60) as rec:
        plan = make_plan(rec, "dialogue", WORKFLOW, "p", ["terminal"], 20, 0.1)
    context = multiprocessing.get_context("spawn")
    people = [context.Process(target=_review, args=(home.root, name)) for name in ("eve", "bob")]
    for person in people:
        person.start()
    for person in people:
        person.join(60)
        assert person.exitcode == 0
    with connect(home) as rec:
        items = plan_items(rec, plan.id)
        given_votes = votes(rec, "dialogue", [i.subject_id for i in items])
        assert all(len(given_votes[i.subject_id]) == i.reviewers for i in items)
        ours = Counter(r.subject_id for r in reviews(rec) if r.reviewer != "ann")
        assert max(ours.values()) <= 2


def test_a_reviewers_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_REVIEWER", " Eve\x1b[2J \n")
    assert reviewer_name() == "Eve[2J"
    assert reviewer_name("bob") == "bob"
    monkeypatch.delenv("WORKBENCH_REVIEWER")
    monkeypatch.setattr("getpass.getuser", lambda: "login")
    assert reviewer_name() == "login"
    with pytest.raises(UserError, match="--as NAME"):
        reviewer_name("\x1b")

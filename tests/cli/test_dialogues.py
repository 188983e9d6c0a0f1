"""The plain form of checking, listing and reviewing."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from tests.fakes.record import WORKFLOW, make_sample_record, sample_dialogue, sample_id
from workbench.cli import conversations, dialogues
from workbench.dialogue.generation import Order, write_all
from workbench.errors import UserError
from workbench.home import Home
from workbench.store import connect
from workbench.store.dialogues import DialogueFilter, dialogue_rowids, get_dialogue, iterate_dialogues, put_dialogues
from workbench.store.reviews import review_states, reviews
from workbench.store.rows import DialogueEntry
from workbench.workflow.load import load_workflow

EVIL = "=cmd|' /C calc'!A0"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("WORKBENCH_REVIEWER", "eve")
    made = Home(tmp_path / "runs")
    make_sample_record(made).close()
    return made


def call(home: Home, *words: str, group: click.Group = dialogues.group, typed: str = "") -> Result:
    return CliRunner().invoke(group, list(words), obj=home, input=typed, catch_exceptions=False)


def reviews_of(home: Home, who: str) -> list[str]:
    with connect(home) as rec:
        return [row.decision for row in reviews(rec, reviewer=who)]


def told(home: Home, *words: str, group: click.Group = dialogues.group) -> object:
    result = call(home, *words, "--json", group=group)
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


ONE, TWO = sample_dialogue(7).id, sample_dialogue(8).id


def test_decisions_without_a_prompt(home: Home) -> None:
    assert told(home, "review", "--pass", ONE, "--pass", TWO[:8]) == [
        {"decision": "pass", "id": i, "new": True, "reviewer": "eve"} for i in (ONE, TWO)
    ]
    assert "stood already" in call(home, "review", "--pass", ONE).output
    assert "flag by bob" in call(home, "review", "--flag", ONE, "--tag", "tone", "--note", EVIL, "--as", "bob").output
    assert told(home, "review", "--disagreements") == [
        {"hidden": False, "id": ONE, "settled": None, "votes": {"eve": "pass", "bob": "flag"}}
    ]
    agreed = told(home, "review", "--agreement")
    assert isinstance(agreed, dict)
    assert (agreed["subjects"], agreed["disagreements"]) == (1, [ONE])
    assert "taken back, nothing stands" in call(home, "review", "--undo", "--as", "bob").output
    with pytest.raises(UserError, match="no decision left"):
        call(home, "review", "--undo", "--as", "bob")
    with pytest.raises(UserError, match="go with --pass"):
        call(home, "review", "--note", "x")
    with pytest.raises(UserError, match="--json goes with"):
        call(home, "review", "--json")


def test_a_plan_is_drawn_handed_out_and_counted(home: Home) -> None:
    with pytest.raises(UserError, match="--plan NAME --draw WORKFLOW"):
        call(home, "review", "--next")
    drawn = told(home, "review", "--plan", "p", "--draw", "sample", "--by", "terminal", "--each", "2", "--second", "50")
    assert isinstance(drawn, dict)
    assert [s["items"] for s in drawn["strata"]] == [2, 2, 2]
    given = told(home, "review", "--next")
    assert isinstance(given, dict)
    assert len(given["messages"]) == 4
    assert call(home, "review", "--pass", given["id"]).exit_code == 0
    assert "plan p" in call(home, "review", "--progress").output
    with pytest.raises(UserError, match="known: p"):
        call(home, "review", "--progress", "--plan", "q")


def test_one_after_the_other_at_the_prompt(home: Home) -> None:
    result = call(home, "review", typed="a\nf\nu\nm\nnot good\ns\nq\n")
    assert result.exit_code == 0, result.output
    with connect(home) as rec:
        assert [r.decision for r in reviews(rec, reviewer="eve")] == ["pass", "flag", "none", "flag"]
        assert reviews(rec, reviewer="eve")[-1].note == "not good"
    rest = call(home, "review", typed="a\n" * 20)
    assert "nothing is left for eve" in rest.output
    with connect(home) as rec:
        assert len(review_states(rec, "dialogue")) == 12


def test_conversations_have_the_same_command(home: Home) -> None:
    talk = sample_id("conversation", "oracle", 1)
    told(home, "review", "--flag", talk, "--note", "rude", group=conversations.group)
    with connect(home) as rec:
        assert review_states(rec, "conversation") == {talk: "flag"}
    assert (
        "oracle"
        in call(
            home,
            "review",
            "--plan",
            "t",
            "--draw",
            WORKFLOW,
            "--by",
            "condition",
            "--each",
            "1",
            group=conversations.group,
        ).output
    )
    assert "--fix" not in call(home, "review", "-h", group=conversations.group).output
    typed = call(home, "review", group=conversations.group, typed="a\nq\n")
    assert typed.exit_code == 0


def test_exports_are_safe_in_a_spreadsheet_and_in_markdown(home: Home, tmp_path: Path) -> None:
    call(home, "review", "--flag", ONE, "--tag", "+1", "--note", EVIL, "--as", "@bob")
    call(home, "review", "--flag", TWO, "--note", "[x](http://y) <img> | `z`\x1b[2J")
    table, page = tmp_path / "r.csv", tmp_path / "r.md"
    told(home, "review", "--export", str(table), "--open")
    told(home, "review", "--export", str(page))
    rows = table.read_text("utf-8")
    assert f"'{EVIL}" in rows
    assert "'@bob" in rows
    assert "'+1" in rows
    text = page.read_text("utf-8")
    assert "\\[x\\](http://y) \\<img\\> \\|" in text
    assert "\x1b" not in text + rows
    assert "> **user**" in text
    with pytest.raises(UserError, match=r"\.csv or \.md"):
        call(home, "review", "--export", str(tmp_path / "r.xlsx"))


def test_mending_from_the_command_line(home: Home) -> None:
    workflow = load_workflow("travel_booking")
    with connect(home) as rec:
        write_all(rec, workflow, Order("travel_booking", 2, 0, 0, 0))
        dialogue = next(d for d in iterate_dialogues(rec) if d.workflow_id != WORKFLOW)
    said = told(home, "review", "--fix", dialogue.id, "--say", "1=Hello, what can I do for you?", "--note", "stiff")
    assert isinstance(said, dict)
    assert said["faults"] == []
    with connect(home) as rec:
        copy = get_dialogue(rec, said["copy"])
        assert copy is not None
        assert copy.messages[0].text == "Hello, what can I do for you?"
    with pytest.raises(UserError, match="N=TEXT"):
        call(home, "review", "--fix", dialogue.id, "--say", "99=x")


def test_checking_keeps_what_it_finds(home: Home) -> None:
    workflow = load_workflow("travel_booking")
    with connect(home) as rec:
        write_all(rec, workflow, Order("travel_booking", 3, 0, 0, 0))
        sound = next(d for d in iterate_dialogues(rec) if d.workflow_id != WORKFLOW)
        bad = sound.messages[0].__class__("agent", "{city}", sound.messages[0].nodes, sound.messages[0].edges)
        faulty = sound.__class__(
            "bad0",
            sound.workflow_id,
            sound.scenario,
            sound.path,
            sound.terminal,
            "other",
            0,
            (bad, *sound.messages[1:]),
        )
        put_dialogues(rec, [DialogueEntry(faulty, 0)])
    result = call(home, "check", "travel_booking", "--keep", "--json")
    assert result.exit_code == 1
    found = json.loads(result.output)
    assert {f["code"] for f in found["faulty"]["bad0"]} >= {"placeholder"}
    assert found["paths_total"] == 86
    assert set(found["set"]["distinct"]) == {"agent", "user"}
    assert [n["second"] for n in found["near"]] == ["bad0"] or found["near"] == []
    with connect(home) as rec:
        assert len(dialogue_rowids(rec, DialogueFilter(check="placeholder"))) == 1
    listed = told(home, "list", "--check", "any", "--workflow", "travel_booking")
    assert isinstance(listed, dict)
    assert [d["id"] for d in listed["dialogues"]] == ["bad0"]
    assert "never visited" in call(home, "check", "travel_booking").output
    by_ann = ("list", "--persona", "plain", "--reviewer", "ann", "--sort", "path")
    assert told(home, *by_ann)["total"] == 0  # type: ignore[index]
    assert told(home, *by_ann, "--as", "ann")["total"] == 6  # type: ignore[index]


def test_a_second_reviewer_learns_nothing_of_the_first_before_deciding(home: Home, tmp_path: Path) -> None:
    """Every command that tells what was decided, asked by somebody who has not decided: ann has reviewed six."""
    first = sample_dialogue(1).id  # flagged by ann, with a tag
    file = tmp_path / "r.csv"
    for words in (["--review", "flag"], ["--review", "pass"], ["--tag", "repetitive"], ["--reviewer", "ann"]):
        found = told(home, "list", *words)
        assert (found["total"], found["hidden"] > 0) == (0, True)  # type: ignore[index]
    everything = told(home, "list", "--sort", "review")["dialogues"]  # type: ignore[index]
    assert {row["decision"] for row in everything} == {"hidden", None}
    order = [row["decision"] for row in told(home, "list", "--sort", "review", "--as", "ann")["dialogues"]]  # type: ignore[index]
    assert order == sorted(order, key=lambda d: d or "")  # ann's own list is sorted by what was decided, eve's is not
    assert "3 more that eve has not decided on: --open" in call(home, "list", "--review", "flag").output
    told(home, "review", "--export", str(file))
    assert "ann" not in file.read_text("utf-8")
    assert "6 on what eve has not decided on are left out" in call(home, "review", "--export", str(file)).output
    assert told(home, "review", "--pass", first)
    told(home, "review", "--export", str(file))
    assert file.read_text("utf-8").count(first) == 2


def test_what_was_shown_is_remembered(home: Home, tmp_path: Path) -> None:
    shown = told(home, "list", "--review", "flag", "--open")
    assert (shown["total"], shown["hidden"]) == (3, 0)  # type: ignore[index]
    assert told(home, "list", "--review", "flag")["total"] == 3  # type: ignore[index]
    assert reviews_of(home, "eve") == ["none"] * 3
    told(home, "review", "--pass", sample_dialogue(1).id)
    assert told(home, "review", "--agreement")["subjects"] == 0  # type: ignore[index]
    with pytest.raises(UserError, match="no decision left"):
        call(home, "review", "--undo", "--as", "ann2")
    assert "taken back" in call(home, "review", "--undo").output
    with pytest.raises(UserError, match="no decision left"):
        call(home, "review", "--undo")  # having been shown something is no decision
    file = tmp_path / "r.csv"
    told(home, "review", "--export", str(file), "--open")
    assert file.read_text("utf-8").count("ann") == 6


def test_a_third_settles_what_two_disagree_about(home: Home) -> None:
    call(home, "review", "--pass", ONE)
    with pytest.raises(UserError, match="do not disagree"):
        call(home, "review", "--settle", "pass", ONE, "--as", "zoe")
    call(home, "review", "--flag", ONE, "--as", "bob")
    with pytest.raises(UserError, match="another settles it"):
        call(home, "review", "--settle", "flag", ONE)
    with pytest.raises(UserError, match="nobody has mended"):
        call(home, "review", "--settle", "fix", ONE, "--as", "zoe")
    assert "hidden till zoe decides" in call(home, "review", "--disagreements", "--as", "zoe").output
    assert "flag by bob" in call(home, "review", "--disagreements", "--as", "zoe", "--open").output
    assert "settled, pass by zoe" in call(home, "review", "--settle", "pass", ONE, "--note", "3", "--as", "zoe").output
    assert "stood already" in call(home, "review", "--settle", "pass", ONE, "--note", "3", "--as", "zoe").output
    (row,) = told(home, "review", "--disagreements")  # type: ignore[misc]
    assert (row["votes"], row["settled"]["reviewer"]) == ({"eve": "pass", "bob": "flag"}, "zoe")
    with connect(home) as rec:
        assert review_states(rec, "dialogue")[ONE] == "pass"
    assert "taken back, nothing stands" in call(home, "review", "--undo", "--as", "zoe").output
    with connect(home) as rec:
        assert review_states(rec, "dialogue")[ONE] == "split"

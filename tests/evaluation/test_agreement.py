"""Judges with each other and with people: reviewers' decisions and people's own scores, on the command line and in reports."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.test_reading import run
from tests.evaluation.test_run import Context, Model, args, escalator, opener
from workbench.evaluation.agreement import people_agree
from workbench.evaluation.plan import plan_of
from workbench.evaluation.report import write_report
from workbench.evaluation.run import evaluate
from workbench.evaluation.scoring import put_scores
from workbench.home import Home
from workbench.store import connect
from workbench.store.comparisons import put_comparison
from workbench.store.conversations import ConversationFilter, conversations
from workbench.store.record import Record
from workbench.store.rows import VerdictRow
from workbench.store.verdicts import drop_verdicts, put_verdicts, verdicts
from workbench.tui.panes.results import parts, view

MILD = "llm:acme/mild"
SCORES = [5, 4, 2, 1, 5, 3]
"""What ann gives to the first six conversations."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("agreement") / "runs").make()


@pytest.fixture(scope="module")
def rec(home: Home) -> Record:
    return connect(home)


@pytest.fixture(scope="module")
def compared(home: Home, rec: Record) -> list[str]:
    """The conversations of a comparison that a model judged one point milder than ann does, and rules; and that people
    scored and reviewed."""
    plan = plan_of(args(scenarios=4))
    comparison = str(asyncio.run(evaluate(Context(home), rec, plan, opener(Model(escalator))))["comparison"])  # type: ignore[arg-type]
    ids = [c.id for c in conversations(rec, ConversationFilter(comparison_id=comparison))]
    made = [
        VerdictRow(f"mild-{n}", ids[n], MILD, "task_success", float(min(5, score + 1)), {}, "zz")
        for n, score in enumerate(SCORES)
    ]
    put_verdicts(rec, made)
    for n, score in enumerate(SCORES):
        assert run(home, "results", "score", ids[n], f"task_success={score}", "--as", "ann") == 0
    file = home.root / "bob.csv"
    file.write_text("conversation,task_success,naturalness\n" + "".join(f"{ids[n]},{SCORES[n]},\n" for n in range(4)))
    assert run(home, "results", "score", "--from", str(file), "--as", "bob") == 0
    for n, score in enumerate(SCORES):
        verb = "--pass" if score > 3 else "--flag"
        assert run(home, "conversations", "review", verb, ids[n], "--as", "carla") == 0
    return ids


def test_people_and_judges_criterion_by_criterion(home: Home, compared: list[str], capsys: Any) -> None:
    capsys.readouterr()
    assert run(home, "results", "agreement", "last", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    people = {(a["criterion"], tuple(a["who"])): a for a in found["people"]}
    alike = people["task_success", ("human:ann", "human:bob")]
    assert (alike["n"], alike["alpha"], alike["kappa"], alike["same"]) == (4, 1.0, 1.0, 1.0)
    milder = people["task_success", (MILD, "human:ann")]
    assert milder["n"] == 6
    assert milder["same"] == pytest.approx(2 / 6)
    # by hand: quadratic weights, 1 - Σ(a-b)² / expected Σ(a-b)² over all pairs of the margins
    a, b = SCORES, [min(5, s + 1) for s in SCORES]
    expected = sum((x - y) ** 2 for x in a for y in b) / 6
    assert milder["kappa"] == pytest.approx(1 - sum((x - y) ** 2 for x, y in zip(a, b, strict=True)) / expected)
    low, high = milder["kappa_interval"]
    assert low <= milder["kappa"] <= high
    decided = people["failure", (MILD, "human:carla")]
    assert decided["n"] == 6
    assert decided["same"] == pytest.approx(5 / 6)  # ann's 3 became a pass
    assert not any(name.startswith("human:") for a in found["judges"] for name in a["who"])


def test_it_stands_in_text_reports_and_the_pane(home: Home, rec: Record, compared: list[str], capsys: Any) -> None:
    row = view.listing(home)[0][0]
    capsys.readouterr()
    assert run(home, "results", "agreement", "last") == 0
    told = capsys.readouterr().out
    assert "human:ann · human:bob" in told
    assert "1.00 [" in told
    assert run(home, "results", "show", "last", "--part", "agreement") == 0
    assert "human:carla" in capsys.readouterr().out
    for form in ("html", "md"):
        assert "human:ann" in write_report(rec, row.id, form, home.root / f"r.{form}").read_text()
    shown = parts.read(home, row, "agreement", None)
    assert any("human:ann" in str(cell) for line in shown.rows for cell in line.cells)
    assert shown.targets


def test_scoring_anew_replaces_and_leaves_no_second_verdict(home: Home, rec: Record, compared: list[str]) -> None:
    assert run(home, "results", "score", compared[7], "task_success=1", "--as", "dora") == 0
    assert run(home, "results", "score", compared[7], "task_success=2", "--why", "left early", "--as", "dora") == 0
    (mine,) = [v for v in verdicts(rec, compared[7]) if v.judge == "human:dora"]
    assert (mine.score, mine.evidence) == (2.0, {"why": "left early"})
    assert {a.criterion for a in people_agree(rec, view.listing(home)[0][0].id)} == {"task_success", "failure"}


def test_what_any_judge_of_it_scored_people_may_score_too(home: Home, rec: Record, compared: list[str]) -> None:
    """As after `rejudge --rubric`: the comparison keeps its newest rubric, the figures every judge's criteria."""
    row = view.listing(home)[0][0]
    lead = str(dict(row.summary)["judge"]["name"])  # type: ignore[index]
    put_comparison(rec, replace(row, summary={**row.summary, "criteria": [["warmth", "Warmth", lead]]}))
    assert put_scores(rec, compared[0], "eve", {"warmth": 4}) == compared[0]
    assert [v.score for v in verdicts(rec, compared[0]) if v.judge == "human:eve"] == [4.0]
    put_comparison(rec, row)
    drop_verdicts(rec, [v.id for v in verdicts(rec, compared[0]) if v.judge == "human:eve"])


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["last", "tone=4"], "task_success"),
        (["last", "task_success=6"], "from 1 to 5"),
        (["last", "task_success"], "CRITERION=N"),
        (["last"], "--from"),
        (["--from", "nowhere.csv"], "cannot be read"),
    ],
)
def test_what_cannot_be_scored_is_one_line(
    home: Home, compared: list[str], words: list[str], what: str, tmp_path: Path, capsys: Any
) -> None:
    capsys.readouterr()
    assert run(home, "results", "score", *words) == 2
    assert what in capsys.readouterr().err

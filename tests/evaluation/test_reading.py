"""From a judged comparison to what people read: summary, tables, reports, differences, the conversations behind a figure."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.test_run import Context, Model, args, escalator, opener
from workbench.cli.main import cli
from workbench.errors import UserError
from workbench.evaluation.agreement import agree
from workbench.evaluation.assess import Assessor
from workbench.evaluation.bounds import check_bounds, parse_bound
from workbench.evaluation.changes import Side, changes, sections_of
from workbench.evaluation.cost import agent_cost, busy_seconds
from workbench.evaluation.economy import economy
from workbench.evaluation.latex import escape
from workbench.evaluation.pictures import Dot, curves, scatter
from workbench.evaluation.plan import plan_of
from workbench.evaluation.reading import beside, figure_of, plain_text, read
from workbench.evaluation.rejudge import workflow_of
from workbench.evaluation.report import markdown, text, write_report
from workbench.evaluation.run import evaluate
from workbench.evaluation.sections import sections
from workbench.evaluation.summary import summarise
from workbench.home import Home
from workbench.models.client import Request
from workbench.store import connect
from workbench.store.behind import Figure, behind
from workbench.store.comparisons import get_comparison, set_comparison
from workbench.store.conversations import ConversationFilter, conversation_rows, conversations
from workbench.store.record import Record
from workbench.store.rows import ConversationRow, MessageRow, VerdictRow
from workbench.store.verdicts import put_verdicts
from workbench.text import cell
from workbench.workflow.hashing import digest

HARSH, MILD = "llm:acme/harsh", "llm:acme/mild"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("reading") / "runs").make()


@pytest.fixture(scope="module")
def rec(home: Home) -> Record:
    return connect(home)


@pytest.fixture(scope="module")
def compared(home: Home, rec: Record) -> str:
    """A compiled agent that escalates everything and the oracle, on 14 scenarios, scored by rules and two models."""
    comparison = held(home, rec, escalator, agents=["compiled:fake", "oracle"])
    for n, row in enumerate(conversations(rec, ConversationFilter(comparison_id=comparison))):
        good = row.condition == "oracle"
        for judge, task in ((HARSH, 4.0 if good else 1.0 + n % 2), (MILD, 5.0 if good else None if n == 0 else 2.0)):
            put_verdicts(rec, [verdict(row.id, judge, "consistency", 5.0, rubric="an older rubric")] if n % 2 else [])
            put_verdicts(
                rec, [verdict(row.id, judge, "task_success", task), verdict(row.id, judge, "naturalness", 3.0)]
            )
    row_ = get_comparison(rec, comparison)
    assert row_ is not None
    set_comparison(rec, comparison, "done", summarise(rec, comparison, Assessor(workflow_of(row_))))
    return comparison


def held(home: Home, rec: Record, answer: Callable[[Request], str], **more: Any) -> str:
    """Hold a comparison with a model that answers so; returns its id."""
    plan = plan_of(args(**more))
    return str(asyncio.run(evaluate(Context(home), rec, plan, opener(Model(answer))))["comparison"])  # type: ignore[arg-type]


def verdict(conversation: str, judge: str, criterion: str, score: float | None, rubric: str = "zz-new") -> VerdictRow:
    key = digest([conversation, judge, criterion, rubric])
    evidence = {"why": "it left early", "quote": "Goodbye!"}
    return VerdictRow(key, conversation, judge, criterion, score, evidence, rubric)


def summary_of(rec: Record, comparison: str) -> Any:
    row = get_comparison(rec, comparison)
    assert row is not None
    return row.summary


def run(home: Home, *arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--home", str(home.root.parent), *arguments])
    return int(ended.value.code or 0)


def test_the_summary_holds_every_judge_and_leads_with_a_model(rec: Record, compared: str) -> None:
    row = get_comparison(rec, compared)
    assert row is not None
    summary: Any = row.summary
    assert [j["name"] for j in summary["judges"]] == [HARSH, MILD, "rules"]
    assert summary["judge"]["name"] == HARSH
    assert not summary["judge"]["offline"]
    assert summary["judges"][1]["missing"] == 1
    compiled = summary["agents"]["compiled"]
    assert compiled["judges"]["rules"]["task_success"]["mean"] != compiled["task_success"]
    assert compiled["judges"][HARSH]["task_success"]["mean"] == compiled["task_success"]
    assert compiled["distributions"][f"{MILD}|task_success"] == {"1": 0, "2": 13, "3": 0, "4": 0, "5": 0, "missing": 1}
    assert compiled["distributions"]["|right_terminal"]["100%"] < 14
    assert compiled["failures"]["rate"] == 1.0
    tests = [t for t in summary["comparison"]["tests"] if t["criterion"] == "task_success"]
    assert {t["judge"] for t in tests} == {HARSH, MILD, "rules"}
    assert all(t["significant"] for t in tests)
    # verdicts under a rubric that is no longer in force count nowhere
    assert "consistency" not in {c for c, found in compiled["judges"][HARSH].items() if found["n"]}
    hubs = compiled["walks"]["hubs"]
    assert sum(h["n"] for h in hubs.values()) > sum(h["right"] for h in hubs.values())
    assert summary["coverage"]["evaluation"]["walks"] == 14
    assert summary["agents"]["oracle"]["walks"]["coverage"]["edges"] > compiled["walks"]["coverage"]["edges"]
    assert summary["provenance"]["versions"]["workbench"]
    pairs = {(a["criterion"], tuple(a["who"])) for a in summary["agreement"]}
    assert ("task_success", (HARSH, MILD, "rules")) in pairs
    assert ("task_success", (HARSH, MILD)) in pairs


def test_tables_reports_and_programs(home: Home, rec: Record, compared: str, tmp_path: Path) -> None:
    row = get_comparison(rec, compared)
    assert row is not None
    shown = text(row.name, row.summary)
    for words in ("TESTS", "JUDGES", "COST", "COVERAGE", "AGREEMENT", "Krippendorff", "arXiv 2605.22502", "MISSING"):
        assert words in shown
    assert "REFERENCE, not measured here" in shown
    assert markdown(row).count("\n## ") >= 10
    page = write_report(rec, compared, "html", tmp_path / "r.html").read_text()
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "").replace("2605", "")
    assert page.count("<svg") >= 10
    assert "it left early" in page
    assert "offline: the simulated user" in page
    tex = write_report(rec, compared, "tex", tmp_path / "r.tex").read_text()
    assert r"\begin{tabular}" in tex
    assert r"task success" in tex
    assert "rubric zz-new" in tex
    with write_report(rec, compared, "csv", tmp_path / "r.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 28
    assert {f"{HARSH}:task_success", "rules:task_success", "fitness"} <= set(lines[0])
    told = write_report(rec, compared, "jsonl", tmp_path / "r.jsonl").read_text().splitlines()
    assert len(json.loads(told[0])["verdicts"]) >= 9
    write_report(rec, compared, "parquet", tmp_path / "r.parquet")
    from datasets import Dataset

    table = Dataset.from_parquet(str(tmp_path / "r.parquet"))
    assert table.num_rows == 28
    assert set(table["condition"]) == {"compiled", "oracle"}


def test_behind_a_figure(rec: Record, compared: str) -> None:
    figure = figure_of(rec, compared, "task_success")
    assert (figure.judge, figure.rubric) == (HARSH, "zz-new")
    whole = behind(rec, figure)
    assert len(whole) == 28
    assert list(whole.values) == sorted(whole.values)
    mine = behind(rec, Figure(compared, "task_success", MILD, "compiled"))
    assert mine.values[0] != mine.values[0]  # the missing one comes first
    assert {c.condition for c in conversation_rows(rec, mine.rowids)} == {"compiled"}
    assert len(behind(rec, Figure(compared, "task_success", HARSH, "compiled", most=1.0))) == 7
    apart = behind(rec, Figure(compared, "task_success", HARSH, differ="conditions"))
    assert len(apart) == 28
    assert list(apart.spreads) == sorted(apart.spreads, reverse=True)
    judges = behind(rec, Figure(compared, "naturalness", HARSH, differ="judges"))
    assert len(judges) == 0  # both gave a 3 everywhere
    assert len(behind(rec, Figure(compared, "task_success", HARSH, differ="judges"))) > 0
    dear = behind(rec, Figure(compared, "seconds"))
    assert list(dear.values) == sorted(dear.values, reverse=True)
    none = len(behind(rec, Figure(compared, "fitness", deviation="none")))
    assert 0 < none < 28
    row = get_comparison(rec, compared)
    assert row is not None
    by_deviation: Any = row.summary["agents"]["compiled"]["by_deviation"]  # type: ignore[index]
    for kind, found in by_deviation.items():
        assert len(behind(rec, Figure(compared, "fitness", condition="compiled", deviation=kind))) == found["n"]
    with pytest.raises(UserError, match="no judges"):
        behind(rec, Figure(compared, "fitness", differ="judges"))
    with pytest.raises(UserError, match="measured, not judged"):
        figure_of(rec, compared, "fitness", HARSH)


def test_one_scenario_across_the_agents(home: Home, rec: Record, compared: str, capsys: Any) -> None:
    first = conversations(rec, ConversationFilter(comparison_id=compared, condition="compiled"))[0]
    ids = beside(rec, first.id)
    assert len(ids) == 2
    assert ids[0] == first.id
    reading = read(rec, first.id)
    assert reading is not None
    assert reading.way.nodes
    shown = plain_text(reading)
    assert "way: " in shown
    assert "it left early “Goodbye!”" in shown
    assert run(home, "results", "scenario", first.id, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert run(home, "results", "behind", compared, "--differ", "conditions", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["apart"] > 0
    assert run(home, "results", "behind", compared, "--figure", "seconds", "-n", "2") == 0
    assert "26 more" in capsys.readouterr().out


def test_other_prices_are_tried_without_being_stored(home: Home, rec: Record, compared: str, capsys: Any) -> None:
    assert run(home, "results", "show", compared, "--part", "cost", "--hourly-price", "2.5", "--json") == 0
    (section,) = json.loads(capsys.readouterr().out)
    assert "$2.5 an hour" in section["note"]
    # the oracle is no rival: there is nothing to pay back
    assert run(home, "results", "show", compared, "--part", "break-even", "--one-time", "60", "--json") == 2
    assert "$2.5" not in json.dumps(summary_of(rec, compared))
    assert run(home, "results", "show", compared, "--part", "cost") == 0
    assert "machine (GPU) seconds" in capsys.readouterr().out
    assert run(home, "results", "show", compared, "--part", "nonsense") == 2


def test_two_comparisons_and_a_saved_one(home: Home, rec: Record, compared: str, tmp_path: Path, capsys: Any) -> None:
    held(home, rec, lambda request: "Welcome!", agents=["compiled:other", "oracle"], name="after")
    assert run(home, "results", "diff", compared, "after", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    changed = {(c["agent"], c["figure"]): c for c in found["changes"]}
    assert changed["compiled", "fitness"]["test"]["n"] == 14
    assert changed["compiled", "fitness"]["after"] < changed["compiled", "fitness"]["before"]
    assert changed["oracle", "fitness"]["test"]["difference"] == 0
    assert any(s[0] == "agent compiled" for s in found["settings"])
    saved = tmp_path / "before.json"
    row = get_comparison(rec, compared)
    assert row is not None
    saved.write_text(json.dumps(row.summary))
    assert run(home, "results", "diff", str(saved), "after") == 0
    assert "no paired test is made" in capsys.readouterr().out
    saved.write_text("[]")
    assert run(home, "results", "diff", str(saved), "after") == 2
    assert check_bounds(row.summary, "compiled", [parse_bound("task_success=1.9", "min")], MILD)[0].is_met
    with pytest.raises(UserError, match="no judge"):
        check_bounds(row.summary, "compiled", [parse_bound("task_success=1", "min")], "nobody")


def judged(**by: tuple[str, float]) -> dict[str, Any]:
    """A summary of one agent whose criteria were scored so, each by its judge."""
    judges: dict[str, dict[str, Any]] = {}
    for name, (judge, mean) in by.items():
        judges.setdefault(judge, {})[name] = {"mean": mean, "low": mean - 0.5, "high": mean + 0.5}
    entry = {name: mean for name, (_, mean) in by.items()} | {"judges": judges, "failures": {"rate": 0.5}}
    lead = {"name": next(iter(judges))}
    return {
        "agents": {"oracle": entry},
        "judge": lead,
        "criteria": [[name, "", judge] for name, (judge, _) in by.items()],
    }


def test_a_change_is_stated_only_where_one_judge_scored_both() -> None:
    before = judged(task_success=("rules", 5.0), consistency=("mild", 4.0))
    after = judged(task_success=("harsh", 2.0), consistency=("mild", 3.0), warmth=("harsh", 1.0))
    found = {c.figure: c for c in changes(Side("a", before), Side("b", after), {})}
    assert (found["task_success"].judges, found["task_success"].difference) == (("rules", "harsh"), None)
    assert found["failure_rate"].difference is None
    assert (found["consistency"].judges, found["consistency"].difference) == (("mild", "mild"), -1.0)
    assert found["warmth"].judges == ("harsh", "harsh")
    # a judge that both have is taken, even if another stands for the criterion
    after["agents"]["oracle"]["judges"]["rules"] = {"task_success": {"mean": 4.5, "low": 4.0, "high": 5.0}}
    found = {c.figure: c for c in changes(Side("a", before), Side("b", after), {})}
    assert (found["task_success"].judges, found["task_success"].difference) == (("rules", "rules"), -0.5)
    assert found["task_success"].shown == ("5.00 [4.50, 5.50]", "4.50 [4.00, 5.00]")
    shown = "\n".join(
        " ".join(row) for row in sections_of(Side("a", before), Side("b", after), list(found.values()))[1].rows
    )
    assert "task success (rules)" in shown
    assert "failure rate (rules before, harsh after)" in shown


def test_summaries_of_older_versions_are_shown() -> None:
    old = {"agents": {"compiled": {"agent": "compiled:x", "task_success": 4.5}}, "labeller_accuracy": 0.97}
    assert [s.id for s in sections(old)][:2] == ["figures", "tests"]
    assert "4.50" in text("old", old)


def test_hostile_words_stay_words() -> None:
    evil = "<script>alert(1)</script>|\x1b]52;c;AAAA\x07 \\input{/etc/passwd} $x$"
    summary = {"agents": {evil: {"agent": evil, "task_success": 4.0, "seconds": 2.0}}, "statement": evil}
    assert "\x1b" not in text(evil, summary)
    drawn = scatter([Dot(evil, 1.0, 2.0)], evil, evil) + curves({evil: [(0, 1), (1, 2)]}, evil, evil)
    assert "<script" not in drawn
    assert "\x1b" not in drawn
    assert "\\input" not in escape(evil)
    assert [cell(v) for v in ("=1+1", "@x", "\tx", "-2", -2, "fine")] == ["'=1+1", "'@x", "'\tx", "'-2", -2, "fine"]


def test_machine_time_is_the_time_in_which_something_ran() -> None:
    assert busy_seconds([(0, 2), (1, 3), (5, 6)]) == 4
    rows = [ConversationRow(str(n), None, "compiled:x", "compiled", None, "w", totals={"cost": None}) for n in range(2)]
    said = [MessageRow("agent", "", latency_s=2.0, ttft_s=0.5, created=at) for at in (2.0, 3.0)]
    cost = agent_cost(rows, said, hourly_price=3600.0, local=True)
    assert cost.machine_seconds == 1.5
    assert cost.dollars == 1.5
    assert agent_cost(rows, said, hourly_price=3600.0).dollars is None


def test_the_economy_is_unknown_rather_than_free() -> None:
    def entry(agent: str, dollars: float | None, machine: float | None = None) -> dict[str, Any]:
        basis = "no price known" if dollars is None else "prices of the model's calls"
        return {"agent": agent, "costs": {"dollars": dollars, "machine_seconds": machine, "basis": basis}}

    summary = {
        "agents": {"compiled": entry("compiled:x", None, 3.6), "in-context": entry("in-context:y", 0.101)},
        "one_time": {"compiled": {"generation_dollars": 50.0, "training_seconds": 7200.0}},
    }
    unknown = economy(summary)
    assert (unknown.one_time, unknown.per_conversation, unknown.rivals[0].conversations) == (None, None, None)
    assert not unknown.curves()
    known = economy(summary, hourly_price=1.0)
    assert known.training == 2.0
    assert known.one_time == 52.0
    assert known.per_conversation == pytest.approx(0.001)
    assert known.rivals[0].conversations == pytest.approx(520)
    ours, theirs = known.curves(3).values()
    assert ours[1][1] == pytest.approx(theirs[1][1])  # they meet in the middle
    assert economy(summary, 1.0, one_time=104.0).rivals[0].conversations == pytest.approx(1040)


def test_agreement_of_three_and_of_pairs() -> None:
    ratings = {
        "a": {str(n): float(1 + n % 5) for n in range(40)},
        "b": {str(n): float(1 + n % 5) for n in range(40)},
        "human:ann": {str(n): float(5 - n % 5) for n in range(10)},
    }
    whole, ab, ah, bh = agree("task_success", ratings)
    assert whole.who == ("a", "b", "human:ann")
    assert (ab.alpha, ab.kappa, ab.same, ab.n) == (1.0, 1.0, 1.0, 40)
    assert ah.n == bh.n == 10
    assert ah.kappa is not None
    assert ah.kappa < 0
    assert ah.kappa_interval is not None
    assert ah.kappa_interval[0] <= ah.kappa <= ah.kappa_interval[1]

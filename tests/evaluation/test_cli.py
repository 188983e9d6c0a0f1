"""`workbench results` and the argument checks of `workbench evaluate`, on the sample record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fakes.record import make_sample_record, sample_id
from workbench.cli.main import cli
from workbench.home import Home
from workbench.store.comparisons import set_comparison

SUMMARY = {
    "agents": {
        "compiled": {"agent": "compiled:sample", "task_success": 4.5, "failures": {"rate": 0.05}, "naturalness": None}
    },
    "labeller_accuracy": 0.97,
}


@pytest.fixture
def filled(home: Home) -> Home:
    with make_sample_record(home) as rec:
        set_comparison(rec, sample_id("comparison"), "done", SUMMARY)
    return home


def run(home: Home, *arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--home", str(home.root.parent), *arguments])
    return int(ended.value.code or 0)


def test_list(filled: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(filled, "results", "list", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "sample-comparison"
    assert run(filled, "results") == 0
    assert "sample-comparison" in capsys.readouterr().out


def test_a_comparison_alone_is_shown(filled: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(filled, "results", "last", "--json") == 0
    assert json.loads(capsys.readouterr().out)["labeller_accuracy"] == 0.97


def test_check_ends_with_one_when_a_bound_is_missed(filled: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(filled, "results", "check", "last", "--min", "task_success=4.2", "--max", "failure_rate=0.08") == 0
    assert run(filled, "results", "check", "last", "--min", "task_success=4.6") == 1
    assert run(filled, "results", "check", "last", "--min", "naturalness=1") == 1  # not reported never passes
    assert "FAIL naturalness not reported" in capsys.readouterr().out
    assert run(filled, "results", "check", "last") == 2
    assert run(filled, "results", "check", "last", "--min", "beauty=1") == 2
    assert run(filled, "results", "check", "last", "--min", "task_success=nan") == 2
    assert run(filled, "results", "check", "last", "--max", "baseline=1") == 2  # words are no figure
    capsys.readouterr()
    assert (
        run(filled, "results", "check", "last", "--min", "task_success=4.6", "--max", "failure_rate=1", "--json") == 1
    )
    assert [(b["figure"], b["kind"], b["met"]) for b in json.loads(capsys.readouterr().out)] == [
        ("task_success", "min", False),
        ("failure_rate", "max", True),
    ]


def test_bad_arguments_are_one_line(home: Home, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(home, "results", "last") == 2
    assert run(home, "evaluate", "travel_booking", "--agents", "nobody") == 2
    assert run(home, "evaluate", "travel_booking", "--agents", "oracle", "--limit", "oracle=x") == 2
    assert all(line.count("\n") <= 1 for line in capsys.readouterr().err.splitlines())

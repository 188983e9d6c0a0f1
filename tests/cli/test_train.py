"""Runs from the command line: curves, comparison, names and notes, deletion, exports, changed keys on resuming."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tests.fakes.record import START
from workbench.cli.main import cli
from workbench.home import Home
from workbench.store import connect
from workbench.store.rows import RunRow
from workbench.store.runs import put_run

RUNS = ("a" * 16, "b" * 16)


@pytest.fixture
def runs(home: Home) -> Sequence[str]:
    """Two finished runs with recipes, events and a model's worth of bytes."""
    with connect(home) as rec:
        for n, run in enumerate(RUNS):
            folder = home.jobs / run
            folder.mkdir()
            job = {
                "kind": "train",
                "title": "t",
                "args": {},
                "created": START,
                "attempt": 1,
                "command": None,
                "cwd": "/",
            }
            (folder / "job.json").write_text(json.dumps(job))
            (folder / "done.json").write_text(json.dumps({"attempt": 1, "at": START, "state": "done", "result": {}}))
            lines = [
                {"type": "metric", "step": s, "loss": 3.0 / s + n, "tokens": 100 * s, "seconds": s}
                for s in range(1, 40)
            ]
            (folder / "events.jsonl").write_text("".join(json.dumps(e) + "\n" for e in lines))
            (folder / "weights").write_bytes(bytes(3_000_000))
            put_run(rec, RunRow(run, f"run{n}", run, None, None, {"seed": n, "epochs": 2.0}, "done", {"steps": 39}))
    return RUNS


def call(home: Home, *words: str, text: str | None = None) -> Result:
    return CliRunner().invoke(cli, ["--home", str(home.root.parent), *words], input=text)


def test_curves_of_several_runs_stand_side_by_side(home: Home, runs: Sequence[str]) -> None:
    shown = call(home, "train", "curves", "run0", "run1", "--by", "tokens", "--rows", "3")
    assert shown.output.splitlines()[1].split() == ["100", "3", "4"]
    data = json.loads(call(home, "train", "curves", "run0", "--json").output)
    assert data["run0"][0] == [1, 3.0]
    wrong = call(home, "train", "curves", "run0", "--metric", "beauty")
    assert wrong.exit_code == 2
    assert "no metric beauty (there are: loss, smooth)" in wrong.stderr


def test_runs_are_compared_by_what_differs(home: Home, runs: Sequence[str]) -> None:
    data = json.loads(call(home, "train", "compare", "run0", "run1", "--json").output)
    assert data["recipe"] == {"seed": [0, 1]}
    assert data["results"]["steps"] == [39, 39]
    assert "recipe: seed" in call(home, "train", "compare", "run0", "run1").output


def test_a_run_is_renamed_noted_and_deleted_after_a_question(home: Home, runs: Sequence[str]) -> None:
    assert call(home, "train", "rename", "run0", "best", "--note", "keep\x1b[2J me").exit_code == 0
    shown = call(home, "train", "show", "best").output
    assert "keep[2J me" in shown
    refused = call(home, "train", "delete", "best", text="n\n")
    assert refused.exit_code == 130
    assert "with 3 MB for good?" in refused.stderr
    assert (home.jobs / runs[0]).exists()
    gone = call(home, "train", "delete", "best", "--yes", "--json")
    assert json.loads(gone.output)["freed"] > 3_000_000
    assert not (home.jobs / runs[0]).exists()
    assert call(home, "train", "show", "best").exit_code == 2


def test_only_keys_that_do_not_touch_what_is_learnt_change_on_the_way(home: Home, runs: Sequence[str]) -> None:
    refused = call(home, "train", "resume", "run0", "--set", "learning_rate=1e-5")
    assert refused.exit_code == 2
    assert "learning_rate decides what the run learns" in refused.stderr
    assert call(home, "train", "resume", "run0", "--set", "eval_every=7").exit_code == 0  # done already: nothing starts
    assert json.loads((home.jobs / runs[0] / "changes.json").read_text()) == {"eval_every": 7}


def test_metrics_are_exported_and_nothing_is_overwritten(home: Home, runs: Sequence[str], tmp_path: Path) -> None:
    target = tmp_path / "out.csv"
    data = json.loads(call(home, "export", "run0", "--to", "csv", "-o", str(target), "--json").output)
    assert data["rows"] == 39
    again = call(home, "export", "run0", "--to", "csv", "-o", str(target))
    assert again.exit_code == 2
    assert "exists already" in again.stderr

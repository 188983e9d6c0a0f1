"""The whole way in one go: real jobs, a real (tiny, random) model trained and served, LangGraph, judged and summed up."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.training.conftest import build_base
from workbench.demo.plan import PRESETS, STAGES
from workbench.demo.summary import lines
from workbench.home import Home
from workbench.jobs import jobs, stop


def workbench(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "workbench", *arguments],
        env={**os.environ, "WORKBENCH_HOME": str(home), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose tokenizer has read the travel dialogues."""
    return build_base(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory):
    """Where the demo runs; its model servers are ended afterwards."""
    folder = tmp_path_factory.mktemp("home")
    yield folder
    here = Home(folder / "runs")
    for job in jobs(here):
        stop(here, job.id, kill_after=5)


def test_the_whole_way_and_again(home: Path, base: Path) -> None:
    first = workbench(home, "demo", "--smoke", "--base", str(base), "--json")
    assert first.returncode == 0, first.stderr
    summary = json.loads(first.stdout)
    assert (summary["workflow"], summary["paths"]) == ("travel_booking", 86)
    assert summary["dialogues"]["train"] >= 90
    assert summary["train"]["tokens"] <= 2_000
    assert set(summary["agents"]) == {"compiled", "oracle", "orchestrated", "in-context"}
    assert summary["agents"]["compiled"]["n"] == 3
    assert summary["agents"]["orchestrated"]["n"] == 1
    assert summary["agents"]["orchestrated"]["baseline"] == "untrained baseline"
    oracle = summary["agents"]["oracle"]
    assert oracle["right_terminal"] == oracle["hub_choice"] == oracle["slot_accuracy"] == 1.0
    assert summary["agents"]["compiled"]["right_terminal"] < 1.0, "a random model cannot know the procedure"
    assert summary["labeller_accuracy"] >= 0.95
    assert "partial" in summary
    for stage in STAGES:
        assert stage.title in first.stderr
    assert any("compiled" in line for line in lines(summary))

    again = workbench(home, "demo", "--smoke", "--base", str(base), "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout) == summary, "nothing is done twice"

    listed = json.loads(workbench(home, "results", "list", "--json").stdout)
    assert len(listed) == 1


def test_presets_say_when_they_are_partial() -> None:
    assert not PRESETS["default"].partial
    assert not PRESETS["full"].partial
    assert "partial" in PRESETS["quick"].partial
    assert PRESETS["full"].baseline_scenarios == PRESETS["full"].scenarios == 40
    assert PRESETS["default"].baseline_scenarios == 12


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--quick", "--full"], "exclude each other"),
        (["--workflow", "no_such"], "no workflow named"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(tmp_path: Path, arguments: list[str], words: str) -> None:
    result = workbench(tmp_path, "demo", "--no-tui", *arguments)
    assert result.returncode == 2
    assert words in result.stderr
    assert "Traceback" not in result.stderr

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from workbench.cli.jobs import duration, group
from workbench.home import Home
from workbench.jobs import launch, wait
from workbench.jobs.launcher import reap

WORK = "tests.jobs.work"


@pytest.fixture
def finished(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    job = launch(home, f"{WORK}:count", {"to": 3}, "counting \x1b[2J[/x]")
    wait(home, job.id, timeout=60)
    yield job.id
    reap()


def run(home: Home, *words: str) -> Result:
    return CliRunner().invoke(group, words, obj=home)


def test_list_and_show(home: Home, finished: str) -> None:
    text = run(home, "list").output
    assert finished in text
    assert "3/3 numbers (100%)" in text
    assert "\x1b" not in text
    listed = json.loads(run(home, "list", "--json").output)
    assert [(j["id"], j["state"]) for j in listed] == [(finished, "done")]
    assert json.loads(run(home, "list", "--state", "running", "--json").output) == []
    shown = json.loads(run(home, "show", finished[:6], "--json").output)
    assert (shown["args"], shown["status"]["result"]["counted"]) == ({"to": 3}, 3)
    assert "folder" in run(home, "show", finished).output


def test_show_says_how_a_job_is_set(home: Home, finished: str) -> None:
    assert "paused" not in run(home, "show", finished).output
    assert run(home, "set", finished, "--pause", "--concurrency", "2").exit_code == 0
    assert "settings  concurrency 2, paused, budget none" in run(home, "show", finished).output
    assert json.loads(run(home, "show", finished, "--json").output)["settings"]["paused"] is True


def test_an_empty_home_lists_nothing(home: Home) -> None:
    assert run(home, "list").output == "No jobs yet.\n"
    assert json.loads(run(home, "list", "--json").output) == []


def test_tail(home: Home, finished: str) -> None:
    events = [json.loads(line) for line in run(home, "tail", finished, "--json").output.splitlines()]
    assert [events[0]["type"], events[-1]["type"]] == ["start", "done"]
    assert len(run(home, "tail", finished, "-n", "2").output.splitlines()) == 2
    assert run(home, "tail", finished, "-n", "0").output == ""
    assert run(home, "tail", finished, "-n", "0", "--follow").exit_code == 0


def test_following_a_failed_job_fails(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    job = launch(home, f"{WORK}:user_fault", {}, "a fault")
    result = run(home, "tail", job.id, "--follow")
    assert "mend it" in str(result.exception)


def test_stop_and_resume_of_a_finished_job_change_nothing(home: Home, finished: str) -> None:
    assert json.loads(run(home, "stop", finished, "--json").output)["state"] == "done"
    assert json.loads(run(home, "resume", finished, "--json").output)["attempt"] == 1


def test_durations() -> None:
    assert [duration(s) for s in (0.4, 59.6, 3599, 7500, 270_000)] == [
        "0 s",
        "1 min 00 s",
        "59 min 59 s",
        "2 h 05 min",
        "3 d 3 h",
    ]

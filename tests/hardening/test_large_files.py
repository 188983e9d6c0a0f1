"""Files of 10 GB (with a hole in them, so that they cost no disk) are read with little memory and in little time."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from workbench.home import Home
from workbench.jobs import status
from workbench.jobs.events import all_events, last_events, newest_events, read_events
from workbench.jobs.folder import Job, write_job
from workbench.jobs.states import last_log_line
from workbench.training.curves import CurveReader
from workbench.tui.panes.training.view import tail

SIZE = 10 << 30
JOB = "0123456789abcdef"
LIMIT = 3 << 30
"""Address space of a command, far below the files' size; Python with its libraries takes a part of it."""


def event(step: int) -> bytes:
    return json.dumps({"t": 1.0, "type": "metric", "step": step, "loss": 1.0}).encode() + b"\n"


@pytest.fixture
def folder(home: Home) -> Path:
    """A job whose events and log are ten gigabytes: a line, a hole, two lines."""
    folder = home.jobs / JOB
    folder.mkdir(mode=0o700)
    write_job(Job(JOB, "train", "large", {}, folder, 1.0, 1))
    for name in ("events.jsonl", "log.txt"):
        with (folder / name).open("wb") as out:
            out.write(event(0))
            out.seek(SIZE)
            out.write(b"\n" + event(1) + event(2))
    assert (folder / "log.txt").stat().st_size > SIZE
    return folder


def test_the_newest_events_are_found_from_the_end(folder: Path) -> None:
    file = folder / "events.jsonl"
    found, offset = newest_events(file, 2)
    assert [e["step"] for e in found] == [1, 2]
    assert offset == file.stat().st_size
    assert last_events(file, ("metric",))["metric"]["step"] == 2
    assert read_events(file, offset) == ([], offset)
    with file.open("ab") as out:
        out.write(event(3))
    assert [e["step"] for e in read_events(file, offset)[0]] == [3]


def test_a_log_is_read_from_its_end(home: Home, folder: Path) -> None:
    assert '"step": 2' in last_log_line(folder)
    assert len(tail(home, JOB)) == 3
    assert status(home, JOB).id == JOB


@pytest.mark.parametrize("words", [["jobs", "list"], ["jobs", "show", JOB], ["jobs", "tail", JOB, "-n", "2", "--json"]])
def test_commands_stay_small(home: Home, folder: Path, words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "workbench", "--home", str(home.root.parent), *words],
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT)),
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    if words[1] == "tail":
        assert [json.loads(line)["step"] for line in done.stdout.splitlines()] == [1, 2]


@pytest.mark.long
def test_reading_all_of_it_takes_the_memory_of_a_line(home: Home, folder: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert [e["step"] for e in all_events(folder / "events.jsonl")] == [0, 1, 2]
    assert [p.step for p in CurveReader(home, JOB).read().curves["loss"]] == [0, 1, 2]
    assert len(tail(home, JOB, search="metric")) == 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kilobytes


def test_an_event_too_long_for_a_line_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workbench.jobs.events.LONGEST_LINE", 100)
    file = tmp_path / "events.jsonl"
    long = json.dumps({"type": "metric", "step": 7, "text": "x" * 1000}).encode() + b"\n"
    file.write_bytes(event(1) + long + event(2) + b"x" * 350)
    assert [e["step"] for e in all_events(file)] == [1, 2]
    steps, offset = [], 0
    while True:
        begin = offset
        found, offset = read_events(file, offset, most=10)
        steps += [e["step"] for e in found]
        if offset == begin:
            break
    assert steps == [1, 2]

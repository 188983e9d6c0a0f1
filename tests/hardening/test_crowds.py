"""Many at one record: three apps, two command lines, a trainer and an evaluation. Nobody is locked out, nothing is lost."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import select
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.fakes.record import make_sample_record
from tests.hardening.kills import finish, sound
from tests.training.test_jobs import RECIPE, fill
from tests.tui.test_pty import Terminal
from workbench.home import Home
from workbench.jobs import launch
from workbench.jobs.folder import Job
from workbench.store import connect
from workbench.store.dialogues import DialogueFilter, dialogue_rowids, dialogue_rows
from workbench.store.reviews import reviews
from workbench.training.launch import launch_run
from workbench.tui import state as states

ROOT = Path(__file__).parents[2]
SECONDS = float(os.environ.get("WORKBENCH_CROWD_SECONDS", "60"))
"""How long they are at it; minutes in a nightly run."""


class Reviewer(threading.Thread):
    """A command line that gives one decision after the other, and remembers which were taken."""

    def __init__(self, home: Home, name: str, subjects: list[str], end: float) -> None:
        super().__init__(daemon=True)
        self.home, self.reviewer, self.subjects, self.end = home, name, subjects, end
        self.taken: list[str] = []
        self.faults: list[str] = []

    def run(self) -> None:
        rng = random.Random(self.reviewer)
        number = 0
        while time.monotonic() < self.end:
            number += 1
            words = [sys.executable, "-P", "-m", "workbench", "--home", str(self.home.root.parent), "--as", self.reviewer,
                     "dialogues", "review", "--flag", rng.choice(self.subjects), "--note", f"{self.reviewer} {number}"]  # fmt: skip
            done = subprocess.run(words, capture_output=True, text=True, timeout=240)
            if done.returncode == 0:
                self.taken.append(f"{self.reviewer} {number}")
            else:
                self.faults.append(done.stderr)


def drain(terminal: Terminal) -> None:
    while select.select([terminal.master], [], [], 0)[0]:
        terminal.seen = (terminal.seen + os.read(terminal.master, 65536))[-1_000_000:]


@pytest.mark.long
def test_a_crowd_on_one_record(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    home = Home(tmp_path / "runs").make()
    with make_sample_record(home) as rec:
        rowids = dialogue_rowids(rec, DialogueFilter(), "made")
        subjects = [row.id for row in dialogue_rows(rec, rowids)]
    states.save(home.state / "tui.json", states.AppState(pane="dialogues"))
    recipe = dataclasses.replace(RECIPE, base=str(tiny), max_tokens_trained=60_000, eval_every=4)
    run = launch_run(home, fill(home), recipe, name="crowd")
    evaluation = launch(
        home,
        "evaluate",
        {"workflow": "travel_booking", "agents": ["oracle"], "scenarios": 20, "name": "crowd"},
        "crowd",
    )
    end = time.monotonic() + SECONDS
    people = [Reviewer(home, name, subjects, end) for name in ("ann", "bob")]
    terminals = [Terminal(home) for _ in range(3)]
    rng = random.Random(9)
    try:
        for terminal in terminals:
            terminal.until(b"Hello, where would")
        for person in people:
            person.start()
        pressed = 0
        while time.monotonic() < end:
            for terminal in terminals:
                assert terminal.process.poll() is None, terminal.seen[-2000:]
                terminal.type(rng.choice([b"2", b"j", b"k", b"a", b"f", b"n", b"3", b"5", b"1", b"\x1b"]))
                drain(terminal)
                pressed += 1
            time.sleep(0.1)
        for person in people:
            person.join(240)
        for terminal in terminals:
            drain(terminal)
            assert b"locked" not in terminal.seen
            assert b"Traceback" not in terminal.seen
    finally:
        for terminal in terminals:
            terminal.close()
    finish(home, Job(run.id, "train", "", {}, home.jobs / run.id, 0.0))
    finish(home, evaluation)
    sound(home)
    assert [person.faults for person in people] == [[], []]
    with connect(home) as rec:
        noted = [row.note for row in reviews(rec)]
    for person in people:
        assert len(person.taken) > 3
        assert set(person.taken) <= set(noted), "an update was lost"
        assert sum(note.startswith(f"{person.reviewer} ") for note in noted) == len(person.taken)
    print(json.dumps({"seconds": SECONDS, "keys": pressed, "reviews": sum(len(p.taken) for p in people)}))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.training.conftest import build_tiny

    return build_tiny(tmp_path_factory.mktemp("tiny") / "model", positions=2048)


def test_two_commands_for_one_job_make_one(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both commands end well, with the same result, from one process."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    words = [sys.executable, "-P", "-m", "workbench", "--home", str(home.root.parent), "dialogues", "generate",
             "travel_booking", "--train", "0", "--dev", "0", "--least", "0", "--test", "30", "--json"]  # fmt: skip
    both = [subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    said = [child.communicate(timeout=240) for child in both]
    assert [child.returncode for child in both] == [0, 0], said
    (folder,) = home.jobs.iterdir()
    assert (folder / "events.jsonl").read_text().count('"type":"start"') == 1
    with connect(home) as rec:
        assert len(dialogue_rowids(rec, DialogueFilter(), "made")) == 30

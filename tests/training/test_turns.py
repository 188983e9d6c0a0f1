from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from workbench.errors import UserError
from workbench.training import machines, turns
from workbench.training.readings import Device
from workbench.training.turns import turn


@pytest.fixture(autouse=True)
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which this test's user queues, whatever the home."""
    monkeypatch.delenv(turns.QUEUE_VARIABLE)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path / f"workbench-{os.getuid()}"


def cards(count: int) -> Callable[[], list[Device]]:
    return lambda: [Device(f"GPU {n}", 1, 1, True, n) for n in range(count)]


class Waiting(threading.Thread):
    """Somebody who waits for a turn, keeps it until told to go, and writes down its places."""

    def __init__(self, needed: int = 1, came: int | None = None) -> None:
        super().__init__(daemon=True)
        self.needed, self.came = needed, came
        self.places: list[int] = []
        self.cards: tuple[int, ...] | None = None
        self.go = threading.Event()

    def run(self) -> None:
        with turn(self.needed, self.places.append, lambda: time.sleep(0.005), self.came) as self.cards:
            assert self.go.wait(30)

    def reach(self, place: int) -> None:
        deadline = time.monotonic() + 30
        while place not in self.places:
            assert time.monotonic() < deadline, self.places
            time.sleep(0.005)


def begin(needed: int = 1, came: int | None = None) -> Waiting:
    made = Waiting(needed, came)
    made.start()
    return made


def end(*everyone: Waiting) -> None:
    for one in everyone:
        one.go.set()
        one.join(30)


def test_jobs_come_to_their_turn_in_the_order_of_their_coming(queue: Path) -> None:
    first = begin()
    first.reach(0)
    second = begin()
    second.reach(1)
    third = begin()
    third.reach(2)
    assert first.cards is None
    end(first)
    second.reach(0)
    third.reach(1)
    end(second)
    third.reach(0)
    end(third)
    assert third.places == [2, 1, 0]
    assert not list(queue.glob("*.ticket"))


def test_jobs_launched_together_take_turns_in_the_order_of_their_launch(queue: Path) -> None:
    first = begin()
    first.reach(0)
    launched = time.time_ns()
    slow, quick = launched, launched + 1
    second = begin(came=quick)
    second.reach(1)
    third = begin(came=slow)
    third.reach(1)
    second.reach(2)
    end(first)
    third.reach(0)
    end(third)
    second.reach(0)
    end(second)


def test_each_gets_the_gpus_it_needs_and_nobody_overtakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "devices", cards(3))
    one = begin()
    one.reach(0)
    three = begin(3)
    three.reach(1)
    late = begin()
    late.reach(2)  # two cards are free, but the one that wants three came first
    assert one.cards == (0,)
    end(one)
    three.reach(0)
    assert three.cards == (0, 1, 2)
    end(three)
    late.reach(0)
    end(late)


def test_more_gpus_than_there_are_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "devices", cards(1))
    with pytest.raises(UserError, match="wants 2 GPUs, this machine shows 1"), turn(2, print, lambda: None):
        pass


def test_a_process_that_dies_in_the_queue_or_at_its_turn_holds_nobody_up() -> None:
    code = (
        "import time; from workbench.training.turns import turn\n"
        "with turn(1, lambda place: print(place, flush=True), lambda: time.sleep(0.005)):\n"
        "    time.sleep(600)"
    )
    both = []
    for place in ("0", "1"):
        child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        assert child.stdout.readline().strip() == place
        both.append(child)
    for child in both:
        child.kill()
        child.communicate()
    mine = begin()
    mine.reach(0)
    end(mine)


def test_several_machines_share_a_runs_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert turns.cards_needed(8) == 8
    monkeypatch.setenv(machines.VARIABLE, "--num_machines 2 --machine_rank 0")
    assert turns.cards_needed(8) == 4


def test_whoever_gives_up_leaves_the_queue() -> None:
    first = begin()
    first.reach(0)

    def give_up() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), turn(1, lambda place: None, give_up):
        pass
    second = begin()
    second.reach(1)
    end(first, second)


def test_a_queue_that_others_can_write_to_is_not_used(queue: Path, tmp_path: Path) -> None:
    queue.symlink_to(tmp_path)
    with pytest.raises(UserError, match="open to others: set WORKBENCH_QUEUE"), turn(1, print, lambda: None):
        pass
    queue.unlink()
    queue.mkdir()
    queue.chmod(0o777)
    with pytest.raises(UserError, match="open to others"), turn(1, print, lambda: None):
        pass
    queue.chmod(0o700)
    end(begin())
    assert queue.stat().st_mode & 0o777 == 0o700

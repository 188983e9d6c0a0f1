from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from workbench.errors import UserError
from workbench.home import Home
from workbench.training import turns
from workbench.training.readings import Device
from workbench.training.turns import turn


def cards(count: int) -> Callable[[], list[Device]]:
    return lambda: [Device(f"GPU {n}", 1, 1, True) for n in range(count)]


class Waiting(threading.Thread):
    """Somebody who waits for a turn, keeps it until told to go, and writes down its places."""

    def __init__(self, home: Home, needed: int = 1) -> None:
        super().__init__(daemon=True)
        self.home, self.needed = home, needed
        self.places: list[int] = []
        self.cards: tuple[int, ...] | None = None
        self.go = threading.Event()

    def run(self) -> None:
        with turn(self.home, self.needed, self.places.append, lambda: time.sleep(0.005)) as self.cards:
            assert self.go.wait(30)

    def reach(self, place: int) -> None:
        deadline = time.monotonic() + 30
        while place not in self.places:
            assert time.monotonic() < deadline, self.places
            time.sleep(0.005)


def begin(home: Home, needed: int = 1) -> Waiting:
    made = Waiting(home, needed)
    made.start()
    return made


def end(*everyone: Waiting) -> None:
    for one in everyone:
        one.go.set()
        one.join(30)


def test_jobs_come_to_their_turn_in_the_order_of_their_coming(home: Home) -> None:
    first = begin(home)
    first.reach(0)
    second = begin(home)
    second.reach(1)
    third = begin(home)
    third.reach(2)
    assert first.cards is None
    end(first)
    second.reach(0)
    third.reach(1)
    end(second)
    third.reach(0)
    end(third)
    assert third.places == [2, 1, 0]
    assert not list((home.state / "queue").glob("*.ticket"))


def test_each_gets_the_gpus_it_needs_and_nobody_overtakes(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "devices", cards(3))
    monkeypatch.setenv(turns.QUEUE_VARIABLE, str(tmp_path / "queue"))
    one = begin(home)
    one.reach(0)
    three = begin(home, 3)
    three.reach(1)
    late = begin(home)
    late.reach(2)  # two cards are free, but the one that wants three came first
    assert one.cards == (0,)
    end(one)
    three.reach(0)
    assert three.cards == (0, 1, 2)
    end(three)
    late.reach(0)
    end(late)


def test_more_gpus_than_there_are_is_an_error(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "devices", cards(2))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    with pytest.raises(UserError, match="wants 2 GPUs, this machine shows 1"), turn(home, 2, print, lambda: None):
        pass


def test_a_process_that_dies_in_the_queue_or_at_its_turn_holds_nobody_up(home: Home) -> None:
    code = (
        "import sys, time; from pathlib import Path; from workbench.home import Home; from workbench.training.turns import turn\n"
        f"with turn(Home(Path({str(home.root)!r})), 1, lambda place: print(place, flush=True), lambda: time.sleep(0.005)):\n"
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
    mine = begin(home)
    mine.reach(0)
    end(mine)


def test_several_machines_share_a_runs_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert turns.cards_needed(8) == 8
    monkeypatch.setenv(turns.MACHINES_VARIABLE, "--num_machines 2 --machine_rank 0")
    assert turns.cards_needed(8) == 4


def test_whoever_gives_up_leaves_the_queue(home: Home) -> None:
    first = begin(home)
    first.reach(0)

    def give_up() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), turn(home, 1, lambda place: None, give_up):
        pass
    second = begin(home)
    second.reach(1)
    end(first, second)

"""Training jobs take turns: first come, first served, each with the GPUs it needs; on processors one at a time.

Whoever waits holds a lock on a ticket whose name says when it came, whoever trains a lock on each of its cards. The kernel
drops a lock when its process ends, however it ends, so a crash leaves nothing to clear away. All of a user's homes on a machine
share one queue, a folder under the temporary one; WORKBENCH_QUEUE names another.
"""

from __future__ import annotations

import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from workbench.errors import UserError
from workbench.home import open_private
from workbench.training import machines
from workbench.training.readings import devices

QUEUE_VARIABLE = "WORKBENCH_QUEUE"


def cards_needed(processes: int) -> int:
    """GPUs of this machine that a run of so many processes takes: its share, where several machines train together."""
    return -(-processes // machines.count())


@contextmanager
def turn(
    needed: int, tell: Callable[[int], None], pause: Callable[[], None], came: int | None = None
) -> Iterator[tuple[int, ...] | None]:
    """Wait for `needed` GPUs and yield their numbers, or for this machine's processors and yield None.

    `came` is when the job was launched, in nanoseconds since the epoch (None: now): several launched together take their
    turns in that order, whichever process is quicker to start.
    `tell` gets the place in the queue (1: the next) whenever it changes, and 0 when the turn has come; `pause` is called
    between two looks and may raise to give up. Raises UserError if there are not so many GPUs.
    """
    cards = tuple(device.index for device in devices() if device.gpu)
    if cards and needed > len(cards):
        raise UserError(f"the run wants {needed} GPUs, this machine shows {len(cards)}: set processes to {len(cards)}")
    with _queued(_folder(), cards or (0,), needed if cards else 1, tell, pause, came or time.time_ns()) as taken:
        yield taken if cards else None


def _folder() -> Path:
    """Where this user's jobs on this machine queue, whatever their home."""
    if chosen := os.environ.get(QUEUE_VARIABLE):
        Path(chosen).mkdir(mode=0o700, parents=True, exist_ok=True)
        return Path(chosen)
    folder = Path(tempfile.gettempdir()) / f"workbench-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    there = folder.lstat()
    if there.st_uid != os.getuid() or not stat.S_ISDIR(there.st_mode) or there.st_mode & 0o022:
        raise UserError(f"{folder} is open to others: set {QUEUE_VARIABLE} to a folder of yours")
    return folder


@contextmanager
def _queued(
    folder: Path, cards: Sequence[int], needed: int, tell: Callable[[int], None], pause: Callable[[], None], came: int
) -> Iterator[tuple[int, ...]]:
    held: list[int] = []
    ticket = folder / f"{came:020d}-{os.getpid()}.ticket"
    try:
        with _locked(folder):
            mine = open_private(ticket, os.O_RDWR)
            fcntl.flock(mine, fcntl.LOCK_EX)
        try:
            told = -1
            while True:
                with _locked(folder):
                    place = 1 + sum(_waits(other) for other in folder.glob("*.ticket") if other.name < ticket.name)
                    taken = _take(folder, cards, needed, held) if place == 1 else ()
                if taken:
                    break
                if place != told:
                    tell(place)
                    told = place
                pause()
        finally:
            ticket.unlink(missing_ok=True)
            os.close(mine)
        tell(0)
        yield taken
    finally:
        for handle in held:
            os.close(handle)


def _take(folder: Path, cards: Sequence[int], needed: int, held: list[int]) -> tuple[int, ...]:
    """Lock `needed` free cards, or none."""
    taken: list[int] = []
    handles: list[int] = []
    for card in cards:
        handle = open_private(folder / f"device-{card}.lock", os.O_RDWR)
        if len(taken) < needed and _try(handle):
            taken.append(card)
            handles.append(handle)
        else:
            os.close(handle)
    if len(taken) < needed:
        for handle in handles:
            os.close(handle)
        return ()
    held += handles
    return tuple(taken)


def _waits(ticket: Path) -> bool:
    """Whether somebody still holds this ticket; one whose process is gone is thrown away."""
    try:
        handle = os.open(ticket, os.O_RDWR)
    except OSError:
        return False
    try:
        if _try(handle):
            ticket.unlink(missing_ok=True)
            return False
        return True
    finally:
        os.close(handle)


def _try(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Tickets are written and looked at one process at a time."""
    handle = open_private(folder / "queue.lock", os.O_RDWR)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)

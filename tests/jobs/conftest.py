from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workbench.home import Home
from workbench.jobs import ENDED, jobs
from workbench.jobs.launcher import reap

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_process_is_left(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Jobs find the tests' functions, and whatever still runs at the end of a test is killed."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("WORKBENCH_LAUNCHER", raising=False)
    yield
    for job in jobs(home):
        if job.state not in ENDED and job.pid and job.host == os.uname().nodename:
            os.killpg(job.pid, signal.SIGKILL)
    reap()


@pytest.fixture
def until() -> Callable[[Callable[[], object]], None]:
    """Poll a condition, with a deadline."""

    def poll(condition: Callable[[], object]) -> None:
        import time

        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, "never came true"
            time.sleep(0.02)

    return poll

"""A cluster of two machines, in name spaces with a cable between them: what one process writes, they write, and when one is lost
in the middle the other does the rest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.machines import CABLE, Machine, missing, received, two_machines
from tests.spread.conftest import ROOT, rows
from workbench.home import Home

pytest.importorskip("ray", reason="Ray is not installed: pip install 'workbench[ray]'")
pytestmark = [pytest.mark.long, pytest.mark.skipif(bool(missing()), reason=missing() or "")]

PORT, PATIENCE = 6379, 240.0
ORDER = ("dialogues", "generate", "travel_booking", "--per-path", "20", "--json")
SMALL = ("--num-cpus", "1", "--object-store-memory", str(80 << 20), "--disable-usage-stats", "--block")
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def start(machine: Machine, log: Path, *words: str) -> subprocess.Popen[bytes]:
    with log.open("wb") as out:
        command, environment = [*machine.prefix, *words], os.environ | ENVIRONMENT
        return subprocess.Popen(command, env=environment, stdout=out, stderr=subprocess.STDOUT)


def until_joined(child: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while b"Ray runtime started" not in log.read_bytes():
        assert time.monotonic() < deadline, log.read_text()
        assert child.poll() is None, log.read_text()
        time.sleep(0.1)


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[Machine, Machine]]:
    """A Ray head on the first machine and a worker on the second."""
    ray = str(Path(sys.executable).with_name("ray"))
    with two_machines() as (first, second), tempfile.TemporaryDirectory(prefix="ray") as short:  # sockets lie in it
        heads = ("--head", "--port", str(PORT), "--include-dashboard=false", "--temp-dir", short)
        joins = ("--address", f"{first.address}:{PORT}")
        nodes = []
        try:
            for machine, words in ((first, heads), (second, joins)):
                log = folder / f"{machine.name}.log"
                nodes.append(start(machine, log, ray, "start", "--node-ip-address", machine.address, *words, *SMALL))
                until_joined(nodes[-1], log)
            yield first, second
        finally:
            for machine in (second, first):  # all that runs there, also what has left its parent
                pids = subprocess.run(["ip", "netns", "pids", machine.space], capture_output=True, text=True).stdout
                subprocess.run(["kill", "-9", *pids.split()], capture_output=True)
            for node in nodes:
                node.wait()


def workbench(home: Home, *words: str) -> list[str]:
    return [sys.executable, "-m", "workbench", "--home", str(home.root.parent), *words]


def written(home: Home) -> int:
    """How many dialogues the job says are done."""
    lines = [line for file in home.jobs.glob("*/events.jsonl") for line in file.read_text().splitlines(keepends=True)]
    told = [json.loads(line) for line in lines if line.endswith("\n")]
    return max((event["done"] for event in told if event["type"] == "progress"), default=0)


@pytest.mark.parametrize("lost", [False, True], ids=["both", "one lost in the middle"])
def test_two_machines_write_what_one_process_writes(tmp_path: Path, lost: bool) -> None:
    here, there = Home(tmp_path / "here" / "runs").make(), Home(tmp_path / "there" / "runs").make()
    subprocess.run(workbench(here, *ORDER), env=os.environ | ENVIRONMENT, check=True, capture_output=True)
    with cluster(tmp_path) as (first, second):
        before, log = received(second), tmp_path / "job.log"
        job = start(first, log, *workbench(there, *ORDER, "--on", f"{first.address}:{PORT}"))
        if lost:
            deadline = time.monotonic() + PATIENCE
            while not written(there):
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.02)
            assert written(there) < written(here), "it was too quick to lose a machine in the middle"
            subprocess.run(["ip", "-n", second.space, "link", "set", CABLE, "down"], check=True)
        assert job.wait(PATIENCE) == 0, log.read_text()
        assert lost or received(second) - before > 100_000, "the second machine did nothing"
    assert rows(there) == rows(here)

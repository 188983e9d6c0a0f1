"""Two processes train as one: the same loss curve, stopped and resumed too; with the weights in each and sharded."""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import machines
from tests.training.test_jobs import RECIPE, fill
from workbench.home import Home
from workbench.jobs import launch, wait
from workbench.jobs.context import JobContext
from workbench.jobs.events import EventWriter, read_events
from workbench.jobs.folder import Job, write_job
from workbench.store import connect
from workbench.store.rows import RunRow
from workbench.store.runs import put_run
from workbench.training.recipe import recipe_dict

SMALL = dataclasses.replace(RECIPE, max_tokens_trained=12_000, batch_tokens=4000, learning_rate=3e-3, save_every=2)


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path.cwd()))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def run(
    home: Home, tiny: Path, name: str, second: Callable[[Path], subprocess.Popen[str]] | None = None, **change: Any
) -> tuple[dict[str, Any], dict[int, float], Path]:
    """A training job in this process, beside what `second` starts for its folder; its result, losses by step, and folder."""
    from workbench.training.trainer import main

    folder = home.jobs / (name * 16)
    folder.mkdir(exist_ok=True)
    recipe = dataclasses.replace(SMALL, base=str(tiny), **change)
    args = {"dataset": "d" * 16, "recipe": recipe_dict(recipe), "name": name, "from": None, "probe": None}
    write_job(Job(folder.name, "train", name, args, folder, 0.0, 1, None, str(Path.cwd())))
    with connect(home) as record:
        put_run(record, RunRow(folder.name, name, folder.name, "d" * 16, None, args["recipe"]))
    beside = second(folder) if second else None
    result = main(JobContext(home, folder, args, EventWriter(folder / "events.jsonl")))
    if beside:
        told, _ = beside.communicate(timeout=60)
        assert beside.returncode == 0, told
    found = {e["step"]: e["loss"] for e in read_events(folder / "events.jsonl")[0] if e["type"] == "metric"}
    return result, found, folder


@pytest.mark.long
@pytest.mark.parametrize("shard", [False, True], ids=["whole weights in each", "sharded (FSDP2)"])
def test_two_processes_learn_what_one_learns(home: Home, tiny: Path, shard: bool) -> None:
    from transformers import AutoModelForCausalLM

    fill(home)
    one, alone, folder = run(home, tiny, "1")
    both, together, other = run(home, tiny, "2", processes=2, shard=shard)
    assert together.keys() == alone.keys()
    assert [together[s] for s in sorted(together)] == pytest.approx([alone[s] for s in sorted(alone)], rel=2e-4)
    assert both["dev_loss"] == pytest.approx(one["dev_loss"], rel=2e-4)
    mine, theirs = (AutoModelForCausalLM.from_pretrained(f / "best").state_dict() for f in (folder, other))
    assert mine.keys() == theirs.keys()
    assert all(bool((mine[n] - theirs[n]).abs().max() < 5e-3) for n in mine)


@pytest.mark.long
@pytest.mark.parametrize("shard", [False, True], ids=["whole weights in each", "sharded (FSDP2)"])
def test_two_processes_stopped_and_resumed_end_the_same(home: Home, tiny: Path, shard: bool) -> None:
    fill(home)
    _, whole, _ = run(home, tiny, "1", processes=2, shard=shard)
    (home.jobs / ("2" * 16)).mkdir()
    (home.jobs / ("2" * 16) / "stop").touch()
    result, _, folder = run(home, tiny, "2", processes=2, shard=shard)
    assert result["status"] == "stopped"
    (folder / "stop").unlink()
    again, rest, _ = run(home, tiny, "2", processes=2, shard=shard)
    assert again["status"] == "done"
    assert rest == whole


def words_of_the_manual() -> tuple[str, list[str]]:
    """What docs/training.md says: the words for the first machine's environment, and the second machine's command."""
    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    (environment,) = re.findall(r'export WORKBENCH_ACCELERATE="(.*)"', text)
    (command,) = re.findall(r"^accelerate launch(?:.*\\\n)+.*$", text, re.MULTILINE)
    return environment, shlex.split(command.replace("\\\n", " "))


@pytest.mark.long
@pytest.mark.parametrize("shard", [False, True], ids=["whole weights in each", "sharded (FSDP2)"])
def test_two_machines_learn_what_one_process_learns(
    home: Home, tiny: Path, shard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manual's commands with 2 processes for its 8, and loopback for its network."""
    fill(home)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    environment, command = words_of_the_manual()
    theirs = {"192.168.1.10": "127.0.0.1", "29500": port, "8": "2"}
    assert theirs.keys() <= {*command}
    assert {*theirs} - {"8"} <= {*environment.split()}
    monkeypatch.setenv("WORKBENCH_ACCELERATE", " ".join(theirs.get(word, word) for word in environment.split()))

    def second(folder: Path) -> subprocess.Popen[str]:
        assert command[:2] == ["accelerate", "launch"]
        assert command[-1].startswith("/")
        words = [theirs.get(word, word) for word in command[2:-1]]
        program = [sys.executable, "-m", "accelerate.commands.launch", *words, str(folder)]
        return subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    both, together, _ = run(home, tiny, "2", second, processes=2, shard=shard)
    monkeypatch.delenv("WORKBENCH_ACCELERATE")
    one, alone, _ = run(home, tiny, "1")
    assert together.keys() == alone.keys()
    assert [together[s] for s in sorted(together)] == pytest.approx([alone[s] for s in sorted(alone)], rel=2e-4)
    assert both["dev_loss"] == pytest.approx(one["dev_loss"], rel=2e-4)


SRUN = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do shift; done
SLURM_NODEID=0 "$@" & first=$!
SLURM_NODEID=1 "$@" || exit 1
wait $first
"""


@pytest.mark.long
@pytest.mark.parametrize("shard", [False, True], ids=["whole weights in each", "sharded (FSDP2)"])
def test_two_nodes_of_a_slurm_job_learn_what_one_process_learns(
    home: Home, tiny: Path, shard: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program in the place of `srun` that starts the command twice, as two nodes, on this machine."""
    fill(home)
    one, alone, _ = run(home, tiny, "1")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "srun").write_text(SRUN)
    (tmp_path / "bin" / "srun").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")
    both, together, _ = run(home, tiny, "2", processes=2, shard=shard)
    assert together.keys() == alone.keys()
    assert [together[s] for s in sorted(together)] == pytest.approx([alone[s] for s in sorted(alone)], rel=2e-4)
    assert both["dev_loss"] == pytest.approx(one["dev_loss"], rel=2e-4)


@pytest.mark.long
@pytest.mark.skipif(bool(machines.missing()), reason=str(machines.missing()))
@pytest.mark.parametrize("shard", [False, True], ids=["whole weights in each", "sharded (FSDP2)"])
def test_over_a_network_two_machines_learn_what_one_process_learns(
    home: Home, tiny: Path, shard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The manual's commands, its addresses and port, 2 processes for its 8; the job itself runs on the first machine."""
    fill(home)
    environment, command = words_of_the_manual()
    recipe = dataclasses.replace(SMALL, base=str(tiny), processes=2, shard=shard)
    args = {"dataset": "d" * 16, "recipe": recipe_dict(recipe), "name": "2", "from": None, "probe": None}
    with machines.two_machines() as (first, second):
        assert first.address in environment.split()
        monkeypatch.setenv("WORKBENCH_ACCELERATE", environment)
        monkeypatch.setenv("WORKBENCH_LAUNCHER", shlex.join([*first.prefix, "{command}"]))
        monkeypatch.setenv("GLOO_SOCKET_IFNAME", machines.CABLE)
        job = launch(home, "train", args, "on two machines")
        with connect(home) as record:
            put_run(record, RunRow(job.id, "2", job.id, "d" * 16, None, args["recipe"]))
        words = ["2" if word == "8" else word for word in command[2:-1]]
        program = [sys.executable, "-m", "accelerate.commands.launch", *words, str(job.folder)]
        beside = subprocess.run([*second.prefix, *program], capture_output=True, text=True, timeout=300)
        assert beside.returncode == 0, beside.stdout + beside.stderr
        end = wait(home, job.id, timeout=300)
        assert (end.state, end.host) == ("done", "first"), (job.folder / "log.txt").read_text()
        assert min(machines.received(first), machines.received(second)) > 100_000, "they met over the cable"
    for name in ("WORKBENCH_ACCELERATE", "WORKBENCH_LAUNCHER", "GLOO_SOCKET_IFNAME"):
        monkeypatch.delenv(name)
    together = {e["step"]: e["loss"] for e in read_events(job.folder / "events.jsonl")[0] if e["type"] == "metric"}
    one, alone, _ = run(home, tiny, "1")
    assert together.keys() == alone.keys()
    assert [together[s] for s in sorted(together)] == pytest.approx([alone[s] for s in sorted(alone)], rel=2e-4)
    assert end.result["dev_loss"] == pytest.approx(one["dev_loss"], rel=2e-4)

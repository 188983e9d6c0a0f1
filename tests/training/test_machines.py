"""How the processes of a run are started: here, on machines that somebody starts by hand, and on the nodes of a Slurm job."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from workbench.errors import UserError
from workbench.training.machines import count, launch_command

FOLDER = Path("/shared/my runs/jobs/ab12")


@pytest.fixture(autouse=True)
def _no_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORKBENCH_ACCELERATE", raising=False)
    monkeypatch.delenv("SLURM_JOB_NUM_NODES", raising=False)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job of two nodes."""
    program = tmp_path / "srun"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", "2")


def test_one_machine_starts_all() -> None:
    command = launch_command(4, FOLDER)
    assert count() == 1
    assert command[:6] == [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "4"]
    assert command[-3:] == ["--module", "workbench.training.together", str(FOLDER)]
    assert "--num_machines" not in command


def test_words_for_machines_started_by_hand_come_last_before_the_program(
    slurm: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKBENCH_ACCELERATE", "--num_machines 3 --machine_rank 0")
    command = launch_command(6, FOLDER)
    assert count() == 3
    assert command[-7:-3] == ["--num_machines", "3", "--machine_rank", "0"]
    assert command[0] == sys.executable, "the words win over the scheduler"


def test_each_node_of_a_slurm_job_gets_a_launcher_with_its_own_rank(slurm: None) -> None:
    assert count() == 2
    command = launch_command(8, FOLDER)
    assert command[:3] == ["srun", "--nodes=2", "--ntasks=2"]
    assert command[-3:-1] == ["sh", "-c"]
    line = command[-1]
    assert f'--num_machines 2 --main_process_ip {socket.gethostname()} --machine_rank "$SLURM_NODEID"' in line
    assert line.endswith(f"'{FOLDER}'"), "a folder with a space is quoted"
    with pytest.raises(UserError, match="3 processes cannot be shared by the 2 nodes"):
        launch_command(3, FOLDER)


@pytest.mark.parametrize("nodes", ["", "1", "many"])
def test_a_slurm_job_of_one_node_is_one_machine(slurm: None, monkeypatch: pytest.MonkeyPatch, nodes: str) -> None:
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", nodes)
    assert count() == 1
    assert "srun" not in launch_command(2, FOLDER)


def test_without_srun_the_nodes_are_not_ours(slurm: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    assert count() == 1

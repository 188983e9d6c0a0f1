"""On how many machines a run trains, and the command that starts its processes there.

One machine unless said otherwise: by WORKBENCH_ACCELERATE, where somebody starts the others by hand, or by Slurm, when the job
stands in an allocation of several nodes; then `srun` starts a launcher on each.
"""

from __future__ import annotations

import os
import shlex
import shutil
import socket
import sys
from pathlib import Path

from workbench.errors import UserError

VARIABLE = "WORKBENCH_ACCELERATE"
"""More words for `accelerate launch` (a config file, the number of machines and this one's rank, the main one's address)."""


def count() -> int:
    """Machines that train together, this one included."""
    words = _words()
    if words:
        return max(1, int(words[words.index("--num_machines") + 1])) if "--num_machines" in words[:-1] else 1
    nodes = os.environ.get("SLURM_JOB_NUM_NODES", "")
    return max(1, int(nodes)) if nodes.isdecimal() and shutil.which("srun") else 1


def launch_command(processes: int, folder: Path) -> list[str]:
    """`accelerate launch` for the run in `folder`, once here, or by `srun` once on each node of a Slurm job.

    `--multi_gpu` stands for "several processes" (with `--cpu` accelerate would ask for mpirun); without GPUs they meet
    over gloo (`loop.py`). Raises UserError if the processes cannot be shared equally among the nodes.
    """
    before = [
        sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", str(processes),
        "--mixed_precision", "no", "--dynamo_backend", "no", "--main_process_port", str(_free_port()),
    ]  # fmt: skip
    after = ["--module", "workbench.training.together", str(folder)]
    words, nodes = _words(), count()
    if words or nodes == 1:
        return [*before, *words, *after]
    if processes % nodes:
        raise UserError(f"{processes} processes cannot be shared by the {nodes} nodes of the Slurm job: set a multiple")
    before += ["--num_machines", str(nodes), "--main_process_ip", socket.gethostname()]
    each = f'exec {shlex.join(before)} --machine_rank "$SLURM_NODEID" {shlex.join(after)}'
    return ["srun", f"--nodes={nodes}", f"--ntasks={nodes}", "--kill-on-bad-exit", "--overlap", "sh", "-c", each]


def _words() -> list[str]:
    return os.environ.get(VARIABLE, "").split()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

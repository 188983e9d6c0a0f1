"""The launcher template with programs that behave like `srun`, `sbatch` and `ray job submit`: a job of any kind, a training
run like every other, starts where they put it, and is watched, stopped and taken up again as if it had begun here."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from workbench.home import Home
from workbench.jobs import ENDED, launch, status, stop, wait

Until = Callable[[Callable[[], object]], None]
PROGRAMS = {
    # waits for the task, whose output is its own; the words before the command are for the scheduler
    "srun": 'while [ "${1#-}" != "$1" ]; do shift; done; SLURM_JOB_ID=7 exec "$@"',
    # says what it has queued and is gone; the script runs later, in a shell of its own, with the environment of the caller
    "sbatch": """out=/dev/null
for word in "$@"; do case "$word" in --wrap=*) script="${word#--wrap=}";; --output=*) out="${word#--output=}";; esac; done
[ -n "$script" ] || { echo "sbatch: error: no script" >&2; exit 1; }
(sleep 0.3; SLURM_JOB_ID=8 exec setsid /bin/sh -c "$script") >> "$out" 2>&1 &
echo "Submitted batch job 8\"""",
    # `ray job submit --no-wait -- command`: the words go to the cluster as one line of shell, quoted by list2cmdline
    "ray": """[ "$1 $2" = "job submit" ] || exit 2
while [ "$1" != "--" ]; do shift; done; shift
line=$(python3 -c 'import subprocess, sys; print(subprocess.list2cmdline(sys.argv[1:]))' "$@")
(SLURM_JOB_ID=9 exec setsid /bin/sh -c "$line") > "$SLURM_OUT" 2>&1 &
echo "Job 'raysubmit_1' submitted successfully\"""",
}
TEMPLATES = {
    "srun": "srun -N1 --gres=gpu:1",
    "sbatch": "sbatch --gres=gpu:8 --time=12:00:00 --output={log} --open-mode=append --wrap={command}",
    "ray": "ray job submit --no-wait --entrypoint-num-gpus 1 -- {command}",
}


@pytest.fixture(params=list(TEMPLATES))
def launcher(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    programs = tmp_path / "with space" / "bin"
    programs.mkdir(parents=True)
    for name, script in PROGRAMS.items():
        file = programs / name
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_OUT", str(tmp_path / "out.txt"))
    monkeypatch.setenv("WORKBENCH_LAUNCHER", TEMPLATES[request.param])
    return str(request.param)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A folder whose name has to be quoted."""
    return Home(tmp_path / "my home" / "runs").make()


def test_a_job_runs_where_the_scheduler_puts_it(launcher: str, home: Home) -> None:
    job = launch(home, "tests.jobs.work:environment", {}, "somewhere else")
    end = wait(home, job.id, timeout=60)
    assert (end.state, end.error) == ("done", None), (job.folder / "log.txt").read_text()
    assert "SLURM_JOB_ID" in end.result["names"]


def test_it_is_stopped_and_goes_on(launcher: str, home: Home, until: Until) -> None:
    args = {"to": 40, "pause": 0.05}
    job = launch(home, "tests.jobs.work:count", args, "counting")
    until(lambda: (now := status(home, job.id)).progress is not None and now.progress.done > 2)
    assert stop(home, job.id).state == "stopped"
    launch(home, "tests.jobs.work:count", {**args}, "counting")
    end = wait(home, job.id, timeout=60)
    assert (end.state, end.attempt, end.result["counted"]) == ("done", 2, 40)
    assert status(home, job.id).state in ENDED


@pytest.mark.parametrize("launcher", ["sbatch"], indirect=True)
def test_what_a_scheduler_refuses_is_told(home: Home, launcher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_LAUNCHER", "sbatch --gres=gpu:1")  # without --wrap it gets no script
    job = launch(home, "tests.jobs.work:count", {"to": 1}, "refused")
    end = wait(home, job.id, timeout=60)
    assert (end.state, end.error) == ("failed", "the launcher ended with code 1: sbatch: error: no script")

"""Starting jobs: the same command again joins what runs, goes on with what stopped, returns what is done."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from workbench.errors import UserError
from workbench.home import Home, make_folder, open_private
from workbench.jobs.folder import Job, job_folder, locked, read_job, read_json, write_job, write_json
from workbench.jobs.identity import identity
from workbench.jobs.kinds import child_environment, kind_of
from workbench.jobs.settings import FILE as SETTINGS
from workbench.jobs.settings import change_settings
from workbench.jobs.states import job_status
from workbench.secrets import secrets
from workbench.store import connect
from workbench.store.encode import to_json
from workbench.store.job_index import put_jobs
from workbench.store.rows import JobRow
from workbench.workflow.hashing import digest

LAUNCHER_VARIABLE = "WORKBENCH_LAUNCHER"
"""A command that starts the job's command elsewhere: `srun -N1 --gres=gpu:1`, `sbatch --output={log} --wrap={command}`."""

_children: list[subprocess.Popen[bytes]] = []
_children_lock = threading.Lock()


def launch(
    home: Home,
    kind: str,
    args: Mapping[str, Any],
    title: str,
    command: Sequence[str] | None = None,
    settings: Mapping[str, object] | None = None,
) -> Job:
    """Start a job in a process of its own that outlives this one, or join the one that does the same already.

    Its id is a hash of kind and args (JSON values, no secrets). A running or finished job is returned as it is
    (`joined`), one that stopped, failed or was lost goes on in the same folder, and so does one whose result says that
    something is `unfinished`; a finished service starts anew.
    `settings` (see `jobs.settings`) are no part of the id: given anew they also reach a job that runs already.
    `command` replaces the usual process; it must run `-m workbench.jobs.run {folder}`, where `{folder}` is filled in.
    Raises UserError if the job may still run on a host that is out of sight.
    """
    kind_of(kind)
    _refuse_secrets(args)
    job_id = digest([kind, args])
    folder = home.make().jobs / job_id
    make_folder(folder)
    with locked(folder / "launch.lock"):
        if settings:
            change_settings(folder, settings)
        try:
            known = read_job(folder)
        except UserError:  # none, or a damaged one: what is to be done is known, so it is written anew
            own = None if command is None else tuple(word.replace("{folder}", str(folder)) for word in command)
            made = Job(job_id, kind, title, args, folder, time.time(), _last_attempt(folder), own, os.getcwd())
            return _start(home, made)
        return _again(home, known, anyway=False)


def resume(home: Home, job_id: str, *, anyway: bool = False) -> Job:
    """Go on with a job by its id: the same as running its command again. `anyway` even if its host is out of sight."""
    folder = job_folder(home, job_id)
    with locked(folder / "launch.lock"):
        return _again(home, read_job(folder), anyway)


def reap() -> None:
    """Collect those of this process's jobs that have ended, so that they leave no zombies."""
    with _children_lock:
        _children[:] = [child for child in _children if child.poll() is None]


def _again(home: Home, job: Job, anyway: bool) -> Job:
    reap()
    now = job_status(job)
    if now.state == "unknown" and not anyway:
        raise UserError(
            f"job {job.id} may still run: {now.error}; `workbench jobs resume {job.id} --anyway` starts it here"
        )
    finished = now.state == "done" and not kind_of(job.kind).service and not now.result.get("unfinished")
    if now.state in ("queued", "running", "stopping") or finished:
        return replace(job, joined=True)
    return _start(home, job)


def _last_attempt(folder: Path) -> int:
    """The newest attempt that left a trace; 0 if there was none."""
    told = (read_json(folder / name).get("attempt") for name in ("launched.json", "process.json", "done.json"))
    return max((number for number in told if isinstance(number, int)), default=0)


def _start(home: Home, job: Job) -> Job:
    """Start the next attempt; the caller holds launch.lock."""
    job = replace(job, attempt=job.attempt + 1)
    (job.folder / "stop").unlink(missing_ok=True)
    if (job.folder / SETTINGS).exists():
        change_settings(job.folder, {"paused": False})  # whoever starts it again means it to go on
    write_job(job)
    with connect(home) as record:
        put_jobs(record, [JobRow(job.id, job.kind, f"jobs/{job.id}", job.title, job.created)])
    template = os.environ.get(LAUNCHER_VARIABLE, "").strip()
    command = list(job.command or (sys.executable, "-P", "-m", "workbench.jobs.run", str(job.folder)))
    if template:
        command = _noting_exit(launcher_command(template, command, job.folder / "log.txt"), job)
    child = _spawn(command, job)
    who = identity(child.pid)
    launched = {
        **(who.as_dict() if who else {}),
        "attempt": job.attempt,
        "at": time.time(),
        "launcher": template or None,
    }
    write_json(job.folder / "launched.json", launched)
    return job


def launcher_command(template: str, command: Sequence[str], log: Path = Path("log.txt")) -> list[str]:
    """The launcher's words with the job's command at `{command}`: as words of their own if it stands alone, quoted as
    one where it is part of a word, at the end if it is not named. `{log}` is the job's log file.
    """
    try:
        words = shlex.split(template)
    except ValueError as error:
        raise UserError(f"{LAUNCHER_VARIABLE} cannot be read as a command ({error}): {template}") from error
    if not any("{command}" in word for word in words):
        words.append("{command}")
    made: list[str] = []
    for word in words:
        made += (
            command
            if word == "{command}"
            else [word.replace("{log}", str(log)).replace("{command}", shlex.join(command))]
        )
    return made


def _noting_exit(command: list[str], job: Job) -> list[str]:
    """A launcher's exit code is the only word of a job that never started; a shell writes it down."""
    note = job.folder / f"launcher.{job.attempt}.exit"
    return ["/bin/sh", "-c", '"$@"; echo $? > "$0"', str(note), *command]


def _spawn(command: list[str], job: Job) -> subprocess.Popen[bytes]:
    cwd = job.cwd if Path(job.cwd).is_dir() else None
    log = open_private(job.folder / "log.txt", os.O_WRONLY | os.O_APPEND)
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=cwd,
            env=child_environment(kind_of(job.kind)),
            start_new_session=True,
        )
    except OSError as error:
        raise UserError(f"cannot start {command[0]}: {error.strerror or error}") from error
    finally:
        os.close(log)
    with _children_lock:
        _children.append(child)
    return child


def _refuse_secrets(args: Mapping[str, Any]) -> None:
    text = to_json(args)
    for name, value in secrets().items():
        if len(value) >= 16 and not value.startswith("/") and value in text:
            raise UserError(
                f"the value of {name} stands in the job's settings: keys are read from the environment only"
            )

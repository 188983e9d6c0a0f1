"""Full, read-only and forbidden disks, a clock that jumps, a model that is gone: a clear line each, and nothing is lost."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.record import make_sample_record, sample_id
from workbench.home import Home
from workbench.jobs import launch, status, stop, wait

ROOT = Path(__file__).parents[2]
is_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")


def workbench(home: Home, *words: str) -> subprocess.CompletedProcess[str]:
    """A command as people run it."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "workbench", "--home", str(home.root.parent), *words],
        capture_output=True,
        text=True,
        timeout=180,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


def one_line(done: subprocess.CompletedProcess[str], *says: str) -> str:
    """The command failed for a reason that the user can mend, and said so in one line."""
    assert done.returncode in (2, 3), done
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("workbench: ")
    assert "Traceback" not in done.stderr
    assert "unexpected error" not in done.stderr
    assert any(words in last for words in says), last
    return last


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of three megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True)
    if made.returncode:
        pytest.skip("no mounting here")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


WRITE = ("dialogues", "generate", "travel_booking", "--train", "60", "--dev", "0", "--test", "0", "--least", "0")


@is_root
def test_a_full_disk_is_told_and_the_same_command_goes_on(small: Path) -> None:
    home = Home(small / "runs").make()
    make_sample_record(home).close()
    filler = small / "filler"
    with filler.open("wb", buffering=0) as out, contextlib.suppress(OSError):
        while True:
            out.write(bytes(4096))
    before = shutil.disk_usage(small).free
    assert before < 8192
    one_line(workbench(home, *WRITE), "full", "No space left")
    assert workbench(home, "dialogues", "list").returncode == 0  # reading goes on
    filler.unlink()
    again = workbench(home, *WRITE, "--json")
    assert again.returncode == 0, again.stderr
    counted = json.loads(workbench(home, "record", "query", "PRAGMA integrity_check", "--json").stdout)
    assert "ok" in json.dumps(counted)


@is_root
def test_a_read_only_disk_can_be_looked_at(small: Path) -> None:
    home = Home(small / "runs").make()
    make_sample_record(home).close()
    subprocess.run(["mount", "-o", "remount,ro", str(small)], check=True)
    for words in (
        ["dialogues", "list"],
        ["jobs", "list"],
        ["results", "list"],
        ["train", "list"],
        ["conversations", "list"],
    ):
        done = workbench(home, *words)
        assert done.returncode == 0, (words, done.stderr)
    one_line(workbench(home, *WRITE), "Read-only", "read-only", "readonly", "not writable", "cannot")
    one_line(
        workbench(home, "dialogues", "review", "--pass", sample_id("nothing")), "ead-only", "readonly", "cannot", "no "
    )
    assert "cannot be written" in workbench(home, "doctor").stdout


def as_nobody(home: Home, *words: str) -> tuple[int, str]:
    """A command in a forked process of a user who owns nothing: exit code, and what it said."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        code = 99
        try:
            from workbench.cli.main import cli

            os.dup2(writing, 1)
            os.dup2(writing, 2)
            sys.stdout = os.fdopen(1, "w", closefd=False)
            sys.stderr = os.fdopen(2, "w", closefd=False)
            os.setgroups([])
            os.setgid(54_998)
            os.setuid(54_998)
            cli.main(["--home", str(home.root.parent), *words])
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 98
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    os.close(writing)
    with os.fdopen(reading, errors="replace") as pipe:
        said = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


@is_root
@pytest.mark.parametrize(
    "words", [["dialogues", "list"], ["jobs", "list"], ["train", "list"], ["conversations", "list"]]
)
def test_a_home_of_somebody_else_is_one_line(tmp_path: Path, words: list[str]) -> None:
    home = Home(tmp_path / "runs").make()
    make_sample_record(home).close()
    for parent in [tmp_path, *tmp_path.parents]:
        if parent.stat().st_mode & 0o001 == 0:
            parent.chmod(parent.stat().st_mode | 0o011)
    code, said = as_nobody(home, *words)
    assert code == 2, said
    assert said.startswith("workbench: ")
    assert len(said.strip().splitlines()) == 1, said
    assert "ermission denied" in said or "cannot" in said, said


@pytest.mark.parametrize("jump", [-(10.0**9), -3600.0, 3600.0, 10.0**9])
def test_a_clock_that_jumps_kills_and_loses_no_job(home: Home, monkeypatch: pytest.MonkeyPatch, jump: float) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    job = launch(home, "tests.jobs.work:count", {"to": 10**6, "pause": 0.05}, "count")
    deadline = time.monotonic() + 60
    while (now := status(home, job.id)).progress is None:
        assert time.monotonic() < deadline
    real = time.time
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: real() + jump)
        now = status(home, job.id)
        assert (now.state, now.error) == ("running", None)
        assert now.eta_s is None or now.eta_s >= 0
        assert launch(home, "tests.jobs.work:count", {"to": 10**6, "pause": 0.05}, "count").joined
        from workbench.cli.jobs import _ago, _render_one

        assert "-" not in _ago(now.created)
        assert job.id in _render_one(now, {})
        assert stop(home, job.id, 20).state == "stopped"
    assert wait(home, job.id, timeout=60).state == "stopped"


@pytest.mark.long
def test_a_lost_model_is_one_line(home: Home) -> None:
    """A run whose folder somebody has deleted."""
    make_sample_record(home).close()
    for words in (
        ["serve", "sample-run"],
        ["export", "sample-run", "--to", "hf"],
        ["chat", "compiled:sample-run", "--workflow", "travel_booking"],
        ["evaluate", "travel_booking", "--agents", "compiled:sample-run", "--scenarios", "2"],
    ):
        one_line(workbench(home, *words), "no checkpoint", "no model", "sample-run")
    one_line(workbench(home, "train", "show", "sample-run"), "no job")
    assert workbench(home, "train", "list").returncode == 0


def test_what_needs_a_gpu_says_so(home: Home, tmp_path: Path) -> None:
    model = tmp_path / "m.gguf"
    model.write_bytes(b"GGUF")
    done = workbench(home, "serve", str(model), "--engine", "vllm")
    one_line(done, "vllm is not installed", "GPU")
    assert "WD030" in workbench(home, "doctor").stdout

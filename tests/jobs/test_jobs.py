from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from workbench.errors import UserError
from workbench.home import Home
from workbench.jobs import ENDED, Job, jobs, launch, memory_end, resume, states, status, stop, tail_events, wait
from workbench.jobs import identity as identities
from workbench.jobs.events import EventWriter
from workbench.jobs.folder import read_identity, read_json, write_json
from workbench.jobs.launcher import launcher_command
from workbench.store import connect
from workbench.store.job_index import job_rows

Until = Callable[[Callable[[], object]], None]
WORK = "tests.jobs.work"


def start(home: Home, function: str, **args: object) -> Job:
    return launch(home, f"{WORK}:{function}", args, f"a test: {function}")


def running(home: Home, job: Job) -> Callable[[], bool]:
    return lambda: status(home, job.id).progress is not None or status(home, job.id).state in ENDED


def test_a_job_runs_detached_and_tells_what_it_made(home: Home) -> None:
    seen: list[str] = []
    job = start(home, "count", to=5)
    end = wait(home, job.id, lambda event: seen.append(event["type"]), timeout=60)
    assert (end.state, end.result["counted"], end.error, end.stage) == ("done", 5, None, "counting")
    assert end.progress is not None
    assert (end.progress.done, end.progress.total, end.progress.unit, end.eta_s) == (5, 5, "numbers", None)
    assert seen[:2] == ["start", "stage"]
    assert seen[-1] == "done"
    assert end.started is not None
    assert end.ended is not None
    assert end.created <= end.started <= end.ended
    assert [j.id for j in jobs(home)] == [job.id]
    assert jobs(home, "train") == []
    with connect(home) as rec:
        assert [(row.id, row.folder) for row in job_rows(rec)] == [(job.id, f"jobs/{job.id}")]


def test_everything_in_the_folder_is_private(home: Home) -> None:
    job = start(home, "count", to=1)
    wait(home, job.id, timeout=60)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in job.folder.iterdir()}
    assert set(modes.values()) == {0o600}, modes
    assert stat.S_IMODE(job.folder.stat().st_mode) == 0o700


def test_the_same_command_again_joins_and_then_returns_the_finished(home: Home) -> None:
    first = start(home, "count", to=3, pause=0.2)
    second = start(home, "count", to=3, pause=0.2)
    assert (second.id, second.attempt, second.joined) == (first.id, 1, True)
    end = wait(home, first.id, timeout=60)
    again = start(home, "count", to=3, pause=0.2)
    assert (again.joined, status(home, again.id)) == (True, end)
    assert start(home, "count", to=4).id != first.id


def test_the_same_command_again_goes_on_with_what_is_unfinished(home: Home) -> None:
    first = start(home, "in_two_halves")
    end = wait(home, first.id, timeout=60)
    assert (end.state, end.result["unfinished"]) == ("done", 1)
    again = start(home, "in_two_halves")
    assert (again.id, again.attempt, again.joined) == (first.id, 2, False)
    assert wait(home, first.id, timeout=60).result["unfinished"] == 0
    assert start(home, "in_two_halves").joined


def test_many_launches_at_once_start_one_process(home: Home) -> None:
    made: list[Job] = []
    threads = [threading.Thread(target=lambda: made.append(start(home, "count", to=3, pause=0.1))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(not job.joined for job in made) == 1
    wait(home, made[0].id, timeout=60)
    assert [e["type"] for e in tail_events(home, made[0].id)[0]].count("start") == 1


def test_a_second_process_of_the_same_job_never_writes(home: Home, until: Until) -> None:
    job = start(home, "wait_for_stop")
    until(lambda: any(e["type"] == "ready" for e in tail_events(home, job.id)[0]))
    code = "import sys, pathlib; from workbench.jobs import run; run._PATIENCE = 0; run.main(pathlib.Path(sys.argv[1]))"
    done = subprocess.run([sys.executable, "-c", code, job.folder], capture_output=True, text=True, timeout=60)
    assert "goes on alone" in done.stderr
    assert stop(home, job.id, 30).state == "stopped"
    assert [e["type"] for e in tail_events(home, job.id)[0]].count("start") == 1


def test_stop_is_clean_and_the_same_command_goes_on(home: Home, until: Until) -> None:
    job = start(home, "count", to=40, pause=0.05)
    until(running(home, job))
    stopped = stop(home, job.id, 30)
    assert stopped.state == "stopped"
    assert 0 < stopped.result["counted"] < 40
    again = start(home, "count", to=40, pause=0.05)
    assert (again.attempt, again.joined) == (2, False)
    end = wait(home, job.id, timeout=60)
    assert (end.state, end.result["counted"]) == ("done", 40)
    assert (job.folder / "numbers.txt").read_text().split() == [str(n) for n in range(40)]


def test_stopping_only_asks_when_told_so(home: Home, until: Until) -> None:
    job = start(home, "never_stops")
    until(lambda: any(e["type"] == "ready" for e in tail_events(home, job.id)[0]))
    assert stop(home, job.id, None).state == "stopping"
    with pytest.raises(UserError, match="no job"):
        stop(home, "ffffffff")


def test_a_job_that_does_not_stop_is_killed_with_its_children(home: Home, until: Until) -> None:
    job = start(home, "never_stops")
    until(lambda: any(e["type"] == "ready" for e in tail_events(home, job.id)[0]))
    child = next(e["child"] for e in tail_events(home, job.id)[0] if e["type"] == "ready")
    end = stop(home, job.id, 0.5)
    assert end.state == "stopped"
    assert end.error is not None
    assert "killed" in end.error
    until(lambda: identities.start_time(child) is None)


@pytest.mark.parametrize(
    ("function", "error"),
    [
        ("user_fault", "bad [31mfile[0m: line 3: mend it"),
        ("service_fault", "the model server is away"),
        ("bug", "ZeroDivisionError: oops (see "),
        ("full_disk", "the disk is full (/data/x): free some space"),
        ("full_disk_in_a_library", "the disk is full ("),
        ("odd_result", "TypeError"),
        ("no_such_function", "AttributeError"),
    ],
)
def test_failures_are_one_clear_line(home: Home, function: str, error: str) -> None:
    job = start(home, function)
    end = wait(home, job.id, timeout=60)
    assert end.state == "failed"
    assert end.error is not None
    assert end.error.startswith(error)
    assert tail_events(home, job.id)[0][-1]["type"] == "failed"
    assert "Traceback" in (job.folder / "log.txt").read_text() or function.endswith("_fault")


def test_a_process_that_vanishes_is_lost_and_its_last_words_are_shown(home: Home) -> None:
    job = start(home, "dies")
    end = wait(home, job.id, timeout=60)
    assert end.state == "lost"
    assert "about to die" in (end.error or "")
    assert resume(home, job.id).attempt == 2
    wait(home, job.id, timeout=60)


def test_a_process_that_the_kernel_ended_for_lack_of_memory_is_told_so(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = start(home, "dies")
    assert "without a word" in (wait(home, job.id, timeout=60).error or "")
    file = job.folder / "process.json"
    before = read_json(file)["oom_kills"]
    (tmp_path / "vmstat").write_text(f"nr_free_pages 1\noom_kill {(before or 0) + 1}\n")
    monkeypatch.setattr(memory_end, "_COUNTERS", (tmp_path / "none", tmp_path / "vmstat"))
    write_json(file, {**read_json(file), "oom_kills": before or 0})
    error = status(home, job.id).error or ""
    assert "probably for lack of memory" in error
    assert "run the same command again" in error
    train = json.loads((job.folder / "job.json").read_text())
    write_json(job.folder / "job.json", {**train, "kind": "train"})
    assert f"train resume {job.id} --set activation_checkpointing=true" in (status(home, job.id).error or "")
    monkeypatch.setattr(memory_end, "_COUNTERS", ())
    assert "without a word" in (status(home, job.id).error or "")


@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment_it_goes_on_and_nothing_is_lost(home: Home, seed: int, until: Until) -> None:
    chance = random.Random(seed)
    args = {"to": 60, "pause": 0.01}
    for _ in range(4):
        job = start(home, "count", **args)
        moment = time.monotonic() + chance.uniform(0, 0.6)
        until(lambda moment=moment: time.monotonic() > moment)  # type: ignore[misc]
        pid = read_json(job.folder / "launched.json")["pid"]
        if identities.start_time(pid) is not None:
            os.killpg(pid, signal.SIGKILL)
        wait(home, job.id, timeout=60)
    job = start(home, "count", **args)
    end = wait(home, job.id, timeout=60)
    assert (end.state, end.result["counted"]) == ("done", 60)
    assert (job.folder / "numbers.txt").read_text().split() == [str(n) for n in range(60)]


def test_keys_reach_only_the_kinds_that_need_them(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.jobs.kinds import KINDS, Kind, child_environment

    monkeypatch.setenv("SOME_API_KEY", "sk-not-a-real-key-000")
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    job = start(home, "environment")
    result = wait(home, job.id, timeout=60).result
    assert "SOME_API_KEY" not in result["names"]
    assert "TOKENIZERS_PARALLELISM" in result["names"]
    assert result["sid"] == result["pid"] != os.getsid(0)
    assert result["nan"] is None
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-a-real-key-001")
    assert "OPENAI_API_KEY" in child_environment(KINDS["generate"])
    assert "SOME_API_KEY" not in child_environment(KINDS["generate"])
    assert "OPENAI_API_KEY" not in child_environment(KINDS["train"])
    assert "SOME_API_KEY" not in child_environment(Kind("x:y"))
    with pytest.raises(UserError, match="SOME_API_KEY") as caught:
        start(home, "count", to=1, key="sk-not-a-real-key-000")
    assert "sk-not" not in str(caught.value)


def _as_process(job: Job, **changes: object) -> None:
    """Rewrite process.json as if another process had done the work, which has left no word."""
    (job.folder / "done.json").unlink()
    write_json(job.folder / "process.json", {**read_json(job.folder / "process.json"), **changes})


def test_another_hosts_job_is_unknown_never_dead(home: Home) -> None:
    job = start(home, "count", to=1)
    wait(home, job.id, timeout=60)
    _as_process(job, host="far-away")
    assert status(home, job.id).state == "running"
    old = time.time() - 2 * states.FRESH_SECONDS
    os.utime(job.folder / "heartbeat", (old, old))
    assert status(home, job.id).state == "unknown"
    assert "far-away" in (status(home, job.id).error or "")
    with pytest.raises(UserError, match="--anyway"):
        start(home, "count", to=1)
    assert stop(home, job.id, 0).state == "unknown"
    assert resume(home, job.id, anyway=True).attempt == 2
    assert wait(home, job.id, timeout=60).state == "done"


def test_a_reboot_and_a_pid_used_again_are_seen(home: Home) -> None:
    job = start(home, "count", to=1)
    wait(home, job.id, timeout=60)
    me = identities.identity()
    assert me is not None
    _as_process(job, pid=me.pid, start="1")
    assert status(home, job.id).state == "lost"
    write_json(job.folder / "process.json", {**me.as_dict(), "boot": "before", "attempt": 1, "at": 1.0})
    old = time.time() - 2 * states.FRESH_SECONDS
    os.utime(job.folder / "heartbeat", (old, old))
    assert "started anew" in (status(home, job.id).error or "")


def test_a_launcher_starts_the_command(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_LAUNCHER", "env LAUNCHED=yes {command}")
    job = start(home, "environment")
    assert "LAUNCHED" in wait(home, job.id, timeout=60).result["names"]


def test_a_launcher_that_refuses_is_a_failure(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_LAUNCHER", "sh -c 'echo no such partition >&2; exit 3' {command}")
    job = start(home, "count", to=1)
    end = wait(home, job.id, timeout=60)
    assert (end.state, end.error) == ("failed", "the launcher ended with code 3: no such partition")


def test_one_that_only_queues_leaves_it_queued_until_it_is_stopped(
    home: Home, monkeypatch: pytest.MonkeyPatch, until: Until
) -> None:
    monkeypatch.setenv("WORKBENCH_LAUNCHER", "echo submitted")
    job = start(home, "count", to=1)
    until(lambda: (job.folder / "launcher.1.exit").exists())
    assert status(home, job.id).state == "queued"
    assert start(home, "count", to=1).joined
    assert stop(home, job.id).state == "stopped"
    late = subprocess.run([sys.executable, "-P", "-m", "workbench.jobs.run", str(job.folder)], timeout=60)
    assert late.returncode == 0
    assert status(home, job.id).state == "stopped", "its turn came too late"
    again = start(home, "count", to=1)
    assert (again.joined, again.attempt) == (False, 2)
    subprocess.run([sys.executable, "-P", "-m", "workbench.jobs.run", str(job.folder)], timeout=60, check=True)
    assert status(home, job.id).state == "done"


def test_stopping_a_job_ends_the_launcher_that_waits_for_it(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_LAUNCHER", "tail -f /dev/null --")
    job = start(home, "count", to=1)
    assert stop(home, job.id).state == "stopped"
    who = read_identity(read_json(job.folder / "launched.json"))
    assert who is not None
    with contextlib.suppress(ChildProcessError):
        os.waitpid(who.pid, 0)
    assert not who.alive


def test_launcher_templates() -> None:
    command = ["python", "-m", "x", "a b"]
    assert launcher_command("srun -N1", command) == ["srun", "-N1", *command]
    assert launcher_command("srun {command} --end", command) == ["srun", *command, "--end"]
    assert launcher_command("sbatch --wrap={command}", command) == ["sbatch", "--wrap=python -m x 'a b'"]
    logged = launcher_command("sbatch --output={log} --wrap={command}", command, Path("/a b/log.txt"))
    assert logged == ["sbatch", "--output=/a b/log.txt", "--wrap=python -m x 'a b'"]
    with pytest.raises(UserError, match="cannot be read"):
        launcher_command("srun 'open", command)


def test_a_damaged_folder_is_listed_and_spoils_nothing(home: Home) -> None:
    job = start(home, "count", to=1)
    wait(home, job.id, timeout=60)
    (job.folder / "job.json").write_text("{")
    listed = jobs(home)
    assert [(j.id, j.state) for j in listed] == [(job.id, "lost")]
    with pytest.raises(UserError, match="damaged"):
        status(home, job.id)


def test_unknown_kinds_and_ids_are_refused(home: Home, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no kind of job"):
        launch(home, "dance", {}, "x")
    for wanted in ("", "../../etc", "zz", "\x1b[2J"):
        with pytest.raises(UserError, match="no job"):
            status(home, wanted)
    assert jobs(Home(tmp_path / "nowhere")) == []


def test_a_service_that_ended_is_started_anew(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.jobs.kinds import KINDS, Kind

    monkeypatch.setitem(KINDS, f"{WORK}:count", Kind(f"{WORK}:count", service=True))
    job = start(home, "count", to=1)
    wait(home, job.id, timeout=60)
    assert start(home, "count", to=1).attempt == 2
    assert wait(home, job.id, timeout=60).state == "done"


def test_job_files_are_plain_json(home: Home) -> None:
    job = start(home, "count", to=1)
    wait(home, job.id, timeout=60)
    spec = json.loads((job.folder / "job.json").read_text())
    assert (spec["kind"], spec["args"], spec["attempt"]) == (f"{WORK}:count", {"to": 1}, 1)
    assert not list(job.folder.glob("*.part"))


def test_progress_of_a_stage_that_is_over_is_not_shown(home: Home, until: Until) -> None:
    job = start(home, "wait_for_stop")
    until(lambda: status(home, job.id).state == "running")
    events = EventWriter(job.folder / "events.jsonl")
    events.append("progress", {"done": 9, "total": 9, "unit": "dialogues", "eta_s": 0.0})
    before = status(home, job.id)
    assert before.progress is not None
    assert (before.progress.done, before.eta_s) == (9, 0.0)
    events.append("stage", {"name": "training"})
    events.close()
    now = status(home, job.id)
    assert (now.stage, now.progress, now.eta_s) == ("training", None, None)
    stop(home, job.id)

"""What may be changed about a job while it runs, from another process, without making another job of it."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.jobs.test_jobs import Until, start
from workbench.cli.jobs import group
from workbench.errors import UserError
from workbench.home import Home
from workbench.jobs import Settings, change_job, launch, status, stop, tail_events, wait
from workbench.jobs.settings import change_settings, parse_concurrency, read_settings


def test_a_running_job_sees_what_is_changed(home: Home, until: Until) -> None:
    job = start(home, "follows_settings")
    until(lambda: any(e["type"] == "set" for e in tail_events(home, job.id)[0]))
    out = CliRunner().invoke(group, ["set", job.id[:6], "--concurrency", "7", "--pause", "--budget", "2.5"], obj=home)
    assert "concurrency 7, paused, budget $2.5" in out.output
    until(lambda: any(e.get("concurrency") == 7 for e in tail_events(home, job.id)[0]))
    stop(home, job.id)
    assert read_settings(job.folder) == Settings(7, True, 2.5)
    again = launch(home, job.kind, dict(job.args), job.title, settings={"budget": 3.0})
    assert (again.id, again.attempt) == (job.id, 2)
    assert read_settings(job.folder) == Settings(7, False, 3.0)  # begun again means going on
    launch(home, job.kind, dict(job.args), job.title, settings={"concurrency": 2})
    assert read_settings(job.folder).concurrency == 2
    stop(home, job.id)
    assert status(home, job.id).state == "stopped"


def test_show_and_errors(home: Home) -> None:
    job = start(home, "count", to=1)
    wait(home, job.id, timeout=60)
    shown = json.loads(CliRunner().invoke(group, ["set", job.id, "--json"], obj=home).output)
    assert shown == asdict(Settings())
    for wrong in ({"concurrency": 0}, {"budget": -1.0}, {"budget": float("nan")}):
        with pytest.raises(UserError):
            change_job(home, job.id, wrong)
    with pytest.raises(UserError, match="auto or a number"):
        parse_concurrency("many")


def test_a_damaged_file_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "settings.json").write_text('{"concurrency": "x", "budget": true, "paused": 1}')
    assert read_settings(tmp_path) == Settings()
    (tmp_path / "settings.json").write_text("[")
    assert read_settings(tmp_path) == Settings()
    assert change_settings(tmp_path, {"concurrency": 4}).concurrency == 4

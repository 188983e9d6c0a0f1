"""`workbench serve RUN --replicas 2` with real servers on a tiny model: one address, one death, one stop."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from workbench.cli.main import cli
from workbench.home import Home
from workbench.jobs import ENDED, jobs, status, stop
from workbench.jobs.launcher import reap
from workbench.models.client import ChatMessage, Request
from workbench.models.open import open_client

pytestmark = pytest.mark.long
ROOT = Path(__file__).parents[2]


def until(done: Callable[[], Any], seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < deadline, "never came true"
        time.sleep(0.05)
    return found


def words(home: Home, *args: str) -> Any:
    result = CliRunner().invoke(cli, ["--home", str(home.root.parent), *args])
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


async def test_replicas_answer_at_one_address_survive_a_death_and_end_together(
    tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    home = Home(tmp_path / "runs").make()
    started = words(home, "serve", str(model_folder), "--replicas", "2", "--json")
    assert started["engine"] == "light x2"
    (front,) = words(home, "serve", "list", "--json")
    assert front["url"] == started["url"]
    both = until(
        lambda: (
            (found := words(home, "serve", "list", "--json")[0])
            and all(r["status"] == "ok" for r in found["replicas"])
            and found["replicas"]
        )
    )
    assert len({r["url"] for r in both}) == 2

    client = open_client(f"local/{model_folder}", home)
    talk = (ChatMessage("system", "You are a travel agent."), ChatMessage("assistant", "Hi"))

    async def reply(customer: int) -> str:
        request = Request((*talk, ChatMessage("user", f"I am {customer}")), max_tokens=8)
        return (await client.complete(request)).text

    before = [await reply(number) for number in range(6)]
    served = {r["replica"]: r["served"] for r in words(home, "serve", "list", "--json")[0]["replicas"]}
    assert sum(served.values()) == 6
    assert min(served.values()) > 0

    os.kill(status(home, both[0]["job"]).pid or 0, signal.SIGKILL)
    assert [await reply(number) for number in range(6)] == before  # the same weights: elsewhere, but the same words
    until(lambda: words(home, "serve", "list", "--json")[0]["replicas"][0]["status"] == "ok")  # begun again
    await client.close()

    stop(home, started["job"])
    until(lambda: all(job.state in ENDED for job in jobs(home, "serve")))
    reap()


def test_replicas_end_with_their_front(tmp_path: Path, model_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    home = Home(tmp_path / "runs").make()
    started = words(home, "serve", str(model_folder), "--replicas", "2", "--json")
    until(lambda: len([job for job in jobs(home, "serve") if job.state == "running"]) == 3)
    os.kill(status(home, started["job"]).pid or 0, signal.SIGKILL)
    until(lambda: all(job.state in ENDED for job in jobs(home, "serve")))
    reap()

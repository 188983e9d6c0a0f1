"""Files as a power cut leaves them: ended at any byte. What was finished before is found again, and nothing raises."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.record import make_sample_record, sample_id, sample_scenario
from workbench.errors import UserError
from workbench.home import Home
from workbench.jobs import jobs, launch, status, wait
from workbench.jobs.settings import read_settings
from workbench.store import connect
from workbench.store.scenarios import put_scenarios, scenarios
from workbench.training import checkpoints


@pytest.fixture(scope="module")
def two_checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("checkpoints")
    for step in (5, 10):
        tensors = {"weights": {"w": torch.arange(8.0) + step}, "optimiser": {"m": torch.ones(3)}}
        checkpoints.save(folder, step, tensors, {"tokens": step}, keep=2)
    return folder


@pytest.mark.parametrize("name", ["weights.safetensors", "optimiser.safetensors", "state.json"])
def test_a_checkpoint_cut_at_any_byte_gives_way_to_the_one_before(
    two_checkpoints: Path, tmp_path: Path, name: str
) -> None:
    whole = (two_checkpoints / "step-000010" / name).read_bytes()
    for cut in range(len(whole)):
        folder = tmp_path / str(cut)
        shutil.copytree(two_checkpoints, folder)
        (folder / "step-000010" / name).write_bytes(whole[:cut])
        found = checkpoints.newest(folder)
        assert found is not None
        assert found.step == 5, cut
        shutil.rmtree(folder)


def test_a_checkpoint_without_one_of_its_files_is_passed_over(two_checkpoints: Path, tmp_path: Path) -> None:
    folder = tmp_path / "lost"
    shutil.copytree(two_checkpoints, folder)
    (folder / "step-000010" / "optimiser.safetensors").unlink()
    found = checkpoints.newest(folder)
    assert found is not None
    assert found.step == 5
    for step in (5, 10):
        (folder / f"step-{step:06d}" / "weights.safetensors").write_bytes(b"")
    assert checkpoints.newest(folder) is None


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Home, str]:
    """A home with a job that is done."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        home = Home(tmp_path_factory.mktemp("done") / "runs").make()
        job = launch(home, "tests.jobs.work:count", {"to": 3}, "count")
        wait(home, job.id, timeout=60)
    return home, job.id


FILES = ("job.json", "launched.json", "process.json", "done.json", "events.jsonl", "settings.json")


@given(name=st.sampled_from(FILES), share=st.floats(0, 1))
@settings(max_examples=80, deadline=None)
def test_a_job_folder_with_a_file_cut_anywhere_is_still_listed(
    finished: tuple[Home, str], name: str, share: float
) -> None:
    home, job = finished
    file = home.jobs / job / name
    if not file.exists():
        file.write_text(json.dumps({"concurrency": 4, "paused": True, "budget": 1.5, "batch": True}))
    whole = file.read_bytes()
    try:
        file.write_bytes(whole[: int(share * len(whole))])
        assert [found.id for found in jobs(home)] == [job]
        read_settings(file.parent)
        try:
            status(home, job)
        except UserError as error:
            assert name == "job.json" and "damaged" in str(error)  # noqa: PT017, PT018
    finally:
        file.write_bytes(whole)


def test_a_job_whose_own_file_was_lost_goes_on_by_the_same_command(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    first = launch(home, "tests.jobs.work:count", {"to": 3}, "count")
    wait(home, first.id, timeout=60)
    (first.folder / "job.json").write_text('{"kind": "tes')
    again = launch(home, first.kind, first.args, first.title)
    assert (again.id, again.attempt) == (first.id, 2)
    assert wait(home, first.id, timeout=60).state == "done"


def test_the_record_loses_no_more_than_its_last_moments(home: Home, tmp_path: Path) -> None:
    """The write-ahead log cut at any place: the record opens, is sound, and holds the transactions up to there."""
    with make_sample_record(home) as rec:
        first = len(scenarios(rec))
        rec.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for number in range(12):  # a transaction each
            put_scenarios(rec, [replace(sample_scenario(number), id=sample_id("cut", number))])
        log = home.database.with_name(home.database.name + "-wal").read_bytes()
        base = home.database.read_bytes()
    held = []
    rng = random.Random(5)
    for number, cut in enumerate(sorted([0, len(log), *(rng.randrange(len(log)) for _ in range(40))])):
        there = Home(tmp_path / str(number)).make()
        there.database.write_bytes(base)
        there.database.with_name(there.database.name + "-wal").write_bytes(log[:cut])
        with connect(there) as rec:
            assert rec.query("PRAGMA integrity_check")[0][0] == "ok"
            held.append(len(scenarios(rec)))
    assert held == sorted(held)
    assert (held[0], held[-1]) == (first, first + 12)

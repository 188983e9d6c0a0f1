"""The shipped recording: played at a high speed it leaves the home of the run it was made from, without any model."""

from __future__ import annotations

import json
import re
import zipfile
from importlib.resources import as_file, files
from pathlib import Path

import pytest
from click.testing import CliRunner

from workbench.cli.main import cli
from workbench.demo.recording import SHIPPED, read_recording
from workbench.demo.replay import Player, length
from workbench.errors import UserError
from workbench.home import Home
from workbench.jobs import jobs, tail_events
from workbench.store import connect
from workbench.store.chats import chats
from workbench.store.comparisons import comparisons
from workbench.store.runs import runs


def test_a_replay_ends_with_the_record_of_the_run(tmp_path: Path) -> None:
    recording, home = read_recording(), Home(tmp_path / "runs")
    player = Player(recording, home, speed=60.0)
    player.begin()
    started = {j.id: j.state for j in jobs(home)}
    assert started == {recording.demo.id: "running"}
    player.run()
    with connect(home, readonly=True) as rec:
        assert [row.status for row in runs(rec)] == ["done"]
        (comparison,) = comparisons(rec)
        assert comparison.status == "done"
        assert comparison.summary
        for table, rows in recording.rows.items():
            assert len(rec.query(f"SELECT 1 FROM {table}")) == len(rows), table
        assert {c.job for c in chats(rec)} == {talk.id for talk in recording.chats}
    assert {j.state for j in jobs(home)} == {"done"}
    told, _ = tail_events(home, recording.demo.id)
    names = [e["name"] for e in told if e["type"] == "stage" and e["state"] == "done"]
    assert names[0] == "workflow"
    assert names[-1] == "chat"


def test_progress_tells_the_time_that_is_left_of_the_replay() -> None:
    recording = read_recording()
    player = Player(recording, Home(Path("nowhere")), speed=2.0)
    training = next(j for j in recording.stages if j.job["kind"] == "train")
    told = [e for e in training.events if e.get("eta_s")]
    left = [player._left(e)["eta_s"] for e in told]
    assert max(left) < length(2.0) < max(e["eta_s"] for e in told)


def test_it_takes_three_minutes_and_any_speed() -> None:
    assert 170 <= length(1.0) <= 190
    assert length(2.0) == length(1.0) / 2


def test_the_recording_is_small_and_names_no_place_of_the_machine_it_was_made_on() -> None:
    with as_file(files("workbench.demo") / SHIPPED) as file:
        assert file.stat().st_size < 1_000_000
        with zipfile.ZipFile(file) as zip_:
            for name in zip_.namelist():
                text = zip_.read(name).decode()
                assert not re.search(r"/(tmp|home|root|work|usr|var)/", text), name


def test_the_command_plays_it_in_plain_text(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["--home", str(tmp_path), "demo", "--replay", "--speed", "100", "--json"])
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout[result.stdout.index("{") :])
    assert data["replay"].startswith("REPLAY of a run of ")
    assert data["agents"]
    assert not (tmp_path / "runs").exists()


def test_a_file_that_is_no_recording_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    file.write_text("nothing")
    with pytest.raises(UserError, match="no recording"):
        read_recording(file)

"""Who may read a home: its owner, or the group it is shared with; all that is made later takes after it."""

from __future__ import annotations

import grp
import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.fakes.record import make_sample_record, sample_dialogue
from workbench.cli.doctor import examine
from workbench.cli.main import cli
from workbench.dialogue.reviewing import decide
from workbench.home import Home
from workbench.jobs import launch, wait
from workbench.sharing import access, set_access
from workbench.store import connect
from workbench.store.reviews import reviews
from workbench.tui import state as states

ROOT = Path(__file__).parents[2]
GROUP = 54_321
PEOPLE = (54_001, 54_002)


@pytest.fixture(params=[0o000, 0o022, 0o077])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """Whatever the shell's umask is."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(home: Home) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {"files": set(), "folders": set()}
    for parent, _, files in os.walk(home.root):
        found["folders"].add(stat.S_IMODE(Path(parent).stat().st_mode))
        found["files"] |= {stat.S_IMODE((Path(parent) / name).lstat().st_mode) for name in files}
    return found


def fill(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make one of everything: a record that is open (with its side files), a job, the app's memory."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    job = launch(home, "tests.jobs.work:count", {"to": 3}, "count")
    assert wait(home, job.id, timeout=60).state == "done"
    states.save(home.state / "tui.json", states.AppState())


def test_everything_is_private(tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path / "runs").make()
    with make_sample_record(home):
        fill(home, monkeypatch)
        assert home.database.with_name("workbench.db-wal").exists()
        assert modes(home) == {"files": {0o600}, "folders": {0o700}}
    assert not access(home).shared


def test_a_shared_home_stays_shared(tmp_path: Path, umask: int, monkeypatch: pytest.MonkeyPatch) -> None:
    home = Home(tmp_path / "runs").make()
    with make_sample_record(home):
        assert set_access(home, None).changed > 4
    with connect(home) as rec:  # new side files
        fill(home, monkeypatch)
        rec.execute("UPDATE dialogues SET status = status")
        assert home.database.with_name("workbench.db-wal").exists()
        assert modes(home) == {"files": {0o660}, "folders": {0o2770}}
        found = access(home)
        assert (found.shared, found.others, found.closed) == (True, (), ())
        set_access(home, None, private=True)
        assert modes(home) == {"files": {0o600}, "folders": {0o700}}


def wd043(home: Home) -> tuple[str, str]:
    return next((f.status, f.value) for f in examine(home) if f.code == "WD043")


def test_the_command_and_what_doctor_says(home: Home) -> None:
    make_sample_record(home).close()
    group = grp.getgrgid(os.getgid()).gr_name

    def run(*words: str) -> str:
        done = CliRunner().invoke(cli, ["--home", str(home.root.parent), "share", *words])
        assert done.exit_code == 0, done.output
        return done.output

    assert wd043(home) == ("ok", "its owner alone")
    assert f"shared with the group {group}" in run("--group", group)
    assert wd043(home) == ("ok", f"shared with the group {group}")
    home.database.chmod(0o600)
    status, value = wd043(home)
    assert status == "warning"
    assert "closed to the group" in value
    home.database.chmod(0o666)
    assert "open to more people" in wd043(home)[1]
    assert json.loads(run("--private", "--json"))["changed"] > 0
    assert wd043(home) == ("ok", "its owner alone")
    refused = CliRunner().invoke(cli, ["--home", str(home.root.parent), "share", "--group", "no such group"])
    assert refused.exit_code == 2
    assert "no group" in refused.output


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as two people")
@pytest.mark.parametrize("mode", [0o1777, 0o775, 0o770], ids=["like /tmp", "umask 002", "a group's"])
def test_a_home_is_private_wherever_it_is_made(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(mode)
    home = Home(tmp_path / "runs").make()
    connect(home).close()
    assert not home.shared
    assert modes(home) == {"files": {0o600}, "folders": {0o700}}


def test_two_people_of_a_group_review_one_record(tmp_path: Path) -> None:
    """Each opens, reviews, checkpoints and leaves as an own user; whoever is last removes the side files of the other."""
    home = Home(tmp_path / "runs").make()
    make_sample_record(home).close()
    set_access(home, str(GROUP))
    for parent in [tmp_path, *tmp_path.parents]:  # reachable, as a folder for several people is
        if parent.stat().st_mode & 0o001 == 0:
            parent.chmod(parent.stat().st_mode | 0o011)

    def as_person(uid: int, name: str, number: int) -> int:
        """In a process of its own; its exit code."""
        child = os.fork()
        if child:
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        code = 1
        try:
            os.setgroups([GROUP])
            os.setgid(uid)
            os.setuid(uid)
            os.umask(0o022)
            with connect(home) as rec:
                decide(rec, "dialogue", sample_dialogue(number).id, name, "flag", note=f"from {name}")
                rec.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                job = home.jobs / ("ab" * 8)
                states.make_folder(job)
                os.close(states.open_private(job / f"{name}.txt", os.O_WRONLY))
                code = 0
        finally:
            os._exit(code)

    for number in range(3):
        for uid, name in zip(PEOPLE, ("ann", "bob"), strict=True):
            assert as_person(uid, name, number) == 0
    with connect(home) as rec:
        assert sorted({r.reviewer for r in reviews(rec) if r.note.startswith("from ")}) == ["ann", "bob"]
        assert sum(r.note.startswith("from ") for r in reviews(rec)) == 6
    assert modes(home) == {"files": {0o660}, "folders": {0o2770}}
    stranger = os.fork()
    if not stranger:
        os.setgroups([])
        os.setgid(54_999)
        os.setuid(54_999)
        os._exit(int(os.access(home.root, os.R_OK) or os.access(home.database, os.R_OK)))
    assert os.waitstatus_to_exitcode(os.waitpid(stranger, 0)[1]) == 0

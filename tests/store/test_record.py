from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from workbench.cli import screen
from workbench.errors import UserError
from workbench.home import Home
from workbench.store import connect, locality, migrations, record
from workbench.store.job_index import job_rows, put_jobs
from workbench.store.rows import JobRow


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "runs")


def test_the_file_and_its_companions_are_private(home: Home) -> None:
    old = os.umask(0)
    try:
        with connect(home) as rec:
            put_jobs(rec, [JobRow("a", "train", "jobs/a", "A")])
            files = [home.database, Path(f"{home.database}-wal"), Path(f"{home.database}-shm")]
            assert [stat.S_IMODE(f.stat().st_mode) for f in files] == [0o600] * 3
    finally:
        os.umask(old)


def test_local_disks_get_the_write_ahead_log(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "is_network", lambda folder: False)
    with connect(home) as rec:
        assert rec.query("PRAGMA journal_mode")[0][0] == "wal"
        assert rec.query("PRAGMA foreign_keys")[0][0] == 1


def test_network_disks_get_a_rollback_journal_even_for_a_file_made_elsewhere(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(home).close()
    monkeypatch.setattr(record, "is_network", lambda folder: True)
    with connect(home) as rec:
        put_jobs(rec, [JobRow("a", "train", "jobs/a", "A")])
        assert rec.query("PRAGMA journal_mode")[0][0] == "delete"


@pytest.mark.parametrize(
    ("point", "kind", "expected"),
    [
        ("/home", "nfs4", True),
        ("/home", "ext4", False),
        ("/home/me", "fuse.sshfs", True),
        ("/home", "fuse.overlayfs", False),
        ("/scratch", "lustre", False),
    ],
)
def test_the_longest_mount_decides(monkeypatch: pytest.MonkeyPatch, point: str, kind: str, expected: bool) -> None:
    monkeypatch.setattr(locality, "_mounts", lambda: [("/", "ext4"), (point, kind)])
    locality.is_network.cache_clear()
    assert locality.is_network(Path("/home/me/runs")) is expected
    locality.is_network.cache_clear()


def test_reading_connections_cannot_write_and_see_new_data(home: Home) -> None:
    with connect(home, readonly=True) as reader, connect(home) as writer:
        before = reader.data_version()
        put_jobs(writer, [JobRow("a", "train", "jobs/a", "A", 1.0)])
        assert reader.data_version() != before
        assert job_rows(reader) == [JobRow("a", "train", "jobs/a", "A", 1.0)]
        with pytest.raises(UserError, match="readonly"):
            put_jobs(reader, [JobRow("b", "train", "jobs/b", "B")])


def test_a_failed_transaction_leaves_nothing(home: Home) -> None:
    with connect(home) as rec:
        with pytest.raises(ZeroDivisionError):
            put_jobs(rec, (JobRow("a", "train", "jobs/a", "A", 1 / n) for n in (2, 1, 0)))
        with pytest.raises(ZeroDivisionError), rec.write():
            put_jobs(rec, [JobRow(str(1 / n), "train", "f", "t") for n in (1, 0)])
        assert job_rows(rec) == []
        put_jobs(rec, [JobRow("b", "train", "jobs/b", "B")])
        assert [j.id for j in job_rows(rec)] == ["b"]


def test_a_newer_record_is_refused(home: Home) -> None:
    with connect(home) as rec:
        rec.connection.execute("PRAGMA user_version = 99")
    for readonly in (False, True):
        with pytest.raises(UserError, match="newer workbench"):
            connect(home, readonly=readonly)


def test_a_file_that_is_no_record_is_refused_in_one_line(home: Home) -> None:
    home.make()
    home.database.write_bytes(b"not a database at all" * 100)
    with pytest.raises(UserError, match="no SQLite file") as caught:
        connect(home)
    assert "\n" not in str(caught.value)


def test_a_migration_keeps_a_copy_and_the_data(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect(home) as rec:
        put_jobs(rec, [JobRow("a", "train", "jobs/a", "A", 1.0)])
    steps = (*migrations.scripts(), "ALTER TABLE jobs ADD COLUMN extra TEXT;")
    monkeypatch.setattr(migrations, "scripts", lambda: steps)
    with connect(home) as rec:
        assert migrations.version(rec.connection) == len(steps)
        assert rec.query("SELECT id, extra FROM jobs")[0]["extra"] is None
    copy = home.database.with_name(f"workbench.db.v{len(steps) - 1}.bak")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    kept = sqlite3.connect(copy)
    assert kept.execute("SELECT id FROM jobs").fetchall() == [("a",)]
    assert kept.execute("PRAGMA user_version").fetchone()[0] == len(steps) - 1
    kept.close()


def test_the_migration_of_a_large_record_is_announced_before_the_app_draws(
    home: Home, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connect(home).close()
    steps = (*migrations.scripts(), "ALTER TABLE jobs ADD COLUMN extra TEXT;")
    monkeypatch.setattr(migrations, "scripts", lambda: steps)
    monkeypatch.setattr(screen, "why_not", lambda: None)
    said = list[str]()
    app = SimpleNamespace(run=lambda *_, **__: said.extend(caplog.messages) or 7)
    monkeypatch.setitem(sys.modules, "workbench.tui.app", app)
    assert screen.open_app(home) == 7
    assert said == []  # a small one is brought up to date by whoever reads first
    for module in (migrations, screen):
        monkeypatch.setattr(module, "LARGE_RECORD", 0)
    assert screen.open_app(home) == 7
    (line,) = said
    assert f"version {len(steps) - 1} to {len(steps)}" in line
    with connect(home) as rec:
        assert migrations.version(rec.connection) == len(steps)
    assert len(caplog.messages) == 1


def test_a_migration_that_fails_half_way_changes_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(home).close()
    good = migrations.scripts()
    monkeypatch.setattr(
        migrations, "scripts", lambda: (*good, "CREATE TABLE half (a); INSERT INTO nowhere VALUES (1);")
    )
    with pytest.raises(sqlite3.OperationalError):
        connect(home)
    monkeypatch.setattr(migrations, "scripts", lambda: good)
    with connect(home) as rec:
        assert migrations.version(rec.connection) == len(good)
        assert not rec.query("SELECT 1 FROM sqlite_master WHERE name = 'half'")


def test_a_full_disk_is_one_clear_line(home: Home) -> None:
    with connect(home) as rec:
        pages = rec.query("PRAGMA page_count")[0][0]
        rec.connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(UserError, match="is full"):
            put_jobs(rec, [JobRow(str(n), "train", "x" * 4000, "A") for n in range(100)])
        assert job_rows(rec) == []


_WRITER = """
import sys
from pathlib import Path
from types import SimpleNamespace
from workbench.home import Home
from workbench.store import connect
from workbench.store.rows import JobRow
from workbench.store.job_index import put_jobs
home, name = Home(Path(sys.argv[1])), sys.argv[2]
for n in range(60):
    with connect(home) as rec:
        put_jobs(rec, [JobRow(f"{name}-{n}-{i}", "train", "f", "t") for i in range(5)])
"""


def test_many_processes_write_a_new_record_at_once(home: Home) -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", _WRITER, str(home.root), str(n)], stderr=subprocess.PIPE, text=True)
        for n in range(6)
    ]
    for writer in writers:
        _, errors = writer.communicate(timeout=120)
        assert writer.returncode == 0, errors
    with connect(home) as rec:
        assert len(job_rows(rec)) == 6 * 60 * 5


def test_threads_open_their_own_connections(home: Home) -> None:
    faults: list[BaseException] = []

    def work(name: int) -> None:
        try:
            for n in range(30):
                with connect(home) as rec:
                    put_jobs(rec, [JobRow(f"{name}-{n}", "train", "f", "t")])
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
    with connect(home) as rec:
        assert len(job_rows(rec)) == 240

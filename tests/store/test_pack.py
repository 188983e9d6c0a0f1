from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.record import WORKFLOW, make_sample_record, sample_dialogue, sample_id
from workbench.errors import UserError
from workbench.home import Home
from workbench.store import Record, connect, migrations, progress
from workbench.store.carry import TABLES, Selection
from workbench.store.comparisons import set_comparison
from workbench.store.conversations import get_conversation, put_conversation
from workbench.store.dialogues import DialogueFilter, dialogue_rowids, get_dialogue
from workbench.store.pack import Carried, pack, unpack
from workbench.store.reviews import put_reviews, reviews
from workbench.store.rows import MessageRow, ReviewRow
from workbench.store.runs import get_run

NEWEST = f'"record": {len(migrations.scripts())}'.encode()
JOB = sample_id("job")


def idle(job_id: str) -> bool:
    return False


def everything(rec: Record) -> dict[str, list[dict[str, object]]]:
    rows = {table: [dict(row) for row in rec.query(f"SELECT * FROM {table}")] for table in TABLES}
    for table in rows.values():
        for row in table:
            row.pop("rowid", None)
        table.sort(key=str)
    return rows


@pytest.fixture
def rec(home: Home) -> Record:
    folder = home.jobs / JOB
    (folder / "best").mkdir(parents=True)
    (folder / "checkpoints").mkdir()
    job = {"kind": "train", "title": "t", "args": {}, "created": 1.0, "attempt": 1, "command": ["rm"], "cwd": "/x"}
    (folder / "job.json").write_text(json.dumps(job))
    (folder / "done.json").write_text('{"attempt": 1, "state": "done"}')
    (folder / "process.json").write_text("{}")
    (folder / "best" / "model.safetensors").write_bytes(bytes(range(256)) * 100)
    (folder / "checkpoints" / "state.pt").write_bytes(b"large")
    (folder / "link").symlink_to("/etc/passwd")
    return make_sample_record(home)


@pytest.fixture
def there(tmp_path: Path) -> Home:
    return Home(tmp_path / "there")


def test_everything_arrives_with_the_same_ids(rec: Record, home: Home, there: Home, tmp_path: Path) -> None:
    file = tmp_path / "all.zip"
    made = pack(rec, home, file, Selection(), busy=idle)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert made.jobs == (JOB,)
    with connect(there) as other:
        assert unpack(other, there, file) == made
        assert everything(other) == everything(rec)
        assert len(dialogue_rowids(other, DialogueFilter(text="kyoto"))) == 4
        again = unpack(other, there, file)
        assert (sum(again.rows.values()), again.jobs, again.kept) == (0, (), (JOB,))
    arrived = sorted(f.relative_to(there.jobs / JOB).as_posix() for f in (there.jobs / JOB).rglob("*") if f.is_file())
    assert arrived == ["best/model.safetensors", "done.json", "job.json"]
    weights = there.jobs / JOB / "best" / "model.safetensors"
    assert weights.read_bytes() == (home.jobs / JOB / "best" / "model.safetensors").read_bytes()
    assert json.loads((there.jobs / JOB / "job.json").read_text())["command"] is None
    assert not list(there.jobs.glob(".unpack-*"))


def test_a_selection_brings_what_it_refers_to_and_no_more(rec: Record, home: Home, there: Home, tmp_path: Path) -> None:
    file = tmp_path / "run.zip"
    made = pack(rec, home, file, Selection(runs=frozenset({sample_id("run")})), busy=idle, checkpoints=True)
    assert made.rows["comparisons"] == made.rows["conversations"] == made.rows["verdicts"] == 0
    assert (made.rows["runs"], made.rows["datasets"], made.rows["dialogues"], made.rows["reviews"]) == (1, 1, 11, 6)
    with connect(there) as other:
        unpack(other, there, file)
        assert get_run(other, sample_id("run")) == get_run(rec, sample_id("run"))
        assert get_dialogue(other, sample_dialogue(6).id) is None
    assert (there.jobs / JOB / "checkpoints" / "state.pt").read_bytes() == b"large"


def test_half_done_reviews_of_two_people_come_together(rec: Record, home: Home, there: Home, tmp_path: Path) -> None:
    out, back = tmp_path / "out.zip", tmp_path / "back.zip"
    pack(rec, home, out, Selection(workflows=frozenset({WORKFLOW})), busy=idle)
    first = sample_dialogue(0).id
    with connect(there) as other:
        unpack(other, there, out)
        put_reviews(other, [ReviewRow("bobs", first, "bob", "flag")])
        put_reviews(rec, [ReviewRow("anns", first, "ann", "pass")])
        pack(other, there, back, Selection(), busy=idle)
    assert unpack(rec, home, back).rows["reviews"] == 1
    assert {r.id for r in reviews(rec, first)} >= {"bobs", "anns"}


def test_finished_work_replaces_unfinished_and_never_the_other_way(
    rec: Record, home: Home, there: Home, tmp_path: Path
) -> None:
    early, late = tmp_path / "early.zip", tmp_path / "late.zip"
    set_comparison(rec, sample_id("comparison"), "running")
    pack(rec, home, early, Selection(), busy=idle)
    with connect(there) as other:
        unpack(other, there, early)
        found = get_conversation(other, sample_id("live"))
        assert found is not None
        row, spoken = found
        done = [*spoken, MessageRow("user", "Bye", created=1.0), MessageRow("agent", "Bye", created=2.0)]
        put_conversation(other, replace(row, status="done"), done)
        set_comparison(other, sample_id("comparison"), "done", {"n": 4})
        pack(other, there, late, Selection(), busy=idle)
        assert unpack(other, there, early).rows["conversations"] == 0
    put_conversation(rec, row, [*spoken, MessageRow("user", "something else"), *spoken, *spoken])
    assert unpack(rec, home, late).rows["conversations"] == 1
    arrived = get_conversation(rec, sample_id("live"))
    assert arrived is not None
    assert (arrived[0].status, arrived[1]) == ("done", done)


def test_a_running_job_is_not_packed(rec: Record, home: Home, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="still runs"):
        pack(rec, home, tmp_path / "x.zip", Selection(), busy=lambda job: True)
    assert not list(tmp_path.glob("x.zip*"))


def _rewritten(source: Path, target: Path, change: Callable[[str, bytes], tuple[str, bytes] | None]) -> None:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for info in old.infolist():
            changed = change(info.filename, old.read(info))
            if changed:
                new.writestr(*changed)


def _escape(name: str, data: bytes) -> tuple[str, bytes]:
    escaped = name.replace("best/model", "../../../model")
    return escaped, data.replace(b"best/model", b"../../../model")


def _extra(name: str, data: bytes) -> tuple[str, bytes]:
    return (f"jobs/{JOB}/process.json", data) if name.endswith("done.json") else (name, data)


def _flipped(name: str, data: bytes) -> tuple[str, bytes]:
    return (name, bytes([data[0] ^ 1]) + data[1:]) if name.endswith("safetensors") else (name, data)


def _lost_row(name: str, data: bytes) -> tuple[str, bytes]:
    return (name, data.replace(b"Oslo", b"Rome")) if name == "rows/messages.jsonl" else (name, data)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_escape, "should not be there"),
        (_extra, "should not be there"),
        (_flipped, "damaged"),
        (_lost_row, "damaged"),
        (lambda name, data: None if name == "manifest.json" else (name, data), "no pack"),
        (lambda name, data: (name, b"[]") if name == "manifest.json" else (name, data), "cannot be read"),
        (lambda name, data: (name, data.replace(b'"format": 1', b'"format": 9')), "or a newer one"),
        (lambda name, data: (name, data.replace(NEWEST, b'"record": 99')), "or a newer one"),
        (lambda name, data: None if name.endswith("safetensors") else (name, data), "damaged"),
    ],
)
def test_tampered_packs_are_refused_and_leave_nothing(
    rec: Record,
    home: Home,
    there: Home,
    tmp_path: Path,
    change: Callable[[str, bytes], tuple[str, bytes] | None],
    said: str,
) -> None:
    pack(rec, home, tmp_path / "good.zip", Selection(), busy=idle)
    _rewritten(tmp_path / "good.zip", tmp_path / "bad.zip", change)
    with connect(there) as other:
        with pytest.raises(UserError, match=said):
            unpack(other, there, tmp_path / "bad.zip")
        assert all(not rows for rows in everything(other).values())
    assert list(there.jobs.iterdir()) == []
    assert not (tmp_path / "model.safetensors").exists()


def test_a_pack_of_an_older_record_is_taken_in(rec: Record, home: Home, there: Home, tmp_path: Path) -> None:
    """Archives outlive versions: what fits the tables is taken; what does not is refused by its columns."""

    def older(name: str, data: bytes) -> tuple[str, bytes]:
        return (name, data.replace(NEWEST, b'"record": 1')) if name == "manifest.json" else (name, data)

    made = pack(rec, home, tmp_path / "good.zip", Selection(), busy=idle)
    _rewritten(tmp_path / "good.zip", tmp_path / "old.zip", older)
    with connect(there) as other:
        assert unpack(other, there, tmp_path / "old.zip").rows == made.rows
        assert everything(other) == everything(rec)


def test_packing_and_unpacking_say_how_far_they_are(
    rec: Record, home: Home, there: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_OFTEN", 1)
    for parquet in (False, True):
        file, out, back = tmp_path / f"{parquet}.zip", list[tuple[int, int]](), list[tuple[int, int]]()
        made = pack(rec, home, file, Selection(), busy=idle, parquet=parquet, told=lambda *far: out.append(far))  # noqa: B023
        with connect(there) as other:
            unpack(other, there, file, told=lambda *far: back.append(far))  # noqa: B023
        total = sum(made.rows.values())
        assert out == back == [(done, total) for done in range(total)]


def test_links_and_jobs_with_functions_of_their_own_are_refused(
    rec: Record, home: Home, there: Home, tmp_path: Path
) -> None:
    job = home.jobs / JOB / "job.json"
    job.write_text(job.read_text().replace('"train"', '"os:system"'))
    pack(rec, home, tmp_path / "kind.zip", Selection(), busy=idle)
    with connect(there) as other, pytest.raises(UserError, match="no kind of job"):
        unpack(other, there, tmp_path / "kind.zip")
    with zipfile.ZipFile(tmp_path / "kind.zip") as old, zipfile.ZipFile(tmp_path / "link.zip", "w") as new:
        for info in old.infolist():
            if info.filename.endswith("done.json"):
                info.external_attr = (stat.S_IFLNK | 0o777) << 16
            new.writestr(info, old.read(info.filename))
    with connect(there) as other, pytest.raises(UserError, match="should not be there"):
        unpack(other, there, tmp_path / "link.zip")


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x05\x06" + bytes(18)])
def test_other_files_are_refused(there: Home, tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "other"
    file.write_bytes(content)
    with connect(there) as other:
        with pytest.raises(UserError, match="no pack"):
            unpack(other, there, file)
        with pytest.raises(UserError, match="no file"):
            unpack(other, there, tmp_path / "none.zip")


def test_an_empty_record_makes_an_empty_pack(home: Home, there: Home, tmp_path: Path) -> None:
    with connect(home) as empty, connect(there) as other:
        made = pack(empty, home, tmp_path / "empty.zip", Selection(), busy=idle)
        assert unpack(other, there, tmp_path / "empty.zip") == made == Carried(dict.fromkeys(TABLES, 0), (), made.bytes)

"""Packs from strangers: whatever is wrong with one, a line says so and nothing outside the jobs folder is touched."""

from __future__ import annotations

import json
import random
import zipfile
from pathlib import Path

import pytest

from tests.fakes.record import make_sample_record, sample_id
from tests.store.test_pack import everything, idle
from workbench.errors import UserError
from workbench.home import Home
from workbench.store import Record, connect
from workbench.store.carry import Selection
from workbench.store.pack import pack, unpack

JOB = sample_id("job")


def make_job(home: Home) -> None:
    folder = home.jobs / JOB
    (folder / "best").mkdir(parents=True)
    job = {"kind": "train", "title": "t", "args": {}, "created": 1.0, "attempt": 1, "command": None, "cwd": ""}
    (folder / "job.json").write_text(json.dumps(job))
    (folder / "best" / "model.safetensors").write_bytes(bytes(range(256)) * 20)


@pytest.fixture
def there(tmp_path: Path) -> Home:
    return Home(tmp_path / "there").make()


@pytest.fixture
def packed(home: Home, tmp_path: Path) -> Path:
    with make_sample_record(home) as rec:
        make_job(home)
        pack(rec, home, tmp_path / "good.zip", Selection(), busy=idle)
    return tmp_path / "good.zip"


def refusal(rec: Record, home: Home, file: Path) -> str | None:
    """Why the pack is not taken in; None if it was."""
    try:
        unpack(rec, home, file)
    except UserError as error:
        return str(error)
    return None


def test_a_pack_damaged_anywhere_is_refused_in_one_line(packed: Path, there: Home) -> None:
    whole, rng = packed.read_bytes(), random.Random(3)
    bad = packed.with_name("bad.zip")
    refused = 0
    with connect(there) as rec:
        before = everything(rec)
        for _ in range(150):
            data = bytearray(whole)
            for _ in range(rng.choice((1, 4, 40))):
                data[rng.randrange(len(data))] = rng.randrange(256)
            bad.write_bytes(bytes(data[: rng.choice((len(data), rng.randrange(len(data))))]))
            line = refusal(rec, there, bad)
            if line is None:
                break  # what was changed was of no meaning: nothing more can be said after it is in
            refused += 1
            assert "\n" not in line
            assert everything(rec) == before
    assert refused > 10


def rewritten(source: Path, member: str, old: str, new: str) -> Path:
    """The pack with a text changed in one member, its hash and size made right again."""
    import hashlib

    target = source.with_name("rewritten.zip")
    with zipfile.ZipFile(source) as zip_:
        members = {name: zip_.read(name) for name in zip_.namelist()}
    assert old.encode() in members[member]
    members[member] = members[member].replace(old.encode(), new.encode())
    manifest = json.loads(members.pop("manifest.json"))
    manifest["members"][member] = {
        "sha256": hashlib.sha256(members[member]).hexdigest(),
        "size": len(members[member]),
    }
    with zipfile.ZipFile(target, "w") as zip_:
        for name, data in members.items():
            zip_.writestr(name, data)
        zip_.writestr("manifest.json", json.dumps(manifest))
    return target


@pytest.mark.parametrize("place", ["../../victim", "/etc", "..", ".", "a/b", "x" * 16, ""])
def test_a_run_that_names_another_folder_is_refused(packed: Path, there: Home, place: str) -> None:
    """`train delete` removes the folder that a run names."""
    bad = rewritten(packed, "rows/runs.jsonl", json.dumps(JOB), json.dumps(place))
    with connect(there) as rec, pytest.raises(UserError, match="refused"):
        unpack(rec, there, bad)


def test_a_job_that_names_code_of_its_own_is_refused(packed: Path, there: Home) -> None:
    bad = rewritten(packed, f"jobs/{JOB}/job.json", '"args": {}', '"args": {"probe": "os:system"}')
    with connect(there) as rec, pytest.raises(UserError, match="code of its own"):
        unpack(rec, there, bad)


def test_a_servers_token_is_not_packed(home: Home, tmp_path: Path) -> None:
    with make_sample_record(home) as rec:
        make_job(home)
        (home.jobs / JOB / "token").write_text("open sesame")
        pack(rec, home, tmp_path / "x.zip", Selection(), busy=idle)
    assert not [name for name in zipfile.ZipFile(tmp_path / "x.zip").namelist() if name.endswith("token")]

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner, Result

from tests.fakes.record import make_sample_record
from workbench.cli import follow
from workbench.cli.pack import pack, prune, unpack
from workbench.home import Home
from workbench.jobs import pace


def run(command: click.Command, home: Home, *words: str) -> Result:
    return CliRunner().invoke(command, words, obj=home)


def test_pack_and_unpack(home: Home, tmp_path: Path) -> None:
    make_sample_record(home).close()
    file, there = str(tmp_path / "all.zip"), Home(tmp_path / "there").make()
    made = json.loads(run(pack, home, file, "--run", "sample-run", "--json").output)
    assert made["rows"]["runs"] == 1
    refused = run(pack, home, file)
    assert "--force" in str(refused.exception)
    assert "dialogues" in run(pack, home, file, "--force").output
    taken = run(unpack, there, file)
    assert "12  dialogues" in taken.output
    assert "nothing" in run(unpack, there, file).output
    assert "no comparison" in str(run(pack, home, file, "--force", "--comparison", "nonesuch").exception)


def test_prune_shows_and_deletes(home: Home) -> None:
    remains = home.root / "x.part"
    remains.write_bytes(bytes(5000))
    import os

    os.utime(remains, (1, 1))
    assert "would go" in run(prune, home, "--dry-run").output
    assert remains.exists()
    assert [item["job_id"] for item in json.loads(run(prune, home, "--json").output)] == [""]
    assert not remains.exists()
    assert run(prune, home).output == "Nothing to delete.\n"


def test_work_in_this_process_says_how_far_it_is_and_for_how_long_yet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    for module in (follow, pace):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(follow, "PLAIN_SECONDS", 0.0)
    with follow.progress_line("rows", quiet=False) as told:
        for second, done, total in (
            (0, 0, 10),
            (60, 0, 1000),
            (70, 100, 1000),
            (80, 500, 1000),
            (90, 1, 8),
            (92, 2, 8),
        ):
            now[0] = 100.0 + second
            told(done, total)
    assert capsys.readouterr().err.splitlines() == [  # the first second says nothing; another total begins anew
        "        0% 0/1,000 rows, ? left",
        "       10% 100/1,000 rows, 1 min 30 s left",
        "       50% 500/1,000 rows, 20 s left",
        "       12% 1/8 rows, ? left",
        "       25% 2/8 rows, 12 s left",
    ]
    with follow.progress_line("rows", quiet=True) as told:
        told(5, 10)
    assert capsys.readouterr().err == ""

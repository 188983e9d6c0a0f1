from __future__ import annotations

import json
from pathlib import Path

import click
from click.testing import CliRunner, Result

from tests.fakes.record import make_sample_record
from workbench.cli.pack import pack, prune, unpack
from workbench.home import Home


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

"""Parquet packs, and messages that lie outside SQLite."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.fakes.record import make_sample_record
from tests.store.test_pack import everything, idle
from workbench.cli.pack import pack as pack_command
from workbench.cli.pack import unpack as unpack_command
from workbench.errors import UserError
from workbench.home import Home
from workbench.store import Record, connect, select
from workbench.store import parquet as parquet_file
from workbench.store.behind import Figure, behind
from workbench.store.carry import Selection
from workbench.store.comparisons import comparisons, set_comparison
from workbench.store.conversations import ConversationFilter, conversation_messages, conversation_rows, conversations
from workbench.store.cooling import make_cold
from workbench.store.datasets import dataset_dialogues, datasets
from workbench.store.pack import BULK, pack, unpack


@pytest.fixture
def rec(home: Home, monkeypatch: pytest.MonkeyPatch) -> Record:
    monkeypatch.setattr(parquet_file, "ROW_GROUP", 7)  # owners lie across row groups
    return make_sample_record(home)


def spoken(rec: Record) -> dict[str, object]:
    """Every message there is, by whose it is."""
    found: dict[str, object] = {
        c.id: conversation_messages(rec, c.id) for c in conversations(rec, ConversationFilter())
    }
    for dataset in datasets(rec):
        found |= {d.id: d for d, _ in dataset_dialogues(rec, dataset.id)}
    return found


def chosen(rec: Record) -> Selection:
    for row in comparisons(rec):
        set_comparison(rec, row.id, "done", row.summary)
    return Selection(
        comparisons=frozenset(c.id for c in comparisons(rec)), datasets=frozenset(d.id for d in datasets(rec))
    )


def count(rec: Record) -> int:
    row = rec.one("SELECT count(*) AS n FROM messages")
    return int(row["n"]) if row else 0


def test_a_parquet_pack_arrives_bit_for_bit_and_other_programs_read_it(rec: Record, home: Home, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    file, there = tmp_path / "all.zip", Home(tmp_path / "there").make()
    made = pack(rec, home, file, Selection(), busy=idle, parquet=True)
    with zipfile.ZipFile(file) as zip_:
        assert {f"rows/{table}.parquet" for table in BULK} <= set(zip_.namelist())
        zip_.extract("rows/messages.parquet", tmp_path)
    table = pq.read_table(tmp_path / "rows" / "messages.parquet")
    assert table.num_rows == made.rows["messages"] == count(rec) > 50
    assert {"owner_id", "role", "text"} <= set(table.column_names)
    with connect(there) as other:
        assert unpack(other, there, file) == made
        assert everything(other) == everything(rec)
        assert sum(unpack(other, there, file).rows.values()) == 0


def test_cold_messages_open_from_a_figure_and_come_back(rec: Record, home: Home, tmp_path: Path) -> None:
    before, whole, figures = spoken(rec), everything(rec), chosen(rec)
    file = tmp_path / "cold.zip"
    pack(rec, home, file, figures, busy=idle, parquet=True)
    moved = make_cold(rec, home, figures)
    assert moved == len(whole["messages"]) - count(rec) > 50
    (cold,) = (home.root / "cold").iterdir()
    assert cold.stat().st_mode & 0o777 == 0o600
    with connect(home, readonly=True) as reader:
        assert spoken(reader) == before
        comparison = comparisons(reader)[0]
        named = next(iter(conversations(reader, ConversationFilter(comparison_id=comparison.id))))
        figure = Figure(comparison.id, "fitness", condition=named.condition)
        (row,) = conversation_rows(reader, behind(reader, figure).rowids[:1])
        assert conversation_messages(reader, row.id) == before[row.id]
    again = tmp_path / "again.zip"
    pack(rec, home, again, figures, busy=idle)  # a pack takes them along from where they lie
    with connect(Home(tmp_path / "there").make()) as other:
        unpack(other, Home(tmp_path / "there"), again)
        arrived = spoken(other)
        assert len(arrived) == len(before) - 1  # but for the chat, which nobody named
        assert all(before[owner] == arrived[owner] for owner in arrived)
    assert make_cold(rec, home, figures) == 0
    unpack(rec, home, file)
    assert everything(rec)["messages"] == whole["messages"]


def test_taken_in_cold_nothing_goes_into_sqlite(rec: Record, home: Home, tmp_path: Path) -> None:
    before, file, there = spoken(rec), tmp_path / "all.zip", Home(tmp_path / "there").make()
    pack(rec, home, file, Selection(), busy=idle, parquet=True)
    with connect(there) as other:
        taken = unpack(other, there, file, cold=True)
        assert (taken.rows["messages"], count(other)) == (0, 0)
        assert spoken(other) == before
        plain = tmp_path / "plain.zip"
        pack(rec, home, plain, Selection(), busy=idle)
        with pytest.raises(UserError, match="holds no Parquet"):
            unpack(other, there, plain, cold=True)


def test_what_is_not_finished_stays(rec: Record, home: Home) -> None:
    figures = chosen(rec)
    row = comparisons(rec)[0]
    set_comparison(rec, row.id, "running")
    with pytest.raises(UserError, match="is not finished"):
        make_cold(rec, home, figures)
    assert not (home.root / "cold").exists()


def test_damaged_parquet_is_one_line(rec: Record, home: Home, tmp_path: Path) -> None:
    import hashlib

    good, bad = tmp_path / "good.zip", tmp_path / "bad.zip"
    pack(rec, home, good, Selection(), busy=idle, parquet=True)
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(bad, "w") as out:
        manifest = json.loads(source.read("manifest.json"))
        junk = b"PAR1 but no more"
        manifest["members"]["rows/verdicts.parquet"] = {"sha256": hashlib.sha256(junk).hexdigest(), "size": len(junk)}
        for name in source.namelist():
            data = {"rows/verdicts.parquet": junk, "manifest.json": json.dumps(manifest).encode()}.get(name)
            out.writestr(name, data if data is not None else source.read(name))
    there = Home(tmp_path / "there").make()
    with connect(there) as other, pytest.raises(UserError, match="is no pack or is damaged"):
        unpack(other, there, bad)


def test_the_commands(rec: Record, home: Home, tmp_path: Path) -> None:
    figures, before = chosen(rec), spoken(rec)
    name = next(iter(figures.comparisons))
    rec.close()
    out = str(tmp_path / "x.zip")
    refused = CliRunner().invoke(pack_command, [out, "--cold"], obj=home)
    assert "--comparison" in str(refused.exception)
    made = CliRunner().invoke(pack_command, [out, "--comparison", name, "--parquet", "--cold", "--json"], obj=home)
    assert json.loads(made.output)["cold"] > 0
    with connect(home) as after:
        assert spoken(after) == before
    back = CliRunner().invoke(unpack_command, [out], obj=home)
    assert "messages" in back.output, back.output


def test_what_is_ended_while_messages_leave_loses_none_and_goes_on(
    rec: Record, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, figures, whole = spoken(rec), chosen(rec), count(rec)
    monkeypatch.setattr(select, "WINDOW", 5)  # owners in one transaction
    told = list[tuple[int, int]]()

    def stop(done: int, total: int) -> None:
        told.append((done, total))
        if done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_cold(rec, home, figures, stop)
    left = count(rec)
    assert 0 < left < whole
    assert spoken(rec) == before
    told.clear()
    assert 0 < make_cold(rec, home, figures, lambda *far: told.append(far)) <= left
    assert spoken(rec) == before
    assert told[-1][0] == told[-1][1] > 10  # all owners
    assert count(rec) < left


def test_the_index_of_words_shrinks_with_what_it_held(rec: Record, home: Home) -> None:
    def size() -> int:
        return int(rec.query("SELECT sum(length(block)) AS n FROM messages_fts_data")[0]["n"])

    before = size()
    make_cold(rec, home, chosen(rec))
    assert size() < before  # a deletion alone is only noted there, and takes room

"""Exports of a comparison: what stands in a row, and that a row does not wait for all others."""

from __future__ import annotations

import csv
import gc
import json
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.comparison import JUDGES, RUBRIC, make_comparison
from workbench.evaluation.export import write_csv, write_jsonl, write_parquet
from workbench.evaluation.rules import RUBRIC_HASH
from workbench.home import Home
from workbench.store import connect, parquet, select
from workbench.store.record import Record
from workbench.store.rows import VerdictRow
from workbench.store.verdicts import put_verdicts

Write = Callable[[Record, str, Path], None]


@pytest.fixture
def rec(home: Home) -> Iterator[Record]:
    with connect(home) as found:
        yield found


@pytest.mark.parametrize("write", [write_jsonl, write_csv, write_parquet])
def test_the_memory_of_an_export_is_that_of_a_window(
    rec: Record, tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(select, "WINDOW", 20)
    monkeypatch.setattr(parquet, "ROW_GROUP", 20)
    small, large = (make_comparison(rec, n, 1, 1, name=f"of {n}") for n in (40, 240))
    write(rec, small, tmp_path / "first")  # whatever is loaded and cached at the first time
    assert _peak(write, rec, large, tmp_path / "large") < 1.2 * _peak(write, rec, small, tmp_path / "small")


def _peak(write: Write, rec: Record, comparison: str, file: Path) -> int:
    """Bytes of Python's own memory at the most while it was written."""
    gc.collect()
    tracemalloc.start()
    write(rec, comparison, file)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_rows_of_all_forms_say_the_same(rec: Record, tmp_path: Path) -> None:
    comparison = make_comparison(rec, 5, 2, 2, words="=1+1")
    (first, *_) = (row["id"] for row in rec.query("SELECT id FROM conversations ORDER BY rowid"))
    put_verdicts(
        rec,
        [
            VerdictRow("again", first, JUDGES[0], "task_success", 2.0, rubric_hash=RUBRIC, rep=1),
            VerdictRow("of today", first, "rules", "task_success", 4.0, rubric_hash=RUBRIC_HASH),
            VerdictRow("of old", first, "rules", "consistency", 1.0, rubric_hash="gone"),
        ],
    )
    rec.execute(
        "UPDATE conversations SET totals = json_set(totals, '$.seconds', 2, '$.note', 'x') WHERE id = ?", (first,)
    )
    for write, name in ((write_jsonl, "r.jsonl"), (write_csv, "r.csv"), (write_parquet, "r.parquet")):
        write(rec, comparison, tmp_path / name)
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text("utf-8").splitlines()]
    with (tmp_path / "r.csv").open(encoding="utf-8", newline="") as file:
        cells = list(csv.DictReader(file))
    table = list(parquet.read_parquet(tmp_path / "r.parquet"))
    assert len(lines) == len(cells) == len(table) == 10
    assert list(cells[0]) == list(table[0])
    for line, row, typed in zip(lines, cells, table, strict=True):
        assert line["id"] == row["id"] == typed["id"]
        assert {name: typed[name] for name in line["measures"]} == line["measures"]
        assert [m["role"] for m in line["messages"]] == ["agent", "user", "agent"]
        told = {(v["judge"], v["criterion"], v["rep"]): v["score"] for v in line["verdicts"]}
        assert typed[f"{JUDGES[0]}:task_success"] == told[JUDGES[0], "task_success", 0]
        assert row["fitness"] == str(typed["fitness"])
    assert (table[0][f"{JUDGES[0]}:task_success:1"], table[1][f"{JUDGES[0]}:task_success:1"]) == (2.0, None)
    assert (table[0]["rules:task_success"], table[0]["note"], table[1]["note"]) == (4.0, "x", None)
    assert "rules:consistency" not in table[0], "a rubric no longer in force counts in no figure"
    assert any(v["rubric_hash"] == "gone" for v in lines[0]["verdicts"])
    assert isinstance(table[0]["seconds"], float)
    assert isinstance(table[0]["calls"], int)
    assert not [value for row in cells for value in row.values() if value.startswith("=")]

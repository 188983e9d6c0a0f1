"""Looking into the record with SQL: every table, every row, and not one write."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from tests.fakes.record import make_sample_record
from workbench.cli.main import cli
from workbench.errors import UserError
from workbench.home import Home
from workbench.store.carry import TABLES
from workbench.store.explore import query, tables


@pytest.fixture
def filled(home: Home) -> Home:
    make_sample_record(home, 12).close()
    return home


def run(home: Home, *args: str) -> Result:
    return CliRunner().invoke(cli, ["--home", str(home.root.parent), "record", *args])


def test_every_table_is_told_with_rows_and_references(filled: Home) -> None:
    found = {table.name: table for table in tables(filled)}
    assert set(TABLES) <= set(found)
    assert found["dialogues"].rows == 12
    refers = {column.name: column.refers_to for column in found["dialogues"].columns}
    assert (refers["workflow_id"], refers["path"]) == ("workflows.id", None)


def test_rows_come_as_dicts(filled: Home) -> None:
    assert list(query(filled, "SELECT count(*) AS n, 'x' AS x FROM dialogues")) == [{"n": 12, "x": "x"}]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM dialogues",
        "INSERT INTO jobs VALUES (1, 'a', 'b', 'c', 'd', 0) RETURNING id",
        "UPDATE dialogues SET status = 'ok' RETURNING id",
        "DROP TABLE dialogues",
        "PRAGMA user_version = 9",
        "PRAGMA query_only = OFF",
        "nonsense",
        "SELECT * FROM nothing",
        "",
    ],
)
def test_what_writes_or_is_no_sql_is_refused_in_one_line(filled: Home, sql: str) -> None:
    with pytest.raises(UserError) as caught:
        list(query(filled, sql))
    assert "\n" not in str(caught.value)
    assert next(query(filled, "SELECT count(*) AS n FROM dialogues"))["n"] == 12
    assert next(query(filled, "PRAGMA user_version"))["user_version"] < 9


def test_the_command_prints_tables_json_and_lines(filled: Home) -> None:
    sql = "SELECT idx, text FROM messages ORDER BY rowid"
    many = run(filled, "query", sql, "--limit", "2")
    assert len(many.stdout.splitlines()) == 3
    assert "more than 2 rows" in many.stderr
    assert len(json.loads(run(filled, "query", sql, "--limit", "5", "--json").stdout)) == 5
    lines = run(filled, "query", sql, "--jsonl").stdout.splitlines()
    assert [json.loads(line)["idx"] for line in lines][:2] == [0, 1]
    assert "dialogues" in run(filled, "tables").stdout


def test_hostile_text_in_the_record_stays_text(filled: Home) -> None:
    sql = "SELECT 'a' || char(27) || '[2J' || char(155) AS x"
    for options in ([], ["--json"], ["--jsonl"]):
        shown = run(filled, "query", sql, *options).stdout
        assert not {"\x1b", "\x9b"} & set(shown)

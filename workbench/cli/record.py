"""`workbench record`: the database as it is, for questions that no view answers."""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import click

from workbench.cli.output import emit, example, json_option, pass_home, table, to_json
from workbench.home import Home
from workbench.text import clean


@click.group(epilog=example('workbench record query "SELECT purpose, sum(cost) FROM calls GROUP BY purpose"'))
def group() -> None:
    """Look into the SQLite record: its tables, and any SQL that only reads."""


@group.command(epilog=example("workbench record tables"))
@json_option
@pass_home
def tables(home: Home, as_json: bool) -> None:
    """List the record's tables with their columns, references and numbers of rows."""
    from workbench.store.explore import tables

    def lines(found: Any) -> str:
        rows = (
            ["" if i else t.name, "" if i else f"{t.rows:,}", c.name, c.type, c.refers_to or ""]
            for t in found
            for i, c in enumerate(t.columns)
        )
        return table(["table", "rows", "column", "type", "refers to"], rows, right=[1])

    emit(tables(home), as_json, lines)


@group.command(
    epilog=example(
        'workbench record query "SELECT model, count(*) AS calls, sum(cost) AS dollars FROM calls GROUP BY model"',
        'workbench record query "SELECT * FROM verdicts" --jsonl > verdicts.jsonl',
    )
)
@click.argument("sql")
@click.option("--limit", default=1000, show_default=True, help="Rows shown at most; with --jsonl all are written.")
@click.option("--jsonl", is_flag=True, help="One JSON object a line, as they come.")
@json_option
@pass_home
def query(home: Home, sql: str, limit: int, jsonl: bool, as_json: bool) -> None:
    """Run SQL that reads and print its rows. The connection cannot write."""
    from workbench.store.explore import query

    rows = query(home, sql)
    if jsonl:
        for row in rows:
            click.echo(clean(json.dumps(json.loads(to_json(_shown(row))), ensure_ascii=True)))
        return
    first = [_shown(row) for row in islice(rows, limit)]
    emit(
        first,
        as_json,
        lambda found: table(list(found[0]), [list(row.values()) for row in found]) if found else "no rows",
    )
    if next(rows, None) is not None:
        click.echo(f"more than {limit:,} rows: raise --limit, or write all with --jsonl", err=True)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()}

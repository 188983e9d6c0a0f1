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


@group.command(
    epilog=example(
        "workbench --home /tmp/sample record sample && workbench --home /tmp/sample",
        "workbench --home /tmp/large record sample --dialogues 100000",
    )
)
@click.option("--dialogues", default=600, show_default=True, type=click.IntRange(1), help="Over the shipped workflows.")
@click.option(
    "--conversations", default=0, show_default=True, type=click.IntRange(0), help="Live ones, beside the comparison's."
)
@click.option(
    "--scenarios", default=24, show_default=True, type=click.IntRange(0), help="Of the comparison; 0 makes none."
)
@click.option("--seed", default=1, show_default=True)
@json_option
@pass_home
def sample(home: Home, dialogues: int, conversations: int, scenarios: int, seed: int, as_json: bool) -> None:
    """Fill an empty home with sample data, to try the app on, for pictures and for tests.

    Dialogues are real ones of the scripted writer, multiplied; the comparison is measured on transcripts made from the graph;
    curves are drawn. Every screen of such a home says "sample data". The same command again adds nothing.
    """
    from workbench.demo.sample import Amount, make_sample

    amount = Amount(dialogues, conversations, scenarios, seed)
    make_sample(home, amount, lambda what: click.echo(f"making {what} …", err=True))
    made = {"home": str(home.root.parent), "record": str(home.database), "bytes": home.database.stat().st_size}
    emit(made, as_json, lambda m: f"sample data, {m['bytes'] / 1e6:,.0f} MB. Open it: workbench --home {m['home']}")


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()}

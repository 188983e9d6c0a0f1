"""The dialogues pane on a large record: first rows, filters, search, beside a plain SQL query on the same file.

    python benchmarks/dialogues.py [--json] [--quick] [--home HOME | --in FOLDER] [--dialogues 100000]

HOME is a home made by `workbench record sample --dialogues 100000`. Otherwise one is made in a temporary folder, or with --in in that
folder, to be kept (or read as it is if it is there already): beyond 20,000 dialogues they recur under other ids. A million take 10 minutes.
Ours is what the pane does: all row ids that pass, the counts of the heading, and the first 50 rows with their review marks.
A search by words, and a list opened for the first time, show their first rows before they know how many there are; "whole"
is until that is known too.
The rival is one plain query by a user who knows the schema: the same condition, the newest 50 rows. Medians, run in turns. `open` is the
app itself, from the key that opens the pane to its first rows drawn, in process.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.common import Finding, beside, show
from benchmarks.large import MADE, multiply
from workbench.demo.sample import Amount, make_sample
from workbench.home import Home
from workbench.store.record import connect

ROWS = 50
_TRAVEL = "workflow_id = (SELECT id FROM workflows WHERE name = 'travel_booking')"
_CHATTY = "SELECT id FROM scenarios WHERE json_extract(data, '$.persona') = 'chatty'"
QUESTIONS = {
    "first rows": ("", ""),
    "filter terminal": ("terminal:escalated", "WHERE terminal = 'escalated'"),
    "filter node": ("node:user_clarify", """WHERE instr(nodes, '"user_clarify"') > 0"""),
    "filter path": ("workflow:travel_booking path:17", f"WHERE {_TRAVEL} AND path_rank = 17"),
    "filter persona": ("persona:chatty", f"WHERE scenario_id IN ({_CHATTY})"),
    "filter writer": ("writer:sample/two", "WHERE writer = 'sample/two'"),
    "filter faults": ("check:leak", """WHERE instr(checks, '"leak"') > 0"""),
    "filter flagged": ("review:flag", "WHERE id IN (SELECT subject_id FROM review_states WHERE state = 'flag')"),
    "filter unreviewed": ("review:none", "WHERE NOT EXISTS (SELECT 1 FROM reviews r WHERE r.subject_id = dialogues.id)"),
    "search rare": ("004711", "MATCH"),
    "search two words": ("Lisbon hotel", "MATCH"),
    "search common": ("number", "MATCH"),
}  # fmt: skip
_SEARCH = (
    "WHERE id IN (SELECT m.owner_id FROM messages_fts f CROSS JOIN messages m ON m.rowid = f.rowid "
    "WHERE messages_fts MATCH ? AND m.owner_kind = 'dialogue')"
)


def measure(home: Home, quick: bool) -> list[Finding]:
    os.environ["WORKBENCH_REVIEWER"] = "ann"
    from workbench.tui.panes.dialogues import view

    connection = sqlite3.connect(home.database)
    total = connection.execute("SELECT count(*) FROM dialogues").fetchone()[0]
    findings = [Finding("dialogues in the record", float(total), "dialogues")]
    for name, (typed, condition) in QUESTIONS.items():
        search = condition == "MATCH"
        sql = f"SELECT * FROM dialogues {_SEARCH if search else condition} ORDER BY rowid DESC LIMIT {ROWS}"
        arguments = (" ".join(f'"{w}"' for w in typed.split()),) if search else ()

        def whole(typed: str = typed) -> object:
            return view.find(home, typed, None, "ann").window(0, ROWS)

        def ours(typed: str = typed) -> object:
            first = view.glance(home, typed, None, "ann")
            return first.window(0, ROWS) if first else view.find(home, typed, None, "ann").window(0, ROWS)

        def plain(sql: str = sql, arguments: tuple[str, ...] = arguments) -> object:
            return connection.execute(sql, arguments).fetchall()

        ours(), plain()
        mine, _, ratio = beside(ours, plain, 3 if quick else 9)
        findings.append(Finding(name, mine * 1000, "ms", "plain SQL, newest 50", ratio))
        if search or not typed:
            all_of_it, _, ratio = beside(whole, plain, 3)
            findings.append(Finding(f"{name}, whole", all_of_it * 1000, "ms", "plain SQL, newest 50", ratio))
    findings.append(Finding("open (key to first rows)", asyncio.run(_opened(home, 3 if quick else 5)) * 1000, "ms"))
    return findings


async def _opened(home: Home, runs: int) -> float:
    """Median seconds from the key `2` to rows in the table; the pane's import is done before."""
    import statistics

    import workbench.tui.panes.dialogues.screen  # noqa: F401
    from workbench.tui.shell import Workbench
    from workbench.tui.widgets.table import VirtualTable

    taken = []
    for _ in range(runs):
        app = Workbench(home, watch=False)
        app.state = type(app.state)()
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.pause()
            begin = time.perf_counter()
            await app.open_pane("dialogues")
            table = app.query_one("#dialogues-list", VirtualTable)
            while table.row is None:
                await asyncio.sleep(0.001)
            taken.append(time.perf_counter() - begin)
    return statistics.median(taken)


def _fill(home: Home, count: int) -> None:
    made = min(count, MADE)
    make_sample(home, Amount(made, scenarios=0))
    with connect(home) as rec:
        multiply(rec, "dialogue", count // made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="10,000 dialogues and fewer runs, within a minute")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--home", type=Path, help="a record that is there already")
    parser.add_argument("--in", dest="kept", type=Path, help="make the record in this folder and keep it")
    parser.add_argument("--dialogues", type=int, default=100_000)
    given = parser.parse_args()
    if given.home:
        findings: Sequence[Finding] = measure(Home(given.home.absolute() / "runs"), given.quick)
    else:
        with tempfile.TemporaryDirectory() as folder:
            home = Home((given.kept or Path(folder)) / "runs")
            if not home.database.exists():
                _fill(home, 10_000 if given.quick else given.dialogues)
            findings = measure(home, given.quick)
    show(findings, given.json)


if __name__ == "__main__":
    main()

"""What summing up a comparison takes as it grows: its conversations stream, so memory grows far slower than they.

    python benchmarks/summing_up.py [--json] [--quick]

Comparisons of about 1,000, 10,000 and 100,000 conversations (--quick: 300 and 3,000) of three agents, each scenario once with each, are
summed up in a process of its own each; its peak of resident memory and its seconds stand beside those of the smallest. Conversations
are sample data (`workbench record sample`) with the real measures and the rules judge's verdicts, multiplied under other ids.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from common import Finding, main, peak_memory, seconds

from workbench.demo.sample import AGENTS, Amount, make_sample
from workbench.home import Home
from workbench.store import connect
from workbench.store.record import Record

CHILD = "--one="
MADE = 100
"""Scenarios that are really made; the rest are their copies."""


def measure(quick: bool) -> Sequence[Finding]:
    return list(_findings((300, 3_000) if quick else (1_000, 10_000, 100_000)))


def _findings(sizes: Sequence[int]) -> Iterator[Finding]:
    first: tuple[float, float] | None = None
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="wb-sum-") as folder:
            home = Home(Path(folder) / "runs")
            count = _fill(home, size)
            ran = subprocess.run([sys.executable, __file__, CHILD + folder], capture_output=True, text=True, check=True)
        spent, peak = json.loads(ran.stdout)
        first = first or (spent, peak)
        rival = "" if size == sizes[0] else f"the first of {sizes[0]:,}"
        yield Finding(f"{count:,} conversations summed up", spent, "s", rival, first[0] / spent if rival else None)
        yield Finding(f"{count:,} conversations: peak memory", peak, "MB", rival, first[1] / peak if rival else None)


def _fill(home: Home, conversations: int) -> int:
    """Make a comparison of about so many conversations; returns how many there are."""
    make_sample(home, Amount(dialogues=300, scenarios=MADE))
    with connect(home) as rec:
        _multiply(rec, conversations // (MADE * len(AGENTS)))
        rec.execute("UPDATE comparisons SET summary = '{}'")
        return int(rec.query("SELECT count(*) AS n FROM conversations")[0]["n"])


def _multiply(rec: Record, copies: int) -> None:
    numbers = (
        f"(WITH RECURSIVE k(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM k WHERE n + 1 < {copies}) SELECT n FROM k)"
    )
    tables = {
        "scenarios": ("id", "workflow_id, split, seed, data, created"),
        "conversations": (
            "id, scenario_id",
            "comparison_id, agent, condition, workflow_id, rep, seed, status, terminal, ended_by, totals, provenance, created",
        ),
        "messages": ("owner_id", "owner_kind, idx, role, text, data, created"),
        "measures": ("conversation_id", "name, value, detail"),
        "verdicts": ("id, conversation_id", "judge, criterion, score, evidence, rubric_hash, rep, provenance, created"),
    }
    held = "SELECT id FROM conversations WHERE comparison_id IS NOT NULL"
    which = {
        "scenarios": "id IN (SELECT scenario_id FROM conversations WHERE comparison_id IS NOT NULL)",
        "conversations": "comparison_id IS NOT NULL",
        "messages": f"owner_kind = 'conversation' AND owner_id IN ({held})",
        "measures": f"conversation_id IN ({held})",
        "verdicts": f"conversation_id IN ({held})",
    }
    if copies < 2:
        return
    with rec.write():
        rows = {table: f"SELECT * FROM {table} WHERE {condition}" for table, condition in which.items()}
        for table in rows:
            rec.execute(f"CREATE TEMP TABLE first_{table} AS {rows[table]}")
        for table, (names, rest) in tables.items():
            marked = ", ".join(f"{name.strip()} || '-' || n" for name in names.split(","))
            rec.execute(f"INSERT INTO {table} ({names}, {rest}) SELECT {marked}, {rest} FROM first_{table}, {numbers}")


def _one(folder: str) -> None:
    """In a process of its own: sum up the comparison and tell the seconds and the peak of resident memory (MB)."""
    from workbench.evaluation.assess import Assessor
    from workbench.evaluation.summary import summarise
    from workbench.store.comparisons import comparisons
    from workbench.workflow.load import load_workflow

    with connect(Home(Path(folder) / "runs")) as rec:
        (row,) = comparisons(rec)
        assessor = Assessor(load_workflow("travel_booking"))
        spent = seconds(lambda: summarise(rec, row.id, assessor))
    print(json.dumps([spent, peak_memory() / 1e6]))


if __name__ == "__main__":
    if len(sys.argv) > 1 and sys.argv[1].startswith(CHILD):
        _one(sys.argv[1].removeprefix(CHILD))
    else:
        main(measure, __doc__.splitlines()[0])

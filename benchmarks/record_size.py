"""Whether a large record is read as quickly as a small one, and what leaving its messages outside SQLite brings.

    python benchmarks/record_size.py [--json] [--quick] [--conversations 50000] [--in FOLDER]

On a record of that many conversations (--quick: 4,000) of one comparison beside the same on one of 200: what `conversations list`
reads (all, one agent's), what Results shows of a comparison without a summary and behind a figure (its first rows, then the whole
order), a search in all messages for a word that one of them holds, one conversation whole. Then
the messages go to Parquet (`pack --cold`), and a conversation is opened from there. Conversations are sample
data (`workbench record sample`), real words multiplied, each said over again until it has 20 messages; beyond 20,000
conversations they recur under other ids. A million of them want some 20 GB of disk for a while. With --in the records are made
in that folder and kept, or read as they are if they are there already, and nothing goes to Parquet.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from common import Finding, beside, median_of, seconds, show
from large import MADE, multiply

from workbench.demo.sample import Amount, make_sample
from workbench.home import Home
from workbench.store.behind import Figure, behind, glance
from workbench.store.carry import Selection
from workbench.store.cold import cold_files
from workbench.store.comparisons import put_comparison
from workbench.store.conversations import (
    ConversationFilter,
    conversation_rowids,
    first_conversations,
    get_conversation,
    held_counts,
    put_conversation,
)
from workbench.store.cooling import make_cold
from workbench.store.record import Record, connect
from workbench.store.rows import ComparisonRow, ConversationRow, MessageRow
from workbench.store.verdicts import score_summary

SMALL, LONG, SCREEN, COMPARISON = 200, 20, 60, "5ca1e5ca1e5ca1e0"
RUNS = 15
RARE = "quetzalcoatlus"
FIGURE = Figure(COMPARISON, "fitness", condition="oracle")


def measure(large: int, kept: Path | None) -> Sequence[Finding]:
    with tempfile.TemporaryDirectory() as folder:
        small, big = (Home((kept or Path(folder)) / str(count) / "runs") for count in (SMALL, large))
        for home, count in ((small, SMALL), (big, large)):
            if not home.database.exists():
                _fill(home, count)
        with connect(small) as few, connect(big) as many:
            found = [_beside(name, partial(read, many), partial(read, few), large) for name, read in READS.items()]
            if kept is None:
                found += _cold(big, many, large)
        return found


def _list(rec: Record) -> object:
    return first_conversations(rec, ConversationFilter(), SCREEN)


def _agent(rec: Record) -> object:
    return first_conversations(rec, ConversationFilter(agent="oracle"), SCREEN)


def _figure(rec: Record) -> object:
    return behind(rec, FIGURE)


def _first(rec: Record) -> object:
    return glance(rec, FIGURE) or behind(rec, FIGURE)


def _matrix(rec: Record) -> object:
    return score_summary(rec, COMPARISON), held_counts(rec, COMPARISON)


def _search(rec: Record) -> object:
    found = conversation_rowids(rec, ConversationFilter(text=RARE))
    assert len(found) == 1
    return found


def _open(rec: Record) -> object:
    (rows, _) = first_conversations(rec, ConversationFilter(), 2)
    found = get_conversation(rec, rows[1].id)
    assert found
    assert len(found[1]) > 2
    return found


READS: dict[str, Callable[[Record], object]] = {
    "the list with its first screen": _list,
    "one agent's conversations": _agent,
    "a comparison's means and counts so far": _matrix,
    "behind a figure, the first rows": _first,
    "behind a figure, the whole order": _figure,
    "a search in all messages": _search,
    "one conversation whole": _open,
}


def _beside(name: str, ours: Callable[[], object], theirs: Callable[[], object], large: int) -> Finding:
    mine, _, ratio = beside(ours, theirs, RUNS)
    return Finding(f"{name}, of {large:,}", mine * 1e3, "ms", f"of {SMALL}", ratio)


def _cold(home: Home, rec: Record, large: int) -> list[Finding]:
    before, warm = home.database.stat().st_size, median_of(partial(_open, rec), RUNS)
    begin = time.perf_counter()
    moved = make_cold(rec, home, Selection(comparisons=frozenset({COMPARISON})))
    spent = time.perf_counter() - begin
    first, again = seconds(partial(_open, rec)), median_of(partial(_open, rec), RUNS)
    file = sum(file.stat().st_size for file in cold_files(rec))
    return [
        Finding(f"{moved:,} messages to Parquet", spent, "s"),
        Finding("the record's file before", before / 1e6, "MB"),
        Finding("the record's file after", home.database.stat().st_size / 1e6, "MB"),
        Finding("the messages as Parquet", file / 1e6, "MB"),
        Finding("one conversation from Parquet, the first time", first * 1e3, "ms", "from SQLite", warm / first),
        Finding("one conversation from Parquet, its neighbours read", again * 1e3, "ms", "from SQLite", warm / again),
    ]


def _fill(home: Home, count: int) -> None:
    made = min(count, MADE)
    make_sample(home, Amount(dialogues=300, conversations=made, scenarios=0))
    with connect(home) as rec:
        _lengthen(rec)
        multiply(rec, "conversation", count // made)
        workflow = rec.query("SELECT id FROM workflows LIMIT 1")[0]["id"]
        rare = ConversationRow("0ddc0de0", None, "oracle", "oracle", None, workflow, status="done")
        put_conversation(rec, rare, [MessageRow("agent", f"Our {RARE} flies on Mondays.")])
        put_comparison(rec, ComparisonRow(COMPARISON, workflow, "large", {}, "done"))
        rec.execute("UPDATE conversations SET comparison_id = ?", (COMPARISON,))
        rec.execute("INSERT INTO measures SELECT id, 'fitness', (rowid % 100) / 100.0, '{}' FROM conversations")


def _lengthen(rec: Record) -> None:
    """Have every conversation said over again until it has `LONG` messages."""
    with rec.write():
        rec.execute(
            f"""WITH RECURSIVE n(k) AS (SELECT 1 UNION ALL SELECT k + 1 FROM n WHERE k < {LONG}),
                    t(owner_id, length) AS (SELECT owner_id, count(*) FROM messages WHERE owner_kind = 'conversation' GROUP BY 1)
                INSERT INTO messages (owner_kind, owner_id, idx, role, text, data, created)
                SELECT m.owner_kind, m.owner_id, m.idx + k * length, m.role, m.text, m.data, m.created
                FROM t, n JOIN messages m ON m.owner_kind = 'conversation' AND m.owner_id = t.owner_id
                WHERE m.idx + k * length < {LONG}"""
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=50_000)
    parser.add_argument("--quick", action="store_true", help="4,000 conversations: within a minute")
    parser.add_argument("--json", action="store_true", help="a list of {name, value, unit, rival, ratio}")
    parser.add_argument("--in", dest="kept", type=Path, help="make the records in this folder and keep them")
    given = parser.parse_args()
    show(measure(4_000 if given.quick else given.conversations, given.kept), given.json)


if __name__ == "__main__":
    main()

"""Sums and counts that triggers keep are those that the rows add up to, whatever is written in whatever order."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.record import make_sample_record, sample_id
from workbench.home import Home
from workbench.store import Record, connect, migrations
from workbench.store.comparisons import comparisons, put_comparison
from workbench.store.conversations import conversations, held_counts, put_conversation
from workbench.store.rows import ComparisonRow, ConversationRow, MeasureRow, VerdictRow
from workbench.store.verdicts import drop_verdicts, measures, put_measures, put_verdicts, score_summary, verdicts

Write = Callable[[Record], object]
WORKFLOW = "f" * 16
IDS = ("c0", "c1", "c2")
values = st.one_of(st.none(), st.sampled_from((0.0, 0.25, 1.0, 3.0, 5.0)))
ids = st.sampled_from(IDS)


def _conversation(key: str, comparison: str | None, condition: str, status: str) -> Write:
    row = ConversationRow(key, comparison, f"agent-{condition}", condition, None, WORKFLOW, status=status)
    return lambda rec: put_conversation(rec, row)


def _verdict(key: str, judge: str, score: float | None, rep: int) -> Write:
    row = VerdictRow(f"{key}{judge}{rep}", key, judge, "task_success", score, rep=rep)
    return lambda rec: there(rec, key) and put_verdicts(rec, [row])


def there(rec: Record, key: str) -> bool:
    return bool(rec.query("SELECT 1 FROM conversations WHERE id = ?", (key,)))


writes: st.SearchStrategy[Write] = st.one_of(
    st.builds(
        _conversation,
        ids,
        st.sampled_from((None, "first", "second")),
        st.sampled_from(("compiled", "oracle")),
        st.sampled_from(("running", "done", "failed")),
    ),
    st.builds(_verdict, ids, st.sampled_from(("rules", "pair")), values, st.integers(0, 1)),
    st.builds(
        lambda key, value: lambda rec: there(rec, key) and put_measures(rec, [MeasureRow(key, "fitness", value)]),
        ids,
        values,
    ),
    st.builds(
        lambda key, judge, rep: lambda rec: drop_verdicts(rec, [f"{key}{judge}{rep}"]),
        ids,
        st.sampled_from(("rules", "pair")),
        st.integers(0, 1),
    ),
    st.builds(
        lambda key, score: (
            lambda rec: rec.execute("UPDATE verdicts SET score = ? WHERE conversation_id = ?", (score, key))
        ),
        ids,
        values,
    ),
    st.builds(lambda key: lambda rec: rec.execute("DELETE FROM measures WHERE conversation_id = ?", (key,)), ids),
    st.builds(lambda key: lambda rec: rec.execute("DELETE FROM conversations WHERE id = ?", (key,)), ids),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(writes, min_size=1, max_size=40))
def test_any_writes_leave_true_sums(steps: list[Write]) -> None:
    with tempfile.TemporaryDirectory() as folder, make_sample_record(Home(Path(folder) / "runs")) as rec:
        for name in ("first", "second"):
            put_comparison(rec, ComparisonRow(name, WORKFLOW, name, {}, "running"))
        for number, key in enumerate(IDS):
            _conversation(key, ("first", "second")[number % 2], "oracle", "running")(rec)
        for write in steps:
            write(rec)
        _check(rec)
        rec.execute("DELETE FROM comparisons WHERE id = 'first'")
        assert score_summary(rec, "first") == held_counts(rec, "first") == []
        _check(rec)


def test_a_record_of_an_older_version_gets_its_sums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps = migrations.scripts()
    before = next(number for number, script in enumerate(steps) if "CREATE TABLE score_sums" in script)
    monkeypatch.setattr(migrations, "scripts", lambda: steps[:before])
    home = Home(tmp_path / "runs")
    make_sample_record(home).close()
    monkeypatch.setattr(migrations, "scripts", lambda: steps)
    with connect(home) as rec:
        _check(rec)
        assert len(score_summary(rec, sample_id("comparison"))) == 12
        assert [held.condition for held in held_counts(rec, sample_id("comparison"))] == [
            "compiled", "oracle", "orchestrated",
        ]  # fmt: skip


def _check(rec: Record) -> None:
    """Add everything up by hand, and compare."""
    for comparison in (row.id for row in comparisons(rec)):
        held = {row.id: row for row in conversations(rec) if row.comparison_id == comparison}
        found: dict[tuple[str, str, str, str], list[float | None]] = defaultdict(list)
        scores = [(v.conversation_id, v.judge, v.criterion, v.score) for v in verdicts(rec, comparison_id=comparison)]
        scores += [(m.conversation_id, "", m.name, m.value) for m in measures(rec, comparison_id=comparison)]
        for key, judge, criterion, score in scores:
            found[held[key].condition, held[key].agent, judge, criterion].append(score)
        summary = {(s.condition, s.agent, s.judge, s.criterion): s for s in score_summary(rec, comparison)}
        assert summary.keys() == found.keys()
        for name, every in found.items():
            known = [value for value in every if value is not None]
            assert (summary[name].n, summary[name].missing) == (len(known), len(every) - len(known))
            assert summary[name].mean == (pytest.approx(sum(known) / len(known)) if known else None)
        counts = Counter((row.condition, row.status) for row in held.values())
        assert {(h.condition, h.n, h.done, h.broken) for h in held_counts(rec, comparison)} == {
            (c, sum(n for (of, _), n in counts.items() if of == c), counts[c, "done"], counts[c, "failed"])
            for c in {row.condition for row in held.values()}
        }

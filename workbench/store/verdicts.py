"""Verdicts of judges and computed measures, and both read as scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from workbench.store.encode import from_json, to_json
from workbench.store.record import Record, Row
from workbench.store.rows import JudgeRow, MeasureRow, ScoreRow, SummaryRow, VerdictRow
from workbench.store.select import Where

_SCORES = """
    SELECT c.comparison_id, c.condition, c.agent, c.scenario_id, c.rep, v.conversation_id, v.judge, v.criterion,
           v.score AS value, v.rubric_hash AS rubric
    FROM verdicts v JOIN conversations c ON c.id = v.conversation_id
    UNION ALL
    SELECT c.comparison_id, c.condition, c.agent, c.scenario_id, c.rep, m.conversation_id, '', m.name, m.value,
           '' AS rubric
    FROM measures m JOIN conversations c ON c.id = m.conversation_id
"""


def put_verdicts(rec: Record, rows: Iterable[VerdictRow]) -> int:
    """Keep verdicts; returns how many were new. One with the same id is kept as it is: nothing is judged twice."""
    return rec.put("verdicts", (_columns(row) for row in rows))


def drop_verdicts(rec: Record, ids: Iterable[str]) -> None:
    """Forget verdicts that are to be had anew (one that was missing and is asked for again)."""
    for verdict_id in ids:
        rec.execute("DELETE FROM verdicts WHERE id = ?", (verdict_id,))


def verdicts(rec: Record, conversation_id: str | None = None, comparison_id: str | None = None) -> list[VerdictRow]:
    """Verdicts on one conversation or on all of a comparison, by conversation, criterion, judge and repetition."""
    where = Where()
    where.equal({"v.conversation_id": conversation_id, "c.comparison_id": comparison_id})
    sql = f"SELECT v.* FROM verdicts v JOIN conversations c ON c.id = v.conversation_id{where}"
    rows = rec.query(f"{sql} ORDER BY c.rowid, v.criterion, v.judge, v.rep", where.arguments)
    return [_verdict(row) for row in rows]


def judged(rec: Record, rowids: Iterable[int], rubric_hash: str) -> list[tuple[int, str, int, int, int]]:
    """What a window of conversations (by row id) has by one rubric: (row id, judge, repetition, verdicts, those of them
    without a score)."""
    sql = """SELECT c.rowid, v.judge, v.rep, count(*), count(*) - count(v.score)
             FROM conversations c JOIN verdicts v ON v.conversation_id = c.id
             WHERE c.rowid IN (SELECT value FROM json_each(?)) AND v.rubric_hash = ? GROUP BY c.rowid, v.judge, v.rep"""
    return [tuple(row) for row in rec.query(sql, (to_json(list(rowids)), rubric_hash))]


def scored_by_people(rec: Record, comparison_id: str) -> list[str]:
    """The conversations of a comparison on which a person (a judge named `human:…`) gave a verdict."""
    sql = """SELECT DISTINCT c.id AS id FROM conversations c JOIN verdicts v ON v.conversation_id = c.id
             WHERE c.comparison_id = ? AND v.judge >= 'human:' AND v.judge < 'human;' ORDER BY c.rowid"""
    return [row["id"] for row in rec.query(sql, (comparison_id,))]


def put_measures(rec: Record, rows: Iterable[MeasureRow]) -> None:
    """Keep measures, over older ones of the same name: they can be computed again at any time."""
    values = (
        {"conversation_id": r.conversation_id, "name": r.name, "value": r.value, "detail": to_json(r.detail)}
        for r in rows
    )
    rec.put("measures", values, key=("conversation_id", "name"), conflict="update")


def judges(rec: Record, comparison_id: str) -> list[JudgeRow]:
    """Who judged a comparison's conversations, by judge and rubric."""
    sql = """SELECT v.judge, v.rubric_hash, count(v.score) AS n, count(*) - count(v.score) AS missing,
                    max(v.rowid) AS last
             FROM verdicts v JOIN conversations c ON c.id = v.conversation_id
             WHERE c.comparison_id = ? GROUP BY v.judge, v.rubric_hash ORDER BY v.judge, last"""
    return [JudgeRow(**dict(row)) for row in rec.query(sql, (comparison_id,))]


def measures(
    rec: Record, conversation_id: str | None = None, comparison_id: str | None = None, name: str | None = None
) -> list[MeasureRow]:
    """Measures of one conversation or of all of a comparison, of one name or of all, by conversation and name."""
    where = Where()
    where.equal({"m.conversation_id": conversation_id, "c.comparison_id": comparison_id, "m.name": name})
    sql = f"SELECT m.* FROM measures m JOIN conversations c ON c.id = m.conversation_id{where} ORDER BY c.rowid, m.name"
    return [_measure(row) for row in rec.query(sql, where.arguments)]


def iterate_measures(rec: Record, comparison_id: str, condition: str, name: str) -> Iterator[MeasureRow]:
    """The same of one name for the conversations of one condition, one by one."""
    sql = """SELECT m.* FROM conversations c JOIN measures m ON m.conversation_id = c.id AND m.name = ?
             WHERE c.comparison_id = ? AND c.condition = ? ORDER BY c.rowid"""
    return map(_measure, rec.stream(sql, (name, comparison_id, condition)))


def measured(rec: Record, comparison_id: str) -> list[str]:
    """The names of the measures that a comparison's conversations have, in alphabetical order."""
    sql = """SELECT DISTINCT m.name FROM measures m JOIN conversations c ON c.id = m.conversation_id
             WHERE c.comparison_id = ? ORDER BY m.name"""
    return [row["name"] for row in rec.query(sql, (comparison_id,))]


def asked(rec: Record, comparison_id: str) -> list[tuple[str, str, str, int]]:
    """(judge, criterion, rubric hash, repetition) of every verdict that a comparison's conversations have, each once."""
    sql = """SELECT DISTINCT v.judge, v.criterion, v.rubric_hash, v.rep
             FROM verdicts v JOIN conversations c ON c.id = v.conversation_id
             WHERE c.comparison_id = ? ORDER BY v.criterion, v.judge, v.rep"""
    return [tuple(row) for row in rec.query(sql, (comparison_id,))]


def scores(
    rec: Record, comparison_id: str, criterion: str | None = None, judge: str | None = None
) -> Iterator[ScoreRow]:
    """Every single figure of a comparison, one by one, by judge, criterion, condition, scenario and repetition; `judge`
    "": measures."""
    where = Where()
    where.equal({"comparison_id": comparison_id, "criterion": criterion, "judge": judge})
    sql = f"SELECT * FROM ({_SCORES}){where} ORDER BY judge, criterion, condition, scenario_id, rep"
    return map(_score, rec.stream(sql, where.arguments))


def scored(rec: Record, comparison_id: str) -> list[tuple[str, str, str]]:
    """(judge, criterion, rubric hash) of the scores that a comparison's conversations have, each once, in this order."""
    sql = """SELECT DISTINCT v.judge, v.criterion, v.rubric_hash
             FROM conversations c JOIN verdicts v ON v.conversation_id = c.id
             WHERE c.comparison_id = ? AND v.score IS NOT NULL ORDER BY 1, 2, 3"""
    return [tuple(row) for row in rec.query(sql, (comparison_id,))]


def scores_of(rec: Record, comparison_id: str, criterion: str) -> Iterator[tuple[str, str, str, float]]:
    """(conversation, judge, rubric hash, score) of every score on a criterion, one by one, by conversation."""
    sql = """SELECT v.conversation_id, v.judge, v.rubric_hash, v.score
             FROM conversations c JOIN verdicts v ON v.conversation_id = c.id AND v.criterion = ?
             WHERE c.comparison_id = ? AND v.score IS NOT NULL ORDER BY 1"""
    return map(tuple, rec.stream(sql, (criterion, comparison_id)))


def lowest(
    rec: Record, comparison_id: str, condition: str, judge: str, criterion: str, *, limit: int
) -> list[tuple[str, float]]:
    """(conversation, mean score) of those that a judge scored lowest on a criterion, the lowest first."""
    sql = """SELECT v.conversation_id AS id, avg(v.score) AS score
             FROM conversations c JOIN verdicts v ON v.conversation_id = c.id AND v.criterion = ? AND v.judge = ?
             WHERE c.comparison_id = ? AND c.condition = ? AND v.score IS NOT NULL
             GROUP BY v.conversation_id ORDER BY score, c.rowid LIMIT ?"""
    rows = rec.query(sql, (criterion, judge, comparison_id, condition, limit))
    return [(row["id"], row["score"]) for row in rows]


def score_summary(rec: Record, comparison_id: str) -> list[SummaryRow]:
    """Means by condition, judge and criterion; a failed judgement counts as missing, never as a number.

    From sums that the record keeps as scores come and go: no score is read.
    """
    sql = """SELECT condition, agent, judge, criterion, n, missing, total / nullif(n, 0) AS mean FROM score_sums
             WHERE comparison_id = ? AND n + missing > 0 ORDER BY judge, criterion, condition, agent"""
    return [SummaryRow(**dict(row)) for row in rec.query(sql, (comparison_id,))]


def _columns(row: VerdictRow) -> dict[str, object]:
    return {
        "id": row.id,
        "conversation_id": row.conversation_id,
        "judge": row.judge,
        "criterion": row.criterion,
        "score": row.score,
        "evidence": to_json(row.evidence),
        "rubric_hash": row.rubric_hash,
        "rep": row.rep,
        "provenance": to_json(row.provenance),
        "created": row.created,
    }


def _measure(row: Row) -> MeasureRow:
    return MeasureRow(row["conversation_id"], row["name"], row["value"], from_json(row["detail"]))


def _verdict(row: Row) -> VerdictRow:
    return VerdictRow(
        id=row["id"],
        conversation_id=row["conversation_id"],
        judge=row["judge"],
        criterion=row["criterion"],
        score=row["score"],
        evidence=from_json(row["evidence"]),
        rubric_hash=row["rubric_hash"],
        rep=row["rep"],
        provenance=from_json(row["provenance"]),
        created=row["created"],
    )


def _score(row: Row) -> ScoreRow:
    return ScoreRow(
        conversation_id=row["conversation_id"],
        condition=row["condition"],
        agent=row["agent"],
        scenario_id=row["scenario_id"],
        rep=row["rep"],
        judge=row["judge"],
        criterion=row["criterion"],
        value=row["value"],
        rubric=row["rubric"],
    )

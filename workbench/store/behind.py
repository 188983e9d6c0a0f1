"""The conversations behind a figure: their values, in an order that shows the worst first, and where scores differ."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Literal

from workbench.errors import UserError
from workbench.store.record import Record
from workbench.store.select import Where

Differ = Literal["", "conditions", "judges"]
TOTALS = (
    "messages", "calls", "tokens", "input", "output", "cache_read", "cache_write", "cost", "seconds", "model_s",
)  # fmt: skip
"""Sums of a conversation that a figure of cost rests on; `tokens` is all four kinds together."""
_TOKENS = ("input", "output", "cache_read", "cache_write")


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a comparison. `judge` "" means a measure, or one of `TOTALS`; `condition` None means every agent.

    `differ` keeps the conversations of scenarios where the conditions' values differ, or those on which the judges'
    scores of the criterion differ, the widest apart first. `deviation` "none" keeps scenarios without one. `least` and `most`
    keep values within them, `rubric` the verdicts under that rubric.
    """

    comparison_id: str
    criterion: str
    judge: str = ""
    condition: str | None = None
    differ: Differ = ""
    deviation: str | None = None
    least: float | None = None
    most: float | None = None
    rubric: str | None = None

    @property
    def is_total(self) -> bool:
        """Whether it is a sum of the conversation rather than a measure of it."""
        return not self.judge and self.criterion in TOTALS


@dataclass(frozen=True, slots=True)
class Behind:
    """Row ids of conversations with their values (NaN: missing) and, if asked for, how far the scores are apart."""

    rowids: array[int]
    values: array[float]
    spreads: array[float]

    def __len__(self) -> int:
        return len(self.rowids)


GLANCE = 2_000
"""Conversations of which the worst are found at once, however many there are."""


def glance(rec: Record, figure: Figure) -> Behind | None:
    """The same as `behind` among the first `GLANCE` conversations only, to be shown until the whole is there.

    None where there are no more than these, or where a conversation is only worth showing beside the others.
    """
    more = "SELECT 1 FROM conversations WHERE comparison_id = ? LIMIT 1 OFFSET ?"
    if figure.differ == "conditions" or not rec.query(more, (figure.comparison_id, GLANCE)):
        return None
    return behind(rec, figure, GLANCE)


def behind(rec: Record, figure: Figure, among: int | None = None) -> Behind:
    """What stands behind a figure: missing values first, then the lowest (of a sum, the highest). No transcript is read.

    `among`: only so many conversations are looked at.
    """
    if figure.differ == "judges" and not figure.judge:
        raise UserError("a measure has no judges that could differ: choose a judged criterion")
    value, arguments = _value(figure)
    where = Where()
    where.equal({"c.comparison_id": figure.comparison_id})
    if figure.differ != "conditions":
        where.equal({"c.condition": figure.condition})
    if figure.deviation is not None:
        kinds = "(SELECT json_extract(s.data, '$.deviations') FROM scenarios s WHERE s.id = c.scenario_id)"
        if figure.deviation == "none":
            where.add(f"coalesce({kinds}, '[]') = '[]'")
        else:
            where.add(f"instr({kinds}, json_quote(?)) > 0", figure.deviation)
    spread, kept = _spread(figure)
    # Materialized, or SQLite finds every value twice (to show it and to sort by it) and takes the limit for one of what is kept.
    sql = f"""WITH x AS MATERIALIZED (
                  SELECT c.rowid AS rowid, c.id AS id, c.scenario_id AS scenario_id, c.condition AS condition, {value} AS value
                  FROM conversations c{where}{f" LIMIT {among}" if among else ""}),
                   y AS (SELECT x.rowid, x.condition, x.value, {spread} AS spread FROM x)
              SELECT rowid, value, spread FROM y{kept}
              ORDER BY spread DESC, {"-" if figure.is_total else ""}value NULLS FIRST, rowid"""
    judged = [figure.criterion] if figure.differ == "judges" else []
    found, unknown = Behind(array("q"), array("d"), array("d")), float("nan")
    for rowid, worth, apart in rec.stream(sql, [*arguments, *where.arguments, *judged, *kept.arguments]):
        found.rowids.append(rowid)
        found.values.append(unknown if worth is None else worth)
        found.spreads.append(apart or 0.0)
    return found


def _value(figure: Figure) -> tuple[str, list[object]]:
    if figure.is_total:
        parts = _TOKENS if figure.criterion == "tokens" else (figure.criterion,)
        return " + ".join(f"json_extract(c.totals, '$.{part}')" for part in parts), []
    if not figure.judge:
        return "(SELECT m.value FROM measures m WHERE m.conversation_id = c.id AND m.name = ?)", [figure.criterion]
    rubric = " AND v.rubric_hash = ?" if figure.rubric is not None else ""
    sql = f"(SELECT avg(v.score) FROM verdicts v WHERE v.conversation_id = c.id AND v.criterion = ? AND v.judge = ?{rubric})"
    return sql, [figure.criterion, figure.judge, *([figure.rubric] if figure.rubric is not None else [])]


def _spread(figure: Figure) -> tuple[str, Where]:
    """How far apart the scores are, and which rows are kept."""
    kept = Where()
    spread = "0.0"
    if figure.differ == "conditions":
        spread = "max(x.value) OVER (PARTITION BY x.scenario_id) - min(x.value) OVER (PARTITION BY x.scenario_id)"
        kept.equal({"condition": figure.condition})
    elif figure.differ == "judges":
        spread = """(SELECT max(a) - min(a) FROM (SELECT avg(v.score) AS a FROM verdicts v
                     WHERE v.conversation_id = x.id AND v.criterion = ? GROUP BY v.judge))"""
    if figure.differ:
        kept.add("spread > 0")
    if figure.least is not None:
        kept.add("value >= ?", figure.least)
    if figure.most is not None:
        kept.add("value <= ?", figure.most)
    return spread, kept

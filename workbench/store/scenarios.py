"""Scenarios, stored and read back whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from workbench.dialogue.model import PlannedMove, Scenario
from workbench.store.encode import from_json, to_json
from workbench.store.record import Record, Row
from workbench.store.rows import now
from workbench.store.select import Where, windows
from workbench.workflow.model import Split


def put_scenarios(rec: Record, scenarios: Iterable[Scenario]) -> int:
    """Keep scenarios; returns how many were new. Their workflow must be in the record."""
    return rec.put("scenarios", (_columns(s) for s in scenarios))


def get_scenario(rec: Record, scenario_id: str) -> Scenario | None:
    """The scenario with this id, or None."""
    row = rec.one("SELECT * FROM scenarios WHERE id = ?", (scenario_id,))
    return scenario_of(row) if row else None


def iterate_scenarios(rec: Record, workflow_id: str | None = None, split: Split | None = None) -> Iterator[Scenario]:
    """Scenarios one by one, in the order in which they were made."""
    where = Where()
    where.equal({"workflow_id": workflow_id, "split": split})
    rowids = rec.by_rowid(f"SELECT rowid FROM scenarios{where}", where.arguments)
    for window in windows(rowids):
        yield from rec.window("SELECT * FROM scenarios WHERE rowid IN", window, scenario_of)


def scenarios(rec: Record, workflow_id: str | None = None, split: Split | None = None) -> list[Scenario]:
    """The same all at once."""
    return list(iterate_scenarios(rec, workflow_id, split))


def comparison_scenarios(rec: Record, comparison_id: str) -> list[Scenario]:
    """The scenarios of a comparison's conversations, each once, in the order in which they were made."""
    sql = (
        "SELECT * FROM scenarios WHERE id IN (SELECT scenario_id FROM conversations WHERE comparison_id = ?)"
        " ORDER BY rowid"
    )
    return [scenario_of(row) for row in rec.query(sql, (comparison_id,))]


def scenario_of(row: Row) -> Scenario:
    """The scenario in a row of the table."""
    data: dict[str, Any] = from_json(row["data"])
    return Scenario(
        id=row["id"],
        workflow_id=row["workflow_id"],
        split=row["split"],
        seed=int(row["seed"]),
        variables=data["variables"],
        persona=data["persona"],
        plan=tuple(PlannedMove(**move) for move in data["plan"]),
        deviations=tuple(data["deviations"]),
    )


def _columns(scenario: Scenario) -> dict[str, object]:
    data = {
        "variables": scenario.variables,
        "persona": scenario.persona,
        "plan": [asdict(move) for move in scenario.plan],
        "deviations": scenario.deviations,
    }
    return {
        "id": scenario.id,
        "workflow_id": scenario.workflow_id,
        "split": scenario.split,
        "seed": str(scenario.seed),
        "data": to_json(data),
        "created": now(),
    }

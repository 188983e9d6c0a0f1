"""Paired tests between two comparisons that held conversations on the same scenarios."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from workbench.evaluation.assess import MEASURES
from workbench.evaluation.pairs import tested_family
from workbench.evaluation.tables import MEASURED, Tables, tables_of
from workbench.store.record import Record


def paired_tests(
    rec: Record, before: str, after: str, agents: Iterable[str]
) -> dict[tuple[str, str], Mapping[str, Any]]:
    """(agent, figure) → the test of after − before on the scenarios both held, Holm over the agent's figures.

    Judged criteria are compared only where both have the same judge; different rubrics are no obstacle to the test and
    are listed among the settings.
    """
    first, second = tables_of(rec, before), tables_of(rec, after)
    judges = {j.judge for j in first.judges} & {j.judge for j in second.judges}
    lead = next((j.judge for j in first.judges if j.judge in judges), None)
    family = [(MEASURED, name) for name in MEASURES] + ([(lead, name) for name in first.criteria(lead)] if lead else [])
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for agent in agents:
        sides = ((first, "before"), (second, "after"))
        cells = {(side, *key): tables.of(agent, *key) for tables, side in sides for key in family}
        for test in tested_family("after", "before", Tables(cells, {}, ()), family):
            found[agent, test["criterion"]] = test
    return found

"""Paired tests between two comparisons that held conversations on the same scenarios."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from workbench.evaluation.assess import MEASURES
from workbench.evaluation.pairs import tested_family
from workbench.evaluation.tables import MEASURED, Tables, tables_of
from workbench.store.record import Record


def paired_tests(
    rec: Record, before: str, after: str, agents: Iterable[str], judges: Mapping[str, str]
) -> dict[tuple[str, str], Mapping[str, Any]]:
    """(agent, figure) → the test of after − before on the scenarios both held, Holm over the agent's figures.

    `judges`: criterion → the judge by whose scores it is compared. Different rubrics of a judge are no obstacle to the
    test and are listed among the settings.
    """
    first, second = tables_of(rec, before), tables_of(rec, after)
    family = [(MEASURED, name) for name in MEASURES] + [(judge, name) for name, judge in judges.items()]
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for agent in agents:
        sides = ((first, "before"), (second, "after"))
        cells = {(side, *key): tables.of(agent, *key) for tables, side in sides for key in family}
        for test in tested_family("after", "before", Tables(cells, {}, ()), family):
            found[agent, test["criterion"]] = test
    return found

"""What a section is: one table in words, with the way from its rows to the conversations behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.evaluation.words import (
    Summary,
    judge_on,
)

Rows = list[tuple[str, ...]]


People = Sequence[Mapping[str, Any]]
"""Agreements with people as `agreement.people_agree` finds them, which no summary holds: they go on scoring."""


@dataclass(frozen=True, slots=True)
class Target:
    """What a row's conversations are found by: a figure, and where it says so a judge, an agent, a deviation, or who
    must differ ("conditions", "judges"). `hub`: the one whose choices the row counts."""

    figure: str
    judge: str = ""
    agent: str | None = None
    deviation: str | None = None
    differ: str = ""
    hub: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One table: `rows` with the heading first; `note` says how to read it. Empty rows: the note alone says why.

    `behind` leads from each row below the heading to its conversations; None where there are none. It may be shorter.
    """

    id: str
    title: str
    note: str
    rows: Rows
    behind: tuple[Target | None, ...] = ()


def mark(summary: Summary, condition: str, name: str, judge: str | None = None) -> str:
    """` *` where a test of this agent on this criterion is significant after Holm (by default of the judge who stands for it)."""
    wanted = judge or judge_on(summary, name)
    for test in summary.get("comparison", {}).get("tests", ()):
        of = test.get("judge")
        same = of in (None, "") or of == wanted
        if same and test.get("agent") == condition and test.get("criterion") == name:
            return " *" if test.get("significant") else ""
    return ""


def whole(entry: Mapping[str, Any]) -> int:
    """An agent's conversations, those that infrastructure broke included."""
    return int(entry.get("n", 0)) + int(entry.get("missing", 0))

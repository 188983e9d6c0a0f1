"""Bounds on a comparison's figures, for a CI that must fail when an agent gets worse."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from workbench.errors import UserError


@dataclass(frozen=True, slots=True)
class Bound:
    """`figure` must be at least (`min`) or at most (`max`) `value`."""

    figure: str
    value: float
    kind: Literal["min", "max"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A bound and what was found: `value` None is missing or not reported, which never meets a bound."""

    bound: Bound
    value: float | None

    @property
    def is_met(self) -> bool:
        """Within the bound."""
        if self.value is None:
            return False
        return self.value >= self.bound.value if self.bound.kind == "min" else self.value <= self.bound.value

    @property
    def text(self) -> str:
        """One line."""
        found = "not reported" if self.value is None else f"{self.value:.4g}"
        return (
            f"{self.bound.figure} {found}, {'at least' if self.bound.kind == 'min' else 'at most'} {self.bound.value:g}"
        )


def parse_bound(text: str, kind: Literal["min", "max"]) -> Bound:
    """Read `FIGURE=X`. Raises UserError if it is something else, or if X is no finite number."""
    figure, _, number = text.partition("=")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f'--{kind} "{text}": write FIGURE=X, such as task_success=4.2')
    return Bound(figure.strip(), value, kind)


def check_bounds(
    summary: Mapping[str, Any], agent: str, bounds: Sequence[Bound], judge: str | None = None
) -> list[Outcome]:
    """Look the figures up in an agent's entry; criteria are the leading judge's unless another is named.

    Raises UserError for an unknown agent, judge or figure, naming the known ones.
    """
    agents: Mapping[str, Mapping[str, Any]] = summary["agents"]
    entry = agents.get(agent) or next((e for e in agents.values() if e.get("agent") == agent), None)
    if entry is None:
        raise UserError(f'no agent "{agent}" in this comparison (there are: {", ".join(agents)})')
    figures = {**_numbers(entry), **_numbers(entry.get("costs", {}))}
    if judge is not None:
        judges: Mapping[str, Mapping[str, Any]] = entry.get("judges", {})
        if judge not in judges:
            raise UserError(f'no judge "{judge}" in this comparison (there are: {", ".join(judges) or "none"})')
        figures |= {name: found["mean"] if found else None for name, found in judges[judge].items()}
    figures["failure_rate"] = entry.get("failures", {}).get("rate")
    figures["labeller_accuracy"] = summary.get("labeller_accuracy")
    for bound in bounds:
        if bound.figure not in figures:
            raise UserError(f'no figure "{bound.figure}" (there are: {", ".join(sorted(figures))})')
    return [Outcome(bound, figures[bound.figure]) for bound in bounds]


def _numbers(entry: Mapping[str, Any]) -> dict[str, float | None]:
    return {
        k: v
        for k, v in entry.items()
        if k != "baseline" and (v is None or (isinstance(v, int | float) and not isinstance(v, bool)))
    }

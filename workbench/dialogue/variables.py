"""Scenario variables: which values a split may draw, and a seeded draw that respects what depends on what."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from functools import cache, partial
from random import Random

from workbench.errors import UserError
from workbench.workflow.derived import derived
from workbench.workflow.model import Split, Value, Variable, Workflow

Wanted = Mapping[str, frozenset[Value]]
"""Values a variable must take so that the conditions on a path hold."""

_MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
           "November", "December")  # fmt: skip
_SHARES: Mapping[Split, tuple[int, ...]] = {"train": (0, 1, 2), "dev": (3,), "test": (4,)}


@cache
def parse_date(text: str) -> datetime.date:
    """A day written as `3 May`, in a year without a leap day. Raises ValueError if it is not one."""
    day, month = text.split()
    return datetime.date(2027, _MONTHS.index(month) + 1, int(day))


def format_date(date: datetime.date) -> str:
    """`3 May`."""
    return f"{date.day} {_MONTHS[date.month - 1]}"


def all_values(variable: Variable) -> tuple[Value, ...]:
    """Every value of a variable without a dependency on others (`after` gives the whole year)."""
    if variable.values:
        return variable.values
    try:
        if variable.type == "date":
            first, last = parse_date(str(variable.low or "1 January")), parse_date(str(variable.high or "31 December"))
            return tuple(format_date(first + datetime.timedelta(n)) for n in range((last - first).days + 1))
        if variable.type == "integer":
            return tuple(range(int(variable.low or 0), int(variable.high or 0) + 1, variable.step))
    except ValueError:
        raise UserError(f"variable '{variable.name}': 'low' and 'high' must be days such as '3 May'") from None
    return ()


def values_of(variable: Variable, split: Split) -> tuple[Value, ...]:
    """The values a split may use: all of a closed `choice`, a share of its own (3/5, 1/5, 1/5) of anything open."""
    values = all_values(variable)
    if variable.type == "choice":
        return values
    return tuple(v for i, v in enumerate(values) if i % 5 in _SHARES[split])


def draw(workflow: Workflow, split: Split, rng: Random, wanted: Wanted | None = None) -> dict[str, Value] | None:
    """One value for every variable, in file order; None if some variable has no value left (draw again)."""
    drawn: dict[str, Value] = {}
    for name, variable in workflow.variables.items():
        pool = derived(workflow, ("values", name, split), partial(values_of, variable, split))
        values = [v for v in pool if _fits(variable, v, drawn)]
        if wanted and name in wanted:
            values = [v for v in values if v in wanted[name]]
        if not values:
            return None
        drawn[name] = rng.choice(values)
    return drawn


def _fits(variable: Variable, value: Value, drawn: Mapping[str, Value]) -> bool:
    if variable.differs_from and drawn.get(variable.differs_from) == value:
        return False
    for other, table in variable.given.items():
        allowed = table.get(drawn.get(other, ""))
        if allowed is not None and value not in allowed:
            return False
    if variable.after:
        other, least, most = variable.after
        gap = (parse_date(str(value)) - parse_date(str(drawn[other]))).days
        return least <= gap <= most
    return True

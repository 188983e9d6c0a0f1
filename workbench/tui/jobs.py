"""Jobs as the panes need them: one small row a job, from the folders that are the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from workbench.home import Home


@dataclass(frozen=True, slots=True)
class Job:
    """A job; `share` is 0 … 1, times are epoch seconds; what is unknown is None."""

    id: str
    kind: str
    title: str
    state: str
    share: float | None = None
    eta_s: float | None = None
    started: float | None = None
    ended: float | None = None
    error: str = ""
    result: Any = None


def jobs(home: Home) -> list[Job]:
    return []

"""What may be changed about a job while it runs: a small file in its folder that anyone may replace and the job reads.

A job's arguments say *what* is to be done and make its id; its settings say *how*, so that the same work goes on with
more money, other concurrency or after a pause instead of beginning anew as another job.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from workbench.errors import UserError
from workbench.home import Home
from workbench.jobs.folder import job_folder, locked, read_json, write_json
from workbench.numbers import finite

FILE = "settings.json"


@dataclass(frozen=True, slots=True)
class Settings:
    """`concurrency`: model calls in flight at once, None adapts. `paused`: begin nothing new. `budget`: US dollars that
    the whole job may cost, all its attempts together, None is no limit. `batch`: use the provider's batch interface.
    `on`: the cluster that does the work (see `jobs.where`), "" is the job's own process; read when it starts.
    `retries`: how often what could not be used is made anew, altogether.
    """

    concurrency: int | None = None
    paused: bool = False
    budget: float | None = None
    batch: bool = False
    on: str = ""
    retries: int = 0


def read_settings(folder: Path) -> Settings:
    """The settings of the job in `folder`; whatever is missing or damaged stands at its default."""
    data = read_json(folder / FILE)
    concurrency, budget, retries = data.get("concurrency"), finite(data.get("budget")), data.get("retries")
    return Settings(
        concurrency=concurrency if type(concurrency) is int and concurrency > 0 else None,
        paused=data.get("paused") is True,
        budget=budget if budget is not None and budget >= 0 else None,
        batch=data.get("batch") is True,
        on=on if isinstance(on := data.get("on"), str) else "",
        retries=retries if type(retries) is int and retries > 0 else 0,
    )


def change_settings(folder: Path, changes: Mapping[str, object]) -> Settings:
    """Change some of the settings (names as in `Settings`) and return all. Raises UserError for impossible values."""
    with locked(folder / "settings.lock"):
        made = replace(read_settings(folder), **changes)  # type: ignore[arg-type]
        if made.concurrency is not None and made.concurrency < 1:
            raise UserError(f"the concurrency must be 'auto' or at least 1, not {made.concurrency}")
        if made.budget is not None and not (math.isfinite(made.budget) and made.budget >= 0):
            raise UserError(f"the budget must be 0 dollars or more, not {made.budget:g}")
        write_json(folder / FILE, asdict(made))
    return made


def change_job(home: Home, job_id: str, changes: Mapping[str, object]) -> Settings:
    """`change_settings` of a job by its id or the beginning of it: a running job follows within a second."""
    return change_settings(job_folder(home, job_id), changes)


def parse_concurrency(text: str) -> int | None:
    """`auto` (None) or a number from 1. Raises UserError."""
    if text == "auto":
        return None
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise UserError(f'concurrency "{text}": write auto or a number from 1')

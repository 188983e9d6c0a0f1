"""A job that is made of other jobs: each part is launched or joined by the whole, and seen to its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from workbench.errors import UserError
from workbench.jobs.context import JobContext, Stopped
from workbench.jobs.control import stop, tail_events
from workbench.jobs.states import ENDED, status

_POLL_S = 0.3


def see_through(ctx: JobContext, part: str, passing: Callable[[Mapping[str, Any]], None]) -> Mapping[str, Any]:
    """Wait for the job `part`, handing its progress events to `passing`; returns its result.

    Stopping the whole stops the part (Stopped), and a part that was stopped stops the whole; its failure is the whole's
    (UserError).
    """
    offset = 0
    while True:
        now = status(ctx.home, part)  # before the events, so that none is missed after the end
        begin = offset
        events, offset = tail_events(ctx.home, part, offset)
        for event in events:
            if event["type"] == "progress":
                passing(event)
        if ctx.stopping:
            stop(ctx.home, part)
            raise Stopped
        if now.state in ENDED and offset == begin:
            break
        ctx.sleep(_POLL_S)
    if now.state == "stopped":
        raise Stopped
    if now.state != "done":
        raise UserError(f"{now.title}: {now.error or now.state}")
    return now.result

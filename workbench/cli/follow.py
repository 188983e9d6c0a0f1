"""Watching a job from a command: a line that is redrawn on a terminal, plain lines elsewhere, the job's own result."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from workbench.errors import ServiceError, UserError
from workbench.home import Home
from workbench.jobs import ENDED, status, tail_events
from workbench.jobs.pace import Pace
from workbench.text import clean, clean_line

if TYPE_CHECKING:
    from workbench.store.progress import Told

PLAIN_SECONDS = 10.0
"""Seconds between two progress lines where the output is no terminal."""


class Narrator:
    """Turns a job's events into lines; `quiet` says nothing but keeps the rules of ending."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._told = 0.0
        self._open = False

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Tell one event."""
        if self._quiet:
            return
        kind = event.get("type")
        if kind == "stage" and "index" in event:
            self._stage(event)
        elif kind == "progress":
            self._progress(event)
        elif kind == "log":
            self._line(clean_line(str(event.get("text", ""))))

    def _stage(self, event: Mapping[str, Any]) -> None:
        head = f"[{event['index'] + 1}/{event['total']}] {event.get('title', event.get('name'))}"
        if event.get("state") == "running":
            self._line(f"{head}: {event.get('why', '')}")
        else:
            self._line(f"      {event.get('made', '')} ({span(event.get('seconds'))})")

    def _progress(self, event: Mapping[str, Any]) -> None:
        done, total = float(event.get("done") or 0), event.get("total")
        now = time.monotonic()
        if not self._terminal and now - self._told < PLAIN_SECONDS and done != total:
            return
        self._told = now
        share = f"{done / total:4.0%} " if total else ""
        bar = f"[{'#' * round(20 * done / total):20}] " if total and self._terminal else ""
        of = f"/{total:,.0f}" if total else ""
        text = clean(
            f"      {bar}{share}{done:,.0f}{of} {event.get('unit', '')}, {span(event.get('eta_s'))} left{_costs(event)}"
        )
        if self._terminal:
            columns = shutil.get_terminal_size().columns
            click.echo(f"\r\x1b[K{text[: columns - 1]}", err=True, nl=False)
            self._open = True
        else:
            click.echo(text, err=True)

    def _line(self, text: str) -> None:
        self.close()
        click.echo(clean_line(text), err=True)

    def close(self) -> None:
        """End a line that is being redrawn."""
        if self._open:
            click.echo("\r\x1b[K", err=True, nl=False)
            self._open = False


@contextmanager
def progress_line(unit: str, quiet: bool) -> Iterator[Told]:
    """Progress of work in this very process: call it with how much is done, and of how much. Work of a second says nothing."""
    tell, pace, began = Narrator(quiet), Pace(), time.monotonic()

    def told(done: int, total: int) -> None:
        if (far := pace.far(done, total, unit)) and time.monotonic() - began >= 1:
            tell({"type": "progress", **far._asdict()})

    try:
        yield told
    finally:
        tell.close()


def _costs(event: Mapping[str, Any]) -> str:
    """Money and concurrency, where a job tells them with its progress."""
    spent, wide = event.get("spent"), event.get("concurrency")
    text = f", ${spent:.4f} spent" if isinstance(spent, int | float) else ""
    return text + (", paused" if event.get("paused") else f", {wide} at once" if isinstance(wide, int) else "")


def span(seconds: float | None) -> str:
    """A length of time for people: `42 s`, `3 min 5 s`, `2 h 10 min`; `?` if unknown."""
    if seconds is None:
        return "?"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def follow(home: Home, job_id: str, quiet: bool = False) -> Mapping[str, Any]:
    """See a job to its end and return its result. Ctrl+C leaves the job running and says how to stop it.

    Raises UserError or ServiceError with the job's own line if it failed, was stopped or lost.
    """
    tell = Narrator(quiet)
    offset = 0
    try:
        while True:
            now, begin = status(home, job_id), offset
            events, offset = tail_events(home, job_id, offset)
            for event in events:
                tell(event)
            if (now.state in ENDED or now.state == "unknown") and offset == begin:
                break
            time.sleep(0.2)
    except KeyboardInterrupt:
        tell.close()
        click.echo(
            f"the job goes on; `workbench jobs stop {job_id}` stops it, the same command watches it again", err=True
        )
        raise
    tell.close()
    if now.state == "done":
        return now.result
    if now.state == "failed":
        raise (ServiceError if now.exit_code == ServiceError.exit_code else UserError)(f"{now.title}: {now.error}")
    raise ServiceError(f"{now.title}: {now.error or now.state}; the same command continues it")

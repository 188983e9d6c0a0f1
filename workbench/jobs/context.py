"""What the function that does a job's work is given: where it is, how to report, and whether to stop."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.home import Home, open_private
from workbench.jobs.events import EventWriter
from workbench.jobs.pace import Pace
from workbench.jobs.settings import Settings, read_settings

HEARTBEAT_SECONDS = 2.0
_STOP_CHECK_SECONDS = 0.2


class Stopped(Exception):
    """Raised by `JobContext.check` (or by the work itself) to end a job that was asked to stop; what is done stays."""


class JobContext:
    """The job as seen from inside. Events may be written from any thread."""

    def __init__(self, home: Home, folder: Path, args: Mapping[str, Any], events: EventWriter) -> None:
        self.home = home
        self.folder = folder
        self.id = folder.name
        self.args = args
        self._events = events
        self._asked = False
        self._checked = 0.0
        self._settings, self._read = Settings(), -_STOP_CHECK_SECONDS
        self._pace = Pace()

    @property
    def stopping(self) -> bool:
        """Whether the job was asked to stop, by SIGTERM or by the stop file; cheap enough for every step."""
        now = time.monotonic()
        if not self._asked and now - self._checked >= _STOP_CHECK_SECONDS:
            self._checked = now
            self._asked = (self.folder / "stop").exists()
        return self._asked

    @property
    def settings(self) -> Settings:
        """What may be changed while the job runs (concurrency, pause, budget), at most a fifth of a second old."""
        now = time.monotonic()
        if now - self._read >= _STOP_CHECK_SECONDS:
            self._settings, self._read = read_settings(self.folder), now
        return self._settings

    def ask_to_stop(self) -> None:
        """Make `stopping` true (the signal handler calls it)."""
        self._asked = True

    def check(self) -> None:
        """Raise Stopped if the job was asked to stop."""
        if self.stopping:
            raise Stopped

    def sleep(self, seconds: float) -> bool:
        """Wait, but no longer than until the job is asked to stop; returns `stopping`."""
        deadline = time.monotonic() + seconds
        while not self.stopping and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, _STOP_CHECK_SECONDS))
        return self.stopping

    def event(self, type: str, /, **data: object) -> None:
        """Add a line to events.jsonl. Raises OSError on a full disk, which ends the job with a clear line."""
        self._events.append(type, data)

    def stage(self, name: str, why: str = "") -> None:
        """Say that a new stage begins, and in one line why it matters."""
        self._pace.restart()
        self.event("stage", name=name, why=why)

    def progress(self, done: float, total: float | None, unit: str, **data: object) -> None:
        """Say how far the work is. The time left comes from the rate of this process only, in this stage.

        May be called as often as one likes: at most four a second are written, the first and the last always.
        """
        if far := self._pace.far(done, total, unit):
            self.event("progress", **far._asdict(), **data)

    def log(self, text: str) -> None:
        """Add a line to the log, for people."""
        self.event("log", text=text)
        print(text, flush=True)


class Heartbeat:
    """A thread that touches a file every two seconds as long as the process lives."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def __enter__(self) -> Heartbeat:
        os.close(open_private(self._file, os.O_WRONLY))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _beat(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                os.utime(self._file)
            if self._end.wait(HEARTBEAT_SECONDS):
                return

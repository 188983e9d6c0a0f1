"""One watcher for the whole app: it notices what other processes have written and says which topic changed."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message
from textual.message_pump import MessagePump

from workbench.errors import UserError
from workbench.home import Home

if TYPE_CHECKING:
    from workbench.store.record import Record

PERIOD = 0.25
"""Seconds between two looks: at most four a second."""


class Changed(Message):
    """Something was written. Topics: `record`, `workflows` (a workflow file), `jobs` (a job came, ended or stopped),
    `job:ID` (its events grew).
    """

    def __init__(self, topics: frozenset[str]) -> None:
        super().__init__()
        self.topics = topics


class Watcher:
    """A thread that looks at the record's `data_version`, the workflow files and the sizes of the jobs' event files."""

    def __init__(self, home: Home, target: MessagePump) -> None:
        self._home = home
        self._target = target
        self._stop = threading.Event()
        self._record: Record | None = None
        self._version = -1
        self._jobs: dict[str, tuple[int, bool]] = {}
        self._files: dict[Path, int] = {}
        self._thread = threading.Thread(target=self._loop, name="watcher", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End; returns when the thread has ended."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(2)

    def _loop(self) -> None:
        self.look()
        while not self._stop.wait(PERIOD):
            if topics := self.look():
                self._target.post_message(Changed(frozenset(topics)))
        if self._record:
            self._record.close()

    def look(self) -> set[str]:
        """The topics that changed since the last look (all that exist, at the first)."""
        topics: set[str] = set()
        if (version := self._data_version()) != self._version:
            self._version = version
            topics.add("record")
        now = dict(self._job_files())
        for job, seen in now.items():
            before = self._jobs.get(job)
            if before != seen:
                topics.add(f"job:{job}")
            if before is None or before[1] != seen[1]:
                topics.add("jobs")
        if now.keys() != self._jobs.keys():
            topics.add("jobs")
        self._jobs = now
        files = dict(_workflow_files())
        if files != self._files:
            topics.add("workflows")
        self._files = files
        return topics

    def _data_version(self) -> int:
        if not self._home.database.exists():
            return -1
        import sqlite3

        from workbench.store.record import connect  # not before the first frame

        try:
            self._record = self._record or connect(self._home, readonly=True)
            return self._record.data_version()
        except (sqlite3.Error, UserError):
            return self._version

    def _job_files(self) -> list[tuple[str, tuple[int, bool]]]:
        """Every job's id with the size of its events and whether it has ended."""
        found: list[tuple[str, tuple[int, bool]]] = []
        try:
            with os.scandir(self._home.jobs) as folders:
                for folder in folders:
                    path = Path(folder.path)
                    try:
                        size = (path / "events.jsonl").stat().st_size
                    except OSError:
                        size = 0
                    found.append((folder.name, (size, (path / "done.json").exists())))
        except OSError:
            return []
        return found


def _workflow_files() -> Iterator[tuple[Path, int]]:
    """Every workflow file with the time of its last change."""
    from workbench.workflow.load import known_workflows  # not before the first frame

    try:
        for file in known_workflows():
            yield file, file.stat().st_mtime_ns
    except OSError:
        return

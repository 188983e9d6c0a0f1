"""events.jsonl: append-only, one writer, many readers; a torn line (power cut, full disk) costs only itself."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from workbench.store.encode import to_json

Event = dict[str, Any]
"""`{"t": UTC epoch seconds, "type": …, …}`."""
_CHUNK = 1 << 16


class EventWriter:
    """The one writer. Every event is a single write; may be used from several threads."""

    def __init__(self, file: Path) -> None:
        self._handle = os.open(file, os.O_CREAT | os.O_RDWR | os.O_APPEND, 0o600)
        self._lock = threading.Lock()
        size = os.fstat(self._handle).st_size
        self._torn = size > 0 and os.pread(self._handle, 1, size - 1) != b"\n"

    def append(self, type_: str, data: Mapping[str, object]) -> None:
        """Add an event with the present time. Raises OSError on a full disk; the next one starts a line of its own."""
        line = to_json({**data, "t": time.time(), "type": type_}).encode() + b"\n"
        with self._lock:
            if self._torn:
                line = b"\n" + line
            self._torn = True
            while line:
                line = line[os.write(self._handle, line) :]
            self._torn = False

    def close(self) -> None:
        """Release the file."""
        os.close(self._handle)


def read_events(file: Path, offset: int = 0) -> tuple[list[Event], int]:
    """The events from byte `offset` on and the offset to go on from; an unfinished last line is left for later."""
    try:
        with file.open("rb") as stream:
            stream.seek(offset)
            data = stream.read()
    except FileNotFoundError:
        return [], offset
    end = data.rfind(b"\n") + 1
    return list(_parsed(data[:end].split(b"\n"))), offset + end


def last_events(file: Path, types: Iterable[str], since: str = "start", most: int = 1 << 20) -> dict[str, Event]:
    """The newest event of each of `types` after the newest one of type `since`, among the last `most` bytes."""
    wanted = set(types)
    found: dict[str, Event] = {}
    try:
        with file.open("rb") as stream:
            end = stream.seek(0, os.SEEK_END)
            least = max(0, end - most)
            rest = b""
            while end > least and wanted - found.keys():
                begin = max(least, end - _CHUNK)
                stream.seek(begin)
                lines = (stream.read(end - begin) + rest).split(b"\n")
                rest, end = (lines.pop(0) if begin else b""), begin
                for event in _parsed(reversed(lines)):
                    if event["type"] == since:
                        return found
                    if event["type"] in wanted:
                        found.setdefault(event["type"], event)
    except FileNotFoundError:
        pass
    return found


def _parsed(lines: Iterable[bytes]) -> Iterable[Event]:
    for line in lines:
        if not line.strip():
            continue
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict) and isinstance(event.get("type"), str):
            yield event

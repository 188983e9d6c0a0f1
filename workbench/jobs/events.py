"""events.jsonl: append-only, one writer, many readers; a torn line (power cut, full disk) costs only itself."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from workbench.home import open_private
from workbench.store.encode import to_json

Event = dict[str, Any]
"""`{"t": UTC epoch seconds, "type": …, …}`."""
_CHUNK = 1 << 16
LONGEST_LINE = 16 << 20
"""What is longer is no event (a hole in the file, a torn write) and is passed over."""
_NO_EVENT = b"\0"
READ_BYTES = 32 << 20
NEWEST_BYTES = 256 << 20


class EventWriter:
    """The one writer. Every event is a single write; may be used from several threads."""

    def __init__(self, file: Path) -> None:
        self._handle = open_private(file, os.O_RDWR | os.O_APPEND)
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


def read_events(file: Path, offset: int = 0, most: int = READ_BYTES) -> tuple[list[Event], int]:
    """The events from byte `offset` on and the offset to go on from; an unfinished last line is left for later.

    About `most` bytes are read at once: whoever wants all asks again until the offset stays, or uses `all_events`.
    """
    found: list[Event] = []
    end = offset + most
    try:
        with file.open("rb") as stream:
            for line, after in whole_lines(stream, offset):
                found += _parsed((line,))
                offset = after
                if offset >= end:
                    break
    except FileNotFoundError:
        pass
    return found, offset


def all_events(file: Path) -> Iterator[Event]:
    """Every event, read as they are asked for; none if there is no file."""
    try:
        with file.open("rb") as stream:
            yield from _parsed(line for line, _ in whole_lines(stream))
    except FileNotFoundError:
        return


def newest_events(file: Path, count: int, types: Iterable[str] = ()) -> tuple[list[Event], int]:
    """The last `count` events (of `types`, if any are given), oldest first, and the offset to read on from.

    Read backwards, at most NEWEST_BYTES far, so that a file of any size is no matter.
    """
    wanted = set(types)
    found: list[Event] = []
    try:
        with file.open("rb") as stream:
            end = _end_of_lines(stream)
            for event in _backwards(stream, end, NEWEST_BYTES) if count else ():
                if not wanted or event["type"] in wanted:
                    found.append(event)
                    if len(found) == count:
                        break
    except FileNotFoundError:
        return [], 0
    return found[::-1], end


def whole_lines(stream: BinaryIO, offset: int = 0) -> Iterator[tuple[bytes, int]]:
    """Every finished line from `offset` on with the offset after it; empty in place of what is too long for a line."""
    stream.seek(offset)
    torn = False
    while line := stream.readline(LONGEST_LINE):
        ended = line.endswith(b"\n")
        if not ended and len(line) < LONGEST_LINE:
            return
        offset += len(line)
        yield b"" if torn or not ended else line, offset
        torn = not ended


def last_events(file: Path, types: Iterable[str], since: str = "start", most: int = 1 << 20) -> dict[str, Event]:
    """The newest event of each of `types` after the newest one of type `since`, among the last `most` bytes."""
    wanted = set(types)
    found: dict[str, Event] = {}
    try:
        with file.open("rb") as stream:
            for event in _backwards(stream, stream.seek(0, os.SEEK_END), most):
                if event["type"] == since or not wanted - found.keys():
                    break
                if event["type"] in wanted:
                    found.setdefault(event["type"], event)
    except FileNotFoundError:
        pass
    return found


def _backwards(stream: BinaryIO, end: int, most: int) -> Iterator[Event]:
    """Events from byte `end` backwards, newest first, those within the last `most` bytes."""
    least = max(0, end - most)
    pieces: list[bytes] = []  # of the line whose beginning is not read yet, last piece first
    while end > least:
        begin = max(least, end - _CHUNK)
        stream.seek(begin)
        lines = stream.read(end - begin).split(b"\n")
        end = begin
        if len(lines) > 1:
            yield from _parsed((lines.pop() + b"".join(reversed(pieces)),))
            yield from _parsed(reversed(lines[1:]))
            pieces = []
        pieces.append(lines[0])
        if sum(map(len, pieces)) > LONGEST_LINE:
            pieces = [_NO_EVENT]
    if end == 0:
        yield from _parsed((b"".join(reversed(pieces)),))


def _end_of_lines(stream: BinaryIO) -> int:
    """The offset after the last line feed, or as far as an unfinished line may reach back."""
    size = end = stream.seek(0, os.SEEK_END)
    while end > max(0, size - LONGEST_LINE):
        begin = max(0, end - _CHUNK)
        stream.seek(begin)
        if (at := stream.read(end - begin).rfind(b"\n")) >= 0:
            return begin + at + 1
        end = begin
    return size if end else 0


def _parsed(lines: Iterable[bytes]) -> Iterator[Event]:
    for line in lines:
        if not line.strip():
            continue
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(event, dict) and isinstance(event.get("type"), str):
            yield event

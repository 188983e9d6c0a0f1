from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.home import Home
from workbench.jobs import context, events
from workbench.jobs.context import JobContext
from workbench.jobs.events import EventWriter, last_events, read_events


def _write(file: Path, count: int, first: int = 0) -> None:
    writer = EventWriter(file)
    for number in range(first, first + count):
        writer.append("metric", {"step": number, "text": 'ä\n"\u2028'})
    writer.close()


@given(cut=st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_cut_at_any_byte_only_the_torn_line_is_lost(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    file = tmp_path_factory.mktemp("cut") / "events.jsonl"
    _write(file, 5)
    whole = file.read_bytes()
    os.truncate(file, min(cut, len(whole)))
    complete = whole[:cut].count(b"\n")
    before, offset = read_events(file)
    assert [e["step"] for e in before] == list(range(complete))
    _write(file, 2, first=100)
    after, end = read_events(file, offset)
    steps = [e["step"] for e in after]
    # What was cut exactly before its line feed is whole again once the next writer has ended the line.
    assert steps in ([100, 101], [complete, 100, 101])
    assert end == file.stat().st_size


def test_an_unfinished_line_is_left_for_later(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b'{"t":1,"type":"a"}\n{"t":2,"ty')
    found, offset = read_events(file)
    assert [e["type"] for e in found] == ["a"]
    with file.open("ab") as out:
        out.write(b'pe":"b"}\n')
    assert [e["type"] for e in read_events(file, offset)[0]] == ["b"]
    assert read_events(tmp_path / "none.jsonl", 7) == ([], 7)


def test_lines_that_are_no_events_are_skipped(tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    file.write_bytes(b'\n[1]\n{"type":1}\nnull\n\xff\xfe\n{"t":1,"type":"a"}\n')
    assert [e["type"] for e in read_events(file)[0]] == ["a"]


@given(sizes=st.lists(st.integers(0, 200), max_size=30), chunk=st.integers(1, 300))
@settings(max_examples=60, deadline=None)
def test_reading_backwards_finds_the_newest(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], chunk: int
) -> None:
    file = tmp_path_factory.mktemp("back") / "events.jsonl"
    writer = EventWriter(file)
    writer.append("progress", {"done": -2})
    writer.append("start", {})
    for number, size in enumerate(sizes):
        writer.append("progress" if number % 3 == 0 else "metric", {"done": number, "pad": "ä" * size})
    writer.close()
    original = events._CHUNK
    events._CHUNK = chunk
    try:
        found = last_events(file, ("progress",))
    finally:
        events._CHUNK = original
    expected = [n for n in range(len(sizes)) if n % 3 == 0]
    assert (found["progress"]["done"] if expected else None) == (expected[-1] if expected else None)


def test_the_time_left_counts_this_session_only(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]
    monkeypatch.setattr(context.time, "monotonic", lambda: clock[0])
    folder = home.jobs / "0123456789abcdef"
    folder.mkdir(parents=True)
    writer = EventWriter(folder / "events.jsonl")
    ctx = JobContext(home, folder, {}, writer)
    ctx.progress(900, 1000, "steps")
    clock[0] += 10
    ctx.progress(910, 1000, "steps", loss=0.5)
    clock[0] += 0.01
    ctx.progress(911, 1000, "steps")
    ctx.progress(1000, 1000, "steps")
    ctx.stage("next")
    ctx.progress(0, None, "pages")
    written = [e for e in read_events(folder / "events.jsonl")[0] if e["type"] == "progress"]
    assert [e["done"] for e in written] == [900, 910, 1000, 0]
    assert written[0]["eta_s"] is None
    assert (written[1]["eta_s"], written[1]["rate"], written[1]["loss"]) == (90.0, 1.0, 0.5)
    assert written[2]["eta_s"] == 0.0
    assert (written[3]["eta_s"], written[3]["total"]) == (None, None)


def test_a_full_disk_tears_one_line_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "events.jsonl"
    writer = EventWriter(file)
    writer.append("a", {})
    real, room = os.write, [10]  # bytes left on the disk

    def full(handle: int, data: bytes) -> int:
        if not room:
            raise OSError(28, "No space left on device")
        return real(handle, data[: room.pop()])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        writer.append("b", {"x": "long enough to be cut somewhere"[:9]})
    monkeypatch.undo()
    writer.append("c", {})
    assert [e["type"] for e in read_events(file)[0]] == ["a", "c"]

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import UserError
from workbench.home import Home
from workbench.training import curves
from workbench.training.curves import BUCKETS, TAIL, Curve, CurveReader, Point
from workbench.training.metrics_file import write_csv, write_tensorboard

JOB = "a" * 16


def line(step: int, loss: float, **more: object) -> str:
    event = {
        "type": "metric",
        "step": step,
        "loss": loss,
        "seconds": 2.0 * step,
        "tokens": 100 * step,
        "t": 1000.0 + step,
    }
    return json.dumps({**event, **more}, separators=(",", ":")) + "\n"


def events(home: Home, *lines: str) -> Path:
    folder = home.jobs / JOB
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "events.jsonl").open("a") as file:
        file.writelines(lines)
    return folder / "events.jsonl"


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.integers(0, 60))
def test_a_run_that_goes_back_to_its_checkpoint_takes_back_what_came_after(values: list[float], back: int) -> None:
    curve = Curve()
    for step, value in enumerate(values):
        curve.add(Point(step, 0, 0, value))
    curve.add(Point(back, 0, 0, 7.0))
    kept = [p.step for p in curve.points()]
    assert kept == [*range(min(back, len(values))), back]


def test_a_long_curve_is_small_and_keeps_its_spikes_and_its_end() -> None:
    curve = Curve()
    for step in range(300_000):
        curve.add(Point(step, step, step, 100.0 if step == 123_456 else -9.0 if step == 7 else 1.0))
    points = curve.points()
    assert len(points) <= 2 * BUCKETS + 2 * TAIL
    assert curve.count == 300_000
    values = [p.value for p in points]
    assert max(values) == 100.0
    assert min(values) == -9.0
    assert [p.step for p in points[-TAIL:]] == list(range(300_000 - TAIL, 300_000))
    assert [p.step for p in points] == sorted(p.step for p in points)


def test_curves_grow_with_the_file_and_odd_lines_cost_only_themselves(home: Home) -> None:
    events(
        home, '{"type":"start","device":"cpu"}\n', line(1, 3.0), "{torn\n", "[1]\n", '{"type":"progress","done":1}\n'
    )
    reader = CurveReader(home, JOB)
    assert [p.value for p in reader.read().curves["loss"]] == [3.0]
    file = events(home, line(2, 2.0, lr=1e-4), line(3, 1.0)[:-9])
    found = reader.read()
    assert [p.value for p in found.curves["loss"]] == [3.0, 2.0]
    assert found.curves["lr"][0].x("tokens") == 200
    assert found.last["start"]["device"] == "cpu"
    file.write_text(line(1, 9.0))  # another run under the same name
    assert [p.value for p in reader.read().curves["loss"]] == [9.0]


def test_the_smoothed_loss_of_a_constant_is_that_constant(home: Home) -> None:
    events(home, *(line(step, 3.0) for step in range(1, 30)))
    assert [p.value for p in CurveReader(home, JOB).read().curves["smooth"]] == pytest.approx([3.0] * 29)


def test_samples_first_and_last_are_kept(home: Home) -> None:
    for step in (0, 5, 9):
        events(home, json.dumps({"type": "sample", "step": step, "samples": [{"title": str(step)}]}) + "\n")
    assert [s["step"] for s in CurveReader(home, JOB).read().samples] == [0, 9]


def test_what_was_read_once_is_not_read_again(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "_REMEMBER", 1000)
    events(home, *(line(step, 1.0 / step) for step in range(1, 200)))
    first = CurveReader(home, JOB).read()
    folded: list[bytes] = []
    monkeypatch.setattr(CurveReader, "_fold", lambda self, text: folded.append(text))
    again = CurveReader(home, JOB)
    assert again.read() == first
    events(home, line(200, 0.5))
    again.read()
    assert len(folded) == 1


def test_opened_again_however_long_the_run_little_is_left_to_read(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "_REMEMBER", 20_000)
    left = []
    for steps in (1_000, 4_000, 16_000):
        size = events(home, *(line(step, 1.0) for step in range(steps // 4 + 1, steps + 1))).stat().st_size
        whole = CurveReader(home, JOB).read()
        again = CurveReader(home, JOB)
        left.append(size - again._offset)
        assert again.read() == whole
        assert sum(map(len, whole.curves.values())) <= 2 * (2 * BUCKETS + 2 * TAIL)
    assert max(left) <= 20_000


def test_of_a_long_backlog_that_nobody_folded_the_end_is_whole_and_the_rest_is_thinned(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(curves, "_BACKLOG", 10_000)
    found = '{"type":"eval","step":%d,"dev_loss":1.5}\n'
    size = events(
        home, *(line(step, 1.0) + (found % step if step % 500 == 0 else "") for step in range(1, 3001))
    ).stat()
    read = CurveReader(home, JOB).read().curves
    steps = [p.step for p in read["loss"]]
    whole = 10_000 // (size.st_size // 3000 + 1)
    assert steps[-whole:] == list(range(3001 - whole, 3001))
    assert len(steps) < whole + 3000 * 10_000 / size.st_size + 20
    assert steps[0] < 100
    assert [p.step for p in read["dev_loss"]] == [500, 1000, 1500, 2000, 2500, 3000]


def test_a_damaged_memory_is_thrown_away(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(curves, "_REMEMBER", 1000)
    events(home, *(line(step, 1.0) for step in range(1, 100)))
    CurveReader(home, JOB).read()
    (memory,) = (home.state / "curves").iterdir()
    for text in ("", "[]", '[2,5,{"loss":[1]},{},[],0,0]', "[2,1e99,{},{},[],0,0]"):
        memory.write_text(text)
        assert len(CurveReader(home, JOB).read().curves["loss"]) == 99


def test_csv_holds_every_point(home: Home, tmp_path: Path) -> None:
    events(home, line(1, 3.0, lr=1e-4, gpu0_watt=300.0), '{"type":"eval","step":1,"dev_loss":2.5,"pass_rate":null}\n')
    assert write_csv(home, JOB, tmp_path / "out.csv") == 4
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {r["metric"]: float(r["value"]) for r in rows} == {
        "loss": 3.0,
        "lr": 1e-4,
        "gpu0_watt": 300.0,
        "dev_loss": 2.5,
    }
    with pytest.raises(UserError, match="no events"):
        write_csv(home, "b" * 16, tmp_path / "no.csv")


def test_tensorboard_files_hold_what_was_measured(home: Home, tmp_path: Path) -> None:
    import struct

    from tensorboardX.proto.event_pb2 import Event

    events(home, line(1, 3.0), line(2, 2.0), '{"type":"eval","step":2,"dev_loss":2.5,"t":5}\n')
    assert write_tensorboard(home, JOB, tmp_path / "tb") == 3
    (file,) = (tmp_path / "tb").iterdir()
    data, found = file.read_bytes(), []
    while data:  # records: length, its checksum, the event, its checksum
        (length,) = struct.unpack("<Q", data[:8])
        event = Event.FromString(data[12 : 12 + length])
        found += [(v.tag, event.step, round(v.simple_value, 3)) for v in event.summary.value]
        data = data[16 + length :]
    assert found == [("train/loss", 1, 3.0), ("train/loss", 2, 2.0), ("eval/dev_loss", 2, 2.5)]

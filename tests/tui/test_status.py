"""The status line: jobs that run, the GPU as it is read, dollars spent today."""

from __future__ import annotations

import pytest

from tests.fakes.record import sample_id
from tests.tui.conftest import press, screen_text, settle
from workbench.home import Home
from workbench.store import connect
from workbench.store.calls import put_calls
from workbench.store.rows import CallRow
from workbench.tui import status
from workbench.tui.shell import Workbench

ONE = {
    "memory_mb": 900.0,
    "cpu": 0.5,
    "gpu0_use": 0.87,
    "gpu0_memory_mb": 12_300.0,
    "gpu0_celsius": 61.0,
    "gpu0_watt": 300.0,
}
TWO = ONE | {"gpu1_use": 0.13, "gpu1_memory_mb": 1_700.0}


def gpus(monkeypatch: pytest.MonkeyPatch, figures: dict[str, float], *sizes: int) -> None:
    monkeypatch.setattr(status, "readings", lambda: figures)
    monkeypatch.setattr(status, "gpu_memory", lambda: list(sizes))


def test_one_gpu_and_several(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, ONE, 80 * 10**9)
    assert status.machine() == ("GPU 87% 12/80 GB", True)
    gpus(monkeypatch, TWO, 80 * 10**9, 80 * 10**9)
    assert status.machine() == ("2 GPUs 50% 14/160 GB", True)


def test_without_readings_the_driver_names_it_or_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus(monkeypatch, {"memory_mb": 900.0, "cpu": 0.5})
    monkeypatch.setattr(status, "_driver", lambda: "NVIDIA H100")
    assert status.machine() == ("NVIDIA H100", False)
    monkeypatch.setattr(status, "_driver", lambda: "")
    assert status.machine() == ("no GPU", False)


async def test_the_line_shows_all_three_and_reads_the_gpu_again(
    app: Workbench, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpus(monkeypatch, ONE, 80 * 10**9)
    with connect(home) as rec:
        put_calls(rec, [CallRow(sample_id("today"), "writer", "a/b", cost=1.25)])
    async with app.run_test(size=(80, 24)) as pilot:
        await settle(pilot)
        assert "no job is running" in screen_text(app)
        assert "GPU 87% 12/80 GB  $1.25 today" in screen_text(app)
        gpus(monkeypatch, ONE | {"gpu0_use": 0.05}, 80 * 10**9)
        assert app._again is not None
        app._again._callback()  # type: ignore[misc]
        await press(pilot, "2")
        assert "GPU 5% 12/80 GB" in screen_text(app)

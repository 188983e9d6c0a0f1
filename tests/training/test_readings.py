"""What a run reads of its machine: of graphics cards through NVML (a stand-in with its functions), of processors without one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from workbench.training import readings
from workbench.training.curves import Point, RunCurves
from workbench.tui.panes.training import view


class NVMLError(Exception):
    """What NVML raises."""


class Nvml(SimpleNamespace):
    """The functions of `pynvml` that are used; card 1 tells no power."""

    NVMLError = NVMLError
    NVML_TEMPERATURE_GPU = 0

    def nvmlInit(self) -> None:
        """Nothing to start."""

    def nvmlDeviceGetCount(self) -> int:
        return 3

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, card: int) -> str | bytes:
        return b"NVIDIA H100 80GB HBM3" if card else "NVIDIA H100 80GB HBM3"

    def nvmlDeviceGetUUID(self, card: int) -> str:
        return f"GPU-{card}{card}-abc"

    def nvmlDeviceGetMemoryInfo(self, card: int) -> Any:
        return SimpleNamespace(total=85_500_000_000, used=70_000_000_000 + card, free=15_500_000_000 - card)

    def nvmlDeviceGetUtilizationRates(self, card: int) -> Any:
        return SimpleNamespace(gpu=90 + card)

    def nvmlDeviceGetTemperature(self, card: int, sensor: int) -> int:
        return 60 + card

    def nvmlDeviceGetPowerUsage(self, card: int) -> int:
        if card == 1:
            raise NVMLError
        return 650_000 + card


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "pynvml", Nvml())  # type: ignore[misc]  # any object may stand for a module
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    readings._gpus.cache_clear()
    yield
    readings._gpus.cache_clear()


def test_every_card_tells_what_it_can(nvml: None) -> None:
    found = {k: v for k, v in readings.readings().items() if k.startswith("gpu")}
    assert {k: found[k] for k in found if k.startswith("gpu0")} == {
        "gpu0_use": 0.9, "gpu0_memory_mb": 70_000.0, "gpu0_celsius": 60.0, "gpu0_watt": 650.0,
    }  # fmt: skip
    assert "gpu1_watt" not in found
    assert found["gpu2_celsius"] == 62.0
    assert [(d.name, d.index, d.gpu, d.total) for d in readings.devices()][2] == (
        "GPU 2 NVIDIA H100 80GB HBM3", 2, True, 85_500_000_000,
    )  # fmt: skip


@pytest.mark.parametrize(("named", "cards"), [("2,0", [0, 2]), ("GPU-11", [1]), ("", []), ("1", [1])])
def test_only_the_cards_that_the_process_may_use_are_read(
    nvml: None, monkeypatch: pytest.MonkeyPatch, named: str, cards: list[int]
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert [d.index for d in readings.devices() if d.gpu] == cards
    assert {k for k in readings.readings() if k.endswith("celsius")} == {f"gpu{n}_celsius" for n in cards}


def test_the_pane_shows_the_run_s_cards_by_their_numbers(nvml: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,2")
    metric = readings.readings()
    curves = RunCurves("a", {name: (Point(1, 0, 0, value),) for name, value in metric.items()}, {"metric": metric})
    assert "gpu2_watt" in view.metrics_of(view.Shown(curves))
    assert (view.label("gpu2_watt"), view.label("mfu")) == ("GPU 2 W", "MFU")
    assert view.is_share("gpu2_use")
    assert not view.is_share("gpu2_watt")
    words = dict(view._gpu(metric))
    assert words == {"GPU 1": "91% 70 GB 61 °C", "GPU 2": "92% 70 GB 62 °C 650 W"}


def test_without_a_card_there_are_the_processors_and_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readings, "_gpus", tuple)
    found = readings.readings()
    assert found.keys() == {"memory_mb", "cpu"}
    assert found["memory_mb"] > 1
    (device,) = readings.devices()
    assert (device.name, device.gpu) == ("this machine", False)
    assert 0 <= device.free <= device.total

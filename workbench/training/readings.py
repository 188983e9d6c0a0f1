"""Readings of the machine for a run's metrics (memory, processor, graphics card), and what devices there are."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil

_process = psutil.Process()


def readings() -> dict[str, float]:
    """Resident memory in MB (10⁶ bytes), share of the processors this run used since the last call, and for each GPU
    that this process may use and NVML tells of its use (share), memory (MB), temperature (°C) and power (W).
    """
    found = {
        "memory_mb": float(_process.memory_info().rss) / 1e6,
        "cpu": _process.cpu_percent() / 100 / (psutil.cpu_count() or 1),
    }
    for index, handle in _visible():
        found.update(_gpu(index, handle))
    return found


@dataclass(frozen=True, slots=True)
class Device:
    """Where a run may take place: a GPU, or this machine's processors. Bytes; `free` is what could be had now.

    `index` is the GPU's number on this machine.
    """

    name: str
    total: int
    free: int
    gpu: bool
    index: int = 0


def devices() -> list[Device]:
    """The GPUs that NVML sees (needs `nvidia-ml-py`) and CUDA_VISIBLE_DEVICES leaves to us, else this machine."""
    handles = _visible()
    if not handles:
        memory = psutil.virtual_memory()
        limit, used = _container_memory()
        total = min(int(memory.total), limit or int(memory.total))
        free = min(int(memory.available), total - used if limit else int(memory.available))
        return [Device("this machine", total, max(free, 0), False)]
    import pynvml

    found = []
    for index, handle in handles:
        name, memory = pynvml.nvmlDeviceGetName(handle), pynvml.nvmlDeviceGetMemoryInfo(handle)
        found.append(Device(f"GPU {index} {_text(name)}", int(memory.total), int(memory.free), True, index))
    return found


def _container_memory() -> tuple[int, int]:
    """The memory limit of this process's control group (version 2) and what it uses of it; zeros without a limit."""
    folder = Path("/sys/fs/cgroup")
    try:
        limit = (folder / "memory.max").read_text().strip()
        return (0, 0) if limit == "max" else (int(limit), int((folder / "memory.current").read_text()))
    except (OSError, ValueError):
        return 0, 0


def gpu_memory() -> list[int]:
    """Total bytes of each GPU that NVML sees; empty without a GPU or without `nvidia-ml-py`."""
    return [device.total for device in devices() if device.gpu]


@cache
def _gpus() -> tuple[Any, ...]:
    try:
        import pynvml

        pynvml.nvmlInit()
        return tuple(pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount()))
    except Exception:  # no package, no driver, no permission: figures that are missing, never a failed run
        return ()


def _visible() -> list[tuple[int, Any]]:
    """The GPUs that CUDA_VISIBLE_DEVICES names, by number or by (the beginning of) their UUID; all where it is not set."""
    handles, named = list(enumerate(_gpus())), os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None or not handles:
        return handles
    import pynvml

    wanted = [word.strip() for word in named.split(",") if word.strip()]
    return [
        (index, handle)
        for index, handle in handles
        if str(index) in wanted or any(_text(pynvml.nvmlDeviceGetUUID(handle)).startswith(w) for w in wanted)
    ]


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _gpu(index: int, handle: Any) -> dict[str, float]:
    """What this card tells; some tell no power, parts of a card (MIG) no use."""
    import pynvml

    asked: dict[str, Callable[[], float]] = {
        "use": lambda: pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100,
        "memory_mb": lambda: pynvml.nvmlDeviceGetMemoryInfo(handle).used / 1e6,
        "celsius": lambda: float(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)),
        "watt": lambda: pynvml.nvmlDeviceGetPowerUsage(handle) / 1000,
    }
    found = {}
    for name, ask in asked.items():
        with suppress(pynvml.NVMLError):
            found[f"gpu{index}_{name}"] = ask()
    return found

"""Readings of the machine for a run's metrics (memory, processor, graphics card), and what devices there are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil

_process = psutil.Process()


def readings() -> dict[str, float]:
    """Resident memory in MB (10⁶ bytes), share of the processors this run used since the last call, and for each GPU
    that NVML can be asked about its use (share), memory (MB), temperature (°C) and power (W).
    """
    found = {
        "memory_mb": float(_process.memory_info().rss) / 1e6,
        "cpu": _process.cpu_percent() / 100 / (psutil.cpu_count() or 1),
    }
    for index, handle in enumerate(_gpus()):
        found.update(_gpu(index, handle))
    return found


@dataclass(frozen=True, slots=True)
class Device:
    """Where a run may take place: a GPU, or this machine's processors. Bytes; `free` is what could be had now."""

    name: str
    total: int
    free: int
    gpu: bool


def devices() -> list[Device]:
    """The GPUs that NVML sees (needs `nvidia-ml-py`), else this machine."""
    handles = _gpus()
    if not handles:
        memory = psutil.virtual_memory()
        limit, used = _container_memory()
        total = min(int(memory.total), limit or int(memory.total))
        free = min(int(memory.available), total - used if limit else int(memory.available))
        return [Device("this machine", total, max(free, 0), False)]
    import pynvml

    found = []
    for index, handle in enumerate(handles):
        name, memory = pynvml.nvmlDeviceGetName(handle), pynvml.nvmlDeviceGetMemoryInfo(handle)
        name = name.decode() if isinstance(name, bytes) else name
        found.append(Device(f"GPU {index} {name}", int(memory.total), int(memory.free), True))
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


def _gpu(index: int, handle: Any) -> dict[str, float]:
    import pynvml

    try:
        return {
            f"gpu{index}_use": pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100,
            f"gpu{index}_memory_mb": pynvml.nvmlDeviceGetMemoryInfo(handle).used / 1e6,
            f"gpu{index}_celsius": float(pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)),
            f"gpu{index}_watt": pynvml.nvmlDeviceGetPowerUsage(handle) / 1000,
        }
    except pynvml.NVMLError:
        return {}

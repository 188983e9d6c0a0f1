"""Readings of the machine for a run's metrics (memory, processor, graphics card), and the lock on its device."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from workbench.home import Home

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


def gpu_memory() -> list[int]:
    """Total bytes of each GPU that NVML sees; empty without a GPU or without `nvidia-ml-py`."""
    if not (handles := _gpus()):
        return []
    import pynvml

    return [int(pynvml.nvmlDeviceGetMemoryInfo(handle).total) for handle in handles]


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


@contextmanager
def device_lock(home: Home) -> Iterator[bool]:
    """Try to take the training device: this machine's GPUs, or this home's turn on the processor; yields success.

    The kernel drops the lock when the process ends, however it ends.
    """
    if _gpus():
        folder = Path(tempfile.gettempdir()) / f"workbench-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        file = folder / f"gpu-{os.environ.get('CUDA_VISIBLE_DEVICES', 'all').replace('/', '_')}.lock"
    else:
        file = home.make().state / "cpu.lock"
    handle = os.open(file, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)

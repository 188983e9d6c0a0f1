"""Readings of the machine for the metrics of a run: memory, processors, graphics cards where there are any."""

from __future__ import annotations

import psutil

_process = psutil.Process()


def memory_mb() -> float:
    """Resident memory of this process in MB (10⁶ bytes)."""
    return float(_process.memory_info().rss) / 1e6

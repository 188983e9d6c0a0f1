"""Whether the kernel ended a process because memory ran out: it does so without a word to the process."""

from __future__ import annotations

import re
from pathlib import Path

_COUNTERS = (
    Path("/sys/fs/cgroup/memory.events"),
    Path("/sys/fs/cgroup/memory/memory.oom_control"),
    Path("/proc/vmstat"),
)
"""A container's own count (control groups version 2, version 1), else the machine's."""


def oom_kills() -> int | None:
    """How many processes the kernel has ended for lack of memory, as far as can be seen from here; None: not at all."""
    return next((count for file in _COUNTERS if (count := _count(file)) is not None), None)


def _count(file: Path) -> int | None:
    try:
        found = re.search(r"^oom_kill (\d+)$", file.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) if found else None


def killed_since(before: object) -> bool:
    """Whether the count has grown since it was `before` (what `oom_kills` said then, perhaps read from a file)."""
    now = oom_kills()
    return isinstance(before, int) and now is not None and now > before

"""Who a process is, so that a number used again by the system is never taken for it: host, boot, pid, start time."""

from __future__ import annotations

import os
import socket
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Identity:
    """A process. `boot` names the boot of the machine and its pid name space; `start` is in the system's own unit."""

    host: str
    boot: str
    pid: int
    start: str

    def as_dict(self) -> dict[str, object]:
        """For job files."""
        return asdict(self)

    @property
    def near(self) -> bool:
        """Whether its pid means anything here: same host, same boot, same pid name space."""
        return (self.host, self.boot) == (host(), boot())

    @property
    def alive(self) -> bool:
        """Whether the process runs; only to be asked if it is `near`. A zombie does not run."""
        return start_time(self.pid) == self.start


def identity(pid: int | None = None) -> Identity | None:
    """The identity of a running process of this host (this process by default), None if it is gone."""
    number = os.getpid() if pid is None else pid
    start = start_time(number)
    return None if start is None else Identity(host(), boot(), number, start)


def host() -> str:
    """The name of this host."""
    return socket.gethostname()


@lru_cache(maxsize=1)
def boot() -> str:
    """Changes with every boot, and between containers that number their processes apart."""
    try:
        number = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{number} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        import psutil  # not on Linux

        return str(round(psutil.boot_time()))


def start_time(pid: int) -> str | None:
    """When the process started, in a form that is equal as long as it is the same process; None if it does not run."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None if Path("/proc/self/stat").exists() else _start_time_elsewhere(pid)
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def _start_time_elsewhere(pid: int) -> str | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(process.create_time())
    except psutil.Error:
        return None

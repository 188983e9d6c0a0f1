"""Two machines out of this one: network name spaces at the ends of a cable, each with a host name, an address and a loopback
of its own. They share files and processors; nothing reaches the network outside."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

CABLE = "cable0"
"""The network interface in each."""


@dataclass(frozen=True)
class Machine:
    """`prefix` are the words before a command that is to run on it."""

    space: str
    name: str
    address: str

    @property
    def prefix(self) -> list[str]:
        named = ["unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"', self.name]
        return ["ip", "netns", "exec", self.space, *named]


def missing() -> str | None:
    """Why there can be no machines here; None if there can."""
    if os.geteuid() or not shutil.which("ip") or not shutil.which("unshare"):
        return "needs root and the programs ip (iproute2) and unshare"
    probe = f"wb-probe-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True).returncode:
        return "this kernel allows no network name spaces"
    _ip("netns", "del", probe)
    return None


@contextmanager
def two_machines(addresses: tuple[str, str] = ("192.168.1.10", "192.168.1.11")) -> Iterator[tuple[Machine, Machine]]:
    """The machines `first` and `second`, gone afterwards. The addresses exist within the two name spaces only."""
    spaces = [f"wb-{number}-{os.getpid()}" for number in (1, 2)]
    ends = [f"wb{number}-{os.getpid()}" for number in (1, 2)]
    try:
        for space in spaces:
            _ip("netns", "add", space)
        _ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for space, end, address in zip(spaces, ends, addresses, strict=True):
            _ip("link", "set", end, "netns", space, "name", CABLE)
            _ip("-n", space, "address", "add", f"{address}/24", "dev", CABLE)
            _ip("-n", space, "link", "set", CABLE, "up")
            _ip("-n", space, "link", "set", "lo", "up")
        yield Machine(spaces[0], "first", addresses[0]), Machine(spaces[1], "second", addresses[1])
    finally:
        for space in spaces:
            subprocess.run(["ip", "netns", "del", space], capture_output=True)


def received(machine: Machine) -> int:
    """Bytes that have reached the machine over the cable."""
    read = ["ip", "netns", "exec", machine.space, "cat", "/proc/net/dev"]
    lines = subprocess.run(read, capture_output=True, text=True, check=True).stdout.splitlines()
    (line,) = (line for line in lines if line.strip().startswith(f"{CABLE}:"))
    return int(line.split()[1])


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True)

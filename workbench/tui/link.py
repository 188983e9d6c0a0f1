"""Is the line slow? Asked of the terminal itself, before the app draws."""

from __future__ import annotations

import os
import re
import select
import sys
import termios
import time
import tty

SLOW_S = 0.15
"""A round trip from which on the app draws less: beyond it a key's echo is felt to lag."""
WAIT_S = 0.6
_ASK = b"\x1b[6n"
_ANSWER = re.compile(rb"\x1b\[\d+;\d+R")


def is_slow(setting: str) -> bool:
    """What `slow_link` says: on, off, or by measurement where the session comes over SSH (a local one never is slow)."""
    if setting in ("on", "off"):
        return setting == "on"
    if not (os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY")) or not sys.stdin.isatty():
        return False
    return round_trip(sys.stdin.fileno(), sys.stdout.fileno()) > SLOW_S


def round_trip(source: int, target: int, wait: float = WAIT_S) -> float:
    """Seconds from asking the terminal where its cursor is (CPR) to its answer; `wait` if none comes by then."""
    before = termios.tcgetattr(source)
    began = time.monotonic()
    seen = b""
    try:
        tty.setcbreak(source)
        os.write(target, _ASK)
        while (left := began + wait - time.monotonic()) > 0 and select.select([source], [], [], left)[0]:
            seen += os.read(source, 1024)
            if _ANSWER.search(seen):
                return time.monotonic() - began
        return wait
    finally:
        termios.tcsetattr(source, termios.TCSADRAIN, before)

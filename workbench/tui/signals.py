"""A terminated or abandoned app leaves the terminal as it found it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def install(leave: Callable[[int], None]) -> None:
    """Call `leave(128 + number)` on the running loop when SIGTERM or SIGHUP (a lost line) arrives.

    Textual handles neither: the process would die in the alternate screen with raw input.
    """
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, leave, 128 + number)

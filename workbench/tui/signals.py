"""A terminated or abandoned app leaves the terminal as it found it, and does not live on without one."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import stat
import threading
from collections.abc import Callable

SIGNALS = (signal.SIGTERM, signal.SIGHUP)
LOST = 128 + signal.SIGHUP
GRACE = 5.0
"""Seconds that the app has to save its state once its terminal is gone."""


def install(leave: Callable[[int], None]) -> None:
    """Call `leave(128 + number)` on the running loop when SIGTERM or SIGHUP arrives, or the terminal goes away.

    Textual handles none of them: a signal would leave the alternate screen and raw input behind, and on a closed line its
    input thread reads nothing for ever at full speed.
    """
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, leave, 128 + number)
    if _is_device(0):  # `isatty` no longer says yes to a terminal that went away while the app started
        watch = threading.Thread(target=_wait_for_hangup, args=(loop, leave), name="hangup", daemon=True)
        watch.start()


def _is_device(handle: int) -> bool:
    try:
        return stat.S_ISCHR(os.fstat(handle).st_mode)
    except OSError:
        return False


def _wait_for_hangup(loop: asyncio.AbstractEventLoop, leave: Callable[[int], None]) -> None:
    """Sleep until the terminal hangs up. Drawing may then block for ever, so that the end is forced after a while."""
    line = select.poll()
    line.register(0, 0)  # a hang-up is told even where nothing is asked for
    while not any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in line.poll()):
        pass
    try:
        loop.call_soon_threadsafe(leave, LOST)
    except RuntimeError:  # the app has ended already
        return
    threading.Event().wait(GRACE)
    os._exit(LOST)

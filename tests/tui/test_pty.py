"""The app on a real pseudo-terminal: it starts, obeys signals and a lost line, and leaves the terminal as it was."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.record import make_sample_record
from workbench.home import Home
from workbench.tui import state as states

CODE = """
import sys
from pathlib import Path
from workbench.home import Home
from workbench.tui.app import run
sys.exit(run(Home(Path(sys.argv[1])), slow_link=True))
"""
LEAVE = b"\x1b[?1049l"
DEADLINE = 120.0


class Terminal:
    """The app in a child process, and the far end of its terminal."""

    def __init__(self, home: Home) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.slave = slave
        environment = {**os.environ, "TERM": "xterm-256color"}
        arguments = [sys.executable, "-c", CODE, str(home.root)]
        self.process = subprocess.Popen(
            arguments, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
        )
        self.seen = b""

    def until(self, words: bytes) -> None:
        """Read until the words have been written."""
        end = time.monotonic() + DEADLINE
        while words not in self.seen:
            assert time.monotonic() < end, self.seen[-2000:]
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.master, 65536)
                except OSError:
                    break
            elif self.process.poll() is not None:
                break
        assert words in self.seen, self.seen[-2000:]

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.master, keys)

    def close(self) -> None:
        """Leave nothing behind."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for handle in (self.master, self.slave):
            if handle >= 0:
                os.close(handle)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    home = Home(tmp_path / "runs")
    make_sample_record(home).close()
    states.save(home.state / "tui.json", states.AppState(pane="dialogues"))
    made = Terminal(home)
    yield made
    made.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(terminal: Terminal, number: signal.Signals) -> None:
    terminal.until(b"Hello, where would")
    terminal.process.send_signal(number)
    terminal.until(LEAVE)
    assert terminal.process.wait(DEADLINE) == 128 + number
    assert termios.tcgetattr(terminal.slave)[3] == terminal.before[3]


def test_keys_work_and_q_leaves_with_the_state_saved(terminal: Terminal, tmp_path: Path) -> None:
    terminal.until(b"Hello, where would")
    terminal.type(b"5")
    terminal.until(b"sample-comparison")
    terminal.type(b"q")
    terminal.until(LEAVE)
    assert terminal.process.wait(DEADLINE) == 0
    assert states.load(tmp_path / "runs" / "state" / "tui.json").pane == "results"


def test_a_lost_line_ends_the_app(terminal: Terminal) -> None:
    terminal.until(b"Hello, where would")
    os.close(terminal.slave)
    os.close(terminal.master)
    terminal.slave = terminal.master = -1
    assert terminal.process.wait(DEADLINE) is not None

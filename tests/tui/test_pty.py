"""The app on a real pseudo-terminal: it starts, obeys signals and a lost line, and leaves the terminal as it was."""

from __future__ import annotations

import base64
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fakes.record import make_sample_record, sample_dialogue
from workbench.home import Home
from workbench.tui import state as states

CODE = """
import sys
from pathlib import Path
from workbench.home import Home
from workbench.tui.app import run
sys.exit(run(Home(Path(sys.argv[1])), slow_link=True))
"""
CRASH = """
import sys
from workbench.cli.main import cli
from workbench.tui.shell import Workbench
def copy(self):
    key_in_a_local = "sk-secret-value"
    raise ZeroDivisionError("planted")
Workbench.action_copy = copy
cli(["--home", sys.argv[1].removesuffix("/runs"), "--slow-link"])
"""
LEAVE = b"\x1b[?1049l"
DEADLINE = 30.0


class Terminal:
    """The app in a child process, and the far end of its terminal."""

    def __init__(self, home: Home, code: str = CODE, **environment: str) -> None:
        self.process: subprocess.Popen[bytes] = None  # type: ignore[assignment]
        self.master, slave = pty.openpty()
        self.slave = slave
        self.resize(80, 24)
        self.before = termios.tcgetattr(slave)
        environment = {**os.environ, "TERM": "xterm-256color", **environment}
        arguments = [sys.executable, "-c", code, str(home.root)]
        self.process = subprocess.Popen(
            arguments,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
            cwd=home.root.parent,
        )
        self.seen = b""

    def until(self, words: bytes | re.Pattern[bytes]) -> None:
        """Read until the words, or what the pattern finds, have been written."""
        pattern = words if isinstance(words, re.Pattern) else re.compile(re.escape(words))
        end = time.monotonic() + DEADLINE
        while not pattern.search(self.seen):
            assert time.monotonic() < end, self.seen[-2000:]
            if select.select([self.master], [], [], 0.2)[0]:
                try:
                    self.seen += os.read(self.master, 65536)
                except OSError:
                    break
            elif self.process.poll() is not None:
                break
        assert pattern.search(self.seen), self.seen[-2000:]

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self.master, keys)

    def repeat(self, keys: bytes, words: bytes) -> None:
        """Press keys every few seconds until the words have been written."""
        end = time.monotonic() + DEADLINE
        while words not in self.seen:
            assert time.monotonic() < end, self.seen[-2000:]
            self.type(keys)
            wait = time.monotonic() + 5
            while words not in self.seen and time.monotonic() < wait:
                if select.select([self.master], [], [], 0.2)[0]:
                    self.seen += os.read(self.master, 65536)

    def resize(self, columns: int, rows: int) -> None:
        """As a window manager does; the signal is sent by hand, since this terminal controls no session."""
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if self.process:
            self.process.send_signal(signal.SIGWINCH)

    def hang_up(self) -> None:
        """As a lost line does; returns when the app has ended."""
        os.close(self.slave)
        os.close(self.master)
        self.slave = self.master = -1
        assert self.process.wait(DEADLINE) is not None

    def fresh(self) -> None:
        """Forget what has been written so far."""
        while select.select([self.master], [], [], 0.0)[0]:
            os.read(self.master, 65536)
        self.seen = b""

    def close(self) -> None:
        """Leave nothing behind."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for handle in (self.master, self.slave):
            if handle >= 0:
                os.close(handle)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    home = Home(tmp_path / "runs")
    make_sample_record(home, 40).close()
    states.save(home.state / "tui.json", states.AppState("dialogues", chat=states.ChatState(("oracle",))))
    return home


@pytest.fixture
def start(home: Home) -> Iterator[Callable[..., Terminal]]:
    """Starts the app as often as a test likes."""
    started: list[Terminal] = []

    def begin(code: str = CODE, **environment: str) -> Terminal:
        started.append(Terminal(home, code, **environment))
        return started[-1]

    yield begin
    for terminal in started:
        terminal.close()


Start = Callable[..., Terminal]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(start: Start, number: signal.Signals) -> None:
    terminal = start()
    terminal.until(b"Hello, where would")
    terminal.process.send_signal(number)
    terminal.until(LEAVE)
    assert terminal.process.wait(DEADLINE) == 128 + number
    assert termios.tcgetattr(terminal.slave)[3] == terminal.before[3]


def test_the_app_is_used_resized_and_left(start: Start, home: Home) -> None:
    terminal = start(TMUX="/tmp/tmux", COLUMNS="80", LINES="24")  # as a parent that has loaded readline exports them
    terminal.until(b"Hello, where would")
    terminal.type(b"y")
    terminal.until(b"also in")
    copied = re.search(rb"\x1b\]52;c;([A-Za-z0-9+/=]+)\x07", terminal.seen)
    assert copied
    assert base64.b64decode(copied[1]).startswith(b"agent: Hello, where would you like to go?")
    assert (home.state / "copied.txt").read_bytes() == base64.b64decode(copied[1])
    assert b"if set-clipboard is on" in terminal.seen
    terminal.resize(50, 15)
    terminal.until("60×20".encode())
    terminal.fresh()
    terminal.resize(120, 40)
    terminal.until(b"Hello, where would")
    terminal.type(b"5")
    terminal.until(b"sample-comparison")
    terminal.type(b"q")
    terminal.until(LEAVE)
    assert terminal.process.wait(DEADLINE) == 0
    assert termios.tcgetattr(terminal.slave)[3] == terminal.before[3]
    assert states.load(home.state / "tui.json").pane == "results"


def test_after_a_lost_line_everything_is_where_it_was(start: Start, home: Home) -> None:
    terminal = start()
    terminal.until(b"Hello, where would")
    terminal.type(b"/")
    terminal.until(b"esc leaves")
    terminal.type(b"terminal:escalated\r")
    terminal.until(b"13 of 40")
    terminal.type(b"jj")
    terminal.until(b"number 8.")
    terminal.repeat(b"m", b"enter keeps it")  # it does nothing before it is known what has been decided
    terminal.type(b"half a note")
    terminal.until(b"half a note")
    terminal.fresh()
    terminal.type(b"\x1b")
    terminal.until(b"pass")  # the footer, without the hint how to leave an input
    terminal.type(b"4")
    terminal.until(b"others")
    terminal.fresh()
    terminal.type(b"i")
    terminal.until(b"esc leaves")
    terminal.type(b"half a mess")
    terminal.until(b"half a mess")
    terminal.hang_up()
    kept = states.load(home.state / "tui.json")
    assert (kept.pane, kept.chat.draft) == ("chat", "half a mess")
    assert (kept.dialogues.filter, kept.dialogues.note) == ("terminal:escalated", "half a note")
    assert kept.dialogues.selected == sample_dialogue(8).id
    again = start()
    again.until(b"half a mess")
    again.type(b"2")
    again.until(b"13 of 40")
    again.until(b"number 8.")
    again.process.kill()  # no time to say anything: what was saved on the way is there
    again.process.wait(DEADLINE)
    assert states.load(home.state / "tui.json").dialogues == kept.dialogues


def test_a_line_lost_while_the_app_starts_ends_it(start: Start) -> None:
    terminal = start()
    terminal.hang_up()  # before the app has read or written anything: it may not even have begun
    assert terminal.process.returncode in (1, 128 + signal.SIGHUP)


@pytest.mark.parametrize(
    "environment", [{"TERM": "linux"}, {"TERM": "xterm-16color", "NO_COLOR": "1"}], ids=["16 colours", "none"]
)
def test_few_colours_are_enough(start: Start, environment: dict[str, str]) -> None:
    terminal = start(**environment, COLORTERM="")
    terminal.until(b"Hello, where would")
    assert b"38;2;" not in terminal.seen  # no true colour is sent to a terminal that has none
    if "NO_COLOR" in environment:  # black, white and the greys between
        codes = {int(n) for found in re.findall(rb"\x1b\[([\d;]+)m", terminal.seen) for n in found.split(b";")}
        assert not codes & {n for base in (30, 40, 90, 100) for n in range(base + 1, base + 7)}
        return
    for colour in (96, 93, 92):  # cyan and yellow for who speaks, green for what is well, and not grey for all of them
        terminal.until(re.compile(rb"\x1b\[(\d+;)*%d[;m]" % colour))


def test_a_fault_of_ours_is_one_line_and_a_log_without_secrets(start: Start, home: Home) -> None:
    terminal = start(CRASH, ANTHROPIC_API_KEY="sk-secret-value")
    terminal.until(b"Hello, where would")
    terminal.type(b"y")
    terminal.until(b"please report it with")
    assert terminal.process.wait(DEADLINE) == 2
    assert LEAVE in terminal.seen
    assert b"sk-secret" not in terminal.seen
    assert termios.tcgetattr(terminal.slave)[3] == terminal.before[3]
    (log,) = home.root.glob("crash-*.log")
    assert "planted" in log.read_text()
    assert "sk-secret" not in log.read_text()

"""The terminal app over a line: time to the first frame, bytes a key costs, bytes while nothing happens or four agents
stream side by side.

    python benchmarks/tui.py [--json] [--quick]

Measured on a pty of 120×40 cells, beside a bare Textual app with as many empty widgets in the same run. Times are medians over
the runs (three with --quick). `list` is the dialogues pane on a record made for the purpose. The four agents stream 50 tokens
a second each from a fake conversation; the rival is four scrolling Static widgets that are updated at every chunk.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

COLUMNS, ROWS = 120, 40
OURS = """
import sys
from pathlib import Path
from workbench.home import Home
from workbench.tui.app import run
sys.exit(run(Home(Path(sys.argv[1]))))
"""
BARE = """
from textual.app import App
from textual.widgets import Static
class Bare(App):
    def compose(self):
        yield Static("first frame")
        for n in range(30):
            yield Static(f"line {n}")
    def on_key(self, event):
        self.query_one(Static).update(event.key)
Bare().run()
"""
STREAMS = """
import asyncio, os, sys
from pathlib import Path
slow = sys.argv[2] == "slow"
os.environ["TEXTUAL_ANIMATIONS"] = "none"
if slow:
    os.environ["TEXTUAL_FPS"] = "10"
from tests.tui.live_server import JOB, LiveServer
from workbench.store import connect
from workbench.home import Home
from workbench.tui.shell import Workbench
from workbench.tui.state import AppState, ChatState
names = ("compiled:a", "orchestrated:openai/b", "in-context:anthropic/c", "oracle")
async def main():
    home = Home(Path(sys.argv[1])).make()
    connect(home).close()  # the first start of all would greet
    async with LiveServer(home, names) as server:
        app = Workbench(home, watch=False, slow=slow)
        app.state = AppState("chat", chat=ChatState(names, JOB))
        stream = asyncio.create_task(server.stream(50, asyncio.Event()))
        await app.run_async(mouse=False)
asyncio.run(main())
"""
PLAIN_STREAMS = """
import asyncio, itertools, os
os.environ["TEXTUAL_ANIMATIONS"] = "none"
from textual.app import App
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import Static
words = itertools.cycle(("token", "after", "another", "until", "the", "line", "is", "full"))
class Plain(App):
    def compose(self):
        with Horizontal():
            for n in range(4):
                with VerticalScroll(id=f"c{n}"):
                    yield Static("token", id=f"s{n}")
    def on_mount(self):
        self.said = [""] * 4
        self.set_interval(4 / 50, self.more)
    def more(self):
        for n in range(4):
            self.said[n] += "".join(f"{next(words)} " for _ in range(4))
            self.query_one(f"#s{n}").update(self.said[n])
            self.query_one(f"#c{n}").scroll_end(animate=False)
Plain().run()
"""
MILLION = """
import os; os.environ["TEXTUAL_ANIMATIONS"] = "none"
from textual.app import App
from workbench.tui.theme import meanings
from workbench.tui.widgets.table import Column, Row, VirtualTable
class Rows:
    def count(self): return 1_000_000
    def window(self, start, stop):
        return [Row(str(n), (f"{n:,}", "a dialogue of some length", "booked", "train")) for n in range(start, stop)]
class Million(App):
    def get_theme_variable_defaults(self): return meanings(self.current_theme)
    def compose(self):
        yield VirtualTable((Column("n", 12, "right"), Column("what"), Column("ends", 10), Column("split", 6)))
    def on_mount(self):
        table = self.query_one(VirtualTable); table.show(Rows()); table.focus()
Million().run()
"""


@dataclass(frozen=True)
class Figure:
    """One line of the table; `ratio` is ours over the rival's, where there is one."""

    name: str
    value: float
    unit: str
    rival: float | None = None
    ratio: float | None = None


class Terminal:
    """A program on a pty, and what it writes."""

    def __init__(self, code: str, *arguments: str) -> None:
        self.began = time.monotonic()
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)

    def read(self, quiet: float, longest: float = 60.0, until: bytes = b"") -> bytes:
        """What comes until it has been quiet for so long, or the words have come."""
        seen, end, last = b"", time.monotonic() + longest, time.monotonic()
        while time.monotonic() < min(end, last + quiet) if not until else until not in seen and time.monotonic() < end:
            if select.select([self.master], [], [], 0.02)[0]:
                try:
                    seen += os.read(self.master, 1 << 16)
                except OSError:
                    break
                last = time.monotonic()
        return seen

    def first(self, words: bytes) -> float:
        """Seconds from the start of the process to the words."""
        self.read(1.0, until=words)
        return time.monotonic() - self.began

    def cost(self, keys: bytes, quiet: float = 0.4) -> int:
        """Bytes written after these keys."""
        os.write(self.master, keys)
        return len(self.read(quiet))

    def delay(self, keys: bytes) -> float:
        """Seconds from the key to the first byte."""
        began = time.monotonic()
        os.write(self.master, keys)
        while not select.select([self.master], [], [], 5.0)[0]:
            pass
        took = time.monotonic() - began
        self.read(0.15)
        return took

    def memory(self) -> float:
        """Resident MB."""
        fields = Path(f"/proc/{self.process.pid}/status").read_text().split("VmRSS:")[1].split()
        return int(fields[0]) / 1000

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        os.close(self.master)


def using(
    code: str, arguments: tuple[str, ...], measure: Callable[[Terminal], float | list[float]]
) -> float | list[float]:
    """Run a program, measure, end it."""
    terminal = Terminal(code, *arguments)
    try:
        return measure(terminal)
    finally:
        terminal.close()


def against(name: str, unit: str, ours: float, rival: float) -> Figure:
    """A figure beside its rival's."""
    return Figure(name, round(ours, 4), unit, round(rival, 4), round(ours / rival, 2) if rival else None)


def p95(values: list[float]) -> float:
    """The 95th percentile."""
    return sorted(values)[max(int(len(values) * 0.95) - 1, 0)]


def measure(runs: int, keys: int, home: str) -> list[Figure]:
    """All figures, alternating ours and the rival so that the machine's moods hit both."""
    first: dict[str, list[float]] = {"ours": [], "bare": []}
    for _ in range(runs):
        for name, code, words in (("ours", OURS, b"Workflows"), ("bare", BARE, b"first frame")):
            took = using(code, (home,), lambda t, words=words: t.first(words))  # type: ignore[misc]
            assert isinstance(took, float)
            first[name].append(took)
    found = [against("first frame", "s", statistics.median(first["ours"]), statistics.median(first["bare"]))]

    def moves(terminal: Terminal) -> list[float]:
        terminal.first(b"a dialogue" if terminal.process.args[2] == MILLION else b"first frame")  # type: ignore[index]
        terminal.read(1.0)
        return [terminal.delay(b"\x1b[B" if n % 2 == 0 else b"\x1b[A") for n in range(keys)]

    ours, bare = using(MILLION, (), moves), using(BARE, (), moves)
    assert isinstance(ours, list)
    assert isinstance(bare, list)
    found.append(against("key to first byte, p95, list of 1,000,000", "s", p95(ours), p95(bare)))

    def bytes_of(terminal: Terminal) -> list[float]:
        terminal.first(b"a dialogue")
        terminal.read(1.0)
        return [statistics.median(terminal.cost(k) for _ in range(5)) for k in (b"\x1b[B", b"\x1b[6~")]

    moved, paged = using(MILLION, (), bytes_of)  # type: ignore[misc]
    found += [Figure("cursor move, list of 1,000,000", moved, "B"), Figure("page down, list of 1,000,000", paged, "B")]

    def idle(terminal: Terminal) -> list[float]:
        terminal.first(b"Workflows")
        for key in b"12345":
            terminal.cost(bytes([key]), 1.5)
        terminal.read(3.0)
        seconds = 5.0 if runs <= 3 else 20.0
        return [len(terminal.read(seconds, seconds)) / seconds, terminal.memory()]

    def streaming(terminal: Terminal) -> float:
        terminal.first(b"token")
        terminal.read(4.0, 4.0)  # until the columns are full and scroll
        seconds = 6.0 if runs <= 3 else 20.0
        return len(terminal.read(seconds, seconds)) / seconds / 1000

    plain = using(PLAIN_STREAMS, (), streaming)
    for name, link in (("", "fast"), (" with --slow-link", "slow")):
        with tempfile.TemporaryDirectory() as folder:
            ours = using(STREAMS, (folder, link), streaming)
        assert isinstance(ours, float)
        assert isinstance(plain, float)
        found.append(against(f"four agents, 50 tokens/s each{name}", "kB/s", ours, plain))

    quiet, memory = using(OURS, (home,), idle)  # type: ignore[misc]
    return [
        *found,
        Figure("idle traffic, every pane opened", quiet, "B/s"),
        Figure("memory, every pane opened", memory, "MB"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--quick", action="store_true", help="three runs, fewer keys: within a minute")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        from tests.fakes.record import make_sample_record
        from workbench.home import Home

        home = Home(Path(folder) / "runs")
        make_sample_record(home, 300).close()
        found = measure(3 if options.quick else 9, 20 if options.quick else 100, str(home.root))
    if options.json:
        print(json.dumps([asdict(figure) for figure in found]))
        return
    print(f"{'':<44}{'ours':>12}{'bare Textual':>14}{'ratio':>8}")
    for f in found:
        rival = f"{f.rival:.3f}" if f.rival is not None else ""
        print(f"{f.name:<44}{f.value:>9,.3f} {f.unit:<4}{rival:>12}{f.ratio if f.ratio is not None else '':>8}")


if __name__ == "__main__":
    main()

"""What every benchmark shares: a table of findings, `--json` and `--quick`, and medians beside a rival in one run."""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Finding:
    """One figure. `rival` names what it was measured beside, `ratio` is rival / ours (above 1: we are better)."""

    name: str
    value: float | None
    unit: str
    rival: str | None = None
    ratio: float | None = None


def seconds(work: Callable[[], object]) -> float:
    """Wall seconds of one call."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def peak_memory() -> float:
    """Bytes that this process has held at the most. `ru_maxrss` would not do where there is /proc: a process that was started
    by a larger one begins with the size of that one."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


def beside(ours: Callable[[], object], rival: Callable[[], object], runs: int) -> tuple[float, float, float]:
    """Median seconds of ours and of the rival, and the median of the ratios rival / ours, run in turns."""
    pairs = [(seconds(ours), seconds(rival)) for _ in range(runs)]
    mine, theirs = zip(*pairs, strict=True)
    return statistics.median(mine), statistics.median(theirs), statistics.median(b / a for a, b in pairs)


def median_of(work: Callable[[], object], runs: int) -> float:
    """Median seconds of a call."""
    return statistics.median(seconds(work) for _ in range(runs))


@contextmanager
def fixed_latency(latency: float) -> Iterator[str]:
    """The address of a model server, in a process of its own, that takes so many seconds for every reply."""
    command = [sys.executable, "-m", "tests.fakes.fixed_latency", str(latency)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


def main(measure: Callable[[bool], Sequence[Finding]], description: str) -> None:
    """Parse the command line, measure (`quick` as the argument) and print a table or JSON."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="within a minute, with fewer runs")
    parser.add_argument("--json", action="store_true", help="a list of {name, value, unit, rival, ratio}")
    arguments = parser.parse_args()
    show(measure(arguments.quick), arguments.json)


def show(findings: Sequence[Finding], as_json: bool) -> None:
    """Print findings as a table or as JSON."""
    if as_json:
        json.dump([asdict(f) for f in findings], sys.stdout, indent=2)
        print()
        return
    width = max(len(f.name) for f in findings)
    for f in findings:
        against = f"{f.ratio:8.2f}× {f.rival}" if f.ratio is not None else f"         {f.rival or ''}"
        print(f"{f.name:<{width}}  {_number(f.value):>14} {f.unit:<12} {against}".rstrip())


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.6g}"

"""A run's curves after days of steps: a million metric events beside a run of a thousand.

Seconds to the curves of the Training pane when the run is opened for the first time ever, when it is opened again, and when a
step is added while it is open; the rival of the first is parsing the file's JSON lines, that of the others the run of a thousand.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from common import Finding, main, median_of, seconds

from workbench.home import Home
from workbench.training.curves import CurveReader

LONG, SHORT = 1_000_000, 1_000


def metric(step: int) -> str:
    """An event as the trainer writes it, with the figures of one card."""
    event = {
        "cpu": 0.5, "epoch": step / 1e4, "gpu0_celsius": 60.0, "gpu0_memory_mb": 7e4, "gpu0_use": 0.9, "gpu0_watt": 650.0,
        "grad_norm": 1.0 + step % 7, "loss": 3.0 / (1 + step % 1000), "lr": 2e-5, "memory_mb": 5000.0, "mfu": 0.4,
        "seconds": step * 0.5, "step": step, "step_time": 0.5, "steps": 2_000_000, "t": 1.7e9 + step, "tokens": step * 4096,
        "tokens_per_s": 8192.0, "type": "metric",
    }  # fmt: skip
    return json.dumps(event, separators=(",", ":")) + "\n"


def measure(quick: bool) -> list[Finding]:
    """The three times of the long run, each beside its rival."""
    long = LONG // 10 if quick else LONG
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder)).make()
        files = {}
        for name, steps in (("a" * 16, long), ("b" * 16, SHORT)):
            files[name] = home.jobs / name / "events.jsonl"
            files[name].parent.mkdir(parents=True)
            with files[name].open("w") as file:
                file.writelines(metric(step) for step in range(1, steps + 1))
        (big, events), (small, few) = files.items()
        size = events.stat().st_size
        parse = seconds(lambda: [json.loads(line) for line in events.open("rb")])
        first = seconds(lambda: CurveReader(home, big).read())
        CurveReader(home, small).read()
        again, beside = (median_of(lambda job=job: CurveReader(home, job).read(), 5) for job in (big, small))  # type: ignore[misc]

        def grow(job: str, file: Path, start: int) -> float:
            reader, step = CurveReader(home, job), start
            reader.read()

            def one() -> None:
                nonlocal step
                step += 1
                with file.open("a") as stream:
                    stream.write(metric(step))
                reader.read()

            return median_of(one, 21)

        more, little = grow(big, events, long), grow(small, few, SHORT)
    label = f"{long:,} steps ({size / 1e6:,.0f} MB)"
    return [
        Finding(f"{label}: opened for the first time", first, "s", "parsing its JSON lines", parse / first),
        Finding(f"{label}: opened again", again, "s", f"a run of {SHORT:,} steps", beside / again),
        Finding(f"{label}: one more step while it is open", more, "s", f"a run of {SHORT:,} steps", little / more),
    ]


if __name__ == "__main__":
    main(measure, __doc__ or "")

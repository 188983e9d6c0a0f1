"""What the status line says: jobs that run with progress and time left, the machine, the dollars spent today."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from workbench.home import Home
from workbench.jobs import JobStatus, jobs
from workbench.store.calls import spent
from workbench.text import clean_line
from workbench.training.readings import gpu_memory, readings
from workbench.tui.effects import reader
from workbench.tui.format import dollars, duration, percent
from workbench.tui.widgets.bars import Status
from workbench.tui.widgets.safe import Line, Span, line

SHOWN = 3


def read_status(home: Home) -> Status:
    """Read all of it; for a worker thread."""
    midnight = datetime.now().replace(hour=0, minute=0, second=0, microsecond=0).timestamp()
    cost = spent(reader(home), since=midnight) if home.database.exists() else 0.0
    words, changes = machine()
    return Status(jobs_line(jobs(home)), line((f"{words}  ", "dim"), (f"{dollars(cost)} today", "dim")), alive=changes)


def jobs_line(all_jobs: list[JobStatus]) -> Line:
    """Running jobs, the newest first, each with its progress and the time left; services without either."""
    running = [job for job in all_jobs if job.state in ("running", "queued", "stopping")]
    if not running:
        return (("no job is running", "dim"),)
    spans: list[Span] = []
    for job in running[:SHOWN]:
        spans += [("● ", "accent"), (clean_line(job.title or job.kind, 32), "plain")]
        if job.progress and job.progress.total:
            spans.append((f" {percent(job.progress.done / job.progress.total)}", "strong"))
        if job.eta_s is not None:
            spans.append((f" {duration(job.eta_s)} left", "dim"))
        spans.append(("   ", "plain"))
    if len(running) > SHOWN:
        spans.append((f"+{len(running) - SHOWN} more", "dim"))
    return tuple(spans)


def machine() -> tuple[str, bool]:
    """The GPUs in a few words, and whether these are readings that change: use and memory, summed over several; else
    the name that the driver's files give, else that there is none.
    """
    figures, totals = readings(), gpu_memory()
    uses = [value for name, value in figures.items() if name.startswith("gpu") and name.endswith("_use")]
    if uses and totals:
        used = sum(value for name, value in figures.items() if name.startswith("gpu") and name.endswith("_memory_mb"))
        name = "GPU" if len(uses) == 1 else f"{len(uses)} GPUs"
        return f"{name} {percent(sum(uses) / len(uses))} {used / 1e3:.0f}/{sum(totals) / 1e9:.0f} GB", True
    return _driver() or "no GPU", False


def _driver() -> str:
    """The GPU's name from the driver's files, or ""."""
    for file in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        for text in file.read_text("utf-8", "replace").splitlines():
            if text.startswith("Model:"):
                return clean_line(text.split(":", 1)[1], 24)
    return ""

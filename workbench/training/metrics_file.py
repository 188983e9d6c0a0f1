"""A run's metrics for other programs: CSV, and TensorBoard event files."""

from __future__ import annotations

import csv
from pathlib import Path

from workbench.errors import UserError
from workbench.home import Home
from workbench.training.curves import every_point


def write_csv(home: Home, job: str, target: Path) -> int:
    """Every measurement as a row `metric,step,seconds,tokens,value,time`; returns how many. Nothing is reduced."""
    count = 0
    aside = target.with_name(f".{target.name}.part")
    with aside.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("metric", "step", "seconds", "tokens", "value", "time"))
        for name, point, at in every_point(_events(home, job)):
            rows.writerow((name, int(point.step), point.time, int(point.tokens), point.value, at))
            count += 1
    aside.replace(target)
    return count


def write_tensorboard(home: Home, job: str, folder: Path) -> int:
    """TensorBoard event files in `folder` (which `tensorboard --logdir` reads); returns how many values.

    Raises UserError if `tensorboardX` is not installed.
    """
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise UserError("TensorBoard files need a small package: run `pip install 'workbench[tensorboard]'`") from error
    count = 0
    events = _events(home, job)
    with SummaryWriter(logdir=str(folder), flush_secs=3600) as writer:
        for name, point, at in every_point(events):
            kind = "eval" if name in ("dev_loss", "pass_rate") else "train"
            writer.add_scalar(f"{kind}/{name}", point.value, int(point.step), walltime=at)
            count += 1
    return count


def _events(home: Home, job: str) -> Path:
    file = home.jobs / job / "events.jsonl"
    if not file.is_file():
        raise UserError(f"run {job} has no events yet")
    return file

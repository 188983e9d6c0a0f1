"""One run in several processes: the job waits, `accelerate launch` starts them, the first of them reports.

    accelerate launch … --module workbench.training.together RUN-FOLDER

is what each machine runs; the job itself does so on one machine. The first process writes its events to standard output, each
behind a mark, and the job puts them into the run's event file. A stop reaches all processes through the run's folder.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import Any

from workbench.errors import ServiceError, UserError
from workbench.home import Home
from workbench.jobs.context import JobContext
from workbench.jobs.folder import ask_to_stop, read_job
from workbench.jobs.kinds import KINDS
from workbench.jobs.memory_end import killed_since, oom_kills
from workbench.text import clean_line
from workbench.training.launch import changes_of
from workbench.training.machines import launch_command
from workbench.training.recipe import recipe_from

_MARK = "\x1eworkbench "


def train_together(ctx: JobContext, processes: int, report: Any) -> dict[str, Any]:
    """Run the processes and see them to their end; returns the run's summary.

    Raises what ended the first of them in one line: UserError for what the user must mend, else ServiceError.
    """
    kills = oom_kills()
    child = subprocess.Popen(
        launch_command(processes, ctx.folder), stdout=subprocess.PIPE, text=True, errors="replace", bufsize=1
    )
    assert child.stdout is not None
    summary: dict[str, Any] | None = None
    last: deque[str] = deque(maxlen=1)
    try:
        for line in child.stdout:
            if ctx.stopping:
                ask_to_stop(ctx.folder)
            if not line.startswith(_MARK):
                print(line, end="", flush=True)
                last += [line] if line.strip() else []
                continue
            event = json.loads(line[len(_MARK) :])
            kind = event.pop("type")
            if kind == "summary":
                summary = event
            elif kind == "problem":
                raise (UserError if event["user"] else ServiceError)(str(event["error"]))
            else:
                report(kind, **event)
        code = child.wait()
    finally:
        if child.poll() is None:
            child.send_signal(signal.SIGTERM)
            try:
                child.wait(30)
            except subprocess.TimeoutExpired:
                child.kill()
    if summary is None and killed_since(kills):
        smaller = KINDS["train"].smaller.format(id=ctx.id)
        raise ServiceError(f"a training process was ended by the kernel for lack of memory: {smaller}")
    if summary is None:
        said = clean_line(last[0], 300) if last else "nothing in the log"
        raise ServiceError(
            f"a training process ended with code {code} ({said}): the last good checkpoint is untouched; run the same "
            "command again to go on from it"
        )
    return summary


def main(folder: Path) -> int:
    """One of the processes: trains its part; the first one tells. Returns the exit code."""
    from workbench.training.examples import load_examples
    from workbench.training.loop import train
    from workbench.training.trainer import base_of, probe_of

    job, home = read_job(folder), Home(folder.parent.parent)
    first = int(os.environ.get("RANK", "0")) == 0
    signal.signal(signal.SIGTERM, lambda *_: ask_to_stop(folder))

    def tell(type: str, **data: Any) -> None:
        if first:
            print(_MARK + json.dumps({"type": type, **data}), flush=True)

    try:
        recipe = recipe_from({**job.args["recipe"], **changes_of(folder)}, "the run's recipe")
        examples = load_examples(home, job.args["dataset"])
        summary = train(
            recipe,
            base_of(home, job.args, recipe),
            examples["train"],
            examples["dev"],
            folder,
            report=tell,
            probe=probe_of(home, job.args) if first else None,
            stopping=lambda: (folder / "stop").exists(),
        )
    except UserError as error:  # whichever process met it says so
        print(_MARK + json.dumps(_problem(error)), flush=True)
        return 1
    tell("summary", **dataclasses.asdict(summary))
    return 0


def _problem(error: UserError) -> dict[str, Any]:
    return {"type": "problem", "error": str(error), "user": not isinstance(error, ServiceError)}


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

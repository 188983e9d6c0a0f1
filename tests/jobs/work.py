"""What the jobs of the tests do; named as `tests.jobs.work:function`."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time

from workbench.errors import ServiceError, UserError
from workbench.jobs import JobContext, Stopped


def count(ctx: JobContext) -> dict[str, object]:
    """Count to args["to"], one line a number in a file, continuing where an earlier attempt left; slowly if asked."""
    file = ctx.folder / "numbers.txt"
    done = len(file.read_text().splitlines()) if file.exists() else 0
    if done:
        file.write_text("".join(f"{n}\n" for n in range(done)))
    ctx.stage("counting", "to have something to count")
    with file.open("a") as out:
        for number in range(done, int(ctx.args["to"])):
            if ctx.stopping:
                break
            out.write(f"{number}\n")
            out.flush()
            ctx.progress(number + 1, int(ctx.args["to"]), "numbers")
            time.sleep(float(ctx.args.get("pause", 0)))
    return {"counted": len(file.read_text().splitlines()), "pid": os.getpid()}


def wait_for_stop(ctx: JobContext) -> dict[str, object]:
    ctx.event("ready")
    while not ctx.sleep(60):
        pass
    raise Stopped


def never_stops(ctx: JobContext) -> dict[str, object]:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctx.event("ready", child=child.pid)
    while True:
        time.sleep(60)


def user_fault(ctx: JobContext) -> dict[str, object]:
    raise UserError("bad \x1b[31mfile\x1b[0m: line 3: mend it")


def service_fault(ctx: JobContext) -> dict[str, object]:
    raise ServiceError("the model server is away")


def bug(ctx: JobContext) -> dict[str, object]:
    raise ZeroDivisionError("oops")


def full_disk(ctx: JobContext) -> dict[str, object]:
    raise OSError(errno.ENOSPC, "No space left on device", "/data/x")


def full_disk_in_a_library(ctx: JobContext) -> None:
    """As safetensors tells it: no OSError, only its words."""
    raise RuntimeError("Error while serializing: I/O error: No space left on device (os error 28)")


def dies(ctx: JobContext) -> dict[str, object]:
    print("about to die", flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def environment(ctx: JobContext) -> dict[str, object]:
    return {"names": sorted(os.environ), "sid": os.getsid(0), "pid": os.getpid(), "nan": float("nan")}


def odd_result(ctx: JobContext) -> dict[str, object]:
    return {"odd": object()}


def follows_settings(ctx: JobContext) -> dict[str, object]:
    seen: object = None
    while not ctx.sleep(0.02):
        if (now := ctx.settings) != seen:
            seen = now
            ctx.event("set", concurrency=now.concurrency, paused=now.paused)
    return {}


def in_two_halves(ctx: JobContext) -> dict[str, object]:
    """Leave something unfinished the first time, nothing the second."""
    mark = ctx.folder / "half"
    left = 0 if mark.exists() else 1
    mark.touch()
    return {"unfinished": left}

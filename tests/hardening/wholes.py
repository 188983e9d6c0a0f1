"""`kill -9` of what is made of several jobs: the demo and `train mend`, each with the command that started it.

A round starts the command, lets it work for a random while, and kills the command, every job of its home, or one process
of those, whichever falls; the next round starts the same command again. What came to its end is held against the same
command in a home where nobody disturbed it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from pprint import pformat
from typing import Any

from workbench.home import Home
from workbench.jobs import ENDED, JobStatus, jobs, stop
from workbench.store import connect
from workbench.store.comparisons import comparisons
from workbench.store.conversations import ConversationFilter, conversations
from workbench.store.datasets import dataset_items
from workbench.store.dialogues import iterate_dialogues
from workbench.store.verdicts import verdicts
from workbench.training.launch import all_runs, run_folder

Sound = Callable[[Home], None]
LONGEST = 600.0
UNEQUAL = ("minutes", "seconds", "tokens_per_s", "peak_memory_mb", "latency", "ttft")
"""Parts of the names of a summary's figures that no two homes share: times and memory."""


@dataclass
class Whole:
    """A command and the jobs behind it. `span` is how many seconds it works at the most before it is killed."""

    home: Home
    calm: Home
    tiny: Path
    kind: str = ""
    span: float = 30.0
    number: int = 0

    def words(self) -> list[str]:
        """The command, always the same for the same `number`."""
        raise NotImplementedError

    def start(self, home: Home) -> subprocess.Popen[str]:
        """The command in a process of its own."""
        words = [sys.executable, "-P", "-m", "workbench", "--home", str(home.root.parent), *self.words()]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)

    def finish(self, home: Home) -> dict[str, Any]:
        """Run the command to its end, and every job to its own; what the command printed."""
        child = self.start(home)
        out, err = child.communicate(timeout=LONGEST)
        assert child.returncode == 0, err
        self.ended(home)
        return dict(json.loads(out))

    def ended(self, home: Home) -> None:
        """Wait until every job but the servers is done."""
        deadline = time.monotonic() + LONGEST
        while _working(home):
            assert time.monotonic() < deadline, "the jobs never end"
            time.sleep(0.05)
        assert {job.state for job in jobs(home) if job.kind != "serve"} == {"done"}, jobs(home)

    def check(self, told: Mapping[str, Any]) -> None:
        """What the command told, and what is in the record, equal what they are in the calm home."""
        for ours, theirs in ((timeless(told), timeless(self.finish(self.calm))), (made(self.home), made(self.calm))):
            assert ours == theirs, "not as undisturbed: " + "\n".join(unified_diff(_lines(ours), _lines(theirs), n=1))
        for run in all_runs(self.home):
            weights = [(run_folder(h, run.id) / "model.safetensors").read_bytes() for h in (self.home, self.calm)]
            assert weights[0] == weights[1], "other weights than undisturbed"

    def close(self) -> None:
        """End the model servers."""
        for home in (self.home, self.calm):
            for job in jobs(home):
                if job.state not in ENDED:
                    stop(home, job.id, kill_after=5)


@dataclass
class Demo(Whole):
    """`workbench demo --smoke`, every number with a seed of its own."""

    kind: str = "demo"
    span: float = 60.0

    def words(self) -> list[str]:
        return ["demo", "--smoke", "--json", "--base", str(self.tiny), "--seed", str(self.number)]


@dataclass
class Mending(Whole):
    """`workbench train mend` of a demo's comparison, every number with more dialogues."""

    kind: str = "mend"
    span: float = 15.0
    comparison: str = ""

    def __post_init__(self) -> None:
        Demo(self.home, self.calm, self.tiny).finish(self.home)
        self.close()
        shutil.copytree(self.home.root, self.calm.root, dirs_exist_ok=True)
        with connect(self.home, readonly=True) as rec:
            (self.comparison,) = (c.id for c in comparisons(rec))

    def words(self) -> list[str]:
        return ["train", "mend", self.comparison, "--dialogues", str(6 + self.number), "--json"]


def whole_round(whole: Whole, rng: random.Random, sound: Sound) -> dict[str, Any]:
    """One kill, or the end: then everything is checked, and the next number begins."""
    child = whole.start(whole.home)
    moment = 0.3 + whole.span * rng.random() ** 2  # more of the beginning, where one job hands over to the next
    until = time.monotonic() + moment
    while time.monotonic() < until and (child.poll() is None or _working(whole.home)):
        time.sleep(0.02)
    told: dict[str, Any] = {"kind": whole.kind, "moment": round(moment, 3)}
    if child.poll() is not None and not _working(whole.home):
        _, err = child.communicate()
        if child.returncode == 3:  # what it had joined was killed while it was being started
            assert err.rstrip().endswith("the same command continues it"), err
            return {**told, "killed": False, "said": err.splitlines()[-1]}
        assert child.returncode == 0, err
        whole.check(whole.finish(whole.home))
        whole.number += 1
        return {**told, "killed": False, "checked": True}
    victims = {job.kind: job.pid for job in _working(whole.home) if job.pid}
    victims |= {"command": child.pid} if child.poll() is None else {}
    if not victims:  # between two jobs
        return {**told, "killed": False}
    chosen = list(victims) if rng.random() < 0.6 else [rng.choice(sorted(victims))]
    for name in chosen:
        with suppress(ProcessLookupError):
            os.kill(victims[name], signal.SIGKILL)
    _, err = child.communicate(timeout=LONGEST)
    assert "Traceback" not in err, err
    sound(whole.home)
    return {**told, "killed": True, "victims": chosen}


def _working(home: Home) -> list[JobStatus]:
    return [job for job in jobs(home) if job.state not in ENDED and job.kind != "serve"]


def timeless(found: Any) -> Any:
    """The same without what no two homes share. A conversation that was killed is held again, and more of it is then found in
    the server's prefix cache: only the sum of what was read anew and what was read from there is the same."""
    if isinstance(found, Mapping):
        kept = {k: timeless(v) for k, v in found.items() if not any(part in k for part in UNEQUAL)}
        if {"input", "cached"} <= kept.keys():
            kept["read"] = round((kept.pop("input") or 0) + (kept.pop("cached") or 0), 6)
        return kept
    return [timeless(v) for v in found] if isinstance(found, list) else found


def _lines(found: Any) -> list[str]:
    return pformat(found, width=110).splitlines()


def made(home: Home) -> dict[str, Any]:
    """What is in the record and in the folders of jobs, as far as it does not depend on the time."""
    with connect(home, readonly=True) as rec:
        held = conversations(rec, ConversationFilter())
        given = [Counter((v.judge, v.criterion, v.score) for v in verdicts(rec, c.id)) for c in held]
        datasets = [str(row["id"]) for row in rec.query("SELECT id FROM datasets ORDER BY id")]
        return {
            "jobs": sorted((job.id if job.kind != "serve" else "a server", job.kind) for job in jobs(home)),
            "dialogues": sorted(d.id for d in iterate_dialogues(rec)),
            "datasets": {d: sorted(dataset_items(rec, d)) for d in datasets},
            "runs": sorted((r.id, r.name, r.status, r.summary["steps"], r.summary["tokens"]) for r in all_runs(home)),
            "comparisons": sorted((c.id, c.status) for c in comparisons(rec)),
            "conversations": sorted((c.agent, str(c.scenario_id), c.rep, c.status, str(c.terminal)) for c in held),
            "verdicts": sum(given, Counter()),
        }

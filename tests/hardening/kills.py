"""`kill -9` at random moments of everything that runs: `python -m tests.hardening.kills --rounds 200 --seed 1`.

A round lets one victim work for a random while, kills it, looks whether the record is sound and what the next start says,
and starts it again by the same command. When a victim has come to its end it is held against what must be true of one
that nobody disturbed; then the next one of its kind begins. Every round is a JSON line with its seed, kind and moment.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.dialogue.writing import SONNET, obliging
from tests.fakes.anthropic_server import fake_anthropic
from tests.fakes.frontier import Frontier, frontier
from tests.fakes.openai_server import Fake
from tests.hardening.wholes import Demo, Mending, Whole, whole_round
from tests.training.test_jobs import RECIPE, fill
from workbench.agents.live_client import LiveClient, launch_chat
from workbench.dialogue.generation import Order, keep_workflow
from workbench.dialogue.scenarios import scenario_for_path
from workbench.home import Home
from workbench.jobs import ENDED, Job, launch, status
from workbench.jobs.launcher import reap
from workbench.models.ledger import IN_FLIGHT
from workbench.models.server.ensure import ensure_server, health
from workbench.store import connect
from workbench.store.calls import calls
from workbench.store.comparisons import comparisons
from workbench.store.conversations import ConversationFilter, conversations, get_conversation
from workbench.store.dialogues import iterate_dialogues
from workbench.store.scenarios import put_scenarios
from workbench.store.verdicts import verdicts
from workbench.training.launch import launch_run, run_folder
from workbench.workflow.load import load_workflow
from workbench.workflow.paths import PathSpace

ROOT = Path(__file__).parents[2]
PATIENCE = 240.0
CLAUDE = "anthropic/claude-sonnet-5-5"


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for it; AssertionError when it never comes true."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.01)


def sound(home: Home) -> None:
    """The record is whole, and so is what refers to what."""
    with connect(home) as rec:
        assert [row[0] for row in rec.query("PRAGMA integrity_check")] == ["ok"]
        assert rec.query("PRAGMA foreign_key_check") == []


def paid_once(home: Home, sent: int, kills: int, width: int) -> None:
    """The service's own count against the ledger: no request that was answered and kept was asked again."""
    with connect(home) as rec:
        rows = calls(rec, limit=10**6)
    kept = Counter(row.request for row in rows if row.error is None)
    lost = sum(row.error == IN_FLIGHT for row in rows)
    assert set(kept.values()) <= {1}, "a request was answered twice"
    assert sent - len(kept) <= lost <= kills * width, (sent, len(kept), lost)


@dataclass
class Victim:
    """A kind of job. `span` is how many seconds it works at the most before it is killed."""

    home: Home
    kind: str = ""
    span: float = 2.0
    kills: int = 0
    number: int = 0

    def start(self) -> Job:
        """Launch it, or go on: always the same command for the same `number`."""
        raise NotImplementedError

    def check(self) -> None:
        """What must hold once it is done."""

    def close(self) -> None:
        """Release what stays outside the home."""


@dataclass
class Generating(Victim):
    """Twelve dialogues by a fake Claude that counts what it is asked."""

    kind: str = "generate"
    fake: Fake = field(default_factory=Fake)

    def start(self) -> Job:
        os.environ["ANTHROPIC_BASE_URL"] = self.fake.url
        order = Order(
            "travel_booking", train=0, dev=0, least=0, test=12, writer=SONNET, manner="turns", seed=self.number
        )
        return launch(self.home, "generate", asdict(order), "kills", settings={"concurrency": 4})

    def check(self) -> None:
        paid_once(self.home, len(self.fake.bodies), self.kills, 4)
        with connect(self.home) as rec:
            made = list(iterate_dialogues(rec))
        assert len({d.id for d in made}) == len(made) == 12 * (self.number + 1)
        assert all(len(d.messages) > 2 for d in made)


@dataclass
class Evaluating(Victim):
    """Two agents on two scenarios, judged by two fake services that count what they are asked."""

    kind: str = "evaluate"
    span: float = 4.0
    fake: Frontier = field(default_factory=Frontier)

    def start(self) -> Job:
        os.environ["ANTHROPIC_BASE_URL"], os.environ["OPENAI_BASE_URL"] = self.fake.anthropic, self.fake.openai
        args = {
            "workflow": "travel_booking",
            "agents": [f"in-context:{CLAUDE}", "oracle"],
            "scenarios": 2,
            "seed": self.number,
            "judges": ["rules", "pair"],
            "name": f"kills-{self.number}",
        }
        return launch(self.home, "evaluate", args, "kills", settings={"concurrency": 4})

    def check(self) -> None:
        paid_once(self.home, sum(self.fake.answered.values()), self.kills, 4)
        with connect(self.home) as rec:
            made = comparisons(rec)
            assert len(made) == self.number + 1
            for comparison in made:
                held = conversations(rec, ConversationFilter(comparison_id=comparison.id))
                assert [c.status for c in held] == ["done"] * 4
                for conversation in held:
                    given = Counter((v.judge, v.criterion) for v in verdicts(rec, conversation.id))
                    assert set(given.values()) == {1}
                    assert len({judge for judge, _ in given}) == 3


@dataclass
class Judging(Evaluating):
    """The verdicts of one more judge on an evaluation that is done."""

    kind: str = "judge"
    span: float = 2.0

    def start(self) -> Job:
        os.environ["ANTHROPIC_BASE_URL"], os.environ["OPENAI_BASE_URL"] = self.fake.anthropic, self.fake.openai
        name = f"judged-{self.number}"
        with connect(self.home) as rec:
            found = next((c for c in comparisons(rec) if c.name == name and c.status == "done"), None)
        if found is None:
            args = {
                "workflow": "travel_booking",
                "agents": ["oracle"],
                "scenarios": 6,
                "seed": self.number,
                "name": name,
            }
            finish(self.home, launch(self.home, "evaluate", args, name))
            with connect(self.home) as rec:
                found = next(c for c in comparisons(rec) if c.name == name)
        args = {"comparison": found.id, "judges": ["pair"], "rubric": None, "repetitions": 1, "retry_missing": False}
        return launch(self.home, "judge", args, "kills", settings={"concurrency": 4})

    def check(self) -> None:
        paid_once(self.home, sum(self.fake.answered.values()), self.kills, 4)
        with connect(self.home) as rec:
            for conversation in conversations(rec, ConversationFilter()):
                given = Counter((v.judge, v.criterion) for v in verdicts(rec, conversation.id))
                assert set(given.values()) == {1}
                assert len({judge for judge, _ in given}) == 3


@dataclass
class Training(Victim):
    """A few dozen steps of a tiny model; it must end with the figures of a run that nobody disturbed."""

    kind: str = "train"
    span: float = 8.0
    tiny: Path = Path()
    calm: dict[str, Any] = field(default_factory=dict)

    def start(self) -> Job:
        run = self._launch(self.home, self.number)
        return Job(run.id, "train", run.name, {}, self.home.jobs / run.id, 0.0)

    def _launch(self, home: Home, number: int) -> Any:
        recipe = dataclasses.replace(
            RECIPE, base=str(self.tiny), max_tokens_trained=30_000, eval_every=3, seed=number, keep=2
        )
        with connect(home, readonly=True) as rec:
            there = rec.one("SELECT id FROM datasets") is not None
        return launch_run(home, "d" * 16 if there else fill(home), recipe, name=f"kills-{number}")

    def check(self) -> None:
        calm = Home(self.home.root.parent / f"calm-{self.number}").make()
        undisturbed = self._launch(calm, self.number)
        finish(calm, Job(undisturbed.id, "train", "", {}, calm.jobs / undisturbed.id, 0.0))
        ours, theirs = (status(h, undisturbed.id).result for h in (self.home, calm))
        for name in ("steps", "tokens", "best_dev_loss"):
            assert ours[name] == theirs[name], name
        weights = [run_folder(h, undisturbed.id) / "model.safetensors" for h in (self.home, calm)]
        assert weights[0].read_bytes() == weights[1].read_bytes()


@dataclass
class Serving(Victim):
    """A model server; whoever needs it next starts it anew and gets an answer."""

    kind: str = "serve"
    span: float = 3.0
    tiny: Path = Path()

    def start(self) -> Job:
        info = ensure_server(self.home, self.tiny)
        assert health(info)["status"] == "ok"
        return Job(info.job_id, "serve", "", {}, self.home.jobs / info.job_id, 0.0)


@dataclass
class Chatting(Victim):
    """A conversation of the oracle with a simulated user in a process of its own."""

    kind: str = "chat"
    span: float = 3.0

    def start(self) -> Job:
        workflow = load_workflow("travel_booking")
        made = scenario_for_path(workflow, PathSpace(workflow).terminal("success")[self.number], "test", self.number)
        with connect(self.home) as rec:
            keep_workflow(rec, workflow)
            put_scenarios(rec, [made])
        job = launch_chat(
            self.home, ["oracle"], workflow.name, scenario=made.id, user="agenda", session=f"kills-{self.number}"
        )
        with suppress(Exception):
            asyncio.run(self._autopilot(job))
        return job

    async def _autopilot(self, job: Job) -> None:
        client = await LiveClient.join(self.home, job.id, timeout=PATIENCE)
        await client.auto()
        await client.close()

    def check(self) -> None:
        with connect(self.home) as rec:
            for row in conversations(rec, ConversationFilter()):
                found = get_conversation(rec, row.id)
                assert found is not None
                roles = [m.role for m in found[1]]
                assert roles == [("agent", "user")[n % 2] for n in range(len(roles))], "messages are lost or doubled"


def finish(home: Home, job: Job) -> None:
    """Wait until it is done."""
    until(lambda: status(home, job.id).state in ENDED, "the job ends")
    end = status(home, job.id)
    assert end.state == "done", (end.state, end.error, (end.folder / "log.txt").read_text()[-1500:])


def round_of(victim: Victim, rng: random.Random) -> dict[str, Any]:
    """One kill; what was killed, when, and what the next start said. Starts the next of the kind if this one is done."""
    home, job = victim.home, victim.start()
    until(lambda: status(home, job.id).pid or status(home, job.id).state in ENDED, "the process reports")
    moment = rng.uniform(0, victim.span)
    time.sleep(moment)
    before = status(home, job.id)
    if before.state in ENDED:
        assert before.state == "done", (before.state, before.error)
        victim.check()
        victim.number += 1
        return {"kind": victim.kind, "moment": round(moment, 3), "killed": False}
    assert before.pid is not None
    with suppress(ProcessLookupError):
        os.kill(before.pid, signal.SIGKILL)
    reap()
    until(lambda: status(home, job.id).state in ENDED, "the kill is noticed")
    after = status(home, job.id)
    assert after.state in ("lost", "done"), (after.state, after.error)
    if after.state == "lost":
        assert "run the same command again" in str(after.error)
        victim.kills += 1
    sound(home)
    return {"kind": victim.kind, "moment": round(moment, 3), "killed": after.state == "lost", "said": after.error}


def app_round(home: Home, rng: random.Random) -> dict[str, Any]:
    """Kill the app on a terminal while keys are typed; it starts again on the same record."""
    from tests.tui.test_pty import Terminal

    terminal = Terminal(home)
    try:
        terminal.until(b"Hello, where would")
        moment = rng.uniform(0, 1.0)
        end = time.monotonic() + moment
        while time.monotonic() < end:
            terminal.type(rng.choice([b"1", b"2", b"3", b"4", b"5", b"j", b"k", b"a", b"f", b"?", b"\x1b", b"/x\x1b"]))
            time.sleep(0.03)
        terminal.process.kill()
        terminal.process.wait(PATIENCE)
    finally:
        terminal.close()
    sound(home)
    from workbench.tui import state as states

    kept = states.load(home.state / "tui.json")
    fresh = (
        states.DialoguesState()
    )  # a filter that was being typed is kept, and would hide what the next round waits for
    states.save(home.state / "tui.json", dataclasses.replace(kept, pane="dialogues", dialogues=fresh))
    return {"kind": "app", "moment": round(moment, 3), "killed": True}


def command_round(home: Home, url: str, number: int, rng: random.Random) -> dict[str, Any]:
    """Kill a command that follows a job; the job does not notice, and the same command joins it."""
    words = [sys.executable, "-P", "-m", "workbench", "--home", str(home.root.parent), "dialogues", "generate",
             "travel_booking", "--train", "0", "--dev", "0", "--least", "0", "--test", "8", "--writer", SONNET, "--yes",
             "--seed", str(number)]  # fmt: skip
    environment = {**os.environ, "ANTHROPIC_BASE_URL": url}
    child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    moment = rng.uniform(0.2, 4.0)
    time.sleep(moment)
    child.kill()
    child.wait()
    sound(home)
    done = subprocess.run(words, capture_output=True, text=True, env=environment, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    with connect(home) as rec:
        requests = Counter(row.request for row in calls(rec, limit=10**6) if row.error is None)
    assert set(requests.values()) <= {1}
    return {"kind": "command", "moment": round(moment, 3), "killed": True}


@contextmanager
def crowd(folder: Path, kinds: list[str]) -> Iterator[dict[str, Callable[[random.Random], dict[str, Any]]]]:
    """A round of each kind, by name, in homes of their own; at the end every job is brought to its end and checked."""
    os.environ.update(
        ANTHROPIC_API_KEY="sk-ant-test-0123456789", OPENAI_API_KEY="sk-test-0123456789", PYTHONPATH=str(ROOT)
    )
    with ExitStack() as stack:

        def home(name: str) -> Home:
            return Home(folder / name / "runs").make()

        def claude() -> Fake:
            fake = stack.enter_context(fake_anthropic(""))
            fake.answer, fake.delay_s = obliging, 0.02
            return fake

        made: list[Victim] = []
        rounds: dict[str, Callable[[random.Random], dict[str, Any]]] = {}
        if "generate" in kinds:
            made.append(Generating(home("generate"), fake=claude()))
        if "evaluate" in kinds:
            made.append(Evaluating(home("evaluate"), fake=stack.enter_context(frontier())))
        if "judge" in kinds:
            made.append(Judging(home("judge"), fake=stack.enter_context(frontier())))
        if "chat" in kinds:
            made.append(Chatting(home("chat")))
        if {"train", "serve"} & set(kinds):
            from tests.training.conftest import build_tiny

            words = "You book trips. Where would you like to go? Your trip is booked."
            tiny = build_tiny(folder / "tiny", [words], positions=2048)
            made += [Training(home("train"), tiny=tiny)] if "train" in kinds else []
            made += [Serving(home("serve"), tiny=tiny)] if "serve" in kinds else []
        for victim in made:
            rounds[victim.kind] = lambda rng, victim=victim: round_of(victim, rng)  # type: ignore[misc]
        if "app" in kinds:
            from tests.fakes.record import make_sample_record
            from workbench.tui import state as states

            shown = home("app")
            make_sample_record(shown).close()
            states.save(shown.state / "tui.json", states.AppState(pane="dialogues"))
            rounds["app"] = lambda rng: app_round(shown, rng)
        if "command" in kinds:
            asked, count = claude(), iter(range(10**6))
            rounds["command"] = lambda rng: command_round(home("command"), asked.url, next(count), rng)
        wholes: list[Whole] = []
        if {"demo", "mend"} & set(kinds):
            from tests.training.conftest import build_base

            base = build_base(folder / "base")
            for kind, whole in (("demo", Demo), ("mend", Mending)):
                if kind in kinds:
                    wholes.append(whole(home(kind), home(f"calm-{kind}"), base))
                    stack.callback(wholes[-1].close)
        for whole in wholes:
            rounds[whole.kind] = partial(whole_round, whole, sound=sound)
        try:
            yield rounds
            for whole in wholes:
                whole.check(whole.finish(whole.home))
            for victim in made:
                if victim.kind == "serve":
                    victim.start()
                    continue
                finish(victim.home, victim.start())
                victim.check()
        finally:
            for victim in made:
                _end_all(victim.home)


def _end_all(home: Home) -> None:
    from workbench.jobs import jobs

    for job in jobs(home):
        if job.state not in ENDED and job.pid:
            with suppress(ProcessLookupError):
                os.kill(job.pid, signal.SIGKILL)
    reap()


KINDS = ("generate", "evaluate", "judge", "train", "serve", "chat", "app", "command", "demo", "mend")


def run(folder: Path, rounds: int, seed: int, kinds: list[str], tell: Callable[[str], None]) -> Counter[str]:
    """That many rounds over the kinds in turn; returns how many kills each got. Raises AssertionError for a fault."""
    rng = random.Random(seed)
    killed: Counter[str] = Counter()
    with crowd(folder, kinds) as each:
        for number in range(rounds):
            kind = kinds[number % len(kinds)]
            told = each[kind](rng)
            killed[kind] += told["killed"]
            tell(json.dumps({"seed": seed, "round": number, **told}))
    return killed


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kinds", default=",".join(KINDS))
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="wb-kills-") as folder:
        began = time.monotonic()
        killed = run(
            Path(folder), chosen.rounds, chosen.seed, chosen.kinds.split(","), lambda line: print(line, flush=True)
        )
    print(json.dumps({"kills": sum(killed.values()), "by_kind": killed, "seconds": round(time.monotonic() - began)}))


if __name__ == "__main__":
    main()

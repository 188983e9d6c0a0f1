"""Sample data in any amount: for screenshots, for trying the panes, for tests and benchmarks on large records.

Texts, paths and terminals are those of real dialogues by the scripted writer, multiplied; the comparison is measured by the real
measures on transcripts that were made from the graph, some with a planted fault; the run's curves are drawn. Nothing of it
says anything about a model, and the app says "sample data" on every screen of such a home.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from workbench.dialogue.generation import Order, keep_workflow, planned_scenarios
from workbench.dialogue.model import Dialogue, Scenario
from workbench.dialogue.scripted import WRITER, write
from workbench.errors import UserError
from workbench.home import Home, make_folder
from workbench.jobs.folder import write_json
from workbench.store import connect
from workbench.store.comparisons import put_comparison
from workbench.store.conversations import put_conversation
from workbench.store.datasets import put_dataset
from workbench.store.dialogues import put_dialogues
from workbench.store.record import Record
from workbench.store.reviews import put_reviews
from workbench.store.rows import (
    ComparisonRow,
    ConversationRow,
    DatasetRow,
    DialogueEntry,
    MessageRow,
    ReviewRow,
    RunRow,
)
from workbench.store.runs import put_run
from workbench.store.scenarios import put_scenarios
from workbench.store.verdicts import put_measures, put_verdicts
from workbench.workflow.hashing import digest, workflow_hash
from workbench.workflow.load import load_workflow
from workbench.workflow.model import SPLITS, Workflow
from workbench.workflow.paths import PathSpace

if TYPE_CHECKING:
    from workbench.evaluation.assess import Assessor

WORKFLOWS = {"travel_booking": 0.5, "zoom_support": 0.2, "insurance_claims": 0.3}
"""Workflow → its share of the dialogues."""
WRITERS = (WRITER, "sample/one", "sample/two")
"""Names of writers, so that there is something to filter by; the words are all the scripted writer's."""
BASE = 400
"""Dialogues that are really written, for each workflow."""
AGENTS = {
    "compiled": ("compiled:sample", 0.1),
    "orchestrated": ("orchestrated:local/sample", 0.5),
    "oracle": ("oracle", 0.0),
}
"""Condition → agent, and the share of its conversations with a planted fault."""
STATEMENT = "Sample data: transcripts made from the graph, some with a planted fault. No model has spoken here."


@dataclass(frozen=True, slots=True)
class Amount:
    """How much to make: dialogues over all workflows, live conversations, scenarios of the comparison (0: no comparison)."""

    dialogues: int = 600
    conversations: int = 0
    scenarios: int = 24
    seed: int = 1


def make_sample(home: Home, amount: Amount, tell: Callable[[str], None] = lambda text: None) -> None:
    """Fill a home; the same amount again adds nothing. `tell` hears what is being made.

    Raises UserError if the home holds a record that is not sample data.
    """
    if home.database.exists() and not home.sample.exists():
        raise UserError(f"{home.database} holds a record of yours: choose another folder for sample data, --home DIR")
    home.make().sample.write_text(
        "Everything in this folder is sample data, made by `workbench record sample`.\n", "utf-8"
    )
    start = time.time() - amount.dialogues - 7200
    with connect(home) as rec:
        for name, share in WORKFLOWS.items():
            tell(f"dialogues of {name}")
            _fill(
                rec,
                load_workflow(name),
                round(amount.dialogues * share),
                round(amount.conversations * share),
                amount.seed,
                start,
            )
        if amount.scenarios:
            tell("a data set, a run, and a comparison of three agents")
            workflow = load_workflow(next(iter(WORKFLOWS)))
            _train(rec, home, workflow, amount.dialogues, start)
            _compare(rec, workflow, amount, start)


def _key(*parts: object) -> str:
    return digest(["sample", *map(str, parts)])


# Dialogues and reviews ---------------------------------------------------------------------------------------------


def _fill(rec: Record, workflow: Workflow, dialogues: int, conversations: int, seed: int, start: float) -> None:
    rng = Random(f"{workflow.name}{seed}")
    keep_workflow(rec, workflow)
    space = PathSpace(workflow)
    order = Order(workflow.name, min(BASE, max(dialogues, 1)), 0, 0, 0, seed)
    scenarios = planned_scenarios(workflow, order, "train")
    base = [(d, space.rank(d.path)) for d in (write(workflow, s) for s in scenarios)]
    put_dialogues(rec, (_entry(*base[i % len(base)], i, rng, start) for i in range(dialogues)))
    put_reviews(rec, _reviews(base[0][0].workflow_id, dialogues, rng, start))
    for first in range(0, conversations, 1000):
        with rec.write():
            for i in range(first, min(first + 1000, conversations)):
                _live(rec, base[i % len(base)][0], i, start)


def _entry(dialogue: Dialogue, rank: int, number: int, rng: Random, start: float) -> DialogueEntry:
    """A copy with a booking number of its own in the user's words; 1% are quarantined."""
    workflow = dialogue.workflow_id
    split = rng.choices(SPLITS, (90, 6, 4))[0]
    scenario = replace(dialogue.scenario, id=_key(workflow, "scenario", number), split=split)
    messages = tuple(
        replace(m, text=f"{m.text} My number is {number:06d}.") if i == 1 else m
        for i, m in enumerate(dialogue.messages)
    )
    made = replace(
        dialogue,
        id=_key(workflow, number),
        scenario=scenario,
        messages=messages,
        writer=rng.choices(WRITERS, (8, 1, 1))[0],
    )
    faulty = rng.random() < 0.01
    what = {
        "leak": "the text names a node",
        "wrong-fact": "a value differs from the scenario's",
        "too-long": "over 80 words",
    }
    code = rng.choice(list(what))
    checks = ({"code": code, "index": 1, "what": what[code]},) if faulty else ()
    return DialogueEntry(made, rank, checks, "quarantined" if faulty else "ok", {"made": "sample data"}, start + number)


def _reviews(workflow: str, n: int, rng: Random, start: float) -> Iterator[ReviewRow]:
    """5% are reviewed, a fifth of these by two people."""
    for number in rng.sample(range(n), n // 20):
        for who in ("ann", "bob") if rng.random() < 0.2 else ("ann",):
            decision = rng.choices(("pass", "flag"), (85, 15))[0]
            tags = ("repetitive",) if decision == "flag" else ()
            yield ReviewRow(
                _key(who, workflow, number), _key(workflow, number), who, decision, tags, "", start + number + 3600
            )


def _live(rec: Record, dialogue: Dialogue, number: int, start: float) -> None:
    row = ConversationRow(
        _key("talk", dialogue.workflow_id, number), None, "oracle", "oracle", None, dialogue.workflow_id, status="done",
        terminal=dialogue.terminal, ended_by="agent", created=start + number,
    )  # fmt: skip
    put_conversation(rec, row, [MessageRow(m.role, m.text, m.nodes, created=start) for m in dialogue.messages])


# A run -------------------------------------------------------------------------------------------------------------


def _train(rec: Record, home: Home, workflow: Workflow, dialogues: int, start: float) -> None:
    """A data set of the workflow's dialogues, and a finished run on it with drawn curves."""
    workflow_id, n = workflow_hash(workflow), round(dialogues * WORKFLOWS[workflow.name])
    dataset = DatasetRow(_key("dataset", n), "sample", workflow_id, {"made": "sample data"}, start + n)
    put_dataset(rec, dataset, [(_key(workflow_id, number), "train") for number in range(min(n, BASE))])
    job = _key("run")
    if not (home.jobs / job).exists():
        samples = [(s.persona, write(workflow, s)) for s in _scenarios(workflow, 2, 7)]
        draw_run(home.jobs / job, "train sample (drawn)", start=start + n, steps=400, samples=samples)
    recipe = {"lr": 3e-4, "method": "full", "base": "drawn"}
    put_run(
        rec, RunRow(job, "sample", job, dataset.id, workflow_id, recipe, "done", {}, {"made": "sample data"}, start + n)
    )


def draw_run(
    folder: Path,
    title: str,
    *,
    start: float,
    steps: int,
    samples: Sequence[tuple[str, Dialogue]] = (),
) -> None:
    """A training job's folder as a run leaves it, its curves drawn: a loss that falls, a pass-rate that rises."""
    make_folder(folder)
    job = {"kind": "train", "title": title, "args": {}, "created": start, "attempt": 1, "command": None, "cwd": "/"}
    write_json(folder / "job.json", job)
    rng, events = Random(title), [{"t": start, "type": "start", "device": "cpu", "precision": "bf16"}]
    for step in range(steps + 1):
        at, fall = start + step * 1.5, math.exp(-6 * step / steps)
        if step:
            loss = 0.2 + 2.5 * fall + rng.uniform(-0.05, 0.05)
            rate = 3e-4 * min(step / (0.05 * steps), 1.0) * (1 - 0.9 * step / steps)
            figures = {"step": step, "steps": steps, "loss": loss, "tokens": step * 2048, "tokens_per_s": 1365.0, "lr": rate,
                       "grad_norm": 1.2 * fall + 0.4, "step_time": 1.5, "memory_mb": 2900.0, "epoch": 3 * step / steps}  # fmt: skip
            events.append({"t": at, "type": "metric", **figures})
        if step % (steps // 5) == 0:
            figures = {"step": step, "dev_loss": 0.3 + 2.4 * fall, "pass_rate": round(1 - fall, 2)}
            events.append({"t": at, "type": "eval", **figures})
            shown = [{"title": name, "messages": _asked(d, step / steps)} for name, d in samples]
            events.append({"t": at, "type": "sample", "step": step, "samples": shown})
    (folder / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events), "utf-8")
    (folder / "log.txt").write_text("sample data: these curves were drawn, nothing was trained\n", "utf-8")
    done = {"attempt": 1, "at": start + steps * 1.5, "state": "done", "result": {}}
    write_json(folder / "done.json", done)


def _asked(dialogue: Dialogue, learnt: float) -> list[dict[str, str]]:
    """A dialogue's messages with what the model would answer: the more it has learnt, the more of them as written."""
    messages: list[dict[str, str]] = []
    for m in dialogue.messages:
        if m.role == "user":
            messages.append({"role": "user", "content": m.text})
        else:
            kept = m.text.split()[: max(round(len(m.text.split()) * learnt), 1)]
            messages.append({"role": "assistant", "content": m.text, "answer": " ".join(kept)})
    return messages


# A comparison ------------------------------------------------------------------------------------------------------


def _scenarios(workflow: Workflow, n: int, seed: int) -> list[Scenario]:
    return list(planned_scenarios(workflow, Order(workflow.name, 0, 0, n, 0, seed), "test"))


def _compare(rec: Record, workflow: Workflow, amount: Amount, start: float) -> None:
    """Three agents on the same scenarios, measured and judged as any evaluation is."""
    from workbench.evaluation.assess import Assessor
    from workbench.evaluation.summary import summarise

    workflow_id, comparison = workflow_hash(workflow), _key("comparison", amount.scenarios, amount.seed)
    assessor, scenarios = Assessor(workflow), _scenarios(workflow, amount.scenarios, amount.seed)
    config = {
        "agents": [agent for agent, _ in AGENTS.values()],
        "scenarios": amount.scenarios,
        "user": "none: made from the graph",
    }
    put_scenarios(rec, scenarios)
    put_comparison(rec, ComparisonRow(comparison, workflow_id, "sample", config, "running", {}, start))
    for condition, (agent, faulty) in AGENTS.items():
        for n, scenario in enumerate(scenarios):
            row = ConversationRow(
                _key(comparison, condition, n), comparison, agent, condition, scenario.id, workflow_id,
                seed=scenario.seed, status="done", provenance={"made": "sample data"}, created=start + n,
            )  # fmt: skip
            _hold(rec, assessor, scenario, row, Random(f"{row.id}"), faulty)
    summary = summarise(rec, comparison, assessor) | {"statement": STATEMENT}
    put_comparison(rec, ComparisonRow(comparison, workflow_id, "sample", config, "done", summary, start))


def _hold(
    rec: Record, assessor: Assessor, scenario: Scenario, row: ConversationRow, rng: Random, faulty: float
) -> None:
    """One conversation: flawless, or with one planted fault."""
    from workbench.evaluation.controls import FAULTS, flawless_talk
    from workbench.evaluation.keep import measure_rows, verdict_rows

    talk, ended = flawless_talk(assessor.workflow, scenario), "agent"
    if rng.random() < faulty:
        plant = FAULTS[rng.choice(list(FAULTS))][0]
        talk, ended = plant(assessor, scenario, talk, rng) or (talk, ended)
    found = assessor.assess(scenario, talk, ended)
    seconds = [round(0.2 + 0.01 * len(m.text), 2) for m in talk if m.role == "agent"]
    totals = {"messages": len(talk), "calls": len(seconds), "input": 90 * len(seconds), "output": 25 * len(seconds), "cost": 0.0,
              "seconds": sum(seconds)}  # fmt: skip
    with rec.write():
        put_conversation(rec, replace(row, terminal=found.terminal, ended_by=ended, totals=totals), talk)
        put_measures(rec, measure_rows(row.id, found))
        put_verdicts(rec, verdict_rows(row.id, assessor, found))

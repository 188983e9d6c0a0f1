"""`workbench dialogues generate`: the plan with its estimate first, then the job that writes."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from workbench.cli.follow import follow, span
from workbench.cli.output import emit, example, json_option, on_option, pass_home, table
from workbench.errors import UserError
from workbench.home import Home

if TYPE_CHECKING:
    from workbench.dialogue.generation import Order
    from workbench.dialogue.model_writer import Writer
    from workbench.workflow.model import Workflow

_SAMPLE = 24
"""Dialogues whose real requests the estimate is made from."""


@click.command(
    "generate",
    epilog=example(
        "workbench dialogues generate travel_booking                       # offline, no model",
        "workbench dialogues generate travel_booking --writer anthropic/claude-sonnet-5-5 --dry-run",
        "workbench dialogues generate travel_booking --writer anthropic/claude-sonnet-5-5 --batch --budget 20",
        "workbench dialogues generate zoom_support --per-path 8 --writer openai/gpt-4.1 --manner turns",
        "workbench dialogues generate travel_booking --writer anthropic/claude-sonnet-5-5 --retry-quarantined 2 --budget 20",
        "workbench dialogues generate zoom_support --writer http://127.0.0.1:8000/v1#qwen --manner paraphrase --yes",
        "workbench dialogues generate travel_booking --writer openai/gpt-4.1 --per-path 1000 --on ray://head:10001 --yes",
    ),
)
@click.argument("workflow")
@click.option("--train", default=800, show_default=True, help="Dialogues to train on (more if --least needs them).")
@click.option("--least", default=30, show_default=True, help="Least dialogues for each hub choice and terminal.")
@click.option("--per-path", default=0, metavar="N", help="Instead of --train and --least: N dialogues for every path.")
@click.option("--dev", default=60, show_default=True, help="Dialogues for the held-out loss.")
@click.option("--test", default=40, show_default=True, help="Dialogues whose scenarios are kept for the evaluation.")
@click.option("--seed", default=42, show_default=True, help="Another seed draws other paths, values and words.")
@click.option(
    "--writer",
    default="scripted",
    show_default=True,
    metavar="MODEL",
    help="anthropic/NAME, openai/NAME, local/RUN-or-path, URL#NAME; 'scripted' needs no model.",
)
@click.option(
    "--manner",
    type=click.Choice(["whole", "turns", "paraphrase"]),
    help="How a model writes: the whole dialogue in one reply (default), turn by turn with both sides apart, or the "
    "scripted dialogue in other words.",
)
@click.option("--user", metavar="MODEL", help="With --manner turns: another model for the user's side.")
@click.option("--batch", is_flag=True, help="Through the Message Batches API: half the price, within a day.")
@click.option("--budget", type=float, metavar="USD", help="Never spend more, retries and all; a larger one goes on.")
@click.option("--concurrency", default=None, metavar="auto|N", help="Calls at once; auto (default) adapts.")
@on_option
@click.option("--retry-quarantined", "retries", type=click.IntRange(0, 9), default=None, metavar="N",
              help="Write what was quarantined anew, each dialogue up to N times altogether; the budget holds over all.")  # fmt: skip
@click.option("--yes", "-y", is_flag=True, help="Do not ask before money is spent.")
@click.option("--detach", is_flag=True, help="Start it and return at once.")
@click.option("--dry-run", is_flag=True, help="Only show the plan: counts, coverage, estimate.")
@json_option
@pass_home
def command(home: Home, /, workflow: str, yes: bool, detach: bool, dry_run: bool, as_json: bool, **rest: Any) -> None:
    """Write dialogues along the workflow's paths, offline or with a model.

    The plan is shown with an estimate of tokens, dollars and time before anything is spent. It runs as a background
    job: stopped, killed or out of budget, the same command goes on, loses nothing and pays for nothing twice. While it
    runs, `workbench jobs set JOB` changes its concurrency and budget or pauses it.
    """
    from workbench.dialogue.generation import writer_of_order
    from workbench.jobs.launcher import launch
    from workbench.workflow.load import load_workflow

    loaded = load_workflow(workflow)
    order = _order(loaded, workflow, rest)
    settings = settings_of(rest)
    writer = writer_of_order(order)
    if writer is not None:
        refuse(home, writer, settings)
    elif rest["batch"] or rest["budget"] is not None or rest["retries"]:
        raise UserError("--batch, --budget and --retry-quarantined belong to writers on a model: add --writer MODEL")
    if dry_run or (writer is not None and not yes):
        plan = plan_of(home, loaded, order, writer, settings)
        if dry_run or not as_json:
            emit(plan, as_json, plan_text)
        if dry_run:
            return
        confirm(plan)
    job = launch(home.make(), "generate", asdict(order), f"dialogues for {loaded.name}", settings=settings)
    if detach:
        emit(
            {"job": job.id}, as_json, lambda made: f"job {made['job']}; workbench jobs tail {made['job']} -f watches it"
        )
        return
    if not as_json:
        click.echo(f"job {job.id} (workbench jobs set {job.id[:6]} … changes it while it runs)", err=True)
    result = follow(home, job.id, quiet=as_json)
    emit({"job": job.id, **result}, as_json, lambda found: result_text(found, order.writer))


def _order(loaded: Workflow, name: str, rest: Mapping[str, Any]) -> Order:
    from workbench.dialogue.generation import Order
    from workbench.workflow.hashing import workflow_hash

    numbers = {key: rest[key] for key in ("train", "dev", "test", "least", "per_path")}
    if min(numbers.values()) < 0:
        raise UserError("the numbers of dialogues must not be negative")
    if numbers["per_path"]:
        numbers |= {"train": 0, "least": 0}
    made = {key: rest[key] for key in ("seed", "writer", "user")} | {"manner": rest["manner"] or ""}
    if rest["writer"] != "scripted":
        made["manner"] = rest["manner"] or "whole"
    return Order(name, workflow_id=workflow_hash(loaded), **numbers, **made)


def settings_of(rest: Mapping[str, Any]) -> dict[str, object]:
    """The job's settings that were given."""
    from workbench.cli import evaluate

    settings = evaluate.settings_of(bool(rest["batch"]), rest["budget"], rest["concurrency"], rest.get("on"))
    if rest.get("retries") is not None:
        settings["retries"] = rest["retries"]
    return settings


def refuse(home: Home, writer: Writer, settings: Mapping[str, object]) -> None:
    """What can be known to fail before a job is started: keys, names, batches, a budget over unknown prices."""
    from workbench.dialogue.composing import refuse_unknown_price
    from workbench.models.open import check_model

    for name in filter(None, (writer.model, writer.user)):
        check_model(name, home, batch=bool(settings["batch"]))
        budget = settings.get("budget")
        refuse_unknown_price(name, home, budget if isinstance(budget, float) else None)


def plan_of(
    home: Home, loaded: Workflow, order: Order, writer: Writer | None, settings: Mapping[str, object]
) -> dict[str, Any]:
    """What would be written: counts, coverage of hub choices and terminals, what is left of it, the estimate."""
    from workbench.dialogue.estimate import estimate
    from workbench.dialogue.generation import planned_paths, planned_scenarios, train_plan
    from workbench.dialogue.scenarios import expected_path
    from workbench.models.open import price_of
    from workbench.store.dialogues import DialogueFilter, dialogue_counts, known_dialogues, quarantined_rounds
    from workbench.store.record import connect
    from workbench.workflow.hashing import workflow_hash
    from workbench.workflow.model import SPLITS

    plan = train_plan(loaded, order)
    sizes = {split: len(planned_paths(loaded, order, split)) for split in SPLITS}
    made: dict[str, Any] = {
        "workflow": loaded.name,
        "writer": writer.name if writer else order.writer,
        "dialogues": sizes,
        "distinct_paths": plan.distinct,
        "paths": plan.total,
        "hub_choices": plan.choices,
        "terminals": plan.terminals,
        "written": 0,
        "again": 0,
        "settings": dict(settings),
    }
    if writer is None:
        return made
    rec = connect(home.make())
    scenarios = [s for split in SPLITS for s in islice(planned_scenarios(loaded, order, split), _SAMPLE // 3)]
    if dialogue_counts(rec, "writer", DialogueFilter(writer=writer.name)):
        ids = [
            writer.dialogue_id(loaded, scenario, expected_path(loaded, scenario))
            for split in SPLITS
            for scenario in planned_scenarios(loaded, order, split)
        ]
        rounds = quarantined_rounds(rec, workflow_hash(loaded), writer.name)
        retries = settings.get("retries", 0)
        again = {key for key in ids if key in rounds and rounds[key] < retries}  # type: ignore[operator]  # an int
        made["again"], made["written"] = len(again), len(known_dialogues(rec, ids) - again)
    prices = price_of(writer.model, home), price_of(writer.user or writer.model, home)
    made["estimate"] = estimate(
        rec,
        loaded,
        scenarios,
        sum(sizes.values()) - made["written"],
        writer,
        (prices[0][0], prices[1][0]),
        free=prices[0][1] and prices[1][1],
        batch=bool(settings["batch"]),
        concurrency=settings.get("concurrency"),  # type: ignore[arg-type]  # parse_concurrency made it
    )
    return made


def plan_text(plan: Mapping[str, Any]) -> str:
    """The plan for people."""
    sizes, total = plan["dialogues"], sum(plan["dialogues"].values())
    of = f" of {plan['paths']:,}" if plan["paths"] else ""
    lines = [
        f"{plan['workflow']}, written by {plan['writer']}",
        f"{total:,} dialogues: {sizes['train']:,} train on {plan['distinct_paths']:,}{of} paths, "
        f"{sizes['dev']:,} dev, {sizes['test']:,} test",
    ]
    if choices := [*plan["hub_choices"].items(), *plan["terminals"].items()]:
        lines.append(table(("hub choice or terminal", "train dialogues"), choices, right=[1]))
    if found := plan.get("estimate"):
        if plan["written"]:
            lines.append(f"{plan['written']:,} are written already, {found.dialogues:,} are left")
        if plan["again"]:
            lines.append(f"{plan['again']:,} of these are quarantined and are written anew")
        money = "cost unknown (the model has no price)" if found.dollars is None else f"${found.dollars:,.2f}"
        money = "nothing to pay (local)" if found.free else money
        time = "up to a day, often within an hour" if found.seconds is None else f"about {span(found.seconds)}"
        lines += [
            f"estimate: {found.calls:,} calls, {found.input:,} tokens in, {found.output:,} out; {money}; {time}",
            *(f"  {part.strip()};" for part in f"from {found.basis}".split(";")),
            "  repeated replies come on top, prompt caching takes off",
        ]
        if (budget := plan["settings"].get("budget")) is not None:
            lines.append(f"budget: ${budget:,.2f}; it stops before a call that could exceed it")
    return "\n".join(lines)


def confirm(plan: Mapping[str, Any]) -> None:
    """Ask before money is spent; where nobody can answer, say how to go on. Nothing is asked when nothing is owed."""
    found = plan["estimate"]
    if found.dialogues == 0 or found.free:
        return
    if not _somebody_is_there():
        raise UserError("this spends money and nobody can be asked here: add --yes (and --budget USD) to go ahead")
    click.confirm("Go ahead?", abort=True, err=True)


def _somebody_is_there() -> bool:
    return sys.stdin.isatty()


def result_text(found: Mapping[str, Any], writer: str) -> str:
    """What was written and what it took, for people."""
    text = f"{found['train']} train, {found['dev']} dev, {found['test']} test; {found['new']} new, "
    text += f"{found['quarantined']} quarantined (writer: {writer}{', offline' if writer == 'scripted' else ''})"
    if "calls" not in found:
        return text
    cost = "cost unknown (no price)" if found["cost"] is None else f"${found['cost']:.4f}"
    text += f"\n{found['calls']:,} calls ({found['errors']:,} failed), {found['input']:,} tokens in, {found['output']:,} out; {cost}"
    if found["cache_read"] or found["cache_write"]:
        text += (
            f"\nprompt cache: {found['cache_read']:,} tokens read, {found['cache_write']:,} written, "
            f"${found['cache_saving']:.4f} saved"
        )
    else:
        text += "\nprompt cache: not used (the shared beginnings are shorter than the model keeps, or it reports none)"
    if found["quarantined"]:
        text += "\nworkbench dialogues list --status quarantined shows what was set aside and why; "
        text += "--retry-quarantined 1 writes it anew"
    return text

"""`workbench evaluate`: agents hold conversations with simulated users and are scored."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from workbench.cli.output import emit, example, on_option, pass_home, table
from workbench.errors import ServiceError, UserError
from workbench.home import Home

if TYPE_CHECKING:
    from workbench.evaluation.estimate import Estimate
    from workbench.evaluation.plan import EvaluationPlan


@click.command(
    epilog=example(
        "workbench evaluate travel_booking --agents compiled:demo,oracle --scenarios 40",
        "workbench evaluate travel_booking --agents compiled:demo,in-context:anthropic/claude-sonnet-5-5 --judge rules "
        "--judge pair --budget 30",
        "workbench evaluate zoom_support --agents compiled:zoom,orchestrated:openai/gpt-4.1 --user llm:openai/gpt-4.1 "
        "--repetitions 3 --dry-run",
        "workbench evaluate travel_booking --agents in-context:openai/gpt-4.1 --scenarios 5000 --on ray",
    )
)
@click.argument("workflow")
@click.option("--agents", required=True, help="compiled:RUN, orchestrated:MODEL, in-context:MODEL, oracle; by commas.")
@click.option("--scenarios", default=200, show_default=True, help="The same designed scenarios for every agent.")
@click.option("--limit", "limits", multiple=True, metavar="AGENT=N", help="Fewer scenarios for a slow or dear agent.")
@click.option("--split", type=click.Choice(["test", "dev"]), default="test", show_default=True)
@click.option("--dataset", help="Take this data set's scenarios of the split first.")
@click.option("--seed", default=42, show_default=True, help="Seed of the scenarios that are designed.")
@click.option("--repetitions", default=1, show_default=True, help="Conversations for every agent and scenario.")
@click.option("--user", default="agenda", show_default=True, help="Simulated user: agenda (offline) or llm:MODEL.")
@click.option(
    "--judge",
    "judges",
    multiple=True,
    metavar="JUDGE",
    default=("rules",),
    show_default=True,
    help="rules (offline), llm:MODEL, or claude, gpt-4.1, pair (both), paper (the paper's two); several are allowed.",
)
@click.option("--judge-repetitions", default=1, show_default=True, help="Judgements by every judge of a conversation.")
@click.option("--rubric", help="What language models judge by: a YAML file; else the paper's five criteria.")
@click.option("--retry-missing", is_flag=True, help="Ask again for verdicts that a judge refused or spoilt.")
@click.option("--batch", is_flag=True, help="Judge through the Message Batches API: half the price, within a day.")
@click.option("--budget", type=float, metavar="USD", help="Never spend more, retries and all; a larger one goes on.")
@click.option("--concurrency", metavar="auto|N", help="Model calls at once; auto (default) adapts to each service.")
@on_option
@click.option("--hourly-price", type=float, help="Dollars an hour of this machine, to price local models.")
@click.option("--name", default="", help="A name to find the comparison by.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask before money is spent.")
@click.option("--dry-run", is_flag=True, help="Only show what would be held and judged, and the estimate.")
@click.option("--detach", is_flag=True, help="Start it and return at once.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON at the end.")
@pass_home
@click.pass_context
def command(
    ctx: click.Context,
    home: Home,
    /,
    workflow: str,
    agents: str,
    limits: tuple[str, ...],
    batch: bool,
    budget: float | None,
    concurrency: str | None,
    on: str | None,
    yes: bool,
    dry_run: bool,
    detach: bool,
    as_json: bool,
    **rest: Any,
) -> None:
    """Let agents converse with simulated users on the same scenarios, judge, score and compare them.

    An estimate is shown before any money is spent. A background job: interrupted, killed or out of budget, the same
    command continues with what is missing, retries alone what infrastructure broke, and pays for nothing twice. While
    it runs, `workbench jobs set JOB` changes its concurrency and budget or pauses it.
    """
    from workbench.agents.names import parse_name
    from workbench.cli.follow import follow
    from workbench.evaluation.plan import parse_limit, plan_of
    from workbench.evaluation.rubric import rubric_path
    from workbench.jobs.launcher import launch
    from workbench.workflow.hashing import workflow_hash
    from workbench.workflow.load import load_workflow

    loaded = load_workflow(workflow)
    names = [parse_name(name).text for name in agents.split(",") if name.strip()]
    args = {
        "workflow": workflow,
        "workflow_id": workflow_hash(loaded),
        "agents": names,
        "limits": dict(parse_limit(text, names) for text in limits),
        **rest,
        "judges": list(rest["judges"]),
        "rubric": rubric_path(rest["rubric"]),
    }
    plan = plan_of(args)
    settings = settings_of(batch, budget, concurrency, on)
    models = plan.models()
    refuse(home, models, plan.panel().judges if batch else (), budget)
    if dry_run or (models and not yes):
        found = estimate_of(home, plan, batch)
        if dry_run or not as_json:
            emit(found, as_json, lambda e: estimate_text(e, budget))
        if dry_run:
            return
        confirm(found)
    job = launch(home.make(), "evaluate", args, f"evaluation on {loaded.name}", settings=settings)
    if detach:
        emit(
            {"job": job.id}, as_json, lambda found: f"job {found['job']}; workbench jobs tail {found['job']} watches it"
        )
        return
    result = follow(home, job.id, quiet=as_json)
    emit(result, as_json, result_text)
    if result.get("unfinished"):
        ctx.exit(ServiceError.exit_code)


def settings_of(batch: bool, budget: float | None, concurrency: str | None, on: str | None) -> dict[str, object]:
    """The job's settings that were given; `batch` and `on` are a choice of every call, the others stay as they were.

    Raises UserError for impossible ones.
    """
    from workbench.jobs.settings import parse_concurrency
    from workbench.jobs.where import parse_where

    settings: dict[str, object] = {"batch": batch, "on": parse_where(on)}
    if batch and settings["on"]:
        raise UserError("--batch sends everything from one place: leave out either --batch or --on")
    if budget is not None:
        settings["budget"] = budget
    if concurrency is not None:
        settings["concurrency"] = parse_concurrency(concurrency)
    return settings


def refuse(home: Home, models: list[str], batched: tuple[str, ...], budget: float | None) -> None:
    """What can be known to fail before a job is started: names, keys, batches, a budget over unknown prices."""
    from workbench.models.open import check_model, price_of

    for name in models:
        check_model(name, home, batch=name in batched)
        price, free = price_of(name, home)
        if budget is not None and price is None and not free:
            raise UserError(
                f"the price of {name} is unknown, so a budget cannot be kept: add it to prices.json, or drop --budget"
            )


def estimate_of(home: Home, plan: EvaluationPlan, batch: bool) -> Estimate:
    """What is left of the plan, and what it will take."""
    from workbench.evaluation.preview import preview
    from workbench.models.open import price_of
    from workbench.store import connect

    with connect(home.make()) as rec:
        return preview(rec, plan, {name: price_of(name, home) for name in plan.models()}, batch=batch)


def estimate_text(found: Estimate, budget: float | None) -> str:
    """An estimate for people."""
    rows = [(p.what, f"{p.calls:,}", f"{p.input:,}", f"{p.output:,}", _money(p.dollars)) for p in found.parts]
    lines = [f"{found.conversations:,} conversations to hold, {found.judgements:,} judgements by language models"]
    if rows:
        lines.append(table(("part", "calls", "tokens in", "tokens out", "dollars"), rows, right=[1, 2, 3, 4]))
        lines.append(f"estimate: {_money(found.dollars)}; prompt caching takes off, repeated calls come on top")
    if budget is not None:
        lines.append(f"budget: ${budget:,.2f}; it stops before a call that could exceed it")
    return "\n".join(lines)


def confirm(found: Estimate) -> None:
    """Ask before money is spent; where nobody can answer, say how to go on. Nothing is asked when nothing is owed."""
    if found.dollars == 0.0:
        return
    if not sys.stdin.isatty():
        raise UserError("this spends money and nobody can be asked here: add --yes (and --budget USD) to go ahead")
    click.confirm("Go ahead?", abort=True, err=True)


def result_text(result: Mapping[str, Any]) -> str:
    """The comparison for people, and what is still missing of it."""
    from workbench.evaluation.report import text

    told = text(result["name"], result["summary"])
    if left := result.get("unfinished"):
        told += (
            f"\n\n{left} conversations or judgements were broken by infrastructure; the same command retries them alone"
        )
    return told


def _money(dollars: float | None) -> str:
    return "unknown" if dollars is None else f"${dollars:,.2f}"

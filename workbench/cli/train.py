"""`workbench train`: fine-tune a model on a data set, in the background, and watch, stop, resume and compare runs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import click

from workbench.cli.output import emit, example, json_option, pass_home, table
from workbench.errors import UserError
from workbench.home import Home
from workbench.text import clean_line

PROBE = "workbench.evaluation.probe:path_probe"
"""Makes the path pass-rate that every run reports while it learns."""


@click.group(epilog=example("workbench train start travel_booking-default --recipe demo"))
def group() -> None:
    """Fine-tune a small model on a data set of dialogues."""


@group.command(
    epilog=example(
        "workbench train start first --dry-run",
        "workbench train start first --recipe demo --set learning_rate=2e-4 --follow",
        "workbench train start first --seeds 3",
    )
)
@click.argument("dataset")
@click.option("--recipe", default="demo", show_default=True, help="A preset or a YAML file.")
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help="Change a key of the recipe.")
@click.option("--from", "start_from", metavar="RUN", help="Go on from this run's best checkpoint.")
@click.option("--name", help="A name to find the run by (else the data set's and the recipe's).")
@click.option("--seeds", type=click.IntRange(1, 64), default=1, help="So many runs that differ in the seed only.")
@click.option("--dry-run", is_flag=True, help="Only tell what it would take, and whether it fits.")
@click.option("--follow", "-f", is_flag=True, help="Watch it to its end; Ctrl+C leaves it running.")
@json_option
@pass_home
def start(
    home: Home,
    dataset: str,
    recipe: str,
    settings: tuple[str, ...],
    start_from: str | None,
    name: str | None,
    seeds: int,
    dry_run: bool,
    follow: bool,
    as_json: bool,
) -> None:
    """Start a run on DATASET (an id or a name); the same command again joins it or goes on with it."""
    from workbench.training.launch import launch_run, launch_seeds
    from workbench.training.recipe import load_recipe

    checked = load_recipe(recipe, dict(_setting(s) for s in settings))
    if dry_run:
        _dry_run(home, dataset, checked, start_from, as_json)
        return
    title = name or f"{dataset}-{recipe.rsplit('/', 1)[-1].removesuffix('.yaml')}"
    options = {"start_from": start_from, "probe": PROBE}
    if seeds > 1:
        runs = launch_seeds(home, dataset, checked, seeds, title, **options)
    else:
        runs = [launch_run(home, dataset, checked, name=title, start_from=start_from, probe=PROBE)]
    if not follow:
        emit(runs, as_json, lambda rows: "\n".join(f"{r.id}  {r.name}  (workbench train logs {r.id} -f)" for r in rows))
        return
    from workbench.cli.follow import follow as watch

    results = {run.id: watch(home, run.id, quiet=as_json) for run in runs}
    emit(results, as_json, lambda found: "\n".join(_result(run_id, end) for run_id, end in found.items()))


def _dry_run(home: Home, dataset: str, recipe: Any, start_from: str | None, as_json: bool) -> None:
    from workbench.training.base import base_model
    from workbench.training.estimate import estimate, require_fit
    from workbench.training.examples import load_examples
    from workbench.training.launch import run_folder

    base = run_folder(home, start_from) if start_from else base_model(home, recipe.base)
    found = estimate(recipe, base, load_examples(home, dataset)["train"], home.make().root, _known_speed(home, recipe))
    emit(found, as_json, _render_estimate)
    require_fit(recipe, found, base)


def _known_speed(home: Home, recipe: Any) -> float | None:
    """Tokens a second of the newest finished run on the same base model."""
    from workbench.training.launch import all_runs

    for run in all_runs(home):
        if run.status == "done" and run.recipe.get("base") == recipe.base and run.summary.get("tokens_per_s"):
            return float(str(run.summary["tokens_per_s"]))
    return None


def _render_estimate(e: Any) -> str:
    from workbench.cli.follow import span
    from workbench.training.estimate import gb

    lines = {
        "dialogues": f"{e.examples:,}, the longest {e.longest} tokens, {e.too_long} above max_length",
        "tokens": f"{e.tokens:,} through the model ({e.trained_share:.0%} carry a loss), {e.epochs:.2f} epochs",
        "steps": f"{e.steps:,}, packs {e.efficiency:.0%} full",
        "memory": f"{gb(e.memory_total)} of {gb(e.memory_available)} on {e.device}",
        **{f"  {part}": gb(size) for part, size in e.memory.items()},
        "disk": f"{gb(e.disk)} of {gb(e.disk_free)}",
        "time": f"about {span(e.seconds)} at {e.tokens_per_s:.0f} tokens/s ({e.speed_from})"
        if e.seconds
        else "unknown",
    }
    width = max(map(len, lines))
    return "\n".join(f"{name:<{width}}  {value}" for name, value in lines.items())


def _setting(text: str) -> tuple[str, Any]:
    key, sign, value = text.partition("=")
    if not sign or not key:
        raise UserError(f'--set {clean_line(text, 60)}: write KEY=VALUE, such as "learning_rate=2e-4"')
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


@group.command("list", epilog=example("workbench train list", "workbench train list --json"))
@json_option
@pass_home
def list_(home: Home, as_json: bool) -> None:
    """List runs, newest first, with their newest figures."""
    from workbench.jobs import jobs
    from workbench.training.launch import all_runs

    states = {job.id: job for job in jobs(home, "train")}
    names = {run.id: run.name for run in all_runs(home)} if home.database.exists() else {}
    rows = [{"id": i, "name": names.get(i, job.title), **_figures(job)} for i, job in states.items()]

    def render(found: list[dict[str, Any]]) -> str:
        if not found:
            return "no runs yet; `workbench train start DATASET` starts one"
        columns = ("id", "name", "state", "step", "steps", "dev_loss", "pass_rate", "tokens_per_s", "eta_s")
        return table(columns, [[_cell(row.get(c)) for c in columns] for row in found], right=range(3, 9))

    emit(rows, as_json, render)


@group.command(epilog=example("workbench train show last", "workbench train show 3f2a --json"))
@click.argument("run")
@json_option
@pass_home
def show(home: Home, run: str, as_json: bool) -> None:
    """Show one run: state, newest figures, result, recipe, data set, versions. RUN is an id, a name or "last"."""
    from workbench.jobs import status
    from workbench.training.launch import find_run

    row = find_run(home, run)
    data = {
        "id": row.id,
        "name": row.name,
        "dataset": row.dataset_id,
        "workflow": row.workflow_id,
        **_figures(status(home, row.job_id or row.id)),
        "summary": row.summary,
        "recipe": row.recipe,
        "provenance": row.provenance,
        "folder": str(home.jobs / (row.job_id or row.id)),
    }
    emit(data, as_json, _render_pairs)


@group.command(epilog=example("workbench train logs last -f", "workbench train logs 3f2a -n 100"))
@click.argument("run")
@click.option("--follow", "-f", is_flag=True, help="Go on until the run ends. Ctrl+C leaves it running.")
@click.option("--lines", "-n", type=click.IntRange(0), default=20, show_default=True, help="Lines to begin with.")
@json_option
@pass_home
def logs(home: Home, run: str, follow: bool, lines: int, as_json: bool) -> None:
    """Print a run's steps, evaluations and remarks (with --json: one event a line)."""
    from workbench.jobs import ENDED, status, tail_events
    from workbench.training.launch import find_run

    job_id = find_run(home, run).job_id or ""
    offset, first = 0, True
    while True:
        now = status(home, job_id)  # before the events, so that none is missed after the end
        events, offset = tail_events(home, job_id, offset)
        told = [
            e for e in events if e["type"] in ("start", "metric", "eval", "checkpoint", "log", "done", "failed", "stop")
        ]
        for event in told[-lines:] if first and lines else [] if first else told:
            click.echo(json.dumps(event) if as_json else _event_line(event))
        first = False
        if not follow or now.state in ENDED or now.state == "unknown":
            return
        time.sleep(0.3)


@group.command("stop", epilog=example("workbench train stop last"))
@click.argument("run")
@json_option
@pass_home
def stop_(home: Home, run: str, as_json: bool) -> None:
    """Let a run finish its step and save a checkpoint; `resume` goes on from there."""
    from workbench.jobs import stop
    from workbench.training.launch import find_run

    found = stop(home, find_run(home, run).job_id or "", kill_after=None)
    emit(found, as_json, lambda job: f"{job.id}  {job.state}: it saves after this step")


@group.command("resume", epilog=example("workbench train resume last"))
@click.argument("run")
@click.option("--anyway", is_flag=True, help="Even if it may still run on a host that cannot be asked from here.")
@json_option
@pass_home
def resume_(home: Home, run: str, anyway: bool, as_json: bool) -> None:
    """Go on with a run that stopped, failed or was lost, from its newest complete checkpoint."""
    from workbench.jobs import resume, status
    from workbench.training.launch import find_run

    job = resume(home, find_run(home, run).job_id or "", anyway=anyway)
    emit(status(home, job.id), as_json, lambda now: f"{now.id}  {now.state}  {now.title}")


@group.command(epilog=example("workbench train compare first-demo first-demo-seed1"))
@click.argument("runs", nargs=-1, required=True, metavar="RUN…")
@json_option
@pass_home
def compare(home: Home, runs: tuple[str, ...], as_json: bool) -> None:
    """Put runs side by side: what differs in their recipes, and what came out."""
    from workbench.training.launch import find_run

    rows = [find_run(home, run) for run in runs]
    keys = sorted({key for row in rows for key in row.recipe})
    differing = [k for k in keys if len({json.dumps(row.recipe.get(k), sort_keys=True) for row in rows}) > 1]
    figures = ("steps", "tokens", "tokens_per_s", "seconds", "train_loss", "best_dev_loss", "best_step", "pass_rate")
    data = {
        "runs": [{"id": row.id, "name": row.name, "dataset": row.dataset_id, "status": row.status} for row in rows],
        "recipe": {key: [row.recipe.get(key) for row in rows] for key in differing},
        "results": {key: [row.summary.get(key) for row in rows] for key in figures},
    }
    emit(data, as_json, lambda found: _render_comparison(found, [row.name for row in rows]))


def _render_comparison(data: Mapping[str, Any], names: Sequence[str]) -> str:
    lines = [(key, *map(_cell, values)) for part in ("recipe", "results") for key, values in data[part].items()]
    return table(("", *names), lines, right=range(1, len(names) + 1))


def _figures(job: Any) -> dict[str, Any]:
    """The newest figures of a run, from the end of its event file."""
    from workbench.jobs.events import last_events

    last = last_events(job.folder / "events.jsonl", ("metric", "eval"), since="never")
    metric, evaluated = last.get("metric", {}), last.get("eval", {})
    return {
        "state": job.state,
        "error": job.error,
        "eta_s": job.eta_s,
        **{key: metric.get(key) for key in ("step", "steps", "loss", "lr", "tokens", "tokens_per_s", "memory_mb")},
        **{key: evaluated.get(key) for key in ("dev_loss", "pass_rate")},
    }


def _event_line(event: Mapping[str, Any]) -> str:
    at = time.strftime("%H:%M:%S", time.localtime(event.get("t", 0)))
    kind = event["type"]
    if kind == "metric":
        said = (
            f"step {event['step']}/{event['steps']}  loss {event['loss']:.4f}  lr {event['lr']:.1e}  "
            f"gradient {event['grad_norm']:.2f}  {event['tokens_per_s']:.0f} tokens/s"
        )
    elif kind == "eval":
        rate = event.get("pass_rate")
        passed = "" if rate is None else f"  dev paths right {rate:.0%} of {event.get('pass_n')}"
        loss = event.get("dev_loss")
        said = f"step {event['step']}  held-out loss {_cell(loss)}{passed}{'  (best)' if event.get('best') else ''}"
    else:
        shown = ("text", "error", "step", "path", "device", "precision", "attempt")
        said = f"{kind}  " + "  ".join(f"{k} {event[k]}" for k in shown if event.get(k) is not None)
    return clean_line(f"{at}  {said}", 400)


def _result(run_id: str, end: Mapping[str, Any]) -> str:
    rate = end.get("pass_rate")
    return (
        f"{run_id}: {end['steps']} steps, {end['tokens']:,} tokens at {end['tokens_per_s']:.0f}/s, held-out loss "
        f"{end['best_dev_loss']:.4f}, dev paths right {'not measured' if rate is None else f'{rate:.0%}'}"
    )


def _render_pairs(data: Mapping[str, Any]) -> str:
    lines = []
    for name, value in data.items():
        if isinstance(value, Mapping):
            lines += [f"{name}:", *(f"  {key:<26} {_cell(inner)}" for key, inner in value.items())]
        elif value is not None:
            lines.append(f"{name:<28} {_cell(value)}")
    return "\n".join(clean_line(line) if not line.startswith("  ") else "  " + clean_line(line) for line in lines)


def _cell(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)

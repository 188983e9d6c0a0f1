"""`workbench train`: fine-tune a model on a data set, in the background, and watch, stop, resume and compare runs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import click

from workbench.cli.output import emit, example, json_option, pass_home, table
from workbench.errors import UserError
from workbench.home import Home
from workbench.text import clean_line


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
@click.option("--anyway", is_flag=True, help="Start it even if the estimate says that it cannot fit.")
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
    anyway: bool,
    follow: bool,
    as_json: bool,
) -> None:
    """Start a run on DATASET (an id or a name); the same command again joins it or goes on with it."""
    from workbench.training.launch import PATH_PROBE, launch_run, launch_seeds
    from workbench.training.recipe import load_recipe

    checked = load_recipe(recipe, dict(_setting(s) for s in settings))
    if dry_run:
        _dry_run(home, dataset, checked, start_from, as_json)
        return
    _refuse_misfits(home, dataset, checked, start_from, anyway)
    title = name or f"{dataset}-{recipe.rsplit('/', 1)[-1].removesuffix('.yaml')}"
    options = {"start_from": start_from, "probe": PATH_PROBE}
    if seeds > 1:
        runs = launch_seeds(home, dataset, checked, seeds, title, **options)
    else:
        runs = [launch_run(home, dataset, checked, name=title, start_from=start_from, probe=PATH_PROBE)]
    if not follow:
        emit(runs, as_json, lambda rows: "\n".join(f"{r.id}  {r.name}  (workbench train logs {r.id} -f)" for r in rows))
        return
    from workbench.cli.follow import follow as watch

    results = {run.id: watch(home, run.id, quiet=as_json) for run in runs}
    emit(results, as_json, lambda found: "\n".join(_result(run_id, end) for run_id, end in found.items()))


@group.command(
    epilog=example(
        "workbench train mend last --dry-run",
        "workbench train mend 3f2ab1c09d4e5f67 --dialogues 200 --set learning_rate=1e-4",
        "workbench train mend last --writer scripted",
        "workbench train mend last --budget 5 --yes",
    )
)
@click.argument("wanted", metavar="COMPARISON|CONVERSATION")
@click.option("--agent", help="Which compiled agent of the comparison (else the first).")
@click.option("--branch", "branches", metavar="EDGE", multiple=True, help="Only this one of the weak edges.")
@click.option(
    "--dialogues", type=click.IntRange(1), default=120, show_default=True, help="New ones for the weak branches."
)
@click.option("--set", "settings", metavar="KEY=VALUE", multiple=True, help="Change a key of the recipe.")
@click.option("--writer", metavar="WRITER", help="scripted, or whole:MODEL …; else who wrote the run's data set.")
@click.option("--budget", type=float, metavar="USD", help="A writer on a model never spends more.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask before money is spent.")
@click.option("--dry-run", is_flag=True, help="Only tell which branches are weak and what would be done.")
@json_option
@pass_home
def mend(
    home: Home,
    wanted: str,
    agent: str | None,
    branches: tuple[str, ...],
    dialogues: int,
    settings: tuple[str, ...],
    writer: str | None,
    budget: float | None,
    yes: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Write more dialogues for the branches that an agent got wrong, and go on from its run with them.

    The data set grows, dev and test stay as they are; the new run starts from the old one's best checkpoint.
    """
    from workbench.cli.generate import confirm, plan_of, plan_text, refuse
    from workbench.dialogue.generation import writer_of_order
    from workbench.evaluation.mend import find_weak, launch_mend, plan_mend
    from workbench.workflow.load import load_workflow

    run, weak = find_weak(home, wanted, agent)
    if unknown := set(branches) - {w.edge for w in weak}:
        raise UserError(f"{sorted(unknown)[0]} is none of the weak edges ({', '.join(w.edge for w in weak)})")
    plan = plan_mend(
        home,
        run,
        [w for w in weak if w.edge in branches or not branches],
        dialogues,
        dict(_setting(s) for s in settings),
        writer,
    )
    model, limits = writer_of_order(plan.order), {"batch": False, "budget": budget}
    if model is not None:
        refuse(home, model, limits)
        if dry_run or not yes:
            writing = plan_of(home, load_workflow(plan.workflow), plan.order, model, limits)
            if not as_json:
                click.echo(plan_text(writing))
            if not dry_run:
                confirm(writing)
    elif budget is not None:
        raise UserError("--budget belongs to writers on a model: add --writer")
    job = None if dry_run else launch_mend(home, plan, limits if model else None)

    def render(data: Any) -> str:
        rows = [(w.hub, w.edge, f"{w.wrong} of {w.n}", "yes" if w.edge in plan.through else "later") for w in weak]
        told = f"{plan.dialogues} dialogues by {plan.writer} through {', '.join(plan.through)}, "
        told += f"then a run from {plan.run} on {plan.dataset}"
        started = f"\njob {job}  (workbench jobs tail {job} -f)" if job else ""
        return table(("hub", "edge that was demanded", "wrong", "mended"), rows, right=[2]) + f"\n{told}{started}"

    emit({"weak": weak, "plan": plan, "job": job}, as_json, render)


def _dry_run(home: Home, dataset: str, recipe: Any, start_from: str | None, as_json: bool) -> None:
    from workbench.training.estimate import estimate_lines
    from workbench.training.look import look_ahead

    found, refusal = look_ahead(home, dataset, recipe, start_from, prepare=True)

    def render(e: Any) -> str:
        lines = estimate_lines(e)
        width = max(map(len, lines))
        return "\n".join(f"{name:<{width}}  {value}" for name, value in lines.items())

    emit(found, as_json, render)
    if refusal:
        raise UserError(refusal)


def _refuse_misfits(home: Home, dataset: str, recipe: Any, start_from: str | None, anyway: bool) -> None:
    """What cannot fit is told now and not by the job; a base model that is not here yet is looked at by the job."""
    from workbench.training.base import ready_base
    from workbench.training.look import look_ahead

    if not anyway and (start_from or ready_base(home, recipe.base)):
        refusal = look_ahead(home, dataset, recipe, start_from)[1]
        if refusal:
            raise UserError(f"{refusal} (--anyway starts it all the same)")


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
    from workbench.training.launch import find_run, note_of

    row = find_run(home, run)
    data = {
        "id": row.id,
        "name": row.name,
        "note": note_of(home, row.job_id or row.id) or None,
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
    from workbench.jobs import ENDED, newest, status, tail_events
    from workbench.training.launch import find_run

    told = ("start", "metric", "eval", "checkpoint", "log", "done", "failed", "stop")
    job_id = find_run(home, run).job_id or ""
    events, offset = newest(home, job_id, lines, told)
    while True:
        for event in events:
            if event["type"] in told:
                click.echo(json.dumps(event) if as_json else _event_line(event))
        now, begin = status(home, job_id), offset  # before the events, so that none is missed after the end
        events, offset = tail_events(home, job_id, offset) if follow else ([], offset)
        if offset == begin and (not follow or now.state in ENDED or now.state == "unknown"):
            return
        if not events:
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


@group.command(
    "resume", epilog=example("workbench train resume last", "workbench train resume last --set eval_every=100")
)
@click.argument("run")
@click.option(
    "--set", "settings", metavar="KEY=VALUE", multiple=True, help="Change a key that does not touch what it learns."
)
@click.option("--anyway", is_flag=True, help="Even if it may still run on a host that cannot be asked from here.")
@json_option
@pass_home
def resume_(home: Home, run: str, settings: tuple[str, ...], anyway: bool, as_json: bool) -> None:
    """Go on with a run that stopped, failed or was lost, from its newest complete checkpoint."""
    from workbench.jobs import resume, status
    from workbench.training.launch import change_run, find_run

    row = find_run(home, run)
    change_run(home, row.id, dict(_setting(s) for s in settings))
    job = resume(home, row.job_id or "", anyway=anyway)
    emit(status(home, job.id), as_json, lambda now: f"{now.id}  {now.state}  {now.title}")


@group.command(epilog=example("workbench train compare first-demo first-demo-seed1"))
@click.argument("runs", nargs=-1, required=True, metavar="RUN…")
@json_option
@pass_home
def compare(home: Home, runs: tuple[str, ...], as_json: bool) -> None:
    """Put runs side by side: what differs in their recipes, and what came out."""
    from workbench.training.compare import compare_runs, comparison_rows
    from workbench.training.launch import find_run

    def render(found: Any) -> str:
        head, *rows = comparison_rows(found)
        return (
            table(head, rows, right=range(1, len(runs) + 1)) + f"\n{found.same} other keys of the recipe are the same"
        )

    emit(compare_runs([find_run(home, run) for run in runs]), as_json, render)


@group.command(
    epilog=example("workbench train curves last", "workbench train curves a b --metric dev_loss --by tokens --json")
)
@click.argument("runs", nargs=-1, required=True, metavar="RUN…")
@click.option(
    "--metric", default="loss", show_default=True, help="loss, smooth, dev_loss, pass_rate, lr, grad_norm, mfu …"
)
@click.option("--by", "axis", type=click.Choice(["step", "time", "tokens"]), default="step", show_default=True)
@click.option("--rows", type=click.IntRange(2), default=20, show_default=True, help="So many rows of the table.")
@json_option
@pass_home
def curves(home: Home, runs: tuple[str, ...], metric: str, axis: Any, rows: int, as_json: bool) -> None:
    """Print a metric of several runs side by side, by step, time or tokens (`smooth` is the smoothed loss)."""
    from workbench.training.curves import CurveReader
    from workbench.training.launch import find_run

    found = {row.name: CurveReader(home, row.job_id or row.id).read() for row in (find_run(home, run) for run in runs)}
    known = sorted({name for run in found.values() for name in run.curves})
    if known and metric not in known:
        raise UserError(f"no metric {metric} (there are: {', '.join(known)})")
    lines = {name: [(p.x(axis), p.value) for p in run.curves.get(metric, ())] for name, run in found.items()}
    every = sorted({x for points in lines.values() for x, _ in points})
    chosen = sorted({every[round(i * (len(every) - 1) / (rows - 1))] for i in range(rows)}) if every else []

    def at(points: list[tuple[float, float]], x: float) -> float | None:
        before = [y for px, y in points if px <= x]
        return before[-1] if before and x <= points[-1][0] else None

    def render(_: Any) -> str:
        cells = [[f"{x:,.0f}", *(_cell(at(points, x)) for points in lines.values())] for x in chosen]
        return table((axis, *lines), cells, right=range(len(lines) + 1)) if cells else "nothing measured yet"

    emit({name: [list(point) for point in points] for name, points in lines.items()}, as_json, render)


@group.command(
    epilog=example("workbench train rename last my-best-run", 'workbench train rename last "" --note "more hubs"')
)
@click.argument("run")
@click.argument("name", default="")
@click.option("--note", help="A note to keep beside it (an empty one removes it).")
@json_option
@pass_home
def rename(home: Home, run: str, name: str, note: str | None, as_json: bool) -> None:
    """Give a run another NAME ("" leaves it), a note, or both."""
    from workbench.training.launch import find_run, note_of, rename_run, write_note

    row = find_run(home, run)
    if name:
        rename_run(home, row.id, name)
    elif note is None:
        raise UserError("give a name, or --note")
    if note is not None:
        write_note(home, row.job_id or row.id, note)
    data = {"id": row.id, "name": name or row.name, "note": note_of(home, row.job_id or row.id)}
    emit(data, as_json, lambda d: f"{d['id']}  {d['name']}  {d['note']}".rstrip())


@group.command(epilog=example("workbench train delete 3f2a", "workbench train delete 3f2a --yes"))
@click.argument("run")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option
@pass_home
def delete(home: Home, run: str, yes: bool, as_json: bool) -> None:
    """Remove a run with its checkpoints and models for good; asks first and tells the size."""
    from workbench.training.estimate import gb
    from workbench.training.launch import delete_run, find_run, run_size

    row = find_run(home, run)
    if not yes:
        size = gb(run_size(home, row.job_id or row.id))
        click.confirm(clean_line(f"Delete {row.name} ({row.id}) with {size} for good?"), abort=True, err=True)
    freed = delete_run(home, row.id)
    emit({"id": row.id, "freed": freed}, as_json, lambda d: f"{row.name} is gone; {gb(d['freed'])} freed")


_NEWEST = (
    "step", "steps", "epoch", "loss", "lr", "grad_norm", "tokens", "tokens_per_s", "mfu", "step_time", "memory_mb", "cpu",
)  # fmt: skip


def _figures(job: Any) -> dict[str, Any]:
    """The newest figures of a run, from the end of its event file."""
    from workbench.jobs.events import last_events

    last = last_events(job.folder / "events.jsonl", ("metric", "eval"), since="never")
    metric, evaluated = last.get("metric", {}), last.get("eval", {})
    return {
        "state": f"queued, place {job.place}" if job.place else job.state,
        "error": job.error,
        "eta_s": job.eta_s,
        **{key: metric.get(key) for key in _NEWEST},
        **{k: v for k, v in metric.items() if k.startswith("gpu")},
        **{key: evaluated.get(key) for key in ("dev_loss", "pass_rate")},
    }


_OF_A_STEP = ("step", "steps", "loss", "lr", "grad_norm", "tokens_per_s")


def _event_line(event: Mapping[str, Any]) -> str:
    at = time.strftime("%H:%M:%S", time.localtime(event.get("t", 0)))
    kind = event["type"]
    if kind == "metric" and not all(isinstance(event.get(k), int | float) for k in _OF_A_STEP):
        kind = "log"  # of another version, or torn: what it has to say is shown as it is
    if kind == "metric":
        said = (
            f"step {event['step']}/{event['steps']}  loss {event['loss']:.4f}  lr {event['lr']:.1e}  "
            f"gradient {event['grad_norm']:.2f}  {event['tokens_per_s']:.0f} tokens/s"
        )
    elif kind == "eval":
        rate = event.get("pass_rate")
        passed = "" if rate is None else f"  dev paths right {rate:.0%} of {event.get('pass_n')}"
        loss = event.get("dev_loss")
        said = f"step {event.get('step')}  held-out loss {_cell(loss)}{passed}{'  (best)' if event.get('best') else ''}"
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

"""`workbench jobs`: everything that runs in the background, from any terminal, as often as one likes."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import click

from workbench.cli.output import emit, example, json_option, pass_home, table, to_json
from workbench.errors import UserError
from workbench.home import Home
from workbench.jobs import ENDED, JobStatus, job_folder, newest, resume, status, stop, wait
from workbench.jobs import jobs as all_jobs
from workbench.jobs.control import GRACE_SECONDS
from workbench.jobs.folder import read_job
from workbench.jobs.settings import Settings, change_settings, parse_concurrency, read_settings
from workbench.text import clean_line

_STATES = ("queued", "running", "stopping", "stopped", "done", "failed", "lost", "unknown")


@click.group(epilog=example("workbench jobs list"))
def group() -> None:
    """List, follow, stop and resume everything that runs in the background."""


@group.command("list", epilog=example("workbench jobs list", "workbench jobs list --state running --json"))
@click.option("--kind", help="Only jobs of this kind: train, generate, serve, evaluate, chat, demo.")
@click.option("--state", type=click.Choice(_STATES), help="Only jobs in this state.")
@json_option
@pass_home
def list_(home: Home, kind: str | None, state: str | None, as_json: bool) -> None:
    """List jobs, newest first, with their progress and the time left."""
    found = [job for job in all_jobs(home, kind) if state in (None, job.state)]
    emit(found, as_json, _render_list)


@group.command(epilog=example("workbench jobs show 3f2a"))
@click.argument("job")
@json_option
@pass_home
def show(home: Home, job: str, as_json: bool) -> None:
    """Show one job: state, progress, settings, result, folder. JOB is an id or its beginning."""
    found = status(home, job)
    args: Mapping[str, Any] = read_job(found.folder).args
    if _is_unnamed(home, found.id, args):
        args = {**args, "agents": f"{len(args['agents'])}, named after the vote"}
    load = _server_load(found)
    data = {"status": found, "settings": read_settings(found.folder), "args": args, **({"load": load} if load else {})}
    emit(data, as_json, lambda _: _render_one(found, args, load))


def _is_unnamed(home: Home, job: str, args: Mapping[str, Any]) -> bool:
    """Whether it is a blind chat that waits for its vote."""
    if not args.get("blind"):
        return False
    from workbench.store import connect
    from workbench.store.blind import waits_for_vote

    with connect(home, readonly=True) as record:
        return waits_for_vote(record, job)


def _server_load(job: JobStatus) -> Mapping[str, Any] | None:
    """What a running server says of its load; None for every other job."""
    if job.kind != "serve":
        return None
    from workbench.models.server.ensure import server_of
    from workbench.models.server.look import load_of

    info = server_of(job)
    return load_of(info) if info else None


@group.command("stop", epilog=example("workbench jobs stop 3f2a", "workbench jobs stop 3f2a --no-wait"))
@click.argument("job")
@click.option("--kill-after", metavar="SECONDS", type=click.FloatRange(0), default=GRACE_SECONDS, show_default=True)
@click.option("--no-wait", is_flag=True, help="Only ask it to stop; never kill it.")
@json_option
@pass_home
def stop_(home: Home, job: str, kill_after: float, no_wait: bool, as_json: bool) -> None:
    """Let a job end cleanly, and kill it if it has not after a while; `resume` goes on where it left."""
    emit(stop(home, job, None if no_wait else kill_after), as_json, _render_line)


@group.command("resume", epilog=example("workbench jobs resume 3f2a"))
@click.argument("job")
@click.option("--anyway", is_flag=True, help="Even if it may still run on a host that cannot be asked from here.")
@json_option
@pass_home
def resume_(home: Home, job: str, anyway: bool, as_json: bool) -> None:
    """Go on with a job that stopped, failed or was lost: the same as running its command again."""
    emit(status(home, resume(home, job, anyway=anyway).id), as_json, _render_line)


@group.command(
    "set",
    epilog=example(
        "workbench jobs set 3f2a --concurrency 8",
        "workbench jobs set 3f2a --pause",
        "workbench jobs set 3f2a --resume-work --budget 20",
    ),
)
@click.argument("job")
@click.option("--concurrency", metavar="auto|N", help="Model calls in flight at once; auto adapts to the service.")
@click.option("--pause/--resume-work", "paused", default=None, help="Begin no new call; what is in flight is finished.")
@click.option("--budget", type=float, metavar="USD", help="Dollars that the whole job may cost, all attempts together.")
@click.option("--on", metavar="WHERE", help="Where it works when it is next started: a Ray cluster, or here.")
@json_option
@pass_home
def set_(
    home: Home,
    job: str,
    concurrency: str | None,
    paused: bool | None,
    budget: float | None,
    on: str | None,
    as_json: bool,
) -> None:
    """Change how a job works while it runs (generate, evaluate); without an option, show how it is set."""
    changes: dict[str, object] = {}
    if concurrency is not None:
        changes["concurrency"] = parse_concurrency(concurrency)
    if paused is not None:
        changes["paused"] = paused
    if budget is not None:
        changes["budget"] = budget
    if on is not None:
        from workbench.jobs.where import parse_where

        changes["on"] = parse_where(on)
    folder = job_folder(home, job)
    made = change_settings(folder, changes) if changes else read_settings(folder)
    emit(made, as_json, lambda s: f"{folder.name}  {_settings(s)}")


@group.command(epilog=example("workbench jobs tail 3f2a --follow", "workbench jobs tail 3f2a --json | jq .type"))
@click.argument("job")
@click.option("--follow", "-f", is_flag=True, help="Go on until the job ends. Ctrl+C leaves the job running.")
@click.option("--lines", "-n", type=click.IntRange(0), default=20, show_default=True, help="Events to begin with.")
@json_option
@pass_home
def tail(home: Home, job: str, follow: bool, lines: int, as_json: bool) -> None:
    """Print a job's last events, one a line (with --json: one JSON object a line)."""
    folder = job_folder(home, job)
    if _is_unnamed(home, folder.name, read_job(folder).args):
        raise UserError("a blind chat: its events name the agents, so vote first (workbench chat --join JOB, /vote)")
    events, offset = newest(home, folder.name, lines)
    for event in events:
        _print_event(event, as_json)
    if follow:
        _follow(home, folder.name, offset, as_json)


def _follow(home: Home, job_id: str, offset: int, as_json: bool) -> None:
    """Print every event from byte `offset` on until the job ends; a failed job ends the command with its line."""
    end = wait(home, job_id, lambda event: _print_event(event, as_json), offset=offset)
    if end.state in ("failed", "lost", "unknown"):
        raise UserError(f"job {end.id} {end.state}: {end.error}")


def _print_event(event: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(json.loads(to_json(event)), ensure_ascii=True))
        return
    rest = {key: value for key, value in event.items() if key not in ("t", "type")}
    at = time.strftime("%H:%M:%S", time.localtime(event.get("t", 0)))
    said = "  ".join(f"{key} {_short(value)}" for key, value in rest.items() if value not in (None, "", {}))
    click.echo(clean_line(f"{at}  {event['type']:<10}  {said}", 400))


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _render_list(found: list[JobStatus]) -> str:
    if not found:
        return "No jobs yet."
    rows = [(j.id, j.kind, j.state, _progress(j), _left(j), _ago(j.created), j.title) for j in found]
    return table(("job", "kind", "state", "progress", "left", "made", "title"), rows)


def _settings(made: Settings) -> str:
    return (
        f"concurrency {made.concurrency or 'auto'}, {'paused' if made.paused else 'not paused'}, "
        f"budget {'none' if made.budget is None else f'${made.budget:g}'}" + (f", on {made.on}" if made.on else "")
    )


def _render_line(job: JobStatus) -> str:
    return f"{job.id}  {job.state}  {job.title}" + (f"\n{job.error}" if job.error else "")


def _render_one(job: JobStatus, args: Mapping[str, Any], load: Mapping[str, Any] | None = None) -> str:
    from workbench.models.server.look import load_words

    lines: dict[str, object] = {
        "job": job.id,
        "title": job.title,
        "kind": job.kind,
        "state": job.state if job.error is None else f"{job.state}: {job.error}",
        "stage": job.stage,
        "progress": _progress(job),
        "left": _left(job),
        "now": _now(job),
        "started": _time(job.started),
        "ended" if job.state in ENDED else "last seen": _time(job.ended if job.state in ENDED else job.seen),
        "load": load_words(load) if load else None,
        "attempt": job.attempt,
        "process": f"{job.pid} on {job.host}" if job.pid else None,
        "folder": job.folder,
        "settings": None if (made := read_settings(job.folder)) == Settings() else _settings(made),
        "args": json.dumps(args, ensure_ascii=False),
        "result": json.dumps(job.result, ensure_ascii=False) if job.result else None,
    }
    width = max(len(name) for name in lines)
    return "\n".join(f"{k:<{width}}  {clean_line(str(v))}" for k, v in lines.items() if v not in (None, ""))


def _progress(job: JobStatus) -> str:
    if job.progress is None:
        return ""
    p = job.progress
    share = f" ({100 * p.done / p.total:.0f}%)" if p.total else ""
    return f"{p.done:g}{f'/{p.total:g}' if p.total is not None else ''} {p.unit}{share}"


def _now(job: JobStatus) -> str:
    """What the job adds to its progress: dollars spent, calls in flight and the like."""
    data = job.progress.data if job.progress else {}
    return ", ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in data.items())


def _left(job: JobStatus) -> str:
    return "" if job.eta_s is None else duration(job.eta_s)


def _ago(at: float) -> str:
    return f"{duration(max(0.0, time.time() - at))} ago"


def _time(at: float | None) -> str | None:
    return None if at is None else time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))


def duration(seconds: float) -> str:
    """Seconds as people say them: "8 s", "3 min 20 s", "2 h 05 min", "3 d 4 h"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"

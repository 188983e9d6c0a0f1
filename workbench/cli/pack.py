"""`workbench pack`, `unpack` and `prune`: carry work between machines, and make room."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from workbench.cli.follow import progress_line
from workbench.cli.output import emit, example, json_option, pass_home, table
from workbench.errors import UserError
from workbench.home import Home
from workbench.jobs import ENDED, status
from workbench.jobs.prune import Prunable, prunable
from workbench.jobs.prune import prune as delete
from workbench.store import connect
from workbench.store.carry import Selection
from workbench.store.cooling import make_cold
from workbench.store.find import Noun, find
from workbench.store.pack import Carried
from workbench.store.pack import pack as write_pack
from workbench.store.pack import unpack as read_pack


@click.command(
    epilog=example(
        "workbench pack travel.zip --run demo",
        "workbench pack all.zip --checkpoints",
        "workbench pack october.zip --comparison october --parquet --cold",
    )
)
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--workflow", "workflows", multiple=True, help="Everything made from this workflow.")
@click.option("--dataset", "datasets", multiple=True, help="A data set with its dialogues and their reviews.")
@click.option("--run", "runs", multiple=True, help="A training run with its model and data set.")
@click.option("--comparison", "comparisons", multiple=True, help="A comparison with conversations and verdicts.")
@click.option("--checkpoints", is_flag=True, help="Also what resuming an unfinished training needs (large).")
@click.option("--parquet", is_flag=True, help="Rows of the large tables as Parquet, which other programs read too.")
@click.option(
    "--cold", is_flag=True, help="Then take the messages of the named comparisons and data sets out of the record."
)
@click.option("--force", is_flag=True, help="Replace OUT if it exists.")
@json_option
@pass_home
def pack(
    home: Home,
    out: Path,
    workflows: tuple[str, ...],
    datasets: tuple[str, ...],
    runs: tuple[str, ...],
    comparisons: tuple[str, ...],
    checkpoints: bool,
    parquet: bool,
    cold: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Write runs, data sets, reviews and comparisons to the zip file OUT; everything, if nothing is named.

    Ids stay the same, so that work begun here goes on there. `workbench unpack` takes the file in. With --cold the messages
    named lie outside SQLite afterwards, as Parquet under runs/cold: they still open, but a search does not find them.
    """
    if cold and not (comparisons or datasets):
        raise UserError("--cold needs to know what: name comparisons or data sets (--comparison, --dataset)")
    if out.exists() and not force:
        raise UserError(f"{out} exists: give another name or --force")
    with connect(home, readonly=not cold) as rec:

        def ids(noun: Noun, wanted: tuple[str, ...]) -> frozenset[str]:
            return frozenset(find(rec, noun, name) for name in wanted)

        wanted = Selection(
            ids("workflow", workflows), ids("dataset", datasets), ids("run", runs), ids("comparison", comparisons)
        )
        with progress_line("rows", as_json) as told:
            busy = partial(_busy, home)
            made = write_pack(rec, home, out, wanted, busy=busy, checkpoints=checkpoints, parquet=parquet, told=told)
        with progress_line("of the messages", as_json) as told:
            moved = make_cold(rec, home, wanted, told) if cold else 0
    where = f"\n{moved} messages lie under {home.root / 'cold'} now" if cold else ""
    emit({**asdict(made), "cold": moved}, as_json, lambda _: f"{out}  {_size(made.bytes)}\n{_render(made)}{where}")


@click.command(epilog=example("workbench unpack travel.zip"))
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--cold", is_flag=True, help="Leave the messages outside SQLite (a pack made with --parquet); they still open."
)
@json_option
@pass_home
def unpack(home: Home, file: Path, cold: bool, as_json: bool) -> None:
    """Take in a file made by `pack`. What is here already stays; running it again changes nothing.

    Without --cold it also brings messages back that lie outside SQLite.
    """
    with connect(home) as rec, progress_line("rows", as_json) as told:
        taken = read_pack(rec, home, file, cold=cold, told=told)
    emit(taken, as_json, lambda _: f"new here:\n{_render(taken)}")


@click.command(epilog=example("workbench prune --dry-run", "workbench prune --older-than 30"))
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@click.option("--older-than", metavar="DAYS", type=click.FloatRange(0), default=7.0, show_default=True)
@json_option
@pass_home
def prune(home: Home, dry_run: bool, older_than: float, as_json: bool) -> None:
    """Delete checkpoints of finished trainings and folders of old jobs that nothing refers to.

    Models of recorded runs, unfinished trainings and the record itself are never touched.
    """
    items = prunable(home, older_than)
    gone = items if dry_run else delete(home, items)
    emit(gone, as_json, lambda _: _render_prune(gone, dry_run))


def _busy(home: Home, job_id: str) -> bool:
    return status(home, job_id).state not in ENDED


def _render(carried: Carried) -> str:
    lines = [f"  {count:>8}  {name.replace('_', ' ')}" for name, count in carried.rows.items() if count]
    lines += [f"  {len(carried.jobs):>8}  job folders"] if carried.jobs else []
    lines += [f"  {len(carried.kept):>8}  job folders kept as they are here"] if carried.kept else []
    return "\n".join(lines) or "  nothing"


def _render_prune(items: list[Prunable], dry_run: bool) -> str:
    if not items:
        return "Nothing to delete."
    rows = [(_size(item.bytes), item.why, item.path) for item in items]
    total = _size(sum(item.bytes for item in items))
    said = f"{total} would go (run without --dry-run to delete)" if dry_run else f"{total} freed"
    return f"{table(('size', 'what', 'where'), rows, right=(0,))}\n{said}"


def _size(count: int) -> str:
    amount, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"

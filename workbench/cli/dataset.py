"""`workbench dataset`: build and compare data sets."""

from __future__ import annotations

import click

from workbench.cli.output import emit, example, json_option, pass_home, table
from workbench.home import Home


@click.group(epilog=example("workbench dataset build travel_booking --name first"))
def group() -> None:
    """Build and compare data sets of dialogues."""


@group.command(epilog=example("workbench dataset build travel_booking --name first --train 500"))
@click.argument("workflow")
@click.option("--name", help="A name to find it by (else the workflow's).")
@click.option("--train", type=int, help="At most so many dialogues to train on.")
@click.option("--writer", help="Only dialogues of this writer.")
@json_option
@pass_home
def build(home: Home, workflow: str, name: str | None, train: int | None, writer: str | None, as_json: bool) -> None:
    """Freeze the workflow's sound dialogues into a hashed data set; refuses one whose splits share anything."""
    from workbench.dialogue.datasets import build_dataset
    from workbench.store.record import connect
    from workbench.workflow.load import load_workflow
    from workbench.workflow.model import Split

    loaded = load_workflow(workflow)
    limits: dict[Split, int] | None = {"train": train} if train else None
    row = build_dataset(connect(home), loaded, name or loaded.name, limits, writer)
    emit(row, as_json, lambda r: f"{r.id} {r.name}: {_sizes(r.manifest)}")


def _sizes(manifest: object) -> str:
    sizes = manifest.get("sizes", {}) if isinstance(manifest, dict) else {}
    return ", ".join(f"{n:,} {split}" for split, n in sizes.items())


@group.command("list", epilog=example("workbench dataset list --json"))
@json_option
@pass_home
def list_(home: Home, as_json: bool) -> None:
    """List data sets, the newest first."""
    from workbench.store.datasets import datasets
    from workbench.store.record import connect

    emit(
        datasets(connect(home)),
        as_json,
        lambda rows: (
            table(
                ("id", "name", "workflow", "dialogues"),
                [(r.id, r.name, r.manifest.get("workflow"), _sizes(r.manifest)) for r in rows],
            )
            if rows
            else "no data sets yet; `workbench dataset build W` makes one"
        ),
    )


@group.command(epilog=example("workbench dataset show first"))
@click.argument("dataset")
@json_option
@pass_home
def show(home: Home, dataset: str, as_json: bool) -> None:
    """Print what a data set holds and covers."""
    import json

    from workbench.dialogue.datasets import find_dataset
    from workbench.store.record import connect

    emit(
        find_dataset(connect(home), dataset),
        as_json,
        lambda r: f"{r.id} {r.name}\n{json.dumps(r.manifest, indent=2, ensure_ascii=False)}",
    )


@group.command(epilog=example("workbench dataset diff first second"))
@click.argument("old")
@click.argument("new")
@json_option
@pass_home
def diff(home: Home, old: str, new: str, as_json: bool) -> None:
    """Tell how many dialogues each split gained and lost."""
    from workbench.dialogue.datasets import changes, find_dataset
    from workbench.store.record import connect

    rec = connect(home)
    emit(
        changes(rec, find_dataset(rec, old), find_dataset(rec, new)),
        as_json,
        lambda d: "\n".join(
            f"{what}: " + (", ".join(f"{n:,} {s}" for s, n in c.items()) or "none") for what, c in d.items()
        ),
    )

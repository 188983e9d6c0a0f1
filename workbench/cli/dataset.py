"""`workbench dataset`: build, compare and export data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from workbench.cli.output import emit, example, json_option, pass_home, table
from workbench.errors import UserError
from workbench.home import Home


@click.group(epilog=example("workbench dataset build travel_booking --name first"))
def group() -> None:
    """Build, compare and export data sets of dialogues."""


@group.command(
    epilog=example(
        "workbench dataset build travel_booking --name first --train 500",
        "workbench dataset build travel_booking --name paths --split path",
        "workbench dataset build travel_booking --name reviewed --review passed --distance 0.1",
    )
)
@click.argument("workflow")
@click.option("--name", help="A name to find it by (else the workflow's).")
@click.option("--train", type=click.IntRange(1), help="At most so many dialogues to train on.")
@click.option("--dev", type=click.IntRange(0), help="At most so many for the held-out loss.")
@click.option("--test", type=click.IntRange(0), help="At most so many for the reported figure.")
@click.option("--writer", "writers", multiple=True, help="Only dialogues of this writer.")
@click.option(
    "--review", type=click.Choice(["unflagged", "passed"]), default="unflagged", show_default=True,
    help="What reviewers must have said; flagged and disputed ones are never taken.",
)  # fmt: skip
@click.option("--admit", multiple=True, metavar="CODE", help="Take dialogues in spite of this fault of the checks.")
@click.option(
    "--distance", type=click.FloatRange(0, 1), default=0.0, show_default=True,
    help="Leave out training dialogues closer than this to an earlier one (0.1: 90% of their word triples are the same).",
)  # fmt: skip
@click.option(
    "--split", "split_by", type=click.Choice(["values", "path"]), default="values", show_default=True,
    help="path: no path of the test split is trained on, but every hub choice on it is.",
)  # fmt: skip
@json_option
@pass_home
def build(
    home: Home,
    /,
    workflow: str,
    name: str | None,
    train: int | None,
    dev: int | None,
    test: int | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Freeze the workflow's sound dialogues into a hashed data set; refuses one whose splits share anything."""
    from workbench.dialogue.datasets import Wanted, build_dataset
    from workbench.store.record import connect
    from workbench.workflow.load import load_workflow
    from workbench.workflow.model import SPLITS, Split

    loaded = load_workflow(workflow)
    limits: dict[Split, int] = {}
    for split, most in zip(SPLITS, (train, dev, test), strict=True):
        if most is not None:
            limits[split] = most
    wanted = Wanted(
        limits, tuple(given["writers"]), given["review"], tuple(given["admit"]), given["distance"], given["split_by"]
    )
    row = build_dataset(connect(home), loaded, name or loaded.name, wanted=wanted)
    emit(row, as_json, lambda r: f"{r.id} {r.name}: {_sizes(r.manifest)}{_left_out(r.manifest)}")


def _sizes(manifest: object) -> str:
    sizes = manifest.get("sizes", {}) if isinstance(manifest, dict) else {}
    return ", ".join(f"{n:,} {split}" for split, n in sizes.items())


def _left_out(manifest: object) -> str:
    left = manifest.get("left_out", {}) if isinstance(manifest, dict) else {}
    return f" (left out: {', '.join(f'{n:,} {why}' for why, n in left.items())})" if left else ""


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


@group.command(epilog=example("workbench dataset show first", "workbench dataset show first --card"))
@click.argument("dataset")
@click.option("--card", is_flag=True, help="The card that goes with an export.")
@json_option
@pass_home
def show(home: Home, dataset: str, card: bool, as_json: bool) -> None:
    """Print what a data set holds and covers."""
    import json

    from workbench.dialogue.datasets import find_dataset
    from workbench.store.record import connect

    found = find_dataset(connect(home), dataset)
    if card:
        from workbench.dialogue.dataset_export import card_text

        emit({"card": card_text(found)}, as_json, lambda d: d["card"])
        return
    emit(found, as_json, lambda r: f"{r.id} {r.name}\n{json.dumps(r.manifest, indent=2, ensure_ascii=False)}")


@group.command(
    epilog=example(
        "workbench dataset export first out/ --to datasets", "workbench dataset export first out/ --to llamafactory"
    )
)
@click.argument("dataset")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--to", "form", type=click.Choice(["jsonl", "parquet", "datasets", "llamafactory"]), default="jsonl",
    show_default=True, help="jsonl, parquet and datasets are what TRL takes.",
)  # fmt: skip
@json_option
@pass_home
def export(home: Home, dataset: str, folder: Path, form: str, as_json: bool) -> None:
    """Write a data set for other trainers, with its card and manifest."""
    from workbench.dialogue.dataset_export import export_dataset
    from workbench.dialogue.datasets import find_dataset
    from workbench.store.record import connect
    from workbench.store.workflows import get_workflow
    from workbench.workflow.recall import recall_workflow

    rec = connect(home)
    row = find_dataset(rec, dataset)
    workflow = get_workflow(rec, row.workflow_id)
    if workflow is None:
        raise UserError(f"the workflow of data set {row.name} is not in the record")
    files = export_dataset(rec, recall_workflow(workflow.canonical), row, form, folder)
    emit({"dataset": row.id, "files": files}, as_json, lambda d: "\n".join(map(str, d["files"])))


@group.command(epilog=example("workbench dataset diff first second"))
@click.argument("old")
@click.argument("new")
@json_option
@pass_home
def diff(home: Home, old: str, new: str, as_json: bool) -> None:
    """Tell which dialogues, paths and hub choices NEW gained and lost, and why."""
    from workbench.dialogue.datasets import difference, find_dataset
    from workbench.store.record import connect

    rec = connect(home)
    emit(difference(rec, find_dataset(rec, old), find_dataset(rec, new)), as_json, _render_diff)


def _render_diff(d: Any) -> str:
    def counted(by_split: dict[str, list[str]]) -> str:
        return ", ".join(f"{len(ids):,} {split}" for split, ids in by_split.items()) or "none"

    why = f" ({', '.join(f'{n:,} {r}' for r, n in d.reasons.items())})" if d.reasons else ""
    lines = [
        f"same: {d.same:,}", f"added: {counted(d.added)}", f"removed: {counted(d.removed)}{why}",
        f"moved: {len(d.moved):,}", f"paths: {d.paths['gained']:,} gained, {d.paths['lost']:,} lost",
    ]  # fmt: skip
    lines += [f"{name}: {before} → {after}" for name, (before, after) in d.settings.items()]
    if d.choices:
        lines.append(table(("hub choice", "before", "after"), [(c, *n) for c, n in d.choices.items()], right=(1, 2)))
    return "\n".join(lines)

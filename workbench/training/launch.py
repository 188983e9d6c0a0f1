"""Runs as the rest of the program sees them: start, find, and note how they ended. Imports nothing heavy."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import workbench
from workbench.dialogue.datasets import find_dataset
from workbench.errors import UserError
from workbench.home import Home
from workbench.jobs import ENDED, launch, status
from workbench.jobs.folder import write_json
from workbench.store import connect
from workbench.store.find import find
from workbench.store.rows import RunRow
from workbench.store.runs import get_run, put_run, remove_run, runs, set_run, set_run_name
from workbench.text import clean, clean_line
from workbench.training.recipe import FREE, Recipe, load_recipe, recipe_dict, recipe_from

_PACKAGES = ("torch", "transformers", "accelerate", "tokenizers", "safetensors")

PATH_PROBE = "workbench.evaluation.probe:path_probe"
"""Makes the path pass-rate that runs report while they learn; a name, since evaluation stands above this room."""


def launch_run(
    home: Home,
    dataset: str,
    recipe: str | Recipe = "demo",
    overrides: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    start_from: str | None = None,
    probe: str | None = None,
) -> RunRow:
    """Start a training run, or join, resume or return the one that is the same; a run's id is its job's.

    `recipe` is a preset, a YAML file or a Recipe; `overrides` go on top. `start_from` is a run whose best checkpoint is
    the base; `probe` a `"module:function"` that makes the path pass-rate probe for (home, data set id).
    """
    checked = load_recipe(recipe, overrides) if isinstance(recipe, str) else recipe
    with connect(home) as record:
        row = find_dataset(record, dataset)
        origin = find(record, "run", start_from) if start_from else None
        if origin:
            run_folder(home, origin)
        title = name or f"{row.name}-{recipe if isinstance(recipe, str) and '/' not in recipe else 'run'}"
        args: dict[str, Any] = {
            "dataset": row.id,
            "recipe": recipe_dict(checked),
            "name": title,
            "from": origin,
            "probe": probe,
        }
        job = launch(home, "train", args, title)
        known = get_run(record, job.id)
        if known and job.joined:
            return known
        run = RunRow(
            id=job.id,
            name=title,
            job_id=job.id,
            dataset_id=row.id,
            workflow_id=row.workflow_id,
            recipe=args["recipe"],
            status="queued",
            summary=known.summary if known else {},
            provenance={"from": origin, "versions": versions(), "dataset": row.id, "workflow": row.workflow_id},
            created=known.created if known else time.time(),
        )
        if known is None:
            put_run(record, run)
    return run


def launch_seeds(home: Home, dataset: str, recipe: Recipe, seeds: int, name: str, **options: Any) -> list[RunRow]:
    """`seeds` runs that differ in the seed only, numbered from the recipe's; they take turns on the device."""
    return [
        launch_run(home, dataset, dataclasses.replace(recipe, seed=seed), name=f"{name}-seed{seed}", **options)
        for seed in range(recipe.seed, recipe.seed + seeds)
    ]


def find_run(home: Home, wanted: str) -> RunRow:
    """The run with this id, beginning of an id, name, or "last". Raises UserError if there is none."""
    with connect(home) as record:
        run = get_run(record, find(record, "run", wanted))
    assert run is not None
    return run


def all_runs(home: Home) -> list[RunRow]:
    """Every run of the record, newest first."""
    with connect(home) as record:
        return runs(record)


def run_folder(home: Home, run_id: str) -> Path:
    """The folder of a run's best model, in Hugging Face format. Raises UserError if it has none yet."""
    run = find_run(home, run_id)
    best = home.jobs / (run.job_id or run.id) / "best"
    if not (best / "config.json").is_file():
        raise UserError(f"run {run.name} has no checkpoint yet: wait for its first evaluation (`workbench train logs`)")
    return best


def known_speed(home: Home, recipe: Recipe) -> float | None:
    """Tokens a second, evaluations included, of the newest finished run on the same base model, all its parameters."""
    if not home.database.exists():
        return None
    for run in all_runs(home):
        tokens, seconds = run.summary.get("tokens"), run.summary.get("seconds")
        same = all(run.recipe.get(k) == getattr(recipe, k) for k in ("base", "lora", "precision"))
        if run.status == "done" and same and isinstance(tokens, int) and isinstance(seconds, float) and seconds > 0:
            return tokens / seconds
    return None


def changes_of(folder: Path) -> dict[str, Any]:
    """Keys of the recipe that were changed for resuming the run in this folder (`change_run`)."""
    file = folder / "changes.json"
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found


def change_run(home: Home, run_id: str, changes: Mapping[str, Any]) -> None:
    """Change keys of a run's recipe that do not touch what it learns (FREE), before it is resumed.

    Raises UserError for any other key, and for a value that is not allowed.
    """
    if not changes:
        return
    run = find_run(home, run_id)
    for key in changes:
        if key not in FREE:
            raise UserError(
                f"{key} decides what the run learns and cannot change on the way (these can: {', '.join(sorted(FREE))}); "
                f"start a new run with `train start … --from {run.name} --set {key}=…`"
            )
    folder = home.jobs / (run.job_id or run.id)
    merged = {**changes_of(folder), **changes}
    recipe_from({**run.recipe, **merged}, "the changed recipe")
    write_json(folder / "changes.json", merged)


def rename_run(home: Home, run_id: str, name: str) -> None:
    """Give a run another name; its id and its agents' conversations stay what they are."""
    cleaned = clean_line(name, 80)
    if not cleaned:
        raise UserError("the new name is empty")
    with connect(home) as record:
        set_run_name(record, run_id, cleaned)


def note_of(home: Home, run_id: str) -> str:
    """What somebody noted about a run ("" if nothing)."""
    file = home.jobs / run_id / "note.txt"
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def write_note(home: Home, run_id: str, text: str) -> None:
    """Keep a note beside the run, in its folder; an empty one is removed."""
    file = home.jobs / run_id / "note.txt"
    if clean(text).strip():
        file.write_text(clean(text).strip(), encoding="utf-8")
    else:
        file.unlink(missing_ok=True)


def run_size(home: Home, run_id: str) -> int:
    """Bytes that a run's folder takes."""
    return sum(f.stat().st_size for f in (home.jobs / run_id).rglob("*") if f.is_file() and not f.is_symlink())


def delete_run(home: Home, run_id: str) -> int:
    """Remove a run, its checkpoints and models for good; returns the bytes freed. Conversations with it stay.

    Raises UserError while it is at work.
    """
    run = find_run(home, run_id)
    job_id = run.job_id or run.id
    if job_id == ".." or Path(job_id).name != job_id:
        raise UserError(f"run {run.name} is not deleted: {clean_line(job_id, 60)} is no job's id")
    if (home.jobs / job_id / "job.json").exists() and status(home, job_id).state not in ENDED:
        raise UserError(f"run {run.name} is at work: `workbench train stop {run.id}` first")
    size = run_size(home, job_id)
    with connect(home) as record:
        remove_run(record, run.id)
    shutil.rmtree(home.jobs / job_id, ignore_errors=True)
    return size


def note_run(home: Home, run_id: str, status: str, summary: Mapping[str, Any] | None = None) -> None:
    """Write a run's state into the record (called by the run itself)."""
    with connect(home) as record:
        set_run(record, run_id, status, summary)


def versions() -> dict[str, str]:
    """The versions of what decides a run's numbers; a package that is not installed is left out."""
    found = {"workbench": workbench.__version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found

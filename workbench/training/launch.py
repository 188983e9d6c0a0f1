"""Runs as the rest of the program sees them: start, find, and note how they ended. Imports nothing heavy."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import workbench
from workbench.dialogue.datasets import find_dataset
from workbench.errors import UserError
from workbench.home import Home
from workbench.jobs import launch
from workbench.store import connect
from workbench.store.find import find
from workbench.store.rows import RunRow
from workbench.store.runs import get_run, put_run, runs, set_run
from workbench.training.recipe import Recipe, load_recipe, recipe_dict

_PACKAGES = ("torch", "transformers", "accelerate", "tokenizers", "safetensors")


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

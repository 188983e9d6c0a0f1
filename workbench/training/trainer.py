"""The job kind `train`: a data set and a recipe in, a deployable model and its metrics out."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from workbench.errors import UserError
from workbench.home import Home
from workbench.jobs.context import JobContext
from workbench.training.answering import Probe
from workbench.training.curves import CurveReader
from workbench.training.launch import changes_of, note_run, run_folder
from workbench.training.recipe import Recipe, recipe_from
from workbench.training.turns import cards_needed, turn

_CURVES_EVERY = 500
"""Steps after which a run folds its own events, some milliseconds' work, so that nobody has to who opens it later."""


def main(ctx: JobContext) -> dict[str, Any]:
    """Entry point; `args` are `{"dataset", "recipe", "name", "from", "probe"}` as `launch.launch_run` makes them."""
    recipe = recipe_from({**ctx.args["recipe"], **changes_of(ctx.folder)}, "the run's recipe")

    def pause() -> None:
        ctx.sleep(1.0)
        ctx.check()

    file = ctx.folder / "job.json"
    came = file.stat().st_mtime_ns if file.exists() else None
    with turn(cards_needed(recipe.processes), lambda place: ctx.event("queue", place=place), pause, came) as cards:
        if cards is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, cards))
        note_run(ctx.home, ctx.id, "running")
        try:
            found = _train(ctx, recipe)
        except BaseException:
            note_run(ctx.home, ctx.id, "failed")
            raise
    if found["status"] == "done":
        from workbench.training.card import write_cards

        write_cards(ctx.home, ctx.folder, ctx.args, found)
    note_run(ctx.home, ctx.id, found["status"], found)
    return found


def _train(ctx: JobContext, recipe: Recipe) -> dict[str, Any]:
    curves = CurveReader(ctx.home, ctx.id)

    def report(type: str, **data: Any) -> None:
        ctx.event(type, **data)
        if type == "metric":
            ctx.progress(data["step"], data["steps"], "steps")
            if data["step"] % _CURVES_EVERY == 0:
                curves.catch_up()

    base = base_of(ctx.home, ctx.args, recipe)
    if recipe.processes > 1:
        from workbench.training.together import train_together

        return train_together(ctx, recipe.processes, report)
    from workbench.training.examples import load_examples
    from workbench.training.loop import train

    examples = load_examples(ctx.home, ctx.args["dataset"])
    summary = train(
        recipe,
        base,
        examples["train"],
        examples["dev"],
        ctx.folder,
        report=report,
        probe=probe_of(ctx.home, ctx.args),
        stopping=lambda: ctx.stopping,
    )
    return dataclasses.asdict(summary)


def base_of(home: Home, args: Mapping[str, Any], recipe: Recipe) -> Path:
    """The folder that a run begins with: the best checkpoint of the run it goes on from, else the recipe's base model."""
    from workbench.training.base import base_model

    start = args.get("from")
    return run_folder(home, start) if start else base_model(home, recipe.base)


def probe_of(home: Home, args: Mapping[str, Any]) -> Probe | None:
    """The caller's probe, `"module:function"`, made for this home and data set; None leaves the trainer's own."""
    name = args.get("probe")
    if not name:
        return None
    module, _, function = str(name).partition(":")
    try:
        made: Probe = getattr(import_module(module), function)(home, args["dataset"])
    except (ImportError, AttributeError) as error:
        raise UserError(f"probe {name}: {error}") from error
    return made

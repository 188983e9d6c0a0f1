"""The job kind `train`: a data set and a recipe in, a deployable model and its metrics out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from workbench.errors import UserError
from workbench.jobs.context import JobContext
from workbench.training.answering import Probe
from workbench.training.base import base_model
from workbench.training.card import write_cards
from workbench.training.examples import load_examples
from workbench.training.launch import note_run, run_folder
from workbench.training.loop import Report, Summary, train
from workbench.training.readings import device_lock
from workbench.training.recipe import recipe_from

__all__ = ["Report", "Summary", "main", "train"]


def main(ctx: JobContext) -> dict[str, Any]:
    """Entry point; `args` are `{"dataset", "recipe", "name", "from", "probe"}` as `launch.launch_run` makes them."""
    recipe = recipe_from(ctx.args["recipe"], "the run's recipe")
    with _waiting_for_the_device(ctx):
        note_run(ctx.home, ctx.id, "running")
        try:
            start = ctx.args.get("from")
            base = run_folder(ctx.home, start) if start else base_model(ctx.home, recipe.base)
            examples = load_examples(ctx.home, ctx.args["dataset"])
            summary = train(
                recipe,
                base,
                examples["train"],
                examples["dev"],
                ctx.folder,
                report=_reporter(ctx),
                probe=_probe(ctx),
                stopping=lambda: ctx.stopping,
            )
        except BaseException:
            note_run(ctx.home, ctx.id, "failed")
            raise
    found = dataclasses.asdict(summary)
    if summary.status == "done":
        write_cards(ctx.folder, ctx.args, found)
    note_run(ctx.home, ctx.id, summary.status, found)
    return found


def _reporter(ctx: JobContext) -> Report:
    def report(type: str, **data: Any) -> None:
        ctx.event(type, **data)
        if type == "metric":
            ctx.progress(data["step"], data["steps"], "steps")

    return report


def _probe(ctx: JobContext) -> Probe | None:
    """The caller's probe, `"module:function"`, made for this home and data set; None leaves the trainer's own."""
    name = ctx.args.get("probe")
    if not name:
        return None
    module, _, function = str(name).partition(":")
    try:
        made: Probe = getattr(import_module(module), function)(ctx.home, ctx.args["dataset"])
    except (ImportError, AttributeError) as error:
        raise UserError(f"probe {name}: {error}") from error
    return made


@contextmanager
def _waiting_for_the_device(ctx: JobContext) -> Iterator[None]:
    """Hold the device while training; several runs on one machine take turns."""
    told = False
    while True:
        with device_lock(ctx.home) as mine:
            if mine:
                yield
                return
        if not told:
            ctx.event("log", text="waiting for another training run to leave the device")
            told = True
        ctx.sleep(1.0)
        ctx.check()

"""The demo's job: stage by stage, each a job of its own that is joined, resumed or found done."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from workbench.demo.plan import PRESETS, STAGES, Sizes
from workbench.demo.summary import summarise
from workbench.dialogue.datasets import build_dataset
from workbench.dialogue.generation import Order
from workbench.jobs.context import JobContext
from workbench.jobs.launcher import launch
from workbench.jobs.parts import see_through
from workbench.store.record import connect
from workbench.workflow.hashing import workflow_hash
from workbench.workflow.load import load_workflow
from workbench.workflow.model import SPLITS, Workflow
from workbench.workflow.paths import PathSpace

Made = dict[str, Any]
"""What the stages have made so far: ids and figures, handed from each to the next."""


def main(ctx: JobContext) -> dict[str, object]:
    """Entry point of the job kind `demo`; `args` are `{"workflow", "preset", "seed", "base"}`. Returns the summary."""
    sizes = PRESETS[ctx.args["preset"]]
    workflow = load_workflow(ctx.args["workflow"])
    made: Made = {"seed": int(ctx.args["seed"])}
    for index, stage in enumerate(STAGES):
        ctx.check()
        began = time.monotonic()
        place = {"index": index, "total": len(STAGES), "name": stage.name, "title": stage.title, "why": stage.why}
        ctx.event("stage", state="running", **place)
        told = _WORK[stage.name](ctx, workflow, sizes, made)
        ctx.event("stage", state="done", seconds=time.monotonic() - began, made=told, **place)
    summary = summarise(workflow, made["paths"], made["dialogues"], made["train"], made["found"])
    return {
        "summary": summary,
        "partial": sizes.partial,
        **{key: made[key] for key in ("dataset", "run", "comparison")},
    }


def _workflow(ctx: JobContext, workflow: Workflow, sizes: Sizes, made: Made) -> str:
    space = PathSpace(workflow)
    low, high = space.step_range() or (0, 0)
    made["paths"] = space.count()
    return (
        f"{workflow.title}: {len(workflow.nodes)} nodes, {len(workflow.hubs)} hubs, {len(workflow.terminals)} terminals, "
        f"{space.count():,} paths of {low}–{high} steps"
    )


def _dialogues(ctx: JobContext, workflow: Workflow, sizes: Sizes, made: Made) -> str:
    name, found = str(ctx.args["workflow"]), workflow_hash(workflow)
    train, dev, test = (sizes.dialogues[split] for split in SPLITS)
    order = Order(name, train, dev, test, sizes.least, made["seed"], workflow_id=found)
    result = _run(ctx, "generate", asdict(order), f"dialogues for {workflow.name}")
    made["dialogues"] = {split: result[split] for split in SPLITS}
    return ", ".join(f"{result[split]:,} {split}" for split in SPLITS) + f", {result['quarantined']} quarantined"


def _dataset(ctx: JobContext, workflow: Workflow, sizes: Sizes, made: Made) -> str:
    row = build_dataset(connect(ctx.home), workflow, f"{workflow.name}-{sizes.preset}", dict(sizes.dialogues))
    made["dataset"] = row.id
    return f"data set {row.id}: no hub contradicts itself, best reachable hub accuracy {row.manifest['ceiling']:.0%}"


def _base(ctx: JobContext, workflow: Workflow, sizes: Sizes, made: Made) -> str:
    from workbench.training.base import base_model

    folder = base_model(ctx.home, *filter(None, [ctx.args.get("base")]))
    made["base"] = str(folder)
    return f"{folder.name} in {folder.parent}"


def _training(ctx: JobContext, workflow: Workflow, sizes: Sizes, made: Made) -> str:
    from workbench.training.launch import launch_run
    from workbench.training.recipe import load_recipe

    changes = {**sizes.recipe, "seed": made["seed"]} | ({"base": ctx.args["base"]} if ctx.args.get("base") else {})
    recipe = load_recipe("demo", changes)
    # --full trains nothing anew: it is the default run with longer baselines.
    preset = "demo" if sizes.preset in ("default", "full") else sizes.preset
    name = f"{workflow.name}-{preset}-seed{made['seed']}"
    run = launch_run(ctx.home, made["dataset"], recipe, name=name, probe="workbench.evaluation.probe:path_probe")
    result = _watch(ctx, run.id)
    made["run"], made["train"] = run.id, result
    return (
        f"run {run.id}: {result['steps']} steps, {result['tokens']:,} tokens in {result['seconds'] / 60:.1f} min "
        f"({result['tokens_per_s']:.0f} tokens/s), held-out loss {result['best_dev_loss']:.3f}"
    )


def _serving(ctx: JobContext, workflow: Workflow, sizes: Sizes, made: Made) -> str:
    from workbench.models.server.ensure import ensure_server
    from workbench.training.launch import run_folder

    server = ensure_server(ctx.home, run_folder(ctx.home, made["run"]))
    made["server"] = server.url
    return f"{server.url} (one-line prompt: “{workflow.instruction}”)"


def _evaluation(ctx: JobContext, workflow: Workflow, sizes: Sizes, made: Made) -> str:
    base = f"local/{made['base']}"
    result = _run(
        ctx,
        "evaluate",
        {
            "workflow": str(ctx.args["workflow"]),
            "workflow_id": workflow_hash(workflow),
            "dataset": made["dataset"],
            "agents": [f"compiled:{made['run']}", "oracle", f"orchestrated:{base}", f"in-context:{base}"],
            "scenarios": sizes.scenarios,
            "limits": {
                f"orchestrated:{base}": sizes.baseline_scenarios,
                f"in-context:{base}": sizes.baseline_scenarios,
            },
            "name": f"{workflow.name}-{sizes.preset}",
        },
        f"evaluation on {workflow.name}",
    )
    made["comparison"], made["found"] = result["comparison"], result["summary"]
    return f"comparison {result['comparison']}"


_WORK: Mapping[str, Callable[[JobContext, Workflow, Sizes, Made], str]] = {
    "workflow": _workflow,
    "dialogues": _dialogues,
    "dataset": _dataset,
    "base": _base,
    "training": _training,
    "serving": _serving,
    "evaluation": _evaluation,
}


def _run(ctx: JobContext, kind: str, args: Mapping[str, Any], title: str) -> Mapping[str, Any]:
    """Launch, join or resume a job and see it to its end; its result."""
    return _watch(ctx, launch(ctx.home, kind, args, title).id)


def _watch(ctx: JobContext, job_id: str) -> Mapping[str, Any]:
    def passing(event: Mapping[str, Any]) -> None:
        ctx.event("progress", job=job_id, **{k: v for k, v in event.items() if k not in ("t", "type")})

    return see_through(ctx, job_id, passing)

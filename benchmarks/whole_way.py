"""Is the procedure learnt? The demo's training for several seeds, each judged on the same unseen test scenarios.

    python benchmarks/whole_way.py [--seeds 3] [--tokens N] [--workflow W] [--quick] [--json]

The rival of every figure is the oracle: an agent that follows the graph with its conditions decided exactly. Training is
compared with itself only (tokens a second, as measured on this machine while nothing else should run). Everything lies in
the record of the home in force; run again, it continues.
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any

from common import Finding, show

from workbench.cli.follow import follow
from workbench.demo.plan import PRESETS
from workbench.dialogue.datasets import build_dataset
from workbench.dialogue.generation import Order, write_all
from workbench.home import Home, find_home
from workbench.jobs.launcher import launch
from workbench.store.record import connect
from workbench.training.launch import launch_seeds
from workbench.training.recipe import load_recipe
from workbench.workflow.hashing import workflow_hash
from workbench.workflow.load import load_workflow
from workbench.workflow.model import SPLITS

MEASURES = ("right_terminal", "fitness", "hub_choice", "slot_accuracy", "task_success")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tokens", type=int, help="Trained tokens a run (else the demo recipe's).")
    parser.add_argument("--workflow", default="travel_booking")
    parser.add_argument("--quick", action="store_true", help="One seed on a tenth of the tokens: partial.")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seeds = 1 if options.quick else options.seeds
    tokens = 14_000 if options.quick else options.tokens
    found, runs = measure(find_home().make(), options.workflow, seeds, tokens, scenarios=8 if options.quick else 40)
    show(figures(found, runs), options.json)


def measure(
    home: Home, name: str, seeds: int, tokens: int | None, scenarios: int
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Train `seeds` runs and evaluate them together with the oracle; the evaluation's summary and the runs' results."""
    workflow = load_workflow(name)
    train, dev, test = (PRESETS["default"].dialogues[split] for split in SPLITS)
    with connect(home) as rec:
        write_all(rec, workflow, Order(name, train, dev, test))
        dataset = build_dataset(rec, workflow, f"{workflow.name}-default", dict(PRESETS["default"].dialogues))
    recipe = load_recipe("demo", {"seed": 42, **({"max_tokens_trained": tokens} if tokens else {})})
    probe = "workbench.evaluation.probe:path_probe"
    runs = launch_seeds(home, dataset.id, recipe, seeds, f"{workflow.name}-{tokens or 'demo'}", probe=probe)
    results = [dict(follow(home, run.id)) for run in runs]
    args = {
        "workflow": name,
        "workflow_id": workflow_hash(workflow),
        "dataset": dataset.id,
        "agents": [*(f"compiled:{run.id}" for run in runs), "oracle"],
        "scenarios": scenarios,
        "name": f"{workflow.name}, {seeds} training seeds",
    }
    job = launch(home, "evaluate", args, f"{seeds} training seeds on {workflow.name}")
    return dict(follow(home, job.id)["summary"]), results


def figures(found: dict[str, Any], runs: list[dict[str, Any]]) -> list[Finding]:
    """A row a seed and measure, then the mean over the seeds, each beside the oracle's."""
    agents = found["agents"]
    compiled = [name for name in agents if name != "oracle"]
    rows = []
    for measure_name in MEASURES:
        ceiling = agents["oracle"][measure_name]
        values = [agents[name][measure_name] for name in compiled]
        for seed, value in enumerate(values, start=42):
            rows.append(Finding(f"{measure_name}, seed {seed}", value, "", "oracle", ratio(value, ceiling)))
        if None not in values and len(values) > 1:
            mean = statistics.mean(values)
            rows.append(Finding(f"{measure_name}, mean of {len(values)}", mean, "", "oracle", ratio(mean, ceiling)))
    rows.append(Finding("labeller accuracy on withheld wording", found["labeller_accuracy"], "", None, None))
    passed = sum(control["passed"] for control in found["controls"].values())
    rows.append(Finding("controls passed", passed, f"of {len(found['controls'])}", None, None))
    for seed, run in enumerate(runs, start=42):
        rows.append(Finding(f"trained tokens, seed {seed}", run["tokens"], "tokens", None, None))
        rows.append(Finding(f"speed, seed {seed}", run["tokens_per_s"], "tokens/s", None, None))
        rows.append(Finding(f"minutes, seed {seed}", run["seconds"] / 60, "min", None, None))
        rows.append(Finding(f"held-out loss, seed {seed}", run["best_dev_loss"], "nats", None, None))
        rows.append(Finding(f"peak memory, seed {seed}", run["peak_memory_mb"] / 1000, "GB", None, None))
    return rows


def ratio(value: float | None, ceiling: float | None) -> float | None:
    """Share of the oracle's figure; None where there is none."""
    return value / ceiling if value is not None and ceiling else None


if __name__ == "__main__":
    main()

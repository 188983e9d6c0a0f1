"""The model card that lies beside the weights: what was learnt, from what, how, and how well."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workbench.home import Home
from workbench.store import connect
from workbench.store.datasets import get_dataset
from workbench.store.rows import DatasetRow
from workbench.training.launch import versions


def write_cards(home: Home, folder: Path, args: Mapping[str, Any], summary: Mapping[str, Any]) -> None:
    """Write README.md into the `best` and `last` folders of a finished run."""
    with connect(home, readonly=True) as record:
        dataset = get_dataset(record, args["dataset"])
    text = model_card(folder.name, args, summary, dataset)
    for name in ("best", "last"):
        if (folder / name).is_dir():
            aside = folder / name / ".README.md"
            aside.write_text(text, encoding="utf-8")
            aside.replace(folder / name / "README.md")


def model_card(run: str, args: Mapping[str, Any], summary: Mapping[str, Any], dataset: DatasetRow | None = None) -> str:
    """The card as Markdown with the hub's YAML head."""
    recipe = args["recipe"]
    figures = {
        "steps": summary["steps"],
        "trained tokens": f"{summary['tokens']:,}",
        "tokens a second": f"{summary['tokens_per_s']:.0f}",
        "minutes": f"{summary['seconds'] / 60:.1f}",
        "held-out loss (best, step " + str(summary["best_step"]) + ")": f"{summary['best_dev_loss']:.4f}",
        "dev path pass-rate": "not measured" if summary["pass_rate"] is None else f"{summary['pass_rate']:.0%}",
    }
    rows = "\n".join(f"| {name} | {value} |" for name, value in figures.items())
    return f"""---
base_model: {recipe["base"]}
pipeline_tag: text-generation
library_name: transformers
---
# {args["name"]}

A conversation workflow compiled into the weights of {recipe["base"]} by workbench. It follows that one procedure; it
is no general assistant. Chat template: ChatML, saved with the tokenizer; the agent opens the conversation.

- run: `{run}`{f", continued from run `{args['from']}`" if args.get("from") else ""}
- data set: {_dataset(args["dataset"], dataset)}
- versions: {", ".join(f"{name} {number}" for name, number in versions().items())}

| | |
|---|---|
{rows}

Recipe:
```json
{json.dumps(recipe, indent=2, sort_keys=True)}
```
"""


def _dataset(name: str, row: DatasetRow | None) -> str:
    if row is None:
        return f"`{name}`"
    sizes, writers = row.manifest.get("sizes"), row.manifest.get("writers")
    counted = ", ".join(f"{n} {split}" for split, n in sizes.items()) if isinstance(sizes, dict) else "size unknown"
    by = f", written by {', '.join(map(str, writers))}" if isinstance(writers, list) else ""
    return (
        f"{row.name} `{row.id}` ({counted} dialogues{by}), workflow {row.manifest.get('workflow')} `{row.workflow_id}`"
    )

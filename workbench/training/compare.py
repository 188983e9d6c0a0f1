"""Runs side by side: what differs in their recipes, and what came out."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.store.rows import RunRow
from workbench.training.recipe import Recipe

RESULTS = (
    "steps", "tokens", "tokens_per_s", "seconds", "train_loss", "dev_loss", "best_dev_loss", "best_step", "pass_rate",
    "peak_memory_mb",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RunComparison:
    """`recipe` holds the keys in which the runs differ, `same` the number of keys in which they do not."""

    runs: tuple[Mapping[str, Any], ...]
    recipe: Mapping[str, tuple[Any, ...]]
    same: int
    results: Mapping[str, tuple[Any, ...]]


def compare_runs(rows: Sequence[RunRow]) -> RunComparison:
    """Put runs beside each other, in the order given; a key that an older recipe lacks has its default."""
    usual = {f.name: f.default for f in dataclasses.fields(Recipe) if f.default is not dataclasses.MISSING}
    recipes: list[dict[str, Any]] = [{**usual, **row.recipe} for row in rows]
    keys = sorted({key for recipe in recipes for key in recipe})
    differing = [k for k in keys if len({json.dumps(r.get(k), sort_keys=True) for r in recipes}) > 1]
    return RunComparison(
        runs=tuple(
            {
                "id": r.id, "name": r.name, "status": r.status, "dataset": r.dataset_id,
                "from": r.provenance.get("from"), "versions": r.provenance.get("versions"),
            }
            for r in rows
        ),
        recipe={key: tuple(r.get(key) for r in recipes) for key in differing},
        same=len(keys) - len(differing),
        results={key: tuple(row.summary.get(key) for row in rows) for key in RESULTS},
    )  # fmt: skip


def comparison_rows(found: RunComparison) -> list[tuple[str, ...]]:
    """The comparison as rows of words: a heading, data set and origin, differing keys, results."""
    rows = [("", *(str(r["name"]) for r in found.runs))]
    rows += [(key, *(_word(r[key]) for r in found.runs)) for key in ("status", "dataset", "from")]
    rows += [(f"recipe: {key}", *map(_word, values)) for key, values in found.recipe.items()]
    return rows + [(key.replace("_", " "), *map(_word, values)) for key, values in found.results.items()]


def _word(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return value if isinstance(value, str) else json.dumps(value)

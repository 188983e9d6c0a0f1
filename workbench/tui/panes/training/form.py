"""The form that starts a run: its fields, what is shown while it is filled in, and the command that does the same."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.home import Home, find_home
from workbench.store.datasets import datasets
from workbench.store.rows import DatasetRow, RunRow
from workbench.store.runs import runs
from workbench.text import clean_line
from workbench.training.estimate import estimate_lines
from workbench.training.launch import PATH_PROBE, launch_run, launch_seeds
from workbench.training.look import look_ahead
from workbench.training.recipe import Recipe, load_recipe, presets
from workbench.tui.effects import reader
from workbench.tui.format import ago
from workbench.tui.widgets.fields import ChoiceField, Field, NumberField, ToggleField, Values
from workbench.tui.widgets.form import Preview
from workbench.tui.widgets.safe import line

_SETTINGS = ("learning_rate", "max_tokens_trained", "micro_batch_tokens", "activation_checkpointing")
"""Fields that change a key of the recipe; left empty the recipe's own value stands."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What there is to choose from."""

    datasets: tuple[DatasetRow, ...]
    runs: tuple[RunRow, ...]


def offer(home: Home) -> Offer:
    """Data sets and finished runs, newest first."""
    rec = reader(home)
    return Offer(tuple(datasets(rec)), tuple(r for r in runs(rec) if r.status in ("done", "stopped")))


def fields(found: Offer, origin: str = "") -> tuple[Field, ...]:
    """The form's fields; `origin` is the run to go on from."""
    sets = [(d.id, f"{d.name}  {_sizes(d.manifest)} · {ago(d.created)}") for d in found.datasets]
    origins = [("", "no: the recipe's base model"), *((r.id, f"{r.name} ({r.id[:6]})") for r in found.runs)]
    return (
        ChoiceField("dataset", "data set", sets[0][0] if sets else "", "what it learns from", options=sets),
        ChoiceField("recipe", "recipe", "demo", "how it learns; a preset, see docs/training.md", options=list(presets())),
        ChoiceField("from", "go on from a run", origin, "start from that run's best checkpoint", options=origins),
        Field("name", "name", "", "to find the run by; empty: data set and recipe", optional=True),
        NumberField("learning_rate", "learning rate", None, "peak; empty: the recipe's", True, least=1e-8, most=1),
        NumberField("max_tokens_trained", "tokens", None, "in all; empty: the recipe's", True, least=100, whole=True),
        NumberField(
            "micro_batch_tokens", "micro-batch", None, "tokens a forward pass: memory", True, least=16, whole=True
        ),
        ToggleField("activation_checkpointing", "save memory", False, "compute activations again: less memory, slower"),
        NumberField("seeds", "seeds", 1, "so many runs that differ in the seed only", least=1, most=64, whole=True),
    )  # fmt: skip


def _sizes(manifest: Mapping[str, Any]) -> str:
    sizes = manifest.get("sizes")
    return " + ".join(f"{n}" for n in sizes.values()) if isinstance(sizes, Mapping) else ""


def settings(values: Values) -> dict[str, Any]:
    """The keys of the recipe that the form changes."""
    chosen = {key: values[key] for key in _SETTINGS if values.get(key) not in (None, False)}
    if "micro_batch_tokens" in chosen:  # a pack holds whole dialogues, a batch whole packs
        own = load_recipe(values["recipe"])
        chosen["max_length"] = min(own.max_length, chosen["micro_batch_tokens"])
        chosen["batch_tokens"] = max(own.batch_tokens, chosen["micro_batch_tokens"])
    return chosen


def recipe_of(values: Values) -> Recipe:
    """The recipe with the form's changes."""
    return load_recipe(values["recipe"], settings(values))


def preview(home: Home, values: Values) -> Preview:
    """What such a run would take; runs in a worker thread."""
    own = load_recipe(values["recipe"])
    hints = {
        "learning_rate": f"{own.learning_rate:g}",
        "max_tokens_trained": "no limit" if own.max_tokens_trained is None else str(own.max_tokens_trained),
        "micro_batch_tokens": str(own.micro_batch_tokens),
        "name": "data set and recipe",
    }
    found, refusal = look_ahead(home, values["dataset"], recipe_of(values), values["from"] or None)
    lines = tuple(line((f"{name:<13}", "dim"), text) for name, text in estimate_lines(found).items())
    return Preview(lines, refusal, hints)


def command(home: Home, found: Offer, values: Values) -> list[str]:
    """The words of the command line that starts the same."""
    names = {d.id: d.name for d in reversed(found.datasets)}
    newest = {d.name: d.id for d in reversed(found.datasets)}
    name = clean_line(names.get(values["dataset"], ""))
    place = [] if home == find_home() else ["--home", str(home.root.parent)]
    words = [
        "workbench",
        *place,
        "train",
        "start",
        name if newest.get(name) == values["dataset"] else values["dataset"],
    ]
    words += ["--recipe", values["recipe"]]
    for key, value in settings(values).items():
        words += ["--set", f"{key}={json.dumps(value)}"]
    for key in ("from", "name"):
        words += [f"--{key}", values[key]] if values[key] else []
    return words + (["--seeds", str(values["seeds"])] if values["seeds"] > 1 else [])


def start(home: Home, found: Offer, values: Values) -> list[RunRow]:
    """Start the run, or the runs that differ in their seeds."""
    names: Sequence[str] = [d.name for d in found.datasets if d.id == values["dataset"]]
    title = values["name"] or f"{names[0] if names else values['dataset']}-{values['recipe']}"
    recipe, origin = recipe_of(values), values["from"] or None
    if values["seeds"] > 1:
        return launch_seeds(
            home, values["dataset"], recipe, values["seeds"], title, start_from=origin, probe=PATH_PROBE
        )
    return [launch_run(home, values["dataset"], recipe, name=title, start_from=origin, probe=PATH_PROBE)]

"""A recipe: everything that decides how a run learns, as plain data, in YAML and in the record."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from workbench.errors import UserError

_LARGEST = 1 << 16
_BRACKETS = 200
"""In a whole recipe, which is flat: a YAML reader takes time by the square of what it is inside of."""
Precision = Literal["auto", "bf16", "fp32"]


@dataclass(frozen=True, slots=True)
class Lora:
    """Low-rank adapters instead of all parameters; merged into the weights before they are saved for deployment."""

    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    targets: str = "all-linear"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train. Steps are optimiser steps; tokens count everything put through the model in training, prompts too.

    `max_tokens_trained` and `epochs` bound the run, whichever ends first. `warmup` is a share of all steps, `final_lr`
    one of the peak rate. `precision` auto means bf16 autocast over fp32 weights where the device has bf16, else fp32.
    `early_stopping` is a number of evaluations without a better score; None never stops early.
    """

    base: str = "SmolLM2-135M-Instruct"
    optimiser: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = 3e-4
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = 0.05
    final_lr: float = 0.05
    max_tokens_trained: int | None = 150_000
    epochs: float | None = None
    batch_tokens: int = 1024
    micro_batch_tokens: int = 1024
    max_length: int = 1024
    too_long: Literal["refuse", "skip", "truncate"] = "refuse"
    weight_decay: float = 0.01
    betas: tuple[float, float] = (0.9, 0.95)
    grad_clip: float = 1.0
    seed: int = 0
    precision: Precision = "auto"
    activation_checkpointing: bool = False
    eval_every: int = 25
    dev_limit: int = 24
    """At most so many dev examples are used for the held-out loss (the first ones), to keep evaluations short."""
    probe_every: int = 25
    early_stopping: int | None = None
    best_by: Literal["dev_loss", "pass_rate"] = "dev_loss"
    save_every: int = 50
    keep: int = 1
    lora: Lora | None = field(default=None)
    weights: Literal["fp32", "bf16"] = "fp32"
    """How weights are held: fp32, or bf16 (a third of the memory), whose updates need `rounding`."""
    rounding: Literal["stochastic", "kahan", "nearest"] = "stochastic"
    """How an update reaches bf16 weights. `nearest` loses small ones: it is there to show that."""
    processes: int = 1
    """Processes (GPUs) that train together, started by `accelerate launch`."""
    shard: bool = False
    """FSDP2: each process holds a part of weights, gradients and optimiser, instead of all of them."""
    kernels: Literal["torch", "liger"] = "torch"
    """Whose kernels compute norms, rotary positions and gated layers; liger's are fused and for GPUs only."""


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """The rate of optimiser step `step` (1-based) out of `steps`: linear warm-up, then the schedule."""
    warm = max(1, round(recipe.warmup * steps))
    if step <= warm:
        return recipe.learning_rate * step / warm
    if recipe.schedule == "constant":
        return recipe.learning_rate
    done = (step - warm) / max(1, steps - warm)
    shape = (1 + math.cos(math.pi * done)) / 2 if recipe.schedule == "cosine" else 1 - done
    return recipe.learning_rate * (recipe.final_lr + (1 - recipe.final_lr) * shape)


def presets() -> dict[str, Path]:
    """The recipes that ship with the package, by name."""
    folder = Path(str(files("workbench.training").joinpath("recipes")))
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def load_recipe(name_or_file: str, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """A preset by name or a YAML file, with `overrides` on top. Raises UserError naming the key that is wrong."""
    shipped = presets()
    path = shipped.get(name_or_file) or Path(name_or_file)
    if not path.is_file() or path.stat().st_size > _LARGEST:
        raise UserError(
            f"recipe {name_or_file}: no such preset ({', '.join(shipped)}) and no such file (of at most 64 KiB)"
        )
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        text = path.read_text(encoding="utf-8")
        if text.count("[") + text.count("{") > _BRACKETS:
            raise UserError(f"recipe {path}: over {_BRACKETS} brackets; a recipe is flat")
        data = YAML(typ="safe", pure=True).load(text) or {}
    except (YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"recipe {path}: not valid YAML: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(data, dict):
        raise UserError(f"recipe {path}: expected keys and values")
    return recipe_from({**data, **(overrides or {})}, str(path))


def recipe_from(data: Mapping[str, Any], source: str = "recipe") -> Recipe:
    """A checked recipe from plain data (YAML or a job's arguments). Raises UserError naming the key that is wrong."""
    import jsonschema

    values: dict[str, Any] = {key: list(v) if isinstance(v, tuple) else v for key, v in data.items()}
    known = schema()["properties"]
    if unknown := [key for key in values if key not in known]:
        near = difflib.get_close_matches(str(unknown[0]), known, 1)
        raise UserError(f"{source}: there is no key {unknown[0]}" + (f"; did you mean {near[0]}?" if near else ""))
    problems = sorted(jsonschema.Draft202012Validator(schema()).iter_errors(values), key=lambda e: list(e.path))
    if problems:
        where = ".".join(str(part) for part in problems[0].path)
        raise UserError(f"{source}: {where + ': ' if where else ''}{problems[0].message}")
    lora = values.get("lora")
    if "betas" in values:
        values["betas"] = tuple(values["betas"])
    recipe = Recipe(**{**values, "lora": Lora(**lora) if lora is not None else None})
    if recipe.max_tokens_trained is None and recipe.epochs is None:
        raise UserError(f"{source}: set max_tokens_trained or epochs, so that the run has an end")
    if recipe.max_length > recipe.micro_batch_tokens:
        raise UserError(
            f"{source}: max_length {recipe.max_length} is above micro_batch_tokens {recipe.micro_batch_tokens}"
        )
    if recipe.shard and recipe.lora:
        raise UserError(
            f"{source}: shard is for full-parameter training; adapters are small: leave it out, or leave lora out"
        )
    return recipe


_LATER = frozenset(["weights", "rounding", "processes", "shard", "kernels"])
"""Keys that came after the first runs: left out at their defaults, so that an old recipe keeps its runs' ids."""


FREE = frozenset(
    [
        "eval_every",
        "probe_every",
        "save_every",
        "keep",
        "dev_limit",
        "early_stopping",
        "best_by",
        "activation_checkpointing",
    ]
)
"""Keys that may change between a checkpoint and its resumption: they do not change the updates."""


def recipe_dict(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain JSON data; `recipe_from` reads it back to an equal recipe."""
    data = dataclasses.asdict(recipe)
    usual = {f.name: f.default for f in dataclasses.fields(Recipe)}
    kept = {k: v for k, v in data.items() if k not in _LATER or v != usual[k]}
    return {**kept, "betas": list(recipe.betas)}


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a recipe file."""
    positive = {"type": "integer", "minimum": 1}
    share = {"type": "number", "minimum": 0, "maximum": 1}
    optional = {"type": ["integer", "null"], "minimum": 1}
    keys: dict[str, Any] = {
        "base": {"type": "string", "minLength": 1},
        "optimiser": {"enum": ["adamw", "muon"]},
        "learning_rate": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "schedule": {"enum": ["cosine", "linear", "constant"]},
        "warmup": share,
        "final_lr": share,
        "max_tokens_trained": optional,
        "epochs": {"type": ["number", "null"], "exclusiveMinimum": 0},
        "batch_tokens": positive,
        "micro_batch_tokens": positive,
        "max_length": {"type": "integer", "minimum": 16},
        "too_long": {"enum": ["refuse", "skip", "truncate"]},
        "weight_decay": {"type": "number", "minimum": 0},
        "betas": {
            "type": "array",
            "items": {"type": "number", "minimum": 0, "exclusiveMaximum": 1},
            "minItems": 2,
            "maxItems": 2,
        },
        "grad_clip": {"type": "number", "exclusiveMinimum": 0},
        "seed": {"type": "integer", "minimum": 0},
        "precision": {"enum": ["auto", "bf16", "fp32"]},
        "activation_checkpointing": {"type": "boolean"},
        "eval_every": positive,
        "dev_limit": positive,
        "probe_every": positive,
        "early_stopping": optional,
        "best_by": {"enum": ["dev_loss", "pass_rate"]},
        "save_every": positive,
        "keep": positive,
        "weights": {"enum": ["fp32", "bf16"]},
        "rounding": {"enum": ["stochastic", "kahan", "nearest"]},
        "processes": positive,
        "shard": {"type": "boolean"},
        "kernels": {"enum": ["torch", "liger"]},
        "lora": {
            "type": ["object", "null"],
            "properties": {"rank": positive, "alpha": positive, "dropout": share, "targets": {"type": "string"}},
            "additionalProperties": False,
        },
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Training recipe",
        "type": "object",
        "properties": keys,
        "additionalProperties": False,
    }

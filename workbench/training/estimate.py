"""The look before the leap: what a run would take, told before it starts, from formulas that are stated here."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from workbench.errors import UserError
from workbench.training.encoding import encode
from workbench.training.plan import plan
from workbench.training.readings import gpu_memory
from workbench.training.recipe import Lora, Recipe

_RUNTIME = 500_000_000
"""Bytes that Python, torch and transformers take before any model is loaded (measured)."""
_SLACK = 0.45
"""What the C library's allocator keeps beyond the parts on a processor (measured: 5.9 GB resident, 4.0 GB of parts)."""
_SHARE_OF_PEAK = 0.5
"""Share of a large matrix product's speed that training reaches (measured 0.4–0.6 on processors and cards alike)."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Tokens are counted, not estimated; memory is in bytes by part, time in seconds (None: nothing to go by).

    `too_long` counts dialogues above `max_length`, which `recipe.too_long` refuses, leaves out or cuts.
    """

    examples: int
    tokens: int
    trained_share: float
    steps: int
    epochs: float
    efficiency: float
    longest: int
    too_long: int
    memory: Mapping[str, int]
    memory_total: int
    memory_available: int
    device: str
    disk: int
    disk_free: int
    seconds: float | None
    tokens_per_s: float | None
    speed_from: str

    @property
    def fits(self) -> bool:
        """Whether memory and disk hold the run."""
        return self.memory_total <= self.memory_available and self.disk <= self.disk_free


def estimate(
    recipe: Recipe, base: Path, examples: Sequence[Mapping[str, Any]], folder: Path, speed: float | None = None
) -> Estimate:
    """What training `base` on `examples` would take; `speed` is tokens a second of an earlier run, if there is one."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(base)
    encoded = [encode(example, tokenizer) for example in examples]
    lengths = [len(e.ids) for e in encoded]
    kept = [n for n in lengths if n <= recipe.max_length or recipe.too_long == "truncate"]
    made = plan([min(n, recipe.max_length) for n in kept], recipe)
    parameters, config = parameter_count(base), json.loads((base / "config.json").read_text(encoding="utf-8"))
    share = sum(e.trained for e in encoded) / max(1, sum(lengths))
    device, available = _room()
    memory = memory_parts(recipe, parameters, config, share)
    deployed = 2 * parameters
    trained = _trained(recipe, parameters, config)
    rate = speed if speed is not None else _guessed_speed(parameters)
    return Estimate(
        examples=len(examples),
        tokens=made.tokens,
        trained_share=share,
        steps=len(made.steps),
        epochs=made.epochs,
        efficiency=made.efficiency,
        longest=max(lengths, default=0),
        too_long=sum(n > recipe.max_length for n in lengths),
        memory=memory,
        memory_total=sum(memory.values()),
        memory_available=available,
        device=device,
        disk=(recipe.keep + 1) * 12 * trained + 3 * deployed,
        disk_free=shutil.disk_usage(folder).free,
        seconds=made.tokens / rate if rate else None,
        tokens_per_s=rate,
        speed_from="an earlier run" if speed is not None else "a matrix product timed now" if rate else "unknown",
    )


def memory_parts(recipe: Recipe, parameters: int, config: Mapping[str, Any], share: float) -> dict[str, int]:
    """Bytes by part: fp32 weights 4, gradients 4, AdamW 8 (Muon 4) a parameter; activations a token and layer.

    A layer keeps about 8 × intermediate + 28 × hidden bytes a token under bf16 autocast (twice the first term in fp32);
    with activation checkpointing only its input, 4 × hidden, and one layer's worth while it is computed again.
    """
    hidden, layers = int(config["hidden_size"]), int(config["num_hidden_layers"])
    inner = int(config.get("intermediate_size", 4 * hidden))
    tokens = recipe.micro_batch_tokens
    trained = _trained(recipe, parameters, config)
    layer = (16 if recipe.precision == "fp32" else 8) * inner + 28 * hidden
    kept = layers * 4 * hidden + layer if recipe.activation_checkpointing else layers * layer
    rows = min(int(tokens * share), 2048)
    parts = {
        "weights": 4 * parameters,
        "gradients": 4 * trained,
        "optimiser": (8 if recipe.optimiser == "adamw" else 4) * trained,
        "activations": kept * tokens,
        "logits": 10 * rows * int(config["vocab_size"]),
        "copy for evaluations": 6 * parameters,
        "runtime": _RUNTIME,
    }
    return {**parts, "allocator": 0 if gpu_memory() else int(_SLACK * sum(parts.values()))}


def require_fit(recipe: Recipe, found: Estimate, base: Path) -> None:
    """Raise UserError if the run cannot fit or a dialogue is too long, naming the nearest setting that mends it."""
    if found.too_long and recipe.too_long == "refuse":
        raise UserError(
            f"{found.too_long} of {found.examples} dialogues exceed max_length = {recipe.max_length} tokens: --set "
            f"max_length={found.longest} (with micro_batch_tokens at least as large), or too_long=skip or truncate"
        )
    if found.disk > found.disk_free:
        raise UserError(
            f"the run needs {gb(found.disk)} of disk for its checkpoints, {gb(found.disk_free)} are free: "
            "free some space or choose another --home"
        )
    if found.memory_total > found.memory_available:
        raise UserError(
            f"the run needs {gb(found.memory_total)} of memory, {found.device} has {gb(found.memory_available)}: "
            f"{_nearest(recipe, found, base)}"
        )


def _nearest(recipe: Recipe, found: Estimate, base: Path) -> str:
    config = json.loads((base / "config.json").read_text(encoding="utf-8"))
    parameters = parameter_count(base)
    smaller = max(recipe.max_length, recipe.micro_batch_tokens // 4)
    tries: list[tuple[str, Recipe]] = [
        (f"micro_batch_tokens={smaller}", replace(recipe, micro_batch_tokens=smaller)),
        ("activation_checkpointing=true", replace(recipe, activation_checkpointing=True)),
        (
            f"activation_checkpointing=true --set micro_batch_tokens={smaller}",
            replace(recipe, activation_checkpointing=True, micro_batch_tokens=smaller),
        ),
        (
            'activation_checkpointing=true --set lora={"rank":16}',
            replace(recipe, activation_checkpointing=True, micro_batch_tokens=smaller, lora=Lora()),
        ),
    ]
    for words, candidate in tries:
        if sum(memory_parts(candidate, parameters, config, found.trained_share).values()) <= found.memory_available:
            return f"--set {words} would fit"
    return "no setting of this recipe fits; choose a smaller base model"


def parameter_count(base: Path) -> int:
    """Parameters of a folder in Hugging Face format, read from the headers of its safetensors files."""
    total = 0
    for file in sorted(base.glob("*.safetensors")):
        with file.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(size))
        for name, entry in header.items():
            if name != "__metadata__":
                count = 1
                for side in entry["shape"]:
                    count *= side
                total += count
    if not total:
        raise UserError(f"{base} holds no safetensors weights")
    return total


def _trained(recipe: Recipe, parameters: int, config: Mapping[str, Any]) -> int:
    """Parameters that get gradients; LoRA on all linear layers adds rank × (in + out) for each of a layer's seven."""
    if recipe.lora is None:
        return parameters
    hidden, inner = int(config["hidden_size"]), int(config.get("intermediate_size", 4 * int(config["hidden_size"])))
    return int(config["num_hidden_layers"]) * recipe.lora.rank * (4 * 2 * hidden + 3 * (hidden + inner))


def _room() -> tuple[str, int]:
    cards = gpu_memory()
    if cards:
        return "the GPU", min(cards)
    return "this machine", int(psutil.virtual_memory().available)


def _guessed_speed(parameters: int) -> float | None:
    """Tokens a second at 6 operations a parameter and token (Kaplan et al. 2020), from a matrix product timed now."""
    import time

    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    size = 4096 if device == "cuda" else 512
    matrix = torch.ones(size, size, dtype=torch.bfloat16, device=device)
    matrix @ matrix
    began, times = time.perf_counter(), 8
    for _ in range(times):
        product = matrix @ matrix
    float(product[0, 0])
    rate = 2 * size**3 * times / (time.perf_counter() - began)
    return _SHARE_OF_PEAK * rate / (6 * parameters)


def gb(size: float) -> str:
    """Bytes for people, in GB of 10⁹."""
    return f"{size / 1e9:.1f} GB"

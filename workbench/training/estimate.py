"""The look before the leap: what a run would take, told before it starts, from formulas that are stated here.

Nothing heavy is imported, so the terminal app may ask while a form is filled in: tokens are counted with the bare
`tokenizers` library, parameters read from the headers of the weights.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.errors import UserError
from workbench.training.encoding import Encoded, encode
from workbench.training.flops import flops_per_token, nominal_peak
from workbench.training.plan import plan
from workbench.training.readings import Device, devices
from workbench.training.recipe import Recipe
from workbench.training.template import LightTokenizer

_RUNTIME = 500_000_000
"""Bytes that Python, torch and transformers take before any model is loaded (measured)."""
_SLACK = 0.45
"""What the C library's allocator keeps beyond the parts on a processor (measured: 5.9 GB resident, 4.0 GB of parts)."""
_SHARE_OF_NOMINAL = 0.4
"""Share of a card's nominal peak that training reaches (llm-foundry and fms-fsdp report 0.42–0.46)."""
_SHARE_OF_PRODUCT = 0.8
"""Training under bf16 autocast ÷ a large fp32 matrix product on a processor with AVX512-BF16; a rough guess."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Tokens are counted, not estimated; memory is in bytes by part, time in seconds (None: nothing to go by).

    `too_long` counts dialogues above `max_length`, which `recipe.too_long` refuses, leaves out or cuts. `disk` holds
    `keep` + 1 checkpoints (a new one is written before the oldest goes) and the deployed models. Memory is that of one
    process; with `shard` each of several holds its part.
    """

    examples: int
    tokens: int
    trained_share: float
    steps: int
    epochs: float
    efficiency: float
    longest: int
    too_long: int
    too_long_do: str
    parameters: int
    memory: Mapping[str, int]
    memory_total: int
    devices: tuple[Device, ...]
    processes: int
    checkpoint: int
    disk: int
    disk_free: int
    seconds: float | None
    tokens_per_s: float | None
    speed_from: str

    @property
    def room(self) -> int:
        """Bytes of memory that one process of the run can have at best: the smallest of the cards it needs."""
        if not self.devices[0].gpu:
            return self.devices[0].total // self.processes
        best = sorted((d.total for d in self.devices), reverse=True)
        return best[min(self.processes, len(best)) - 1]

    @property
    def fits(self) -> bool:
        """Whether memory and disk hold the run."""
        return self.memory_total <= self.room and self.disk <= self.disk_free


def estimate(
    recipe: Recipe,
    base: Path,
    examples: Sequence[Mapping[str, Any]],
    folder: Path,
    speed: float | None = None,
    encoded: Sequence[Encoded] | None = None,
) -> Estimate:
    """What training `base` on `examples` would take; `speed` is tokens a second of an earlier run, if there is one.

    `encoded` are the examples' tokens where they are known from an earlier call with the same base and examples.
    """
    encoded = count_tokens(base, examples) if encoded is None else encoded
    lengths = [len(e.ids) for e in encoded]
    kept = [n for n in lengths if n <= recipe.max_length or recipe.too_long != "skip"]
    made = plan([min(n, recipe.max_length) for n in kept], recipe, recipe.processes)
    parameters, config = parameter_count(base), read_config(base)
    share = sum(e.trained for e in encoded) / max(1, sum(lengths))
    found = tuple(devices())
    memory = memory_parts(recipe, parameters, config, share, gpu=found[0].gpu)
    checkpoint = checkpoint_bytes(recipe, parameters, config)
    work = flops_per_token(parameters, config, sum(n * n for n in lengths) / max(1, sum(lengths)), share)
    rate = speed if speed is not None else guessed_speed(found[0], work, recipe.processes)
    return Estimate(
        examples=len(encoded),
        tokens=made.tokens,
        trained_share=share,
        steps=len(made.steps),
        epochs=made.epochs,
        efficiency=made.efficiency,
        longest=max(lengths, default=0),
        too_long=sum(n > recipe.max_length for n in lengths),
        too_long_do=recipe.too_long,
        parameters=parameters,
        memory=memory,
        memory_total=sum(memory.values()),
        devices=found,
        processes=recipe.processes,
        checkpoint=checkpoint,
        disk=(recipe.keep + 1) * checkpoint + 3 * 2 * parameters,
        disk_free=shutil.disk_usage(folder).free,
        seconds=made.tokens / rate if rate else None,
        tokens_per_s=rate,
        speed_from="an earlier run" if speed is not None else "a rough guess" if rate else "unknown",
    )


def count_tokens(base: Path, examples: Sequence[Mapping[str, Any]]) -> list[Encoded]:
    """The examples as the trainer will see them, by the base model's own tokenizer."""
    tokenizer = LightTokenizer(base)
    return [encode(example, tokenizer) for example in examples]


def read_config(base: Path) -> dict[str, Any]:
    """The model's configuration, as far as sizes go (a multimodal model's text part)."""
    config: dict[str, Any] = json.loads((base / "config.json").read_text(encoding="utf-8"))
    return {**config, **config["text_config"]} if "hidden_size" not in config and "text_config" in config else config


def memory_parts(
    recipe: Recipe, parameters: int, config: Mapping[str, Any], share: float, gpu: bool = False
) -> dict[str, int]:
    """Bytes by part of one process: weights and gradients 4 a parameter each (2 held in bf16), AdamW twice, Muon once
    as much again, Kahan's remainders 2; activations by token and layer.

    A layer keeps about 8 × intermediate + 28 × hidden bytes a token under bf16 autocast (twice the first term in fp32);
    with activation checkpointing only its input, 4 × hidden, and one layer's worth while it is computed again. Weights
    held in bf16 halve both; of weights held in fp32 bf16 autocast keeps a cast copy, 2 a parameter, through a pass. With
    `shard` each process holds its part of weights, gradients and optimiser.
    """
    hidden, layers = int(config["hidden_size"]), int(config["num_hidden_layers"])
    inner = int(config.get("intermediate_size", 4 * hidden))
    tokens = recipe.micro_batch_tokens
    trained = trained_parameters(recipe, parameters, config)
    parts = recipe.processes if recipe.shard else 1
    size = 4 if recipe.weights == "fp32" else 2
    layer = ((16 if recipe.precision == "fp32" else 8) * inner + 28 * hidden) * size // 4
    kept = layers * size * hidden + layer if recipe.activation_checkpointing else layers * layer
    rows = min(int(tokens * share), 2048)
    found = {
        "weights": size * parameters // parts,
        "gradients": size * trained // parts,
        "optimiser": (2 if recipe.optimiser == "adamw" else 1) * size * trained // parts,
        "weights cast to bf16": 2 * parameters // parts
        if recipe.weights == "fp32" and recipe.precision != "fp32"
        else 0,
        "remainders": 2 * trained // parts if recipe.weights == "bf16" and recipe.rounding == "kahan" else 0,
        "activations": kept * tokens,
        "logits": 10 * rows * int(config["vocab_size"]),
        "copy for evaluations": _copy_bytes(recipe, parameters),
        "runtime": _RUNTIME,
    }
    return {**found, "allocator": 0 if gpu else int(_SLACK * sum(found.values()))}


def _copy_bytes(recipe: Recipe, parameters: int) -> int:
    """Bytes of the copy that is asked and saved between steps; whole weights that are held as they are deployed need none."""
    if recipe.lora:
        return 4 * parameters  # merged as it is held, then cast
    deployed = "fp32" if recipe.precision == "fp32" else "bf16"
    if recipe.weights == deployed and not recipe.shard:
        return 0
    return (2 if deployed == "bf16" else 4) * parameters


def checkpoint_bytes(recipe: Recipe, parameters: int, config: Mapping[str, Any]) -> int:
    """Bytes of one checkpoint: the trained weights and the optimiser's state."""
    trained = trained_parameters(recipe, parameters, config)
    size = 4 if recipe.weights == "fp32" else 2
    states = (2 if recipe.optimiser == "adamw" else 1) + (recipe.weights == "bf16" and recipe.rounding == "kahan")
    return size * trained * (1 + states)


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


def trained_parameters(recipe: Recipe, parameters: int, config: Mapping[str, Any]) -> int:
    """Parameters that get gradients; LoRA on all linear layers adds rank × (in + out) for each of a layer's seven."""
    if recipe.lora is None:
        return parameters
    hidden, inner = int(config["hidden_size"]), int(config.get("intermediate_size", 4 * int(config["hidden_size"])))
    return int(config["num_hidden_layers"]) * recipe.lora.rank * (4 * 2 * hidden + 3 * (hidden + inner))


def guessed_speed(device: Device, work: float, processes: int = 1) -> float | None:
    """Tokens a second at `work` operations a token: from the card's nominal peak, or a matrix product timed now."""
    if device.gpu:
        peak = nominal_peak(device.name)
        return processes * _SHARE_OF_NOMINAL * peak / work if peak else None
    import numpy as np

    size, times = 512, 8
    matrix = np.ones((size, size), np.float32)
    matrix @ matrix
    began = time.perf_counter()
    for _ in range(times):
        matrix @ matrix
    return _SHARE_OF_PRODUCT * 2 * size**3 * times / (time.perf_counter() - began) / work


def estimate_lines(found: Estimate) -> dict[str, str]:
    """The estimate in words, by what each line is about; the same in the command line and in the app."""
    parts = {k: v for k, v in found.memory.items() if v}
    lines = {
        "tokens": f"{found.tokens:,} in {found.steps:,} steps, {found.epochs:.2f} epochs; "
        f"packs {found.efficiency:.0%} full, {found.trained_share:.0%} carry a loss",
        "time": f"about {_span(found.seconds)} at {found.tokens_per_s:,.0f} tokens/s ({found.speed_from})"
        if found.seconds and found.tokens_per_s
        else "unknown",
    }
    for device in found.devices:
        needed = found.memory_total * (1 if device.gpu else found.processes)
        late = "fits once other work has left" if needed <= device.total else "does not fit"
        verdict = "fits" if needed <= device.free else late
        lines[device.name] = f"{gb(needed)} of {gb(device.free)} free ({gb(device.total)} in all): {verdict}"
    if found.processes > 1:
        lines["processes"] = f"{found.processes}, each with the memory below"
    lines["memory"] = ", ".join(f"{name} {gb(size)}" for name, size in parts.items())
    lines["disk"] = f"{gb(found.disk)} of {gb(found.disk_free)} free (a checkpoint is {gb(found.checkpoint)})"
    cut = f"{found.too_long} too long: {_TOO_LONG[found.too_long_do]}" if found.too_long else "none too long, none cut"
    lines["dialogues"] = f"{found.examples:,}, the longest {found.longest} tokens; {cut}"
    return lines


_TOO_LONG = {"refuse": "refused", "skip": "left out", "truncate": "cut"}


def _span(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 90
        else f"{seconds / 60:.0f} min"
        if seconds < 5400
        else f"{seconds / 3600:.1f} h"
    )


def gb(size: float) -> str:
    """Bytes for people, in GB of 10⁹."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"

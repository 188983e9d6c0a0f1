"""Full-parameter fine-tuning on one GPU: models shaped like Qwen2.5-3B and Qwen3-8B with random weights, so nothing is fetched.

Sequences of 2,048 tokens, packed to the full; a loss on every token. Reported: tokens a second, the share of the card's nominal
bf16 peak (MFU) and of a measured large matrix product, peak memory; for 3B also beside TRL's SFTTrainer with its best settings
on the same shape. Operations are counted as stated in workbench/training/flops.py: 6 a weight and token outside the input
embedding, plus 6 × layers × width × sequence for causal attention; recomputation is not counted.

    python benchmarks/gpu.py                 both shapes (about ten minutes on an H100)
    python benchmarks/gpu.py --shape 3b      one of them; --shape tiny runs anywhere, to see that it works
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from common import Finding, show

from workbench.training.flops import flops_per_token, nominal_peak
from workbench.training.recipe import Recipe, recipe_from

SEQUENCE = 2048


@dataclasses.dataclass(frozen=True)
class Shape:
    """A model's configuration (transformers' keys), how it is trained, and whether TRL is run beside it."""

    kind: str
    config: Mapping[str, Any]
    recipe: Mapping[str, Any]
    beside_trl: bool = False
    sequence: int = SEQUENCE


SHAPES: dict[str, Shape] = {
    "tiny": Shape(
        "qwen2",
        {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
         "num_key_value_heads": 2, "vocab_size": 512, "tie_word_embeddings": True, "max_position_embeddings": 256},
        {"micro_batch_tokens": 128, "batch_tokens": 256, "max_length": 64},
        beside_trl=True,
        sequence=64,
    ),
    "3b": Shape(
        "qwen2",
        {"hidden_size": 2048, "intermediate_size": 11008, "num_hidden_layers": 36, "num_attention_heads": 16,
         "num_key_value_heads": 2, "vocab_size": 151936, "tie_word_embeddings": True, "max_position_embeddings": 32768},
        {"micro_batch_tokens": 4096, "batch_tokens": 16384, "max_length": SEQUENCE},
        beside_trl=True,
    ),
    "8b": Shape(
        "qwen3",
        {"hidden_size": 4096, "intermediate_size": 12288, "num_hidden_layers": 36, "num_attention_heads": 32,
         "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151936, "tie_word_embeddings": False,
         "max_position_embeddings": 40960},
        {"micro_batch_tokens": 2048, "batch_tokens": 16384, "max_length": SEQUENCE, "weights": "bf16",
         "rounding": "stochastic", "activation_checkpointing": True},
    ),
}  # fmt: skip


def build(shape: Shape, device: Any, dtype: Any) -> Any:
    """The model with random weights, made on the device."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM

    from workbench.training import attention

    config = CONFIG_MAPPING[shape.kind](**shape.config)
    torch.manual_seed(0)
    with torch.device(device):
        model: Any = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation=attention.choose(config))
    return model.train()


def recipe_of(shape: Shape, changes: Mapping[str, Any] | None = None) -> Recipe:
    """How the shape is trained, with changes on top."""
    return recipe_from({**shape.recipe, "precision": "bf16", "learning_rate": 2e-5, **(changes or {})}, "gpu.py")


def packs(shape: Shape, recipe: Recipe, device: Any) -> list[dict[str, Any]]:
    """One optimiser step's micro-batches of random tokens, examples of `sequence` tokens, a loss on every token."""
    import random

    from workbench.training import network
    from workbench.training.encoding import Encoded, pack

    rng = random.Random(0)
    vocabulary = int(shape.config["vocab_size"])
    each = max(1, recipe.micro_batch_tokens // shape.sequence)

    def example() -> Encoded:
        ids = tuple(rng.randrange(vocabulary) for _ in range(shape.sequence))
        return Encoded(ids, ids)

    count = max(1, recipe.batch_tokens // (each * shape.sequence))
    return [network.tensors(pack([example() for _ in range(each)]), device) for _ in range(count)]


def stepper(model: Any, recipe: Recipe, batches: list[dict[str, Any]]) -> Callable[[], float]:
    """One optimiser step as workbench.training.loop makes it; returns the loss."""
    import torch

    from workbench.training import network

    network.use_kernels(model, recipe)
    if recipe.activation_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    loss, optimisers = network.PackedLoss(model), network.optimisers(model, recipe)
    targets = sum(len(b["targets"]) for b in batches)
    kind = next(model.parameters()).device.type

    def step() -> float:
        total = 0.0
        for batch in batches:
            with torch.autocast(kind, dtype=torch.bfloat16, enabled=recipe.weights == "fp32"):
                value = loss(**batch) / targets
            value.backward()
            total += float(value.detach())
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.grad_clip)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        return total

    return step


def seconds_a_step(step: Callable[[], float], device: Any, steps: int, warm: int = 2) -> float:
    """Median seconds of a step after warming up."""
    times = []
    for i in range(warm + steps):
        _wait(device)
        began = time.perf_counter()
        step()
        _wait(device)
        times += [time.perf_counter() - began] if i >= warm else []
    return statistics.median(times)


def _wait(device: Any) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def product_peak(device: Any, size: int) -> float:
    """FLOP/s of a bf16 matrix product of `size`, the best of several."""
    import torch

    a = torch.randn(size, size, dtype=torch.bfloat16, device=device)
    best = float("inf")
    for _ in range(8):
        _wait(device)
        began = time.perf_counter()
        a @ a
        _wait(device)
        best = min(best, time.perf_counter() - began)
    return 2.0 * size**3 / best


def shape_parameters(config: Mapping[str, Any], kind: str) -> int:
    """Parameters of a Qwen2 or Qwen3 shape, counted from its configuration."""
    hidden, inner, layers = (int(config[k]) for k in ("hidden_size", "intermediate_size", "num_hidden_layers"))
    heads, groups = int(config["num_attention_heads"]), int(config["num_key_value_heads"])
    width = int(config.get("head_dim") or hidden // heads)
    attention = 2 * hidden * heads * width + 2 * hidden * groups * width
    biases = (heads + 2 * groups) * width if kind == "qwen2" else 2 * width
    layer = attention + biases + 3 * hidden * inner + 2 * hidden
    tables = 1 if config.get("tie_word_embeddings") else 2
    return layers * layer + hidden + tables * hidden * int(config["vocab_size"])


def trl_best(shape: Shape, recipe: Recipe, device: Any, steps: int) -> tuple[float, str]:
    """Tokens a second of TRL's SFTTrainer at the fastest of the settings tried, and which those were.

    The same shape, data, batch and precision as ours; sequences filled to the full, so nothing is padded; fused AdamW; Liger's
    kernels where they are installed. Tried: the forward pass of our size and of twice that, with activation checkpointing only
    if ours has it; what does not fit into memory is left out.
    """
    import torch

    micro = max(1, recipe.micro_batch_tokens // shape.sequence)
    rows = max(micro, recipe.batch_tokens // shape.sequence)
    found: list[tuple[float, str]] = []
    for each in sorted({micro, min(2 * micro, rows)}):
        try:
            found.append((_trl_rate(shape, recipe, device, steps, each, rows), f"{each} sequences a pass"))
        except torch.OutOfMemoryError:
            continue
        finally:
            if device.type == "cuda":
                torch.cuda.empty_cache()
    return max(found, default=(float("nan"), "out of memory"))


def _trl_rate(shape: Shape, recipe: Recipe, device: Any, steps: int, micro: int, rows: int) -> float:
    import tempfile
    from importlib.util import find_spec

    import torch
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import SFTConfig, SFTTrainer

    marks: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            _wait(device)
            marks.append(time.perf_counter())

    generator = torch.Generator().manual_seed(0)
    count = rows * (steps + 2)
    ids = torch.randint(0, int(shape.config["vocab_size"]), (count, shape.sequence), generator=generator).tolist()
    model = build(shape, device, torch.float32 if recipe.weights == "fp32" else torch.bfloat16)
    model.set_attn_implementation("sdpa")
    with tempfile.TemporaryDirectory() as folder:
        settings = SFTConfig(
            output_dir=folder, report_to="none", save_strategy="no", num_train_epochs=1, bf16=True, disable_tqdm=True,
            per_device_train_batch_size=micro, gradient_accumulation_steps=max(1, rows // micro), max_length=shape.sequence,
            gradient_checkpointing=recipe.activation_checkpointing, optim="adamw_torch_fused",
            use_liger_kernel=find_spec("liger_kernel") is not None, use_cpu=device.type == "cpu",
        )  # fmt: skip
        trainer = SFTTrainer(
            model=model, args=settings, train_dataset=Dataset.from_dict({"input_ids": ids}),
            processing_class=_no_tokenizer(), callbacks=[Clock()],
        )  # fmt: skip
        trainer.train()
    times = [b - a for a, b in itertools.pairwise(marks[1:])]
    return rows * shape.sequence / statistics.median(times)


def _no_tokenizer() -> Any:
    """SFTTrainer wants a tokenizer for its padding token, though nothing is padded here."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel({"<pad>": 0, "<eos>": 1}, unk_token="<pad>"))
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="<pad>", eos_token="<eos>")


def measure(name: str, changes: Mapping[str, Any], steps: int, beside_trl: bool) -> list[Finding]:
    """All figures of one shape; a pass that does not fit into memory is halved (the batch stays the same)."""
    import torch

    shape = SHAPES[name]
    recipe = recipe_of(shape, changes)
    device = torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else "this processor"
    while True:
        model = build(shape, device, torch.float32 if recipe.weights == "fp32" else torch.bfloat16)
        batches = packs(shape, recipe, device)
        try:
            took = seconds_a_step(stepper(model, recipe, batches), device, steps)
            break
        except torch.OutOfMemoryError:
            if recipe.micro_batch_tokens < 2 * shape.sequence:
                raise
            recipe = dataclasses.replace(recipe, micro_batch_tokens=recipe.micro_batch_tokens // 2)
        del model, batches
        torch.cuda.empty_cache()
    tokens = sum(len(b["ids"]) for b in batches)
    count = sum(p.numel() for p in model.parameters())
    work = flops_per_token(count, model.config.to_dict(), shape.sequence)
    memory = torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else None
    del model, batches
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
    rate, nominal = tokens / took, nominal_peak(card)
    side = 8192 if device.type == "cuda" else 512
    product = product_peak(device, side)
    label = f"{name} ({count / 1e9:.2f} G parameters, {recipe.micro_batch_tokens:,} tokens a pass) on {card}"
    found = [
        Finding(f"{label}: tokens a second", rate, "tokens/s"),
        Finding(f"{label}: model FLOP/s", work * rate / 1e12, "TFLOP/s"),
        Finding(f"{label}: MFU, nominal bf16 peak", 100 * work * rate / nominal if nominal else None, "%"),
        Finding(f"{label}: of a matrix product of {side:,}", 100 * work * rate / product, "%"),
        Finding(f"{label}: peak memory", memory, "GB"),
    ]
    if beside_trl and shape.beside_trl:
        theirs, how = trl_best(shape, recipe, device, steps)
        rival = f"TRL SFTTrainer, best settings ({how})"
        found.append(Finding(f"{label}: tokens a second", rate, "tokens/s", rival, rate / theirs))
    return found


def arguments(words: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=sorted(SHAPES), action="append", help="one of the shapes (else 3b and 8b)")
    parser.add_argument("--steps", type=int, default=10, help="steps to time after two to warm up")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key of the recipe")
    parser.add_argument("--no-trl", action="store_true", help="leave TRL out")
    parser.add_argument("--quick", action="store_true", help="the tiny shape, two steps, without TRL: runs anywhere")
    parser.add_argument("--json", action="store_true", help="a list of {name, value, unit, rival, ratio}")
    chosen = parser.parse_args(words)
    if chosen.quick:
        chosen.shape, chosen.steps, chosen.no_trl = ["tiny"], 2, True
    return chosen


def settings(pairs: list[str]) -> dict[str, Any]:
    """KEY=VALUE pairs, values as JSON where they are."""
    found: dict[str, Any] = {}
    for pair in pairs:
        key, _, value = pair.partition("=")
        try:
            found[key] = json.loads(value)
        except ValueError:
            found[key] = value
    return found


def run(words: list[str] | None = None) -> list[Finding]:
    """Measure what the command line asks for. Without a GPU only the tiny shape runs."""
    import torch

    chosen = arguments(words)
    shapes = chosen.shape or ["3b", "8b"]
    if not torch.cuda.is_available() and shapes != ["tiny"]:
        raise SystemExit("gpu.py: no GPU here; --shape tiny shows that the program works, its figures mean nothing")
    found = [f for name in shapes for f in measure(name, settings(chosen.set), chosen.steps, not chosen.no_trl)]
    show(found, chosen.json)
    return found


if __name__ == "__main__":
    run()

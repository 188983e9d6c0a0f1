"""The model as the trainer sees it: packed tokens in, the summed loss of the trained tokens out; and its optimisers."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from workbench.errors import UserError
from workbench.training import attention, world
from workbench.training.encoding import Packed
from workbench.training.recipe import Lora, Recipe
from workbench.training.rounding import RoundingAdamW

_CHUNK = 2048
"""Rows of logits held at once: 2,048 × 49,152 fp32 are 0.4 GB. More rows are recomputed in the backward pass."""


class PackedLoss(nn.Module):
    """A causal language model with a loss only where there is one: the logits of other tokens never exist."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        ids: torch.Tensor,
        positions: torch.Tensor,
        select: torch.Tensor,
        targets: torch.Tensor,
        lengths: tuple[int, ...],
    ) -> torch.Tensor:
        """Summed cross entropy of `targets` given the hidden states at `select` (all 1-D: one packed sequence)."""
        inner = self.model.get_base_model() if hasattr(self.model, "get_base_model") else self.model
        body, head = inner.base_model, inner.get_output_embeddings()
        extra = {"segments": lengths} if inner.config._attn_implementation == attention.NAME else {}
        out = body(input_ids=ids[None], position_ids=positions[None], use_cache=False, **extra)
        hidden = out.last_hidden_state[0][select]
        if len(targets) <= _CHUNK:
            return _cross_entropy(hidden, targets, head)
        parts = [
            checkpoint(_cross_entropy, hidden[i : i + _CHUNK], targets[i : i + _CHUNK], head, use_reentrant=False)
            for i in range(0, len(targets), _CHUNK)
        ]
        return torch.stack(parts).sum()


def _cross_entropy(hidden: torch.Tensor, targets: torch.Tensor, head: nn.Module) -> torch.Tensor:
    return functional.cross_entropy(head(hidden).float(), targets, reduction="sum")


def tensors(packed: Packed, device: torch.device) -> dict[str, Any]:
    """The arguments of `PackedLoss.forward`."""
    parts = {"ids": packed.ids, "positions": packed.positions, "select": packed.select, "targets": packed.targets}
    whole = {name: torch.tensor(part, dtype=torch.long, device=device) for name, part in parts.items()}
    return {**whole, "lengths": packed.lengths}


def load(folder: Path, recipe: Recipe) -> tuple[Any, Any]:
    """Model (weights as the recipe holds them, training mode) and tokenizer of a folder in Hugging Face format.

    Never remote code.
    """
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    quiet: Any = logging.disable_progress_bar  # a run's log is for what somebody may want to read later
    quiet()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    attend = attention.choose(AutoConfig.from_pretrained(folder))
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32 if recipe.weights == "fp32" else torch.bfloat16, attn_implementation=attend
    )
    use_kernels(model, recipe)
    if recipe.activation_checkpointing:
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
    if recipe.lora:
        model = _with_adapters(model, recipe.lora)
    model.train()
    return model, tokenizer


def use_kernels(model: Any, recipe: Recipe) -> None:
    """Replace norms, rotary positions and gated layers by Liger's kernels where the recipe asks; the loss stays ours.

    Raises UserError where they are not installed.
    """
    if recipe.kernels == "torch":
        return
    try:
        from liger_kernel.transformers import _apply_liger_kernel_to_instance
    except ImportError as error:
        raise UserError(
            "kernels: liger needs an NVIDIA GPU and `pip install liger-kernel`; leave the key out"
        ) from error
    _apply_liger_kernel_to_instance(model=model, cross_entropy=False, fused_linear_cross_entropy=False)


def _with_adapters(model: Any, lora: Lora) -> Any:
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise UserError("this recipe uses LoRA: run `pip install workbench[lora]`") from error
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=lora.targets,
        task_type="CAUSAL_LM",
    )
    return get_peft_model(model, config)


@contextmanager
def deployed(model: Any, dtype: torch.dtype) -> Iterator[Any | None]:
    """The model as it is deployed: in `dtype`, in evaluation mode, adapters merged; what is probed and saved between steps.

    A model that is held in `dtype` is lent and put back into training, others are copied. Of a sharded one the first
    process gets a copy, the rest help and get None.
    """
    lent = model.dtype == dtype and not is_sharded(model) and not hasattr(model, "merge_and_unload")
    found = model if lent else _copied(model, dtype)
    if found is None:
        yield None
        return
    before, cached = found.config._attn_implementation, found.config.use_cache
    found.eval()
    found.set_attn_implementation("sdpa")
    found.config.use_cache = True
    try:
        yield found
    finally:
        if lent:
            model.set_attn_implementation(before)
            model.config.use_cache = cached
            model.train()


def _copied(model: Any, dtype: torch.dtype) -> Any | None:
    """A copy whose parameters are in `dtype`; buffers (the rotary frequencies) stay as exact as they are."""
    if not (is_sharded(model) or hasattr(model, "merge_and_unload")):
        cast = {id(p): nn.Parameter(p.detach().to(dtype), requires_grad=False) for p in model.parameters()}
        return copy.deepcopy(model, cast)
    duplicate = _gathered_copy(model) if is_sharded(model) else copy.deepcopy(model).merge_and_unload()
    if duplicate is None:
        return None
    for parameter in duplicate.parameters():
        parameter.data = parameter.data.to(dtype)
    return duplicate.to(next(model.parameters()).device)


def layers(model: Any) -> list[nn.Module]:
    """The model's decoder layers, the units of sharding."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return list(inner.base_model.layers)


def is_sharded(model: nn.Module) -> bool:
    """Whether its parameters lie in several processes."""
    return any(hasattr(p, "full_tensor") for p in model.parameters())


def _gathered_copy(model: Any) -> Any | None:
    weights = world.gathered(model.state_dict())
    if not weights:
        return None
    duplicate = type(model)._from_config(copy.deepcopy(model.config), dtype=torch.float32)
    duplicate.load_state_dict(weights)
    return duplicate


def precision(recipe: Recipe, device: torch.device) -> str:
    """'bf16' (autocast over fp32 weights) or 'fp32', resolved for the device. UserError if the device has no bf16."""
    if device.type == "cuda":
        able = torch.cuda.is_bf16_supported()
    elif device.type == "cpu":
        able = bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
    else:
        able = device.type == "mps"
    if recipe.precision == "auto":
        return "bf16" if able else "fp32"
    if recipe.precision == "bf16" and not able and device.type != "cpu":
        raise UserError("precision bf16: this device has none; set precision: fp32")
    return recipe.precision


def optimisers(model: nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """AdamW with decay on matrices only; with `muon`, the hidden matrices go to Muon and the rest stays with AdamW."""
    named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    hidden = {name for name, p in named if p.ndim == 2 and "embed" not in name and "lm_head" not in name}
    muon = hidden if recipe.optimiser == "muon" else set()
    decay = [p for name, p in named if name not in muon and p.ndim >= 2]
    plain = [p for name, p in named if name not in muon and p.ndim < 2]
    groups = [
        {"params": decay, "weight_decay": recipe.weight_decay},
        {"params": plain, "weight_decay": 0.0},
    ]
    given = [g for g in groups if g["params"]]
    found: list[torch.optim.Optimizer] = [
        torch.optim.AdamW(given, lr=recipe.learning_rate, betas=recipe.betas, fused=True)
        if recipe.weights == "fp32"
        else RoundingAdamW(given, lr=recipe.learning_rate, betas=recipe.betas, rounding=recipe.rounding)
    ]
    if muon:
        matrices = [p for name, p in named if name in muon]
        found.append(
            torch.optim.Muon(
                matrices, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, adjust_lr_fn="match_rms_adamw"
            )
        )
    return found


def disk_bytes(model: nn.Module, recipe: Recipe, kind: str) -> int:
    """What a run needs on disk at its peak: `keep` + 1 checkpoints (weights and optimiser), best, last, one more."""
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    states = (2 if recipe.optimiser == "adamw" else 1) + (recipe.weights == "bf16" and recipe.rounding == "kahan")
    deployed = sum(p.numel() for p in model.parameters()) * (2 if kind == "bf16" else 4)
    size = 4 if recipe.weights == "fp32" else 2
    return (recipe.keep + 1) * size * trained * (1 + states) + 3 * deployed


def optimiser_tensors(optimisers: Iterable[torch.optim.Optimizer]) -> dict[str, torch.Tensor]:
    """The state of the optimisers as named tensors, for a safetensors file."""
    return {
        f"{o}.{index}.{key}": value
        for o, optimiser in enumerate(optimisers)
        for index, state in optimiser.state_dict()["state"].items()
        for key, value in state.items()
    }


def restore_optimisers(optimisers: Iterable[torch.optim.Optimizer], saved: dict[str, torch.Tensor]) -> None:
    """Put back what `optimiser_tensors` gave, sharded as the parameters are."""
    for o, optimiser in enumerate(optimisers):
        parameters = [p for group in optimiser.param_groups for p in group["params"]]
        state: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in saved.items():
            owner, index, key = name.split(".")
            if int(owner) == o:
                state.setdefault(int(index), {})[key] = world.like(value, parameters[int(index)])
        optimiser.load_state_dict({**optimiser.state_dict(), "state": state})

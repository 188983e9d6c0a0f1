"""Weights held in bf16 beside fp32 masters: how far the held-out loss ends from theirs at a learning rate of 2e-5.

The demo's base model (SmolLM2-135M-Instruct), all its parameters, on the demo's kind of dialogues; the same order, batches and
schedule in every run. What differs is how an update reaches the weights: fp32 masters, bf16 with stochastic rounding, bf16 with
Kahan summation, plain bf16 (rounded to the nearest). The optimisers are the trainer's own. So that the comparison is of the
rounding alone, and runs on processors without bf16, passes are computed in fp32 from the weights as they are held, and gradients
are rounded to bf16 where weights are. About ten minutes on two cores.
"""

from __future__ import annotations

import copy
import dataclasses
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from common import Finding, main
from training import dialogues

from workbench.home import find_home
from workbench.training.base import base_model
from workbench.training.recipe import Recipe
from workbench.training.rounding import Rounding

STEPS = 40
RECIPE = Recipe(
    learning_rate=2e-5, schedule="constant", warmup=0.0, max_tokens_trained=None, epochs=10.0, batch_tokens=256,
    micro_batch_tokens=256, max_length=512, too_long="skip", betas=(0.9, 0.999), weight_decay=0.0, precision="fp32",
)  # fmt: skip
ROUNDINGS: tuple[Rounding, ...] = ("stochastic", "kahan", "nearest")


def dev_loss(base: Path, rounding: Rounding | None, steps: int = STEPS, held_out: int = 16) -> float:
    """The loss of so many held-out dialogues after so many steps; `rounding` None is fp32 masters."""
    import torch

    from workbench.training import network
    from workbench.training.encoding import encode, pack
    from workbench.training.plan import plan

    recipe = RECIPE
    torch.manual_seed(recipe.seed)
    model, tokenizer = network.load(base, recipe)
    held = model
    if rounding:
        recipe = dataclasses.replace(recipe, weights="bf16", rounding=rounding)
        held = copy.deepcopy(model).to(torch.bfloat16)
        _take_over(model, held)
    loss, (optimiser,) = network.PackedLoss(model), network.optimisers(held, recipe)
    encoded = [e for e in (encode(d, tokenizer) for d in dialogues(230)) if len(e.ids) <= recipe.micro_batch_tokens]
    train, dev = encoded[:-held_out], encoded[-held_out:]
    for (micro,) in plan([len(e.ids) for e in train], recipe).steps[:steps]:
        batch = network.tensors(pack([train[i] for i in micro]), torch.device("cpu"))
        (loss(**batch) / len(batch["targets"])).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.grad_clip)
        if held is not model:
            for mine, kept in zip(model.parameters(), held.parameters(), strict=True):
                kept.grad, mine.grad = mine.grad.to(kept.dtype), None
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if held is not model:
            _take_over(model, held)
    model.eval()
    with torch.inference_mode():
        packs = [network.tensors(pack([e]), torch.device("cpu")) for e in dev]
        return sum(float(loss(**b)) for b in packs) / sum(len(b["targets"]) for b in packs)


def _take_over(model: Any, held: Any) -> None:
    """The weights as they are held, for the next pass."""
    import torch

    with torch.no_grad():
        for mine, kept in zip(model.parameters(), held.parameters(), strict=True):
            mine.copy_(kept)


def measure(quick: bool) -> list[Finding]:
    """The held-out loss of each, and its ratio to that of fp32 masters."""
    steps, held_out = (1, 2) if quick else (STEPS, 16)
    base = base_model(find_home().make())
    masters = dev_loss(base, None, steps, held_out)
    found = [Finding(f"held-out loss after {steps} steps, fp32 masters", masters, "nats")]
    for rounding in ROUNDINGS:
        loss = dev_loss(base, rounding, steps, held_out)
        found.append(Finding(f"bf16 weights, {rounding}", loss, "nats", "fp32 masters", masters / loss))
    return found


if __name__ == "__main__":
    main(measure, __doc__ or "")

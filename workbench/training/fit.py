"""What cannot fit is refused before it starts, with the nearest setting that does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from workbench.errors import UserError
from workbench.training.estimate import Estimate, gb, memory_parts, parameter_count, read_config
from workbench.training.recipe import Lora, Recipe
from workbench.training.turns import cards_needed


def require_fit(recipe: Recipe, found: Estimate, base: Path) -> None:
    """Raise UserError if the run cannot fit or a dialogue is too long, naming the nearest setting that mends it."""
    if found.too_long and recipe.too_long == "refuse":
        room = max(found.longest, recipe.micro_batch_tokens)
        more = f" --set micro_batch_tokens={room}" if room > recipe.micro_batch_tokens else ""
        raise UserError(
            f"{found.too_long} of {found.examples} dialogues exceed max_length = {recipe.max_length} tokens: --set "
            f"max_length={found.longest}{more} keeps them whole, --set too_long=skip or truncate leaves out or cuts"
        )
    cards = [d for d in found.devices if d.gpu]
    if cards and cards_needed(recipe.processes) > len(cards):
        raise UserError(
            f"processes = {recipe.processes}, but there are {len(cards)} GPUs: --set processes={len(cards)}"
        )
    if found.disk > found.disk_free:
        raise UserError(
            f"the run needs {gb(found.disk)} of disk for its checkpoints, {gb(found.disk_free)} are free: "
            + (f"--set keep=1 needs {gb(_disk(found, recipe, 1))}, or " if recipe.keep > 1 else "")
            + "free some space or choose another --home"
        )
    if found.memory_total > found.room:
        where = cards[0].name if cards else found.devices[0].name
        raise UserError(
            f"the run needs {gb(found.memory_total)} of memory, {where} has {gb(found.room)}: {nearest(recipe, found, base)}"
        )


def _disk(found: Estimate, recipe: Recipe, keep: int) -> int:
    return found.disk - (recipe.keep - keep) * found.checkpoint


def nearest(recipe: Recipe, found: Estimate, base: Path) -> str:
    """The first change that fits, from what costs only speed to what changes what is learnt."""
    config, parameters = read_config(base), parameter_count(base)
    smaller = max(recipe.max_length, recipe.micro_batch_tokens // 4)
    cards = sum(d.gpu for d in found.devices)
    tries: list[dict[str, object]] = [
        {"micro_batch_tokens": smaller},
        {"micro_batch_tokens": recipe.max_length},
        {"activation_checkpointing": True},
        {"activation_checkpointing": True, "micro_batch_tokens": smaller},
        {"activation_checkpointing": True, "weights": "bf16"},
        {"activation_checkpointing": True, "micro_batch_tokens": smaller, "weights": "bf16"},
        {"activation_checkpointing": True, "micro_batch_tokens": smaller, "lora": Lora()},
    ]
    if cards > 1:
        tries.insert(4, {"processes": cards, "shard": True, "activation_checkpointing": True})
    for change in tries:
        candidate = replace(recipe, **change)  # type: ignore[arg-type]
        needed = sum(memory_parts(candidate, parameters, config, found.trained_share, found.devices[0].gpu).values())
        if candidate != recipe and needed <= found.room:
            return " ".join(f"--set {key}={_word(value)}" for key, value in change.items()) + " would fit"
    return "no setting of this recipe fits; choose a smaller base model"


def _word(value: object) -> str:
    return "'{\"rank\":16}'" if isinstance(value, Lora) else str(value).lower()

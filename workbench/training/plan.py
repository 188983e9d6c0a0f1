"""Which examples go into which step: the whole order of a run, fixed by lengths, recipe and seed before it starts."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from workbench.errors import UserError
from workbench.training.recipe import Recipe

MicroBatch = tuple[int, ...]
"""Indices of the examples that one forward pass packs together."""

_OPEN = 16


@dataclass(frozen=True, slots=True)
class Plan:
    """`steps[i]` are the micro-batches of step i + 1. `tokens` counts every token put through the model in training."""

    steps: tuple[tuple[MicroBatch, ...], ...]
    tokens: int
    epochs: float
    efficiency: float
    """Tokens per micro-batch ÷ its capacity, averaged: how full the packs are."""


def plan(lengths: Sequence[int], recipe: Recipe, world: int = 1) -> Plan:
    """The steps of a run within the recipe's budget of tokens and epochs (whichever ends first; at least one is set).

    With several processes every step holds a multiple of `world` micro-batches. Raises UserError if not even one step
    fits the budget.
    """
    if not lengths:
        raise UserError("there is nothing to train on: the data set has no training dialogue")
    wanted = max(1, round(recipe.batch_tokens / recipe.micro_batch_tokens))
    per_step = -(-wanted // world) * world
    steps: list[tuple[MicroBatch, ...]] = []
    tokens = examples = used = 0
    current: list[MicroBatch] = []
    pending = 0
    for batch in _stream(lengths, recipe):
        size = sum(lengths[i] for i in batch)
        if recipe.max_tokens_trained is not None and tokens + pending + size > recipe.max_tokens_trained:
            break
        current.append(batch)
        pending += size
        if len(current) == per_step:
            steps.append(tuple(current))
            tokens, used, examples = tokens + pending, used + len(current), examples + sum(map(len, current))
            current, pending = [], 0
    if current and world == 1:
        steps.append(tuple(current))
        tokens, used, examples = tokens + pending, used + len(current), examples + sum(map(len, current))
    if not steps:
        raise UserError(
            f"the budget of {recipe.max_tokens_trained} tokens does not hold one step; raise max_tokens_trained"
        )
    return Plan(tuple(steps), tokens, examples / len(lengths), tokens / (used * recipe.micro_batch_tokens))


def _stream(lengths: Sequence[int], recipe: Recipe) -> Iterator[MicroBatch]:
    """Micro-batches of one shuffled epoch after another, without end unless the recipe says how many epochs."""
    epoch = 0
    left = None if recipe.epochs is None else round(recipe.epochs * len(lengths))
    while left is None or left > 0:
        order = list(range(len(lengths)))
        random.Random(f"{recipe.seed}:{epoch}").shuffle(order)
        if left is not None:
            order = order[:left]
            left -= len(order)
        yield from _best_fit(order, lengths, recipe.micro_batch_tokens)
        epoch += 1


def _best_fit(order: Sequence[int], lengths: Sequence[int], capacity: int) -> Iterator[MicroBatch]:
    """Best fit into a few open packs, so that packs are full and the shuffled order is nearly kept."""
    packs: list[tuple[list[int], int]] = []
    for i in order:
        fits = [at for at, (_, size) in enumerate(packs) if size + lengths[i] <= capacity]
        if fits:
            best = max(fits, key=lambda at: packs[at][1])
            packs[best] = ([*packs[best][0], i], packs[best][1] + lengths[i])
        else:
            packs.append(([i], lengths[i]))
            if len(packs) > _OPEN:
                fullest = max(range(len(packs)), key=lambda at: packs[at][1])
                yield tuple(packs.pop(fullest)[0])
    yield from (tuple(members) for members, _ in packs)

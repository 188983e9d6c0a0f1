"""Choosing among given texts by their likelihood: all options scored exactly in one pass over their token trie."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(frozen=True, slots=True)
class Trie:
    """The options as a token trie. Node i has token `tokens[i]`, parent `parents[i]` (-1 is the prompt), depth from 0.

    `ends[k]` is the node at which option k is complete; the end-of-turn token after it is part of its likelihood, so
    that an option that begins another is not favoured.
    """

    tokens: tuple[int, ...]
    parents: tuple[int, ...]
    depths: tuple[int, ...]
    ends: tuple[int, ...]

    def mask(self, start: int, count: int) -> torch.Tensor:
        """Who may look at whom when `count` prompt tokens after `start` known ones are followed by the trie's nodes."""
        prompt, nodes = start + count, len(self.tokens)
        mask = torch.zeros((count + nodes, prompt + nodes), dtype=torch.bool)
        mask[:count, :prompt] = torch.ones((count, prompt), dtype=torch.bool).tril(start)
        mask[count:, :prompt] = True
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                mask[count + node, prompt:] = mask[count + parent, prompt:]
            mask[count + node, prompt + node] = True
        return mask


def build_trie(tokenizer: Any, options: tuple[str, ...]) -> Trie:
    """The trie of `options` as the model would write them at the start of its turn."""
    tokens: list[int] = []
    parents: list[int] = []
    depths: list[int] = []
    ends: list[int] = []
    children: dict[tuple[int, int], int] = {}
    for option in options:
        node = -1
        for depth, token in enumerate(tokenizer.encode(option, add_special_tokens=False)):
            key = (node, token)
            if key not in children:
                children[key] = len(tokens)
                tokens.append(token)
                parents.append(node)
                depths.append(depth)
            node = children[key]
        ends.append(node)
    return Trie(tuple(tokens), tuple(parents), tuple(depths), tuple(ends))


@dataclass(frozen=True, slots=True)
class Chosen:
    """The option taken and what each was worth: `logprobs` in nats, `shares` normalised over the options."""

    index: int
    logprobs: tuple[float, ...]
    shares: tuple[float, ...] = field(default=())


def score(
    trie: Trie, logits: torch.Tensor, end_token: int, temperature: float, generator: torch.Generator | None
) -> Chosen:
    """The choice from the logits at the prompt's last token (row 0) and at every node of the trie (rows 1…).

    Temperature 0 takes the likeliest option, the first of equals; otherwise one is drawn from their tempered shares.
    """
    logprobs = torch.log_softmax(logits.double(), dim=-1)
    reach: list[float] = []
    for token, parent in zip(trie.tokens, trie.parents, strict=True):
        before = reach[parent] if parent >= 0 else 0.0
        reach.append(before + float(logprobs[parent + 1, token]))
    totals = [(reach[end] if end >= 0 else 0.0) + float(logprobs[end + 1, end_token]) for end in trie.ends]
    top = max(totals)
    weights = [math.exp(t - top) for t in totals]
    shares = tuple(w / sum(weights) for w in weights)
    if temperature > 0:
        tempered = torch.softmax(torch.tensor(totals, dtype=torch.float64) / temperature, dim=0)
        index = int(torch.multinomial(tempered, 1, generator=generator))
    else:
        index = totals.index(top)
    return Chosen(index, tuple(totals), shares)

"""From chat messages to token ids and labels: a loss on what the assistant says and the end of its turn, only there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.errors import UserError
from workbench.training import template

IGNORED = -100
"""The label of a token without a loss (the convention of `torch.nn.functional.cross_entropy`)."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """One example. `labels[i]` is `ids[i]` where the model must produce it and IGNORED elsewhere (not yet shifted)."""

    ids: tuple[int, ...]
    labels: tuple[int, ...]

    @property
    def trained(self) -> int:
        """How many tokens carry a loss."""
        return sum(label != IGNORED for label in self.labels)


def encode(example: Mapping[str, Any] | Sequence[Mapping[str, str]], tokenizer: Any) -> Encoded:
    """Ids and labels of `{"messages": [...]}` or of the list itself, in our chat template.

    The mask goes by position (turn by turn), never by token id: the end-of-turn token is also the padding token of some
    models. Raises UserError for a dialogue without assistant text.
    """
    messages = [dict(m) for m in (example["messages"] if isinstance(example, Mapping) else example)]
    if not any(m["role"] == "assistant" for m in messages):
        raise UserError("a training example holds no assistant message")
    if any(m["role"] == "assistant" and not m["content"].strip() for m in messages):
        raise UserError("a training example holds an empty assistant message")
    ids = template.token_ids(tokenizer, messages)
    start, end = (tokenizer.convert_tokens_to_ids(t) for t in (template.TURN_START, template.TURN_END))
    header = len(tokenizer.encode("assistant\n", add_special_tokens=False)) + 1
    turns = [i for i, token in enumerate(ids) if token == start]
    ends = [i for i, token in enumerate(ids) if token == end]
    if not len(turns) == len(ends) == len(messages):
        raise UserError("a training example renders to a different number of turns than it has messages")
    labels = [IGNORED] * len(ids)
    for message, first, last in zip(messages, turns, ends, strict=True):
        if message["role"] == "assistant":
            labels[first + header : last + 1] = ids[first + header : last + 1]
    return Encoded(tuple(ids), tuple(labels))


@dataclass(frozen=True, slots=True)
class Packed:
    """Examples one after the other, without padding: what one forward pass sees.

    `positions` restart at 0 with every example, which is what keeps them from attending to each other. `select` are the
    indices of the hidden states that predict a trained token, `targets` those tokens, `lengths` those of the examples.
    """

    ids: tuple[int, ...]
    positions: tuple[int, ...]
    select: tuple[int, ...]
    targets: tuple[int, ...]
    lengths: tuple[int, ...]


def pack(examples: Sequence[Encoded]) -> Packed:
    """Concatenate examples; the last token of one never predicts the first of the next."""
    ids: list[int] = []
    positions: list[int] = []
    select: list[int] = []
    targets: list[int] = []
    for example in examples:
        offset = len(ids)
        ids.extend(example.ids)
        positions.extend(range(len(example.ids)))
        for i, label in enumerate(example.labels[1:]):
            if label != IGNORED:
                select.append(offset + i)
                targets.append(label)
    return Packed(tuple(ids), tuple(positions), tuple(select), tuple(targets), tuple(len(e.ids) for e in examples))

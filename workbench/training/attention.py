"""Attention over packed examples, example by example: no mask to build, nothing computed between examples.

transformers' own way (SDPA with a block-diagonal mask) computes every pair of a pack and throws most of them away; here
each example is one causal call, which the fused kernels of torch cut in half again. Both give the same result.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

NAME = "packed_examples"


def choose(config: Any) -> str:
    """The attention to load a model with: ours, or transformers' SDPA where layers need more than a causal mask."""
    from transformers import AttentionInterface

    special = ("sliding_window", "attn_logit_softcapping", "attention_chunk_size")
    types = set(getattr(config, "layer_types", None) or ["full_attention"])
    if types != {"full_attention"} or any(getattr(config, key, None) for key in special):
        return "sdpa"
    AttentionInterface.register(NAME, attend)
    return NAME


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    segments: tuple[int, ...] = (),
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each of `segments` (lengths that add up to the pack's), heads second as in transformers."""
    repeats = query.shape[1] // key.shape[1]
    if repeats > 1:
        key, value = (t.repeat_interleave(repeats, dim=1) for t in (key, value))
    lengths = list(segments) or [query.shape[2]]
    parts = [
        scaled_dot_product_attention(q, k, v, is_causal=True, scale=scaling, dropout_p=dropout)
        for q, k, v in zip(*(torch.split(t, lengths, 2) for t in (query, key, value)), strict=True)
    ]
    return torch.cat(parts, dim=2).transpose(1, 2), None

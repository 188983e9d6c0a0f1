"""How much work a token is, and how much a device can do: the two sides of model FLOP/s utilisation (MFU)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

PEAKS = {
    "H200": 989e12, "H100 PCIe": 756e12, "H100": 989e12, "A100": 312e12, "A800": 312e12, "L40S": 362e12, "L40": 181e12,
    "L4": 121e12, "A10": 125e12, "RTX 5090": 209e12, "RTX 4090": 165e12, "RTX 3090": 71e12, "B200": 2250e12,
}  # fmt: skip
"""Nominal dense bf16 FLOP/s with fp32 accumulation by a part of the card's name (vendor's data sheets)."""


def flops_per_token(parameters: int, config: Mapping[str, Any], context: float, share: float = 1.0) -> float:
    """Floating-point operations of training (forward and backward) a token, recomputation not counted.

    6 for each weight that a token is multiplied with (Kaplan et al. 2020), the output layer only for the `share` of tokens
    that carry a loss, plus causal attention over examples of `context` tokens: 6 × layers × width × context (half of PaLM's
    12, since half of the pairs are masked; Chowdhery et al. 2022, appendix B). Input embeddings are looked up, not counted.
    """
    hidden, vocabulary = int(config["hidden_size"]), int(config["vocab_size"])
    table = hidden * vocabulary
    tables = 1 if config.get("tie_word_embeddings", False) else 2
    heads = int(config.get("num_attention_heads", 1))
    width = heads * int(config.get("head_dim") or hidden // heads)
    body = parameters - tables * table
    return 6.0 * body + 6.0 * table * share + 6.0 * int(config["num_hidden_layers"]) * width * context


def nominal_peak(card: str) -> float | None:
    """The card's nominal dense bf16 FLOP/s, if its name is known."""
    return next((peak for name, peak in PEAKS.items() if name.lower() in card.lower()), None)


def peak(device: Any, precision: str = "bf16") -> tuple[float, str]:
    """FLOP/s of a torch device: nominal bf16 for a card that is known, else those of a matrix product, timed now in the
    precision of the run ("bf16" or "fp32": a processor without bf16 is fifty times slower at it).
    """
    import time

    import torch

    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        if found := nominal_peak(name):
            return found, f"nominal bf16 of {name}"
    size = 8192 if device.type == "cuda" else 512
    matrix = torch.ones(size, size, dtype=torch.bfloat16 if precision == "bf16" else torch.float32, device=device)
    best = math.inf
    for _ in range(3):
        began = time.perf_counter()
        float((matrix @ matrix)[0, 0])
        best = min(best, time.perf_counter() - began)
    return 2.0 * size**3 / best, f"{precision} matrix product of {size}"

"""Matrix products with fixed weights, in the layouts that a processor multiplies fastest with.

Measured with float32 on AVX2 cores (`benchmarks/serving.py` shows what comes of it): one row at a time, a wide weight is read
a third faster when it lies transposed; several rows at once are up to twice as fast on oneDNN's packed weights. On a CPU
each weight is therefore kept twice; elsewhere, and in other precisions, once and as it is.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

_PACKS = bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]
_ROWS = 8
"""The number of rows that packed weights are laid out for; others run on the same layout."""


class Linear:
    """`x @ weight.T + bias` for x of rows × in; `weight` is out × in, `bias` out or None."""

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None = None) -> None:
        self._bias = bias
        self._packed: Any = None
        if weight.device.type == "cpu" and weight.dtype == torch.float32 and _PACKS:
            self._packed = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)
            weight = weight.t().contiguous().t() if weight.shape[0] >= weight.shape[1] else weight.contiguous()
        self.weight = weight

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Rows × out."""
        if self._packed is None or len(x) == 1:
            return F.linear(x, self.weight, self._bias)
        product: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, self._bias, "none", [], "")
        return product

"""AdamW for weights held in bf16: updates too small for bf16's 8 bits of mantissa are rounded at random or remembered.

At a learning rate of 2e-5 most updates are less than half the distance between two bf16 numbers, so that rounding to the
nearest loses them. Stochastic rounding keeps them in expectation (Gupta et al. 2015; Zamirai et al. 2020), Kahan summation
keeps what was lost in a second bf16 number (2 bytes a parameter more). Moments are bf16 too; with stochastic rounding they are
rounded like the weights, else to the nearest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch

Rounding = Literal["stochastic", "kahan", "nearest"]
_SLICE = 1 << 24
"""Elements updated at once: the fp32 values in between take 64 MB each and not four bytes a parameter."""


class RoundingAdamW(torch.optim.Optimizer):
    """AdamW (Loshchilov & Hutter 2019) whose arithmetic is fp32 and whose weights and moments are bf16.

    `rounding` "nearest" is what plain bf16 training does; it is there to be compared with.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        rounding: Rounding = "stochastic",
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})
        self._rounding = rounding

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self._update(parameter, group)

    def _update(self, parameter: torch.Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
            if self._rounding == "kahan":
                state["remainder"] = torch.zeros_like(parameter)
        state["step"] += 1
        number = float(state["step"])
        beta1, beta2 = group["betas"]
        names = ("exp_avg", "exp_avg_sq", *(["remainder"] if self._rounding == "kahan" else []))
        flat = [_local(t).view(-1) for t in (parameter, parameter.grad, *(state[n] for n in names))]
        parts = [torch.split(t, _SLICE) for t in flat]
        for weight, gradient, mean, square, *rest in zip(*parts, strict=True):
            g, m, v = gradient.float(), mean.float(), square.float()
            m.lerp_(g, 1 - beta1)
            v.mul_(beta2).addcmul_(g, g, value=1 - beta2)
            scale = (v / (1 - beta2**number)).sqrt_().add_(group["eps"])
            w = weight.float()
            change = (
                m.div(scale)
                .mul_(-group["lr"] / (1 - beta1**number))
                .add_(w, alpha=-group["lr"] * group["weight_decay"])
            )
            if rest:
                change += rest[0].float()
            new = w + change
            self._put(weight, new)
            self._put(mean, m)
            self._put(square, v)
            if rest:
                rest[0].copy_(change - (weight.float() - w))

    def _put(self, target: torch.Tensor, value: torch.Tensor) -> None:
        """Write fp32 values into a bf16 tensor."""
        rough = self._rounding == "stochastic" and target.dtype == torch.bfloat16
        target.copy_(round_stochastically(value) if rough else value)


def round_stochastically(value: torch.Tensor) -> torch.Tensor:
    """fp32 → bf16, up or down with the probability that makes the expectation exact.

    bf16 is the upper half of an fp32 number: adding 16 random bits to the lower half before it is cut off does it. Draws
    from torch's generator of the device. Values that are not finite stay what they are.
    """
    bits = value.contiguous().view(torch.int32)
    noise = torch.randint(0, 1 << 16, value.shape, dtype=torch.int32, device=value.device)
    rounded = ((bits + noise) & -65536).view(torch.float32)
    return torch.where(value.isfinite(), rounded, value).to(torch.bfloat16)


def _local(tensor: torch.Tensor) -> torch.Tensor:
    """This process's part of a sharded tensor."""
    local = getattr(tensor, "_local_tensor", None)
    return tensor if local is None else local

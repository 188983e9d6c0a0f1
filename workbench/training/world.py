"""Several processes as one: sharding (FSDP2), agreement, and whole tensors out of and into shards.

With one process every function here does nothing. Sharding is torch's `fully_shard`, which runs on GPUs (NCCL) and on
processors (gloo) alike; accelerate finds the devices and starts the processes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn


def size() -> int:
    """How many processes train together."""
    return torch.distributed.get_world_size() if _joined() else 1


def is_first() -> bool:
    """Whether this is the process that reports and writes."""
    return not _joined() or torch.distributed.get_rank() == 0


def shard(module: nn.Module, layers: Iterable[nn.Module], device: torch.device) -> nn.Module:
    """FSDP2: each process keeps a part of every layer's weights, gradients and optimiser state, and of the rest."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (size(),))
    for layer in layers:
        fully_shard(layer, mesh=mesh)
    fully_shard(module, mesh=mesh)
    return module


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """All of a sharded tensor; every process must ask for it."""
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def like(tensor: torch.Tensor, pattern: torch.Tensor) -> torch.Tensor:
    """`tensor`, which is whole, sharded as `pattern` is."""
    from torch.distributed.tensor import DTensor, distribute_tensor

    if not isinstance(pattern, DTensor) or tensor.shape != pattern.shape:
        return tensor
    moved = tensor.to(pattern.device)
    return distribute_tensor(moved, pattern.device_mesh, pattern.placements)


def gathered(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """All tensors whole, in the first process only (elsewhere empty), one at a time."""
    found = {}
    for name, tensor in tensors.items():
        one = whole(tensor.detach())
        if is_first():
            found[name] = one.cpu() if one is not tensor else one
        del one
    return found


def agreed(value: float, device: torch.device) -> float:
    """The first process's value, everywhere."""
    if size() == 1:
        return value
    shared = torch.tensor([value], dtype=torch.float64, device=device)
    torch.distributed.broadcast(shared, 0)
    return float(shared)


def any_of(value: bool, device: torch.device) -> bool:
    """Whether it is true in any process."""
    if size() == 1:
        return value
    shared = torch.tensor([int(value)], device=device)
    torch.distributed.all_reduce(shared, torch.distributed.ReduceOp.MAX)
    return bool(shared.item())


def everyones(tensor: torch.Tensor) -> list[torch.Tensor]:
    """The same tensor of every process, by rank (small ones only)."""
    if size() == 1:
        return [tensor]
    found: list[Any] = [None] * size()
    torch.distributed.all_gather_object(found, tensor)
    return found


def rank() -> int:
    """This process's number."""
    return torch.distributed.get_rank() if _joined() else 0


def _joined() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()

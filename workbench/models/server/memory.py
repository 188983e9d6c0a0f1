"""Whether a model fits into memory, asked before it is loaded: afterwards the system ends the process without a word."""

from __future__ import annotations

import json
from pathlib import Path

from workbench.errors import UserError

_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
_GGUF_BITS = {"f32": 32, "f16": 16, "q4": 4.5, "q5": 5.5, "q6": 6.6}
_ROOM = {"float32": 2.3, "float16": 1.3, "bfloat16": 1.3}
"""How often the weights' size is wanted: float32 is kept in two layouts (see `linear`), and there is more than weights."""
_CGROUP = Path("/sys/fs/cgroup")


def bytes_needed(model: Path, dtype: str) -> int:
    """What serving `model` (a Hugging Face folder or a GGUF file) as `dtype` (a name) takes at least."""
    if model.is_file():
        return int(_ROOM[dtype] * model.stat().st_size * 8 / _gguf_bits(model) * _BYTES[dtype])
    stored = sum(file.stat().st_size for file in model.glob("*.safetensors"))
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    kept_as = str(config.get("dtype") or config.get("torch_dtype") or "float32")
    return int(_ROOM[dtype] * stored * _BYTES[dtype] / _BYTES.get(kept_as, 4))


def _gguf_bits(model: Path) -> float:
    """Bits a weight, by the quantisation in the file's name (those of q8 where it says nothing)."""
    name = model.stem.lower()
    return next((bits for mark, bits in _GGUF_BITS.items() if mark in name), 8.5)


def bytes_free() -> int:
    """Memory that can still be had: the machine's, or what our control group leaves of it."""
    import psutil

    free = int(psutil.virtual_memory().available)
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
    except (OSError, ValueError):
        return free
    return min(free, int(limit) - used) if limit.isdigit() else free


def check_fits(model: Path, dtype: str) -> None:
    """Raise UserError if `model` will not fit into the memory that is free."""
    needed, free = bytes_needed(model, dtype), bytes_free()
    if needed > free:
        raise UserError(
            f"{model.name} as {dtype} takes about {needed / 1e9:.1f} GB of memory and {free / 1e9:.1f} GB are free: "
            f"end other programs, {'take --dtype bfloat16, ' if dtype == 'float32' else ''}or serve a smaller model"
        )

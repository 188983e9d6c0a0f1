"""Checkpoints that appear whole or not at all: written aside, forced to the disk, renamed. No pickle."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from workbench.errors import ServiceError

_MARKER = "state.json"
_GROUPS = "groups"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete checkpoint on disk. `state` is the plain data saved with it."""

    folder: Path
    step: int
    state: Mapping[str, Any]


def save(
    folder: Path, step: int, tensors: Mapping[str, Mapping[str, Any]], state: Mapping[str, Any], keep: int
) -> Path:
    """Write `folder/step-NNNNNN` with one safetensors file a group and the state last; then prune all but `keep`.

    Raises ServiceError when the disk cannot hold it; the older checkpoints stay as they are.
    """
    from safetensors.torch import save_file

    target = folder / f"step-{step:06d}"
    require_space(folder, sum(t.numel() * t.element_size() for group in tensors.values() for t in group.values()))

    def write(aside: Path) -> None:
        for name, group in tensors.items():
            save_file({k: t.detach().cpu().contiguous() for k, t in group.items()}, aside / f"{name}.safetensors")
        (aside / _MARKER).write_text(json.dumps({**state, "step": step, _GROUPS: sorted(tensors)}), encoding="utf-8")

    write_folder(target, write)
    for old in _complete(folder)[:-keep]:
        shutil.rmtree(folder / old, ignore_errors=True)
    return target


def newest(folder: Path) -> Checkpoint | None:
    """The newest whole checkpoint, if any: damaged ones are passed over, leftovers of a write cut short removed."""
    if not folder.is_dir():
        return None
    for leftover in folder.glob(".aside-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    for name in reversed(_complete(folder)):
        state = _state_of(folder / name)
        if state is not None:
            return Checkpoint(folder / name, int(state["step"]), state)
        print(f"checkpoint {folder / name} is damaged and passed over", flush=True)
    return None


def _state_of(place: Path) -> Mapping[str, Any] | None:
    """The state of a checkpoint, None if one of its files is not whole (a disk that lied, a copy that broke off)."""
    from safetensors import safe_open

    try:
        for file in place.glob("*.safetensors"):
            with safe_open(file, framework="pt"):  # compares the length that its header tells with the file's
                pass
        state = json.loads((place / _MARKER).read_text(encoding="utf-8"))
        if not all((place / f"{name}.safetensors").is_file() for name in state.pop(_GROUPS, ())):
            return None
        return {**state, "step": int(state["step"])}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError):
        return None


def write_folder(target: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a folder beside `target`, force it to the disk, then put it in `target`'s place in one rename.

    An existing `target` is replaced; a reader sees the old or the new one.
    """
    aside = target.with_name(f".aside-{target.name}-{os.getpid()}")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        write(aside)
        for file in sorted(aside.iterdir()):
            _fsync(file)
        _fsync(aside)
    except (
        OSError,
        SafetensorError,
    ) as error:  # the library that writes weights has an error of its own for a full disk
        shutil.rmtree(aside, ignore_errors=True)
        why = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise ServiceError(
            f"cannot write {target}: {why}; the last good checkpoint is untouched: free some space, then resume"
        ) from error
    old = target.with_name(f".aside-old-{target.name}-{os.getpid()}")
    if target.exists():
        target.rename(old)
    aside.rename(target)
    _fsync(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def require_space(folder: Path, needed: int) -> None:
    """Raise ServiceError unless the disk under `folder` has `needed` bytes free (and 64 MiB to spare)."""
    place = folder
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed + 2**26:
        raise ServiceError(
            f"the disk under {folder} has {free / 1e9:.1f} GB free, {needed / 1e9:.1f} GB are needed: "
            "free some space or choose another --home, then resume"
        )


def _complete(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.glob("step-*") if (p / _MARKER).is_file())


def _fsync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

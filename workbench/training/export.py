"""Handing a compiled model to other programs."""

from __future__ import annotations

import shutil
from pathlib import Path

from workbench.errors import UserError
from workbench.home import Home
from workbench.training.checkpoints import write_folder
from workbench.training.launch import run_folder


def export_hf(home: Home, run: str, target: Path) -> Path:
    """Copy the run's best model to `target`, whole or not at all. Raises UserError if `target` is there already."""
    folder = run_folder(home, run)
    if target.exists():
        raise UserError(f"{target} exists already: choose another --output or remove it")

    def copy(aside: Path) -> None:
        for file in folder.iterdir():
            shutil.copy2(file, aside / file.name)

    write_folder(target.absolute(), copy)
    return target.absolute()

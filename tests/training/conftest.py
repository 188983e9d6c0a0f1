"""A tiny random model with a real tokenizer, built on the spot: every test of the trainer runs in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

CITIES = ("Oslo", "Rome", "Paris", "Lima", "Cairo", "Quito")


def dialogue(i: int) -> dict[str, Any]:
    """A short booking dialogue; every i gives another one."""
    a, b = CITIES[i % 6], CITIES[(i // 6 + i + 1) % 6]
    turns = [
        ("system", "You book trips."),
        ("assistant", "Where would you like to go?"),
        ("user", f"To {b}, from {a}, on {i % 28 + 1} May" + " please" * (i % 4)),
        ("assistant", f"{b} from {a}. Shall I book it?"),
        ("user", "Yes" if i % 2 else "No, thanks"),
        ("assistant", f"Your trip to {b} is booked." if i % 2 else "Nothing was booked. Goodbye!"),
    ]
    return {"messages": [{"role": role, "content": text} for role, text in turns]}


def build_tiny(folder: Path, texts: Sequence[str] = (), vocabulary: int = 400, positions: int = 512) -> Path:
    """Save a two-layer Llama with grouped-query attention and a byte-level BPE tokenizer that speaks our template.

    The tokenizer learns from `texts`, else from the short dialogues above.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from workbench.training import base, template

    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", template.TURN_START, template.TURN_END]
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    learnt = texts or [m["content"] for i in range(40) for m in dialogue(i)["messages"]]
    backend.train_from_iterator(learnt, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token=special[1], eos_token=special[2])
    template.install(tokenizer)
    torch.manual_seed(7)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
            num_key_value_heads=2, max_position_embeddings=positions, tie_word_embeddings=True,
            bos_token_id=1, eos_token_id=2, pad_token_id=2,
        )
    )  # fmt: skip
    base.set_end_token(model, tokenizer)
    base.save_model(model, tokenizer, folder)
    return folder


def build_base(folder: Path) -> Path:
    """A tiny model whose tokenizer has read the travel dialogues."""
    from workbench.dialogue.scenarios import scenario_for_path
    from workbench.dialogue.scripted import write
    from workbench.workflow.load import load_workflow
    from workbench.workflow.paths import PathSpace

    travel = load_workflow("travel_booking")
    paths = enumerate(PathSpace(travel))
    said = [m.text for i, p in paths for m in write(travel, scenario_for_path(travel, p, "train", i)).messages]
    return build_tiny(folder, said, vocabulary=1200, positions=8192)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tiny model."""
    return build_tiny(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="session")
def tokenizer(tiny: Path) -> Any:
    """Its tokenizer."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny)

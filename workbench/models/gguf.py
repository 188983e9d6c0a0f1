"""Reading a GGUF file as a transformers model and tokenizer: quantised weights become plain ones of the wanted type."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workbench.errors import UserError


def read_gguf(file: Path, dtype: Any) -> tuple[Any, Any]:
    """The model in `file` with its weights as `dtype` (a torch type), and its tokenizer.

    What quantisation took away stays away. Raises UserError where the file cannot be read.
    """
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    if not file.is_file():
        raise UserError(f"{file}: no such file")
    try:
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
        if "smollm" in file.name.lower():
            _repair_digits(tokenizer)
        model = AutoModelForCausalLM.from_pretrained(
            file.parent, gguf_file=file.name, dtype=dtype, quantization_config=GgufConfig(dequantize=True)
        )
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{file}: {str(error).splitlines()[0]}") from error
    return model, tokenizer


def _repair_digits(tokenizer: Any) -> None:
    """Put back the pre-tokenizer that splits digits one by one: transformers loses it when it reads SmolLM2's GGUF."""
    from tokenizers import pre_tokenizers

    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )

"""What the terminal app may ask of this room: light, and the same as what the trainer finds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.training.conftest import dialogue
from workbench.training.encoding import encode
from workbench.training.template import LightTokenizer, render, token_ids

turns = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": st.text(max_size=30)}),
    min_size=1,
    max_size=5,
)


@given(turns, st.booleans())
def test_the_template_without_jinja_is_the_template(
    tokenizer: Any, messages: list[dict[str, str]], reply: bool
) -> None:
    from workbench.training.template import CHATML

    whole = tokenizer.apply_chat_template(messages, chat_template=CHATML, tokenize=False, add_generation_prompt=reply)
    assert render(messages, reply) == whole


def test_light_and_whole_tokenizer_give_the_same_ids_and_labels(tiny: Path, tokenizer: Any) -> None:
    light = LightTokenizer(tiny)
    for i in range(40):
        assert encode(dialogue(i), light) == encode(dialogue(i), tokenizer)
    odd = [{"role": "user", "content": "<|im_end|> 1234  naïve 日本 \n\t x"}]
    assert token_ids(light, odd) == token_ids(tokenizer, odd)


def test_looking_ahead_and_reading_curves_import_nothing_heavy() -> None:
    code = "import sys; from workbench.training import look, curves, compare; import workbench.evaluation.mend; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & {"torch", "transformers", "datasets", "langgraph", "anthropic", "openai", "scipy", "networkx"}

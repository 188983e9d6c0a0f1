from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training.conftest import dialogue
from workbench.errors import UserError
from workbench.training import template
from workbench.training.encoding import IGNORED, Encoded, encode, pack


def spans(encoded: Encoded, tokenizer: Any) -> list[str]:
    """The runs of labelled tokens, decoded."""
    runs: list[list[int]] = []
    for before, label in pairwise((IGNORED, *encoded.labels)):
        if label != IGNORED:
            if before == IGNORED:
                runs.append([])
            runs[-1].append(label)
    return [tokenizer.decode(run) for run in runs]


def test_the_labels_are_exactly_what_the_assistant_says_and_its_end_of_turn(tokenizer: Any) -> None:
    for i in range(12):
        example = dialogue(i)
        said = [m["content"] + template.TURN_END for m in example["messages"] if m["role"] == "assistant"]
        assert spans(encode(example, tokenizer), tokenizer) == said


text = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=30).filter(lambda t: t.strip())


@settings(deadline=None, max_examples=60)
@given(said=st.lists(text, min_size=2, max_size=5))
def test_any_text_even_control_tokens_keeps_mask_and_prefix(tokenizer: Any, said: list[str]) -> None:
    said[0] += "<|im_end|>\n<|im_start|>assistant\n"
    turns = [{"role": "assistant" if i % 2 else "user", "content": t} for i, t in enumerate(said)]
    encoded = encode(turns, tokenizer)
    assert len(spans(encoded, tokenizer)) == len(said) // 2
    assert encoded.ids.count(tokenizer.convert_tokens_to_ids(template.TURN_END)) == len(said)
    for n in range(1, len(turns)):
        prompt = template.token_ids(tokenizer, turns[:n], reply=turns[n]["role"] == "assistant")
        assert list(encoded.ids[: len(prompt)]) == prompt


def test_what_is_trained_is_what_the_saved_template_asks_for_in_serving(tokenizer: Any) -> None:
    messages = dialogue(3)["messages"]
    served = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
    encoded = encode(messages, tokenizer)
    assert served["input_ids"] == list(encoded.ids)
    assert served["assistant_masks"] == [int(label != IGNORED) for label in encoded.labels]


def test_an_example_without_anything_to_learn_is_refused(tokenizer: Any) -> None:
    with pytest.raises(UserError, match="no assistant message"):
        encode([{"role": "user", "content": "Hello"}], tokenizer)
    with pytest.raises(UserError, match="empty"):
        encode([{"role": "assistant", "content": " "}], tokenizer)


def test_no_example_predicts_the_first_token_of_the_next(tokenizer: Any) -> None:
    packed = pack([encode(dialogue(i), tokenizer) for i in range(3)])
    starts = [i for i, position in enumerate(packed.positions) if position == 0]
    assert len(starts) == 3 == len(packed.lengths)
    assert sum(packed.lengths) == len(packed.ids)
    assert not {start - 1 for start in starts} & set(packed.select)
    assert [packed.ids[i + 1] for i in packed.select] == list(packed.targets)


@pytest.mark.parametrize("attention", ["packed_examples", "sdpa", "chunked"])
def test_packing_gives_what_separate_passes_give(
    tiny: Path, tokenizer: Any, attention: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from workbench.training import network
    from workbench.training.recipe import Recipe

    model, _ = network.load(tiny, Recipe())
    if attention == "sdpa":
        model.set_attn_implementation("sdpa")
    elif attention == "chunked":
        monkeypatch.setattr(network, "_CHUNK", 7)
    loss = network.PackedLoss(model)
    examples = [encode(dialogue(i), tokenizer) for i in range(4)]
    device = torch.device("cpu")
    alone = sum(loss(**network.tensors(pack([e]), device)) for e in examples)
    alone.backward()
    wanted = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    together = loss(**network.tensors(pack(examples), device))
    together.backward()
    assert together.item() == pytest.approx(alone.item(), rel=1e-5)
    for p, gradient in zip(model.parameters(), wanted, strict=True):
        torch.testing.assert_close(p.grad, gradient, rtol=1e-3, atol=1e-4)
    reference = sum(
        float(model(input_ids=torch.tensor([e.ids]), labels=torch.tensor([e.labels])).loss) * len(pack([e]).targets)
        for e in examples
    )
    assert together.item() == pytest.approx(reference, rel=1e-4)

"""The one chat template: ChatML, frozen here, saved with every model, used in training and in serving alike.

It has no default system turn, marks what the assistant speaks with `{% generation %}`, trims every message and breaks
up control tokens in its text (`<|` becomes `< |`), so that no message can end its own turn. Because every message is
trimmed and ends in a control token, the rendering of a dialogue's beginning is a prefix of the rendering of the whole.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from workbench.errors import UserError

TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
CHATML = files("workbench.training").joinpath("chatml.jinja").read_text(encoding="utf-8").rstrip("\n")


def install(tokenizer: Any) -> None:
    """Make `tokenizer` speak our ChatML: the template, its two control tokens, end of sequence = end of turn.

    A tokenizer that lacks the control tokens gains them: resize the model's embedding to `len(tokenizer)` then.
    """
    known = tokenizer.get_vocab()
    missing = [token for token in (TURN_START, TURN_END) if token not in known]
    if missing:
        tokenizer.add_special_tokens({"additional_special_tokens": missing})
    tokenizer.chat_template = CHATML
    tokenizer.eos_token = TURN_END
    if tokenizer.pad_token is None:
        tokenizer.pad_token = TURN_END
    verify(tokenizer)


def verify(tokenizer: Any) -> None:
    """Raise UserError unless rendering keeps prefixes and both control tokens are single tokens of this tokenizer."""
    for token in (TURN_START, TURN_END):
        if len(tokenizer.encode(token, add_special_tokens=False)) != 1:
            raise UserError(f"the tokenizer splits {token}; use a base model whose tokenizer can hold ChatML")
    turns = [
        {"role": "system", "content": "You book trips."},
        {"role": "assistant", "content": "Where to?"},
        {"role": "user", "content": "Oslo, 12 May"},
        {"role": "assistant", "content": "Booked: 2026."},
    ]
    whole = token_ids(tokenizer, turns)
    for n in (1, 3):
        prompt = token_ids(tokenizer, turns[:n], reply=True)
        if whole[: len(prompt)] != prompt:
            raise UserError(f"the chat template does not keep prefixes: {n} messages tokenise differently on their own")


def token_ids(tokenizer: Any, messages: list[dict[str, str]], reply: bool = False) -> list[int]:
    """Token ids of the rendered messages; with `reply` the opening of the assistant's next turn follows."""
    text = tokenizer.apply_chat_template(messages, chat_template=CHATML, tokenize=False, add_generation_prompt=reply)
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids

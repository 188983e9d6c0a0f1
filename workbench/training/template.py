"""The one chat template: ChatML, frozen here, saved with every model, used in training and in serving alike.

It has no default system turn, marks what the assistant speaks with `{% generation %}`, trims every message and breaks
up control tokens in its text (`<|` becomes `< |`), so that no message can end its own turn. Because every message is
trimmed and ends in a control token, the rendering of a dialogue's beginning is a prefix of the rendering of the whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
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


def render(messages: Iterable[Mapping[str, str]], reply: bool = False) -> str:
    """What the template makes of the messages, without Jinja (a test holds the two together)."""
    turns = [f"{TURN_START}{m['role']}\n{m['content'].strip().replace('<|', '< |')}{TURN_END}\n" for m in messages]
    return "".join(turns) + (f"{TURN_START}assistant\n" if reply else "")


class LightTokenizer:
    """A base model's tokenizer for counting: the same ids as transformers' from its `tokenizer.json`, in 0.1 s.

    It has just the methods that `encoding.encode` needs. Raises UserError if the folder has no such file.
    """

    def __init__(self, folder: Path) -> None:
        from tokenizers import Tokenizer

        file = folder / "tokenizer.json"
        if not file.is_file():
            raise UserError(f"{folder} holds no tokenizer.json: save the model with a fast tokenizer")
        self._inner = Tokenizer.from_file(str(file))

    def apply_chat_template(
        self, messages: Iterable[Mapping[str, str]], add_generation_prompt: bool = False, **_: object
    ) -> str:
        """The rendered messages, as text."""
        return render(messages, add_generation_prompt)

    def encode(self, text: str, add_special_tokens: bool = False) -> list[int]:
        """Token ids."""
        ids: list[int] = self._inner.encode(text, add_special_tokens=add_special_tokens).ids
        return ids

    def convert_tokens_to_ids(self, token: str) -> int | None:
        """The id of a single token."""
        found: int | None = self._inner.token_to_id(token)
        return found


def token_ids(tokenizer: Any, messages: list[dict[str, str]], reply: bool = False) -> list[int]:
    """Token ids of the rendered messages; with `reply` the opening of the assistant's next turn follows."""
    text = tokenizer.apply_chat_template(messages, chat_template=CHATML, tokenize=False, add_generation_prompt=reply)
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False)
    return ids

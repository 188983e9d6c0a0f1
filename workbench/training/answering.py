"""What the model in training says: batched greedy decoding, and fixed held-out dialogues answered before and now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from workbench.training import template

Chat = list[dict[str, str]]

_SHOWN_TOKENS = 48
"""An untrained model never stops by itself: what is only shown is cut here."""


class Answer(Protocol):
    """Chats that end before an assistant's turn → the model's next messages, greedy, at most `max_tokens` each."""

    def __call__(self, chats: Sequence[Chat], max_tokens: int = 120) -> list[str]:
        """One answer a chat, in their order."""
        ...


@dataclass(frozen=True, slots=True)
class ProbeReport:
    """What a probe found: the share of `n` dev conversations that went right (None: not measured), and samples to show.

    A sample is plain data: `{"title": str, "messages": [{"role", "content", "answer" (assistant turns only)}]}`.
    """

    pass_rate: float | None = None
    n: int = 0
    samples: tuple[Mapping[str, Any], ...] = field(default=())


Probe = Callable[[Answer], ProbeReport]


def answer_with(model: Any, tokenizer: Any, batch: int = 16) -> Answer:
    """Greedy answers of `model` (in evaluation mode), batched with padding on the left."""
    import torch

    end = tokenizer.convert_tokens_to_ids(template.TURN_END)

    def answer(chats: Sequence[Chat], max_tokens: int = 120) -> list[str]:
        prompts = [template.token_ids(tokenizer, chat, reply=True) for chat in chats]
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        answers = [""] * len(prompts)
        for start in range(0, len(order), batch):
            chosen = order[start : start + batch]
            width = max(len(prompts[i]) for i in chosen)
            ids = torch.tensor([[end] * (width - len(prompts[i])) + prompts[i] for i in chosen], device=model.device)
            mask = torch.tensor(
                [[0] * (width - len(prompts[i])) + [1] * len(prompts[i]) for i in chosen], device=model.device
            )
            with torch.inference_mode():
                out = model.generate(
                    input_ids=ids, attention_mask=mask, max_new_tokens=max_tokens, eos_token_id=end, do_sample=False
                )
            for row, i in zip(out[:, width:].tolist(), chosen, strict=True):
                answers[i] = tokenizer.decode(row, skip_special_tokens=True).strip()
        return answers

    return answer


def replay(dialogues: Sequence[Chat]) -> Probe:
    """The probe used when none is given: every assistant turn of the dialogues, answered after the true history."""

    def probe(answer: Answer) -> ProbeReport:
        prompts = [(d, i) for d, chat in enumerate(dialogues) for i, m in enumerate(chat) if m["role"] == "assistant"]
        said = dict(zip(prompts, answer([list(dialogues[d][:i]) for d, i in prompts], _SHOWN_TOKENS), strict=True))
        samples = tuple(
            {
                "title": f"dev {d + 1}",
                "messages": [{**m, "answer": said[d, i]} if (d, i) in said else dict(m) for i, m in enumerate(chat)],
            }
            for d, chat in enumerate(dialogues)
        )
        return ProbeReport(samples=samples)

    return probe

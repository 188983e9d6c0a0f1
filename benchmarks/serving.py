"""Serving a small model on a CPU: our engine beside a plain `transformers` generate call a turn, in the same process.

Both run the same weights in the same precision with the same number of threads, by turns, so that a busy machine slows
both alike; only the ratios mean something. WORKBENCH_BENCH_MODEL names another Hugging Face folder than SmolLM2.
"""

from __future__ import annotations

import gc
import os
import queue
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import torch
from common import Finding, main

from workbench.home import find_home
from workbench.models.server.engine import Chunk, Engine, Finished, Generation, load_engine
from workbench.models.server.job import set_threads

SYSTEM = "You are a helpful travel booking assistant."
USER = (
    "Hello! I would like to book a trip for two people.",
    "We were thinking of Lisbon, some time in the middle of May.",
    "About two thousand dollars for both of us, flights and hotel together.",
    "That sounds nice. Is there something a little closer to the old town?",
    "Yes, please take that one. My name is Maria Lopes.",
    "No, that is all. Thank you very much!",
)
RIVAL = "transformers generate a turn"


@dataclass(frozen=True)
class Timed:
    """One reply: its token ids or text, seconds to the first token and in all, tokens written."""

    text: str
    first_s: float
    total_s: float
    tokens: int

    @property
    def rate(self) -> float:
        """Tokens a second after the first."""
        return (self.tokens - 1) / max(self.total_s - self.first_s, 1e-9)


class _First:
    """A streamer in the library's sense that notes when the first new token came."""

    def __init__(self) -> None:
        self.calls = 0
        self.at = 0.0

    def put(self, _: object) -> None:
        self.calls += 1
        if self.calls == 2:  # the first call hands over the prompt
            self.at = time.perf_counter()

    def end(self) -> None:
        pass


def prompt_of(tokenizer: Any, messages: list[dict[str, str]]) -> tuple[int, ...]:
    return tuple(tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False))


def ours(engine: Engine, *prompts: tuple[int, ...], tokens: int) -> list[Timed]:
    """The prompts all at once."""
    events: queue.Queue[tuple[int, float, Chunk | Finished]] = queue.Queue()
    began = time.perf_counter()
    for index, prompt in enumerate(prompts):
        request = Generation(prompt, tokens)
        engine.submit(request, lambda event, index=index: events.put((index, time.perf_counter() - began, event)))
    first: dict[int, float] = {}
    done: dict[int, Timed] = {}
    while len(done) < len(prompts):
        index, at, event = events.get()
        first.setdefault(index, at)
        if isinstance(event, Finished):
            done[index] = Timed(event.text, first[index], at, max(event.output_tokens, 1))
    return [done[i] for i in range(len(prompts))]


def plain(model: Any, tokenizer: Any, prompt: tuple[int, ...], tokens: int) -> Timed:
    """One generate call on the whole conversation."""
    ids, first = torch.tensor([prompt]), _First()
    began = time.perf_counter()
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False, streamer=first
    )
    spent = time.perf_counter() - began
    fresh = out[0, len(prompt) :]
    text = tokenizer.decode(fresh, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return Timed(text, first.at - began, spent, len(fresh))


def conversation(engine: Engine, model: Any, turns: int, tokens: int) -> tuple[list[Timed], list[Timed]]:
    """The same conversation turn by turn with both; the replies in its history are the rival's."""
    messages = [{"role": "system", "content": SYSTEM}]
    mine: list[Timed] = []
    theirs: list[Timed] = []
    for line in USER[:turns]:
        messages.append({"role": "user", "content": line})
        prompt = prompt_of(engine.tokenizer, messages)
        mine += ours(engine, prompt, tokens=tokens)
        theirs.append(plain(model, engine.tokenizer, prompt, tokens))
        messages.append({"role": "assistant", "content": theirs[-1].text})
    return mine, theirs


def agreement(tokenizer: Any, mine: Sequence[Timed], theirs: Sequence[Timed]) -> float:
    """Share of the rival's tokens that ours wrote before the first difference of each reply."""
    same = total = 0
    for a, b in zip(mine, theirs, strict=True):
        x, y = (tokenizer.encode(t.text, add_special_tokens=False) for t in (a, b))
        same += next((i for i, (p, q) in enumerate(zip(x, y, strict=False)) if p != q), min(len(x), len(y)))
        total += len(y)
    return same / max(total, 1)


def load_both(folder: Path, dtype: str) -> tuple[Engine, Any]:
    """Our engine and the library's model on the same weights."""
    from transformers import AutoModelForCausalLM

    engine = load_engine(folder, dtype)
    engine.start()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=engine.decoder.shape.dtype, local_files_only=True)
    return engine, model.eval()


def batch(engine: Engine, count: int, tokens: int) -> tuple[float, float]:
    """Tokens a second of `count` conversations at once, and of as many one after another."""

    def prompts(kind: str) -> list[tuple[int, ...]]:
        lines = [f"{USER[0]} This is {kind} number {i}, and we would leave from town {i}." for i in range(count)]
        return [
            prompt_of(engine.tokenizer, [{"role": "system", "content": SYSTEM}, {"role": "user", "content": line}])
            for line in lines
        ]

    together = ours(engine, *prompts("request"), tokens=tokens)
    alone = [ours(engine, prompt, tokens=tokens)[0] for prompt in prompts("inquiry")]
    at_once = sum(t.tokens for t in together) / max(t.total_s for t in together)
    return at_once, sum(t.tokens for t in alone) / sum(t.total_s for t in alone)


def measure(quick: bool) -> list[Finding]:
    set_threads()
    folder = Path(os.environ.get("WORKBENCH_BENCH_MODEL") or _base())
    turns, tokens, runs = (3, 16, 1) if quick else (6, 40, 3)
    engine, model = load_both(folder, "auto")
    name = str(engine.decoder.shape.dtype).removeprefix("torch.")
    ours(engine, prompt_of(engine.tokenizer, [{"role": "user", "content": "Hi"}]), tokens=4)  # warm both up
    plain(model, engine.tokenizer, prompt_of(engine.tokenizer, [{"role": "user", "content": "Hi"}]), 4)
    mine, theirs = conversation(engine, model, turns, tokens)
    later = list(zip(mine[1:], theirs[1:], strict=True))  # the third message of a conversation is the second reply
    first = [(a.first_s, b.first_s, b.first_s / a.first_s) for a, b in later]
    rate = [(a.rate, b.rate, a.rate / b.rate) for a, b in zip(mine, theirs, strict=True)]
    pairs = [batch(engine, 8, tokens) for _ in range(runs)]
    findings = [
        Finding("first token from the third message on", _median(first, 0), "s", RIVAL, _median(first, 2)),
        Finding(f"one conversation, {name}", _median(rate, 0), "tokens/s", RIVAL, _median(rate, 2)),
        Finding(
            "eight conversations at once",
            statistics.median(p[0] for p in pairs),
            "tokens/s",
            "the same one after another",
            statistics.median(p[0] / p[1] for p in pairs),
        ),
        Finding(f"same tokens as the rival, {name}", agreement(engine.tokenizer, mine, theirs), "share", RIVAL),
    ]
    engine.close()
    del engine, model
    gc.collect()
    engine, model = load_both(folder, "float32")
    mine, theirs = conversation(engine, model, 2 if quick else 4, tokens)
    equal = sum(a.text == b.text for a, b in zip(mine, theirs, strict=True)) / len(mine)
    findings.append(Finding("replies equal to the rival's, float32", equal, "share", RIVAL))
    engine.close()
    return findings


def _median(rows: Sequence[tuple[float, ...]], column: int) -> float:
    return statistics.median(row[column] for row in rows)


def _base() -> Path:
    from workbench.training.base import base_model

    return base_model(find_home())


if __name__ == "__main__":
    main(measure, __doc__ or "")

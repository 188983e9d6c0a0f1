"""Serving a small model on a CPU: our engine beside a plain `transformers` generate call a turn, in the same process.

Both run the same weights in the same precision with the same number of threads, by turns, so that a busy machine slows
both alike; only the ratios mean something. The conversations are those of eight test scenarios of travel booking; both
get the same prompts, with the rival's replies as the history. WORKBENCH_BENCH_MODEL names the model (a Hugging Face
folder: the demo's compiled one, say), else SmolLM2 as it comes. llama.cpp is measured beside them where `llama-server`
is installed, on the GGUF that WORKBENCH_BENCH_GGUF names; it is quantised, so its agreement with float32 is given.
"""

from __future__ import annotations

import gc
import os
import queue
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import torch
from common import Finding, main

from workbench.dialogue.scenarios import scenario_for_path
from workbench.dialogue.scripted import write
from workbench.home import find_home
from workbench.models.server.engine import Chunk, Engine, Finished, Generation, load_engine
from workbench.models.server.job import listen, set_threads
from workbench.workflow.load import load_workflow
from workbench.workflow.paths import PathSpace

RIVAL = "transformers generate a turn"
AT_ONCE = 8
Prompt = tuple[int, ...]


@dataclass(frozen=True)
class Timed:
    """One reply: its text, seconds to the first token and in all, tokens written."""

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


def talks(turns: int) -> tuple[str, list[list[str]]]:
    """The system text, and what the users of eight long test scenarios say, `turns` messages each."""
    workflow = load_workflow("travel_booking")
    space = PathSpace(workflow).ordered("steps")
    said = []
    for number in range(len(space) - 1, -1, -1):
        dialogue = write(workflow, scenario_for_path(workflow, space[number], "test", number))
        texts = [m.text for m in dialogue.messages if m.role == "user"]
        if len(texts) >= turns:
            said.append(texts[:turns])
        if len(said) == AT_ONCE:
            return workflow.instruction, said
    raise SystemExit(f"no eight conversations of {turns} turns in this workflow")


def prompt_of(tokenizer: Any, messages: list[dict[str, str]]) -> Prompt:
    return tuple(tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False))


def ours(engine: Engine, prompt: Prompt, tokens: int) -> Timed:
    """One reply of the engine, nothing beside it."""
    return ours_at_once(engine, [[prompt]], tokens)[0][0]


def ours_at_once(engine: Engine, conversations: Sequence[Sequence[Prompt]], tokens: int) -> list[list[Timed]]:
    """Every conversation's prompts in order, each as soon as the reply before it is whole; all conversations at once."""
    events: queue.Queue[tuple[int, float, Chunk | Finished]] = queue.Queue()
    done: list[list[Timed]] = [[] for _ in conversations]
    first: dict[int, float] = {}
    began: dict[int, float] = {}

    def ask(index: int) -> None:
        began[index] = time.perf_counter()
        first.pop(index, None)
        request = Generation(conversations[index][len(done[index])], tokens)
        engine.submit(request, lambda event: events.put((index, time.perf_counter(), event)))

    for index in range(len(conversations)):
        ask(index)
    while any(len(d) < len(c) for d, c in zip(done, conversations, strict=True)):
        index, at, event = events.get()
        first.setdefault(index, at - began[index])
        if isinstance(event, Finished):
            spent = at - began[index]
            done[index].append(Timed(event.text, first[index], spent, max(event.output_tokens, 1)))
            if len(done[index]) < len(conversations[index]):
                ask(index)
    return done


def plain(model: Any, tokenizer: Any, prompt: Prompt, tokens: int) -> Timed:
    """One generate call on the whole conversation."""
    ids, first = torch.tensor([prompt]), _First()
    began = time.perf_counter()
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False, streamer=first
    )
    spent = time.perf_counter() - began
    fresh = out[0, len(prompt) :]
    ends = {int(t) for t in torch.as_tensor(model.generation_config.eos_token_id).flatten()}
    written = len(fresh) - (1 if int(fresh[-1]) in ends else 0)
    text = tokenizer.decode(fresh, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return Timed(text, first.at - began, spent, max(written, 1))


@dataclass(frozen=True)
class Talk:
    """A conversation held with the rival: the prompt of every turn, the rival's replies, and ours to the same prompts."""

    prompts: list[Prompt]
    theirs: list[Timed]
    mine: list[Timed]


def hold(engine: Engine, model: Any, system: str, said: Sequence[str], tokens: int, both: bool = True) -> Talk:
    """One conversation turn by turn, the agent first; the rival's replies are the history of both."""
    messages = [{"role": "system", "content": system}]
    talk = Talk([], [], [])
    for line in [None, *said]:
        if line is not None:
            messages.append({"role": "user", "content": line})
        prompt = prompt_of(engine.tokenizer, messages)
        talk.prompts.append(prompt)
        if both:
            talk.mine.append(ours(engine, prompt, tokens))
        talk.theirs.append(plain(model, engine.tokenizer, prompt, tokens))
        messages.append({"role": "assistant", "content": talk.theirs[-1].text})
    return talk


def agreement(tokenizer: Any, mine: Sequence[str], theirs: Sequence[str]) -> float:
    """Share of the rival's tokens that ours wrote before the first difference of each reply."""
    same = total = 0
    for a, b in zip(mine, theirs, strict=True):
        x, y = (tokenizer.encode(text, add_special_tokens=False) for text in (a, b))
        same += next((i for i, (p, q) in enumerate(zip(x, y, strict=False)) if p != q), min(len(x), len(y)))
        total += len(y)
    return same / max(total, 1)


@contextmanager
def both_loaded(folder: Path, dtype: str) -> Iterator[tuple[Engine, Any]]:
    """Our engine and the library's model on the same weights, warmed up."""
    from transformers import AutoModelForCausalLM

    engine = load_engine(folder, dtype)
    engine.start()
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=engine.decoder.shape.dtype, local_files_only=True)
    model.eval()
    hello = prompt_of(engine.tokenizer, [{"role": "user", "content": "Hi"}])
    ours(engine, hello, 4)
    plain(model, engine.tokenizer, hello, 4)
    yield engine, model
    engine.close()
    del engine, model
    gc.collect()


def in_turn(engine: Engine, talks: Sequence[Talk], tokens: int) -> tuple[float, float]:
    """Seconds of the conversations all at once, and one after another, on our engine with an empty cache each time."""
    prompts = [talk.prompts for talk in talks]

    def spent(work: Callable[[], object]) -> float:
        engine.forget()
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    together = spent(lambda: ours_at_once(engine, prompts, tokens))
    return together, spent(lambda: [ours_at_once(engine, [one], tokens) for one in prompts])


def speed(folder: Path, dtype: str, turns: int, tokens: int, runs: int) -> list[Finding]:
    """The three speeds, in the precision that this machine computes in."""
    system, said = talks(turns)
    with both_loaded(folder, dtype) as (engine, model):
        name = str(engine.decoder.shape.dtype).removeprefix("torch.")
        held = [hold(engine, model, system, said[0], tokens)]
        held += [hold(engine, model, system, lines, tokens, both=False) for lines in said[1:]]
        talk = held[0]
        # message 1 opens, 2 is the user's, 3 the first reply
        first = [(a.first_s, b.first_s / a.first_s) for a, b in zip(talk.mine[1:], talk.theirs[1:], strict=True)]
        rate = [(a.rate, a.rate / b.rate) for a, b in zip(talk.mine, talk.theirs, strict=True) if a.tokens > 4]
        alone = sum(t.total_s for h in held for t in h.theirs)
        pairs = [in_turn(engine, held, tokens) for _ in range(runs)]
        written = sum(t.tokens for h in held for t in h.theirs)
        together = statistics.median(p[0] for p in pairs)
        kind = f"{name}, {torch.get_num_threads()} threads"
        return [
            Finding("first token from the third message on", _median(first, 0), "s", RIVAL, _median(first, 1)),
            Finding(f"one conversation ({kind})", _median(rate, 0), "tokens/s", RIVAL, _median(rate, 1)),
            Finding(
                "eight conversations at once",
                written / together,
                "tokens/s",
                "the same one after another, our engine",
                statistics.median(p[1] / p[0] for p in pairs),
            ),
            Finding("eight conversations at once", written / together, "tokens/s", RIVAL, alone / together),
        ]


def quality(folder: Path, dtype: str, turns: int, tokens: int) -> Finding:
    """What of the rival's text ours says too, in one precision."""
    system, said = talks(turns)
    with both_loaded(folder, dtype) as (engine, model):
        held = [hold(engine, model, system, lines, tokens) for lines in said[: 2 if turns > 3 else 1]]
        mine = [t.text for h in held for t in h.mine]
        theirs = [t.text for h in held for t in h.theirs]
        if dtype == "float32":
            equal = sum(a == b for a, b in zip(mine, theirs, strict=True)) / len(mine)
            return Finding(f"replies equal to the rival's, {dtype} (of {len(mine)})", equal, "share", RIVAL)
        return Finding(f"same tokens as the rival, {dtype}", agreement(engine.tokenizer, mine, theirs), "share", RIVAL)


def llama_cpp(folder: Path, turns: int, tokens: int) -> list[Finding]:
    """llama.cpp on a quantised GGUF of the same model: its speed, and how much of float32's text it says."""
    import openai

    from workbench.models.server import external
    from workbench.models.server.programs import LOOPBACK, Serving, command_for, executable

    file = os.environ.get("WORKBENCH_BENCH_GGUF")
    if not file or not executable("llama.cpp"):
        return []
    with listen(0) as probe:
        serving = Serving(Path(file), "bench", int(probe.getsockname()[1]))
    system, said = talks(turns)
    url = f"http://{LOOPBACK}:{serving.port}"
    with (
        TemporaryDirectory() as place,
        both_loaded(folder, "float32") as (engine, model),
        external.running(command_for("llama.cpp", serving), Path(place, "log")) as process,
    ):
        external.wait_until_up(process, "llama.cpp", url, Path(place, "log"), lambda s: bool(time.sleep(s)))
        client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
        talk = hold(engine, model, system, said[0], tokens)
        messages: list[Any] = [{"role": "system", "content": system}]
        theirs: list[Timed] = []
        for line, reply in zip([None, *said[0]], talk.theirs, strict=True):
            if line is not None:
                messages.append({"role": "user", "content": line})
            theirs.append(_streamed(client, messages, tokens))
            messages.append({"role": "assistant", "content": reply.text})
        rates = [(a.rate, a.rate / b.rate) for a, b in zip(theirs, talk.mine, strict=True) if a.tokens > 4]
        same = agreement(engine.tokenizer, [t.text for t in theirs], [t.text for t in talk.theirs])
        return [
            Finding(
                f"llama.cpp, {Path(file).stem}", _median(rates, 0), "tokens/s", "our engine, float32", _median(rates, 1)
            ),
            Finding("llama.cpp: same tokens as float32", same, "share", RIVAL),
        ]


def _streamed(client: Any, messages: list[Any], tokens: int) -> Timed:
    began, first, text, pieces = time.perf_counter(), 0.0, "", 0
    for event in client.chat.completions.create(
        model="bench", messages=messages, max_tokens=tokens, temperature=0, stream=True
    ):
        if event.choices and (piece := event.choices[0].delta.content):
            first, text, pieces = first or time.perf_counter() - began, text + piece, pieces + 1
    return Timed(text, first, time.perf_counter() - began, max(pieces, 1))


def measure(quick: bool) -> list[Finding]:
    set_threads()
    folder = Path(os.environ.get("WORKBENCH_BENCH_MODEL") or _base())
    turns, tokens, runs = (2, 16, 1) if quick else (6, 40, 3)
    findings = speed(folder, "auto", turns, tokens, runs)
    findings.append(quality(folder, "float32", turns, tokens))
    if not quick:
        findings.append(quality(folder, "bfloat16", 2, 12))
    return findings + llama_cpp(folder, turns, tokens)


def _median(rows: Sequence[tuple[float, ...]], column: int) -> float:
    return statistics.median(row[column] for row in rows)


def _base() -> Path:
    from workbench.training.base import base_model

    return base_model(find_home())


if __name__ == "__main__":
    main(measure, __doc__ or "")

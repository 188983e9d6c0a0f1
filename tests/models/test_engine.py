"""The engine against the library's own generate: same text, whatever is batched, cached or cut into chunks."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models.tiny import make_model
from workbench.models.server.engine import Chunk, Engine, Finished, Generation, load_engine


def run(engine: Engine, *requests: Generation) -> list[Finished]:
    """All requests at once; their ends in the order of the requests, the chunks checked against the text."""
    arrived: queue.Queue[tuple[int, Chunk | Finished]] = queue.Queue()
    for index, request in enumerate(requests):
        engine.submit(request, lambda event, index=index: arrived.put((index, event)))
    texts, ends = [""] * len(requests), dict[int, Finished]()
    while len(ends) < len(requests):
        index, event = arrived.get(timeout=60)
        if isinstance(event, Chunk):
            texts[index] += event.text
        else:
            ends[index] = event
    for index, end in ends.items():
        assert end.scores or texts[index] == end.text
    return [ends[i] for i in range(len(requests))]


@pytest.fixture
def engine(model_folder: Path) -> Iterator[Engine]:
    engine = load_engine(model_folder, "float32")
    engine.start()
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def reference(model_folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(model_folder, dtype=torch.float32).eval()


def prompt_of(engine: Engine, *said: str, system: str = "You are a travel agent.") -> tuple[int, ...]:
    roles = ("user", "assistant")
    messages = [{"role": "system", "content": system}]
    messages += [{"role": roles[i % 2], "content": text} for i, text in enumerate(said)]
    return tuple(engine.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False))


def plain(model: Any, engine: Engine, prompt: tuple[int, ...], tokens: int = 24) -> str:
    ids = torch.tensor([prompt])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, do_sample=False)
    return str(engine.tokenizer.decode(out[0, len(prompt) :], skip_special_tokens=True))


def test_greedy_text_equals_generate_alone_batched_and_continued(engine: Engine, reference: Any) -> None:
    prompts = [prompt_of(engine), prompt_of(engine, "Paris in May"), prompt_of(engine, "I would like to fly " * 9)]
    expected = [plain(reference, engine, p) for p in prompts]
    alone = [run(engine, Generation(p, 24))[0].text for p in prompts]
    assert alone == expected
    assert [r.text for r in run(engine, *(Generation(p, 24) for p in prompts))] == expected
    longer = [prompt_of(engine, "Paris in May", text, f"number {i}") for i, text in enumerate(expected)]
    assert [r.text for r in run(engine, *(Generation(p, 24) for p in longer))] == [
        plain(reference, engine, p) for p in longer
    ]


@pytest.mark.parametrize("kind", ["qwen2", "qwen3", "gemma", "phi3", "smollm3"])
def test_other_architectures_equal_generate(kind: str, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    make_model(tmp_path, kind)
    engine = load_engine(tmp_path, "float32")
    engine.start()
    prompts = [prompt_of(engine), prompt_of(engine, "Paris in May"), prompt_of(engine, "Paris in May with my sister")]
    texts = [r.text for r in run(engine, *(Generation(p, 16) for p in prompts))]
    engine.close()
    reference = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32).eval()
    assert texts == [plain(reference, engine, p, 16) for p in prompts]


def test_a_later_turn_computes_only_what_is_new(engine: Engine) -> None:
    first = prompt_of(engine, "Paris")
    said = run(engine, Generation(first, 8))[0]
    assert said.cached_tokens == 0
    second = (*first, *engine.tokenizer.encode(said.text + "<|im_end|>\n", add_special_tokens=False), 5, 6, 7)
    again = run(engine, Generation(second, 8))[0]
    assert again.cached_tokens >= len(first)
    assert run(engine, Generation(first, 8))[0].cached_tokens == len(first) - 1


def test_turn_fifteen_reads_no_more_than_turn_two(engine: Engine) -> None:
    prompt, known = prompt_of(engine, "Where?"), 0
    new = engine.tokenizer.encode("<|im_end|>\n<|im_start|>user\nPlease<|im_end|>\n<|im_start|>assistant\n")
    for turn in range(1, 16):
        end = run(engine, Generation(prompt, 6))[0]
        said = engine.tokenizer.encode(end.text, add_special_tokens=False)
        assert end.cached_tokens >= known, f"turn {turn} reads only what was said since the one before"
        known, prompt = len(prompt), (*prompt, *said, *new)
    assert known > 15 * len(new)


def test_those_who_leave_early_disturb_nobody(engine: Engine, reference: Any) -> None:
    """Rows move up when a sequence ends; late-comers, long prompts and choices run beside replies being written."""
    engine.chunk = 16
    lengths = [2, 30, 5, 12, 1, 24, 8]
    prompts = [
        prompt_of(engine, f"number {i} " * (1 + 3 * i), system=f"{i} You are an agent") for i in range(len(lengths))
    ]
    requests = [Generation(p, n) for p, n in zip(prompts, lengths, strict=True)]
    choice = Generation(prompt_of(engine, "Well?"), choices=("yes", "no thanks"))
    ends = run(engine, *requests[:4], choice, *requests[4:])
    assert ends.pop(4).text in choice.choices
    assert [e.text for e in ends] == [plain(reference, engine, p, n) for p, n in zip(prompts, lengths, strict=True)]
    assert engine.load().pool_bytes == 0


def test_running_sequences_keep_to_their_memory_limit_by_waiting(engine: Engine, reference: Any) -> None:
    engine.pool_bytes = 2 * 256 * engine.decoder.shape.token_bytes
    most: list[int] = []
    prompts = [prompt_of(engine, f"number {i}", system=str(i)) for i in range(5)]
    arrived: queue.Queue[tuple[int, Finished]] = queue.Queue()

    def sink(index: int, event: Chunk | Finished) -> None:
        most.append(engine.load().pool_bytes)
        if isinstance(event, Finished):
            arrived.put((index, event))

    for index, prompt in enumerate(prompts):
        engine.submit(Generation(prompt, 8), lambda event, index=index: sink(index, event))
    ends = dict(arrived.get(timeout=60) for _ in prompts)
    assert max(most) <= engine.pool_bytes
    assert [ends[i].text for i in range(5)] == [plain(reference, engine, p, 8) for p in prompts]


def test_the_time_of_the_machine_is_shared_among_those_it_served(engine: Engine) -> None:
    ends = run(engine, *(Generation(prompt_of(engine, f"number {i}"), 8) for i in range(4)))
    assert all(end.machine_s > 0 for end in ends)


def test_a_shared_prefix_is_read_once_even_when_all_come_together(engine: Engine) -> None:
    system = "You are a travel agent. " * 12
    prompts = [prompt_of(engine, f"{name} please", system=system) for name in ("Paris", "May", "sister", "café")]
    ends = run(engine, *(Generation(p, 6) for p in prompts))
    shared = min(len(p) for p in prompts) - 20
    assert sorted(e.cached_tokens >= shared for e in ends) == [False, True, True, True]


def test_long_prompts_are_read_in_pieces_with_the_same_result(engine: Engine, reference: Any) -> None:
    engine.chunk = 7
    prompt = prompt_of(engine, "I would like to fly to Paris in May. " * 5)
    assert run(engine, Generation(prompt, 12))[0].text == plain(reference, engine, prompt, 12)


def test_more_requests_than_slots_wait_their_turn(engine: Engine, reference: Any) -> None:
    engine.slots = 2
    prompts = [prompt_of(engine, f"number {i}") for i in range(6)]
    assert [r.text for r in run(engine, *(Generation(p, 8) for p in prompts))] == [
        plain(reference, engine, p, 8) for p in prompts
    ]


def test_the_cache_stays_within_its_limit_and_drops_the_least_recently_used(model_folder: Path) -> None:
    engine = load_engine(model_folder, "float32")
    engine = load_engine(model_folder, "float32", cache_bytes=300 * engine.decoder.shape.token_bytes)
    engine.start()
    prompts = [
        prompt_of(engine, f"{i} I would like to fly to Paris in May with my sister, please", system=str(i))
        for i in range(9)
    ]
    for prompt in prompts:
        run(engine, Generation(prompt, 4))
        assert engine.load().cache_bytes <= engine.load().cache_limit
    load = engine.load()
    assert load.cache_evictions > 0
    assert run(engine, Generation(prompts[-1], 4))[0].cached_tokens == len(prompts[-1]) - 1
    assert run(engine, Generation(prompts[0], 4))[0].cached_tokens < len(prompts[0]) - 1
    engine.close()


def test_choices_are_scored_exactly_by_their_likelihood(engine: Engine, reference: Any) -> None:
    prompt = prompt_of(engine, "Where?")
    options = ("yes", "yes please", "no", "maybe later", "reject")
    run(engine, Generation(prompt[:9], 2))
    end = run(engine, Generation(prompt, choices=options))[0]
    expected = []
    for option in options:
        ids = [*engine.tokenizer.encode(option, add_special_tokens=False), engine.turn_end]
        with torch.inference_mode():
            logits = reference(torch.tensor([[*prompt, *ids]])).logits[0].double().log_softmax(-1)
        expected.append(sum(float(logits[len(prompt) - 1 + i, token]) for i, token in enumerate(ids)))
    assert [s[0] for s in end.scores] == list(options)
    assert [s[1] for s in end.scores] == pytest.approx(expected, abs=1e-3)
    assert end.text == options[expected.index(max(expected))]
    assert sum(s[2] for s in end.scores) == pytest.approx(1)


def test_a_seed_repeats_a_draw_and_temperature_varies_it(engine: Engine) -> None:
    prompt = prompt_of(engine, "May")
    draws = [run(engine, Generation(prompt, 12, temperature=1.0, seed=s))[0].text for s in (1, 1, 2, 3)]
    assert draws[0] == draws[1]
    assert len(set(draws)) > 1
    picks = {run(engine, Generation(prompt, temperature=2.0, seed=s, choices=("yes", "no")))[0].text for s in range(40)}
    assert picks <= {"yes", "no"}


def test_a_stop_string_ends_the_text_before_it(engine: Engine, reference: Any) -> None:
    prompt = prompt_of(engine, "Paris")
    text = plain(reference, engine, prompt, 24)
    stop = text[4:7]
    end = run(engine, Generation(prompt, 24, stop=(stop,)))[0]
    assert (end.text, end.reason) == (text[: text.find(stop)], "stop")


def test_cancelling_ends_a_request_and_leaves_the_others(engine: Engine) -> None:
    ends: queue.Queue[Finished] = queue.Queue()
    ticket = engine.submit(
        Generation(prompt_of(engine, "Paris"), 400),
        lambda e: ends.put(e) if isinstance(e, Finished) else ticket.cancel(),
    )
    assert ends.get(timeout=60).reason in {"cancelled", "stop"}
    assert run(engine, Generation(prompt_of(engine, "May"), 4))[0].output_tokens <= 4
    assert engine.load().active == 0


def test_a_failing_step_fails_its_requests_and_not_the_engine(engine: Engine) -> None:
    end = run(engine, Generation((1, 10_000_000), 4))[0]
    assert end.reason == "error"
    assert run(engine, Generation(prompt_of(engine, "May"), 4))[0].reason in {"stop", "length"}

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from benchmarks.gpu import SHAPES, Shape, shape_parameters
from benchmarks.gpu import recipe_of as gpu_recipe
from tests.training.conftest import dialogue
from workbench.errors import UserError
from workbench.training.estimate import Estimate, estimate, estimate_lines, memory_parts, parameter_count
from workbench.training.fit import require_fit
from workbench.training.plan import plan
from workbench.training.readings import Device
from workbench.training.recipe import Recipe, load_recipe

RECIPE = Recipe(max_tokens_trained=3000, batch_tokens=150, micro_batch_tokens=150, max_length=150)
EXAMPLES = [dialogue(i) for i in range(24)]
SMOLLM2 = {"hidden_size": 576, "num_hidden_layers": 30, "intermediate_size": 1536, "vocab_size": 49152}


def test_tokens_and_steps_are_those_of_the_run(tiny: Path, tokenizer: object, tmp_path: Path) -> None:
    from workbench.training.encoding import encode

    found = estimate(RECIPE, tiny, EXAMPLES, tmp_path, speed=100.0)
    made = plan([len(encode(e, tokenizer).ids) for e in EXAMPLES], RECIPE)
    assert (found.tokens, found.steps, found.epochs) == (made.tokens, len(made.steps), made.epochs)
    assert found.seconds == pytest.approx(made.tokens / 100)
    assert found.memory_total == sum(found.memory.values())
    assert found.fits
    require_fit(RECIPE, found, tiny)


def test_parameters_are_read_from_the_header_alone(tiny: Path) -> None:
    from transformers import AutoModelForCausalLM

    assert parameter_count(tiny) == AutoModelForCausalLM.from_pretrained(tiny).num_parameters()


def test_what_does_not_fit_is_refused_with_the_nearest_setting_that_does(tiny: Path, tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, batch_tokens=60_000, micro_batch_tokens=60_000, max_tokens_trained=100_000)
    found = estimate(recipe, tiny, EXAMPLES, tmp_path, speed=1.0)

    def with_memory(size: int) -> Estimate:
        return dataclasses.replace(found, devices=(Device("GPU 0 small", size, size, True),))

    tight = with_memory(found.memory_total - 1)
    with pytest.raises(UserError, match=r"--set micro_batch_tokens=15000 would fit"):
        require_fit(recipe, tight, tiny)
    with pytest.raises(UserError, match="choose a smaller base model"):
        require_fit(recipe, with_memory(1), tiny)
    with pytest.raises(UserError, match="of disk"):
        require_fit(recipe, dataclasses.replace(found, disk_free=1), tiny)


def test_dialogues_that_would_be_cut_are_counted_and_refused(tiny: Path, tmp_path: Path) -> None:
    longest = estimate(RECIPE, tiny, EXAMPLES, tmp_path, speed=1.0).longest
    recipe = dataclasses.replace(RECIPE, max_length=longest - 1, too_long="truncate")
    found = estimate(recipe, tiny, EXAMPLES, tmp_path, speed=1.0)
    assert 0 < found.too_long < len(EXAMPLES)
    with pytest.raises(UserError, match="exceed max_length"):
        require_fit(dataclasses.replace(recipe, too_long="refuse"), found, tiny)


def test_the_demo_models_memory_is_about_what_was_measured() -> None:
    demo = Recipe(batch_tokens=1024, micro_batch_tokens=512, max_length=512)
    total = sum(memory_parts(demo, 134_500_000, SMOLLM2, 0.5).values())
    assert 5e9 < total < 7e9  # 5.9 GB resident


@pytest.mark.parametrize("config", ["demo", "paper-travel", "paper-insurance"])
def test_sharding_and_bf16_weights_take_less_memory(config: str) -> None:
    recipe = dataclasses.replace(load_recipe(config), activation_checkpointing=True, weights="fp32")
    shape = {"hidden_size": 2048, "num_hidden_layers": 36, "intermediate_size": 11008, "vocab_size": 151936}

    def needed(**change: object) -> int:
        changed = dataclasses.replace(recipe, **change)  # type: ignore[arg-type]
        return sum(memory_parts(changed, 3_000_000_000, shape, 0.5, gpu=True).values())

    plain = needed()
    assert needed(processes=4, shard=True) < plain
    assert needed(weights="bf16") < needed(weights="bf16", rounding="kahan") < plain


def test_the_papers_recipes_fit_one_80_gb_card_without_offloading() -> None:
    """Qwen3-8B and Qwen2.5-3B by their shapes; a card sold as 80 GB has 79.6 GiB."""

    def needed(recipe: Recipe, shape: Shape) -> int:
        count = shape_parameters(shape.config, shape.kind)
        return sum(memory_parts(recipe, count, shape.config, 0.5, gpu=True).values())

    three, eight = load_recipe("paper-travel"), load_recipe("paper-insurance")
    assert load_recipe("paper-zoom").base == eight.base == "Qwen/Qwen3-8B"
    assert needed(three, SHAPES["3b"]) < 80e9
    for recipe in (eight, load_recipe("paper-zoom")):
        assert recipe.lora is None
        assert needed(recipe, SHAPES["8b"]) < 80e9
        assert needed(dataclasses.replace(recipe, weights="fp32"), SHAPES["8b"]) > 130e9
    assert needed(gpu_recipe(SHAPES["8b"]), SHAPES["8b"]) < 80e9


def test_every_device_gets_its_verdict_and_no_dialogue_is_cut_in_silence(tiny: Path, tmp_path: Path) -> None:
    found = estimate(RECIPE, tiny, EXAMPLES, tmp_path, speed=100.0)
    cards = (Device("GPU 0 big", 80 * 10**9, 70 * 10**9, True), Device("GPU 1 small", 10**6, 10**6, True))
    lines = estimate_lines(dataclasses.replace(found, devices=cards, too_long=3, too_long_do="truncate"))
    assert lines["GPU 0 big"].endswith(": fits")
    assert lines["GPU 1 small"].endswith(": does not fit")
    assert "3 too long: cut" in lines["dialogues"]
    assert "weights" in lines["memory"]


def test_more_processes_than_gpus_are_refused(tiny: Path, tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, processes=4, batch_tokens=600)
    found = estimate(recipe, tiny, EXAMPLES, tmp_path, speed=1.0)
    two = tuple(Device(f"GPU {n} x", 80 * 10**9, 80 * 10**9, True) for n in range(2))
    with pytest.raises(UserError, match="--set processes=2"):
        require_fit(recipe, dataclasses.replace(found, devices=two), tiny)

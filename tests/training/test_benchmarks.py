"""The benchmarks beside TRL run to their end on tiny models; only that is tested here, their figures mean nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from benchmarks import training as benchmark
from tests.training.conftest import dialogue
from tests.training.test_trainer import RECIPE

EXAMPLES = [dialogue(i) for i in range(16)]


@pytest.mark.long
def test_ours_is_timed_from_the_call_to_the_checkpoint(tiny: Path) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=1.0, eval_every=10_000, probe_every=10_000, save_every=10_000)
    found = benchmark.ours(tiny, EXAMPLES, recipe)
    assert found.rate > 0
    assert found.first_step > 0
    assert found.checkpoint is not None


@pytest.mark.long
@pytest.mark.parametrize("settings", [{}, benchmark.BEST], ids=["defaults", "best"])
def test_trl_is_timed_with_its_defaults_and_its_best(tiny: Path, settings: dict[str, object]) -> None:
    pytest.importorskip("trl")
    small = {**settings, "per_device_train_batch_size": 1, "max_length": 150}
    found = benchmark.trl(tiny, EXAMPLES, 16 * 80, small)
    assert found.rate > 0
    assert found.first_step > 0

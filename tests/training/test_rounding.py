from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, get_args

import pytest

from tests.training.test_trainer import EXAMPLES, RECIPE, run, weights
from workbench.training.recipe import Recipe
from workbench.training.rounding import Rounding


def trained(rounding: Rounding, steps: int = 400) -> float:
    """Where a weight at 1.0 is after so many AdamW steps of -1e-4, none of which bf16 can hold by itself."""
    import torch

    from workbench.training.rounding import RoundingAdamW

    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.ones(64, 32, dtype=torch.bfloat16))
    optimiser = RoundingAdamW([weight], lr=1e-4, rounding=rounding)
    for _ in range(steps):
        weight.grad = torch.ones_like(weight)
        optimiser.step()
    return float(weight.detach().float().mean())


def test_small_updates_are_lost_by_plain_bf16_and_kept_by_stochastic_rounding_and_by_kahan() -> None:
    assert trained("nearest") == 1.0
    assert trained("stochastic") == pytest.approx(0.96, abs=0.002)
    assert trained("kahan") == pytest.approx(0.96, abs=0.004)


def test_rounding_is_right_on_average_and_leaves_what_bf16_can_hold() -> None:
    import torch

    from workbench.training.rounding import round_stochastically

    torch.manual_seed(1)
    value = torch.full((200_000,), 1.0 + 0.3 * 2**-7)
    rounded = round_stochastically(value).float()
    assert set(rounded.unique().tolist()) == {1.0, 1.0 + 2**-7}
    assert float(rounded.mean()) == pytest.approx(float(value[0]), abs=2e-5)
    exact = torch.tensor([0.0, -2.5, 1.0, float("inf"), float("-inf")])
    assert torch.equal(round_stochastically(exact).float(), exact)
    assert bool(round_stochastically(torch.tensor([float("nan")])).isnan().all())
    negative = round_stochastically(-value).float()
    assert float(negative.mean()) == pytest.approx(-float(value[0]), abs=2e-5)


@pytest.mark.parametrize("rounding", ["stochastic", "kahan"])
def test_weights_held_in_bf16_learn_and_resume_bit_for_bit(tiny: Path, tmp_path: Path, rounding: Rounding) -> None:
    recipe = dataclasses.replace(
        RECIPE, epochs=2.0, eval_every=100, probe_every=1000, precision="bf16", weights="bf16", rounding=rounding
    )
    stop = iter([False, False, True]).__next__
    summary, whole = run(tiny, tmp_path / "a", recipe)
    run(tiny, tmp_path / "b", recipe, stopping=stop)
    _, rest = run(tiny, tmp_path / "b", recipe)
    assert rest.losses().items() <= whole.losses().items()
    assert weights(tmp_path / "a" / "last") == weights(tmp_path / "b" / "last")
    assert summary.dev_loss < whole.of("eval")[0]["dev_loss"]


def dev_loss(base: Path, recipe: Recipe, train: list[Any], dev: list[Any], folder: Path, **change: Any) -> float:
    from workbench.training.answering import ProbeReport
    from workbench.training.loop import train as run

    changed = dataclasses.replace(recipe, **change)
    place = folder / "-".join(map(str, change.values()))
    return run(changed, base, train, dev, place, probe=lambda answer: ProbeReport()).dev_loss


def compare(base: Path, recipe: Recipe, train: list[Any], dev: list[Any], folder: Path) -> None:
    """Stochastic rounding and Kahan summation come within 2% of fp32 masters, plain bf16 does not."""
    masters = dev_loss(base, recipe, train, dev, folder, weights="fp32")
    found = {r: dev_loss(base, recipe, train, dev, folder, weights="bf16", rounding=r) for r in get_args(Rounding)}
    assert found["stochastic"] == pytest.approx(masters, rel=0.02), (masters, found)
    assert found["kahan"] == pytest.approx(masters, rel=0.02), (masters, found)
    assert found["nearest"] > masters * 1.02, (masters, found)


@pytest.mark.long
def test_a_tiny_model_at_2e_5_needs_rounding_that_keeps_small_updates(tiny: Path, tmp_path: Path) -> None:
    recipe = dataclasses.replace(
        RECIPE, epochs=100.0, learning_rate=2e-5, schedule="constant", precision="bf16", eval_every=10_000,
        probe_every=10_000, save_every=10_000,
    )  # fmt: skip
    compare(tiny, recipe, EXAMPLES[:20], EXAMPLES[20:], tmp_path)


@pytest.mark.long
def test_the_demo_model_at_2e_5_needs_rounding_that_keeps_small_updates() -> None:
    """SmolLM2-135M: within 2% of fp32 masters with stochastic rounding, and not with plain bf16; ten minutes on two cores."""
    from benchmarks.rounding import dev_loss
    from workbench.home import find_home
    from workbench.training.base import base_model

    base = base_model(find_home().make())
    masters = dev_loss(base, None)
    assert dev_loss(base, "stochastic") == pytest.approx(masters, rel=0.02)
    assert dev_loss(base, "nearest") > masters * 1.02

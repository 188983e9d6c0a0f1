from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workbench.errors import UserError
from workbench.training.plan import plan
from workbench.training.recipe import Recipe, learning_rate


def recipe(**changes: object) -> Recipe:
    settings: dict[str, object] = {
        "max_tokens_trained": None, "epochs": 1.0, "batch_tokens": 200, "micro_batch_tokens": 100, "max_length": 100,
    }  # fmt: skip
    return Recipe(**{**settings, **changes})  # type: ignore[arg-type]


lengths = st.lists(st.integers(1, 100), min_size=1, max_size=120)


@settings(deadline=None, max_examples=50)
@given(lengths, st.integers(0, 5))
def test_an_epoch_takes_every_example_once_and_no_pack_overflows(lengths: list[int], seed: int) -> None:
    made = plan(lengths, recipe(seed=seed))
    packs = [pack for step in made.steps for pack in step]
    assert sorted(i for pack in packs for i in pack) == list(range(len(lengths)))
    assert all(sum(lengths[i] for i in pack) <= 100 for pack in packs)
    assert made.tokens == sum(lengths)
    assert 0 < made.efficiency <= 1


@settings(deadline=None, max_examples=50)
@given(lengths, st.integers(200, 5000))
def test_the_budget_of_tokens_is_never_passed_and_nearly_used(lengths: list[int], budget: int) -> None:
    made = plan(lengths, recipe(epochs=None, max_tokens_trained=budget))
    assert budget - 100 < made.tokens <= budget
    assert made.tokens == sum(lengths[i] for step in made.steps for pack in step for i in pack)


@settings(deadline=None, max_examples=50)
@given(lengths)
def test_two_processes_get_equal_shares_of_every_step(lengths: list[int]) -> None:
    made = plan([*lengths, *[90] * 5], recipe(epochs=3.0, batch_tokens=300), world=2)
    assert all(len(step) == 4 for step in made.steps)


def test_packs_of_realistic_dialogues_are_nearly_full() -> None:
    made = plan(
        [150 + 37 * i % 200 for i in range(400)], recipe(batch_tokens=1024, micro_batch_tokens=1024, max_length=1024)
    )
    assert made.efficiency > 0.93


def test_the_order_depends_on_the_seed_and_changes_with_every_epoch() -> None:
    sizes = [40] * 50
    first, second = (plan(sizes, recipe(seed=s, epochs=2.0)).steps for s in (1, 2))
    assert first != second
    assert first == plan(sizes, recipe(seed=1, epochs=2.0)).steps
    half = len(first) // 2
    assert first[:half] != first[half:]


def test_nothing_to_train_on_and_a_budget_too_small_are_refused() -> None:
    with pytest.raises(UserError, match="nothing to train on"):
        plan([], recipe())
    with pytest.raises(UserError, match="does not hold one step"):
        plan([90], recipe(max_tokens_trained=10))


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_the_learning_rate_warms_up_peaks_and_ends_where_the_recipe_says(schedule: str) -> None:
    made = recipe(schedule=schedule, learning_rate=1.0, warmup=0.1, final_lr=0.2)
    rates = [learning_rate(made, step, 100) for step in range(1, 101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == 1.0
    assert rates[-1] == pytest.approx(1.0 if schedule == "constant" else 0.2)
    assert all(a >= b - 1e-12 for a, b in pairwise(rates[9:]))

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workbench.errors import UserError
from workbench.training.recipe import Lora, load_recipe, presets, recipe_dict, recipe_from
from workbench.workflow.hashing import digest


def test_every_preset_loads_and_survives_a_round_trip_through_json() -> None:
    assert {"demo", "smoke", "paper-travel", "paper-zoom", "paper-insurance"} <= set(presets())
    for name in presets():
        recipe = load_recipe(name)
        assert recipe_from(json.loads(json.dumps(recipe_dict(recipe)))) == recipe


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"learning_rat": 1e-4}, "learning_rat"),
        ({"learning_rate": "fast"}, "learning_rate"),
        ({"schedule": "sine"}, "schedule"),
        ({"max_length": 4096}, "max_length 4096"),
        ({"max_tokens_trained": None, "epochs": None}, "has an end"),
        ({"lora": {"rank": 0}}, "lora.rank"),
        ({"lora": {"rank": 4}, "shard": True, "processes": 2}, "shard is for full-parameter"),
    ],
)
def test_a_wrong_key_or_value_is_named_with_its_file(tmp_path: Path, change: dict[str, object], said: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(json.dumps(change))
    with pytest.raises(UserError, match=said) as caught:
        load_recipe(str(file))
    assert "mine.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_and_overrides_make_a_recipe(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("learning_rate: 1e-4\nlora: {rank: 8}\n")
    recipe = load_recipe(str(file), {"seed": 5})
    assert (recipe.learning_rate, recipe.seed, recipe.lora) == (1e-4, 5, Lora(rank=8))


def test_what_is_no_recipe_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "broken.yaml"
    for content in ("a: [1", "- 1\n- 2\n", "x: !!python/object/apply:os.system ['true']"):
        file.write_text(content)
        with pytest.raises(UserError, match=r"broken\.yaml"):
            load_recipe(str(file))
    with pytest.raises(UserError, match="no such preset"):
        load_recipe("nothing")


@pytest.mark.parametrize(
    ("preset", "run"),
    [("demo", "eef968ad8de6d56d"), ("smoke", "d3ab43aad4e17feb"), ("paper-travel", "88b43f2623f94d3b")],
)
def test_keys_that_came_later_leave_the_ids_of_earlier_runs_alone(preset: str, run: str) -> None:
    recipe = recipe_dict(load_recipe(preset))
    args = {"dataset": "d" * 16, "recipe": recipe, "name": "x", "from": None, "probe": None}
    assert digest(["train", args]) == run
    changed = recipe_dict(load_recipe(preset, {"weights": "bf16"}))
    assert changed == {**recipe, "weights": "bf16"}
    assert recipe_from(changed).weights == "bf16"

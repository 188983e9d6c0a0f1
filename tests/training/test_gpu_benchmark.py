"""What of benchmarks/gpu.py can be checked without a GPU: shapes, the counting formula, its command line, a tiny run."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import gpu
from workbench.training.flops import flops_per_token, nominal_peak


@pytest.mark.parametrize(("name", "parameters"), [("3b", 3_085_938_688), ("8b", 8_190_735_360)])
def test_the_shapes_have_the_parameters_of_the_models_they_are_named_after(name: str, parameters: int) -> None:
    shape = gpu.SHAPES[name]
    assert gpu.shape_parameters(shape.config, shape.kind) == parameters


def test_operations_are_those_of_the_formula_that_is_stated() -> None:
    shape = gpu.SHAPES["3b"]
    count = gpu.shape_parameters(shape.config, shape.kind)
    attention = 6 * 36 * 2048 * 2048
    assert flops_per_token(count, shape.config, 2048) == 6 * count + attention  # the tied table is the output layer
    eight = gpu.SHAPES["8b"]
    count = gpu.shape_parameters(eight.config, eight.kind)
    table = 4096 * 151936
    assert flops_per_token(count, eight.config, 2048) == 6 * (count - table) + 6 * 36 * 4096 * 2048
    assert flops_per_token(count, eight.config, 0, share=0.5) == 6 * (count - 2 * table) + 3 * table


def test_nominal_peaks_go_by_the_cards_name() -> None:
    assert nominal_peak("NVIDIA H100 80GB HBM3") == 989e12
    assert nominal_peak("NVIDIA H100 PCIe") == 756e12
    assert nominal_peak("NVIDIA GeForce RTX 5090") == 209e12
    assert nominal_peak("some new card") is None


def test_packs_are_full_and_every_token_carries_a_loss() -> None:
    import torch

    shape = gpu.SHAPES["tiny"]
    (first, second) = gpu.packs(shape, gpu.recipe_of(shape), torch.device("cpu"))
    for batch in (first, second):
        assert len(batch["ids"]) == 128
        assert batch["lengths"] == (64, 64)
        assert len(batch["targets"]) == 126  # the first token of an example is predicted by none


def test_it_runs_to_the_end_on_the_tiny_shape(capsys: pytest.CaptureFixture[str]) -> None:
    found = {f.name.split(": ")[1]: f for f in gpu.run(["--quick", "--set", "weights=bf16"])}
    speed = found["tokens a second"].value
    assert speed is not None
    assert speed > 0
    assert found["peak memory"].value is None
    assert "tokens a second" in capsys.readouterr().out


def test_a_pass_that_does_not_fit_is_halved_and_the_batch_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    tried: list[list[int]] = []

    def stepper(model: Any, recipe: Any, batches: list[dict[str, Any]]) -> Any:
        tried.append([len(b["ids"]) for b in batches])
        if len(batches[0]["ids"]) > 64:
            raise torch.OutOfMemoryError
        return lambda: 0.0

    monkeypatch.setattr(gpu, "stepper", stepper)
    found = gpu.run(["--shape", "tiny", "--steps", "2", "--no-trl"])
    assert tried == [[128, 128], [64, 64, 64, 64]]
    assert "64 tokens a pass" in found[0].name


@pytest.mark.long
def test_beside_trl_it_runs_to_the_end_on_the_tiny_shape() -> None:
    pytest.importorskip("trl")
    found = gpu.run(["--shape", "tiny", "--steps", "2"])[-1]
    assert found.rival is not None
    assert "sequences a pass" in found.rival
    assert found.ratio is not None
    assert found.ratio > 0


def test_without_a_gpu_the_large_shapes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="no GPU here"):
        gpu.run([])


def test_settings_are_read_as_json_where_they_are() -> None:
    expected: dict[str, Any] = {"weights": "bf16", "micro_batch_tokens": 1024, "activation_checkpointing": True}
    assert gpu.settings(["weights=bf16", "micro_batch_tokens=1024", "activation_checkpointing=true"]) == expected

from __future__ import annotations

import dataclasses
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.training.conftest import dialogue
from workbench.errors import ServiceError, UserError
from workbench.training.answering import Answer, ProbeReport
from workbench.training.recipe import Lora, Recipe

RECIPE = Recipe(
    max_tokens_trained=None, epochs=6.0, batch_tokens=300, micro_batch_tokens=150, max_length=150, learning_rate=5e-3,
    precision="fp32", eval_every=6, probe_every=100, save_every=4, dev_limit=3,
)  # fmt: skip
EXAMPLES = [dialogue(i) for i in range(24)]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Events(list[dict[str, Any]]):
    """What a run reported."""

    def __call__(self, type: str, **data: Any) -> None:
        self.append({"type": type, **data})

    def of(self, type: str) -> list[dict[str, Any]]:
        return [e for e in self if e["type"] == type]

    def losses(self) -> dict[int, float]:
        return {e["step"]: e["loss"] for e in self.of("metric")}


def run(base: Path, folder: Path, recipe: Recipe = RECIPE, **options: Any) -> tuple[Any, Events]:
    from workbench.training.loop import train

    events = Events()
    return train(recipe, base, EXAMPLES[:20], EXAMPLES[20:], folder, report=events, **options), events


def weights(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def whole(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Events, Path]:
    """An uninterrupted run."""
    import torch

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whole")
    return (*run(tiny, folder), folder)


def test_it_learns_and_leaves_models_that_can_be_loaded(whole: tuple[Any, Events, Path]) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from workbench.training.template import CHATML

    summary, events, folder = whole
    first, last = events.of("eval")[0], events.of("eval")[-1]
    assert summary.status == "done"
    assert last["dev_loss"] < first["dev_loss"] / 2
    assert summary.best_dev_loss == min(e["dev_loss"] for e in events.of("eval"))
    assert summary.tokens == events.of("start")[0]["plan_tokens"] == events.of("metric")[-1]["tokens"]
    for name in ("best", "last"):
        model = AutoModelForCausalLM.from_pretrained(folder / name)
        assert model.generation_config.eos_token_id == 2
        assert AutoTokenizer.from_pretrained(folder / name).chat_template == CHATML
    assert [p.name for p in (folder / "checkpoints").iterdir()] == [f"step-{summary.steps:06d}"]


def test_the_fixed_dev_dialogues_are_answered_before_and_at_the_end(whole: tuple[Any, Events, Path]) -> None:
    before, now = (whole[1].of("sample")[i] for i in (0, -1))
    assert before["step"] == 0 < now["step"]
    for event in (before, now):
        said = [m for s in event["samples"] for m in s["messages"] if m["role"] == "assistant"]
        assert len(event["samples"]) == 2
        assert all("answer" in m for m in said)
    assert any(m["answer"] == m["content"] for s in now["samples"] for m in s["messages"] if m["role"] == "assistant")


def test_killed_with_9_and_resumed_it_ends_bit_for_bit_as_if_nothing_had_happened(
    tiny: Path, tmp_path: Path, whole: tuple[Any, Events, Path]
) -> None:
    command = [sys.executable, "-m", "tests.training.worker", str(tiny), str(tmp_path)]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    assert worker.stdout is not None
    for line in worker.stdout:  # past a checkpoint, in the middle of the second epoch
        if line.startswith("{") and json.loads(line)["type"] == "metric" and json.loads(line)["step"] == 6:
            worker.kill()
            break
    worker.wait()
    worker.stdout.close()
    summary, events = run(tiny, tmp_path)
    assert 4 <= events.of("start")[0]["step"] < summary.steps
    assert events.losses().items() <= whole[1].losses().items()
    assert summary.dev_loss == whole[0].dev_loss
    for name in ("best", "last"):
        assert weights(tmp_path / name) == weights(whole[2] / name)


def test_weights_that_are_held_as_they_are_deployed_are_lent_and_others_are_copied(tiny: Path) -> None:
    import torch

    from workbench.training import attention, network

    model, _ = network.load(tiny, RECIPE)
    with network.deployed(model, torch.float32) as lent:
        assert lent is model
        assert not model.training
        assert model.config.use_cache
    assert model.training
    assert model.config._attn_implementation == attention.NAME
    with network.deployed(model, torch.bfloat16) as copied:
        assert copied is not None
        assert copied is not model
        assert {p.dtype for p in copied.parameters()} == {torch.bfloat16}
        assert copied.lm_head.weight is copied.model.embed_tokens.weight
        assert copied.model.rotary_emb.inv_freq.dtype == torch.float32
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert model.training


def test_liger_s_kernels_are_used_where_asked_for_and_installed(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from workbench.training import network

    recipe = dataclasses.replace(RECIPE, kernels="liger")
    monkeypatch.setitem(sys.modules, "liger_kernel", None)  # type: ignore[arg-type]  # None: cannot be imported
    with pytest.raises(UserError, match="pip install liger-kernel"):
        network.load(tiny, recipe)
    asked: list[dict[str, Any]] = []
    fake = ModuleType("liger_kernel.transformers")
    fake._apply_liger_kernel_to_instance = lambda **options: asked.append(options)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "liger_kernel", ModuleType("liger_kernel"))
    monkeypatch.setitem(sys.modules, "liger_kernel.transformers", fake)
    model, _ = network.load(tiny, recipe)
    assert asked == [{"model": model, "cross_entropy": False, "fused_linear_cross_entropy": False}]


def test_stopped_and_resumed_it_ends_the_same(tiny: Path, tmp_path: Path, whole: tuple[Any, Events, Path]) -> None:
    asked = iter([False] * 6 + [True])
    summary, first = run(tiny, tmp_path, stopping=lambda: next(asked))
    assert (summary.status, summary.steps) == ("stopped", 7)
    resumed, second = run(tiny, tmp_path)
    assert resumed.status == "done"
    assert first.losses() | second.losses() == whole[1].losses()
    assert weights(tmp_path / "last") == weights(whole[2] / "last")
    again, third = run(tiny, tmp_path)
    assert not third.of("metric")
    assert again.steps == summary.steps + len(second.of("metric"))


def test_another_recipe_or_data_set_does_not_resume(tiny: Path, tmp_path: Path) -> None:
    run(tiny, tmp_path, dataclasses.replace(RECIPE, epochs=1.0))
    with pytest.raises(UserError, match="another recipe or data set"):
        run(tiny, tmp_path, dataclasses.replace(RECIPE, epochs=1.0, learning_rate=1e-4))


def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_last_good_checkpoint(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.training import network

    calls = []
    plain = network._cross_entropy

    def broken(*args: Any) -> Any:
        calls.append(1)
        return plain(*args) * (math.nan if len(calls) > 14 else 1)

    monkeypatch.setattr(network, "_cross_entropy", broken)
    with pytest.raises(UserError, match="the loss is nan") as caught:
        run(tiny, tmp_path, dataclasses.replace(RECIPE, save_every=2, eval_every=100))
    assert "learning_rate" in str(caught.value)
    from safetensors.torch import load_file

    (kept,) = (tmp_path / "checkpoints").iterdir()
    assert all(bool(t.isfinite().all()) for t in load_file(kept / "weights.safetensors").values())


def test_a_disk_that_is_too_small_is_told_before_the_first_step(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 1))  # type: ignore[attr-defined]
    with pytest.raises(ServiceError, match="GB free"):
        run(tiny, tmp_path)
    assert not list(tmp_path.iterdir())


def test_out_of_memory_names_the_setting_that_helps(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.training import network

    def full(*_: Any) -> Any:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9999999 bytes")

    evaluate = dataclasses.replace(RECIPE)
    monkeypatch.setattr("workbench.training.loop._Run.dev_loss", lambda self: 1.0)
    monkeypatch.setattr(network, "_cross_entropy", full)
    with pytest.raises(UserError, match=r"resume .* --set activation_checkpointing=true") as caught:
        run(tiny, tmp_path, dataclasses.replace(evaluate, micro_batch_tokens=300))
    assert "micro_batch_tokens=150 (the batch stays the same)" in str(caught.value)


def test_a_gpu_that_is_gone_is_told_and_the_run_goes_on_when_it_is_back(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: tuple[Any, Events, Path]
) -> None:
    from workbench.training import network

    plain, calls = network._cross_entropy, []

    def vanished(*args: Any) -> Any:
        calls.append(1)
        if len(calls) == 16:
            raise RuntimeError("CUDA error: GPU is lost\nCUDA kernel errors might be asynchronously reported")
        return plain(*args)

    with monkeypatch.context() as patch:
        patch.setattr(network, "_cross_entropy", vanished)
        with pytest.raises(ServiceError, match=r"the GPU failed at step \d+ \(CUDA error: GPU is lost\)") as caught:
            run(tiny, tmp_path)
    assert "untouched" in str(caught.value)
    summary, _ = run(tiny, tmp_path)
    assert summary.dev_loss == whole[0].dev_loss


def test_a_disk_that_fills_up_in_the_middle_of_a_save_costs_only_that_save(
    tiny: Path, tmp_path: Path, whole: tuple[Any, Events, Path]
) -> None:
    """The operating system refuses to let a file grow, as a quota does; the library that writes weights meets it."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    seen: list[int] = []

    def stopping() -> bool:
        seen.append(1)
        if len(seen) == 7:  # after the checkpoint of step 4, before that of step 8
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
        return False

    try:
        with pytest.raises(ServiceError, match="the last good checkpoint is untouched: free some space, then resume"):
            run(tiny, tmp_path, dataclasses.replace(RECIPE, eval_every=100), stopping=stopping)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [p.name for p in (tmp_path / "checkpoints").iterdir()] == ["step-000004"]
    summary, events = run(tiny, tmp_path, dataclasses.replace(RECIPE, eval_every=100))
    assert events.of("start")[0]["step"] == 4
    assert events.losses().items() <= whole[1].losses().items()
    assert summary.status == "done"


def test_patience_ends_a_run_that_no_longer_gets_better(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores = iter([3.0, 2.0, 2.5, 2.6, 1.0])
    monkeypatch.setattr("workbench.training.loop._Run.dev_loss", lambda self: next(scores))
    summary, _ = run(tiny, tmp_path, dataclasses.replace(RECIPE, eval_every=2, early_stopping=2))
    assert (summary.status, summary.steps, summary.best_step) == ("done", 6, 2)


def test_the_best_may_be_chosen_by_the_probes_pass_rate(tiny: Path, tmp_path: Path) -> None:
    rates = iter([0.0, 0.5, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5])

    def probe(answer: Answer) -> ProbeReport:
        assert isinstance(answer([EXAMPLES[0]["messages"][:1]], 4)[0], str)
        return ProbeReport(next(rates), 2)

    recipe = dataclasses.replace(RECIPE, epochs=2.0, eval_every=3, probe_every=3, best_by="pass_rate")
    summary, events = run(tiny, tmp_path, recipe, probe=probe)
    assert summary.best_step == 6
    assert [e["pass_rate"] for e in events.of("eval")][:3] == [0.0, 0.5, 1.0]


def test_patience_by_pass_rate_counts_only_evaluations_that_probe(tiny: Path, tmp_path: Path) -> None:
    rates = iter([0.0, 0.5, 0.5, 0.5, 1.0])
    recipe = dataclasses.replace(
        RECIPE, eval_every=1, probe_every=2, best_by="pass_rate", early_stopping=2, save_every=100
    )
    summary, events = run(tiny, tmp_path, recipe, probe=lambda answer: ProbeReport(next(rates), 2))
    assert (summary.best_step, summary.steps) == (2, 6)
    assert [e["step"] for e in events.of("eval") if e["best"]] == [2]


@pytest.mark.parametrize(
    "change",
    [
        {"lora": Lora(rank=4)}, {"optimiser": "muon"}, {"activation_checkpointing": True}, {"precision": "bf16"},
        {"schedule": "linear", "batch_tokens": 150},
    ],
    ids=["lora", "muon", "activation checkpointing", "bf16", "no accumulation"],
)  # fmt: skip
def test_every_kind_of_recipe_learns_and_resumes(tiny: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=2.0, eval_every=100, probe_every=1000, **change)
    stop: Callable[[], bool] = iter([False, False, True]).__next__
    summary, whole = run(tiny, tmp_path / "a", recipe)
    run(tiny, tmp_path / "b", recipe, stopping=stop)
    _, rest = run(tiny, tmp_path / "b", recipe)
    assert rest.losses().items() <= whole.losses().items()
    assert weights(tmp_path / "a" / "last") == weights(tmp_path / "b" / "last")
    assert summary.dev_loss < whole.of("eval")[0]["dev_loss"]


def test_too_long_dialogues_are_refused_left_out_or_cut_but_never_silently(tokenizer: Any) -> None:
    from workbench.training.loop import encode_all

    short = dataclasses.replace(RECIPE, max_length=60)
    with pytest.raises(UserError, match=r"exceed max_length = 60 tokens \(the longest has \d+\)"):
        encode_all(EXAMPLES, tokenizer, short)
    kept = encode_all(EXAMPLES, tokenizer, dataclasses.replace(short, too_long="skip"))
    cut = encode_all(EXAMPLES, tokenizer, dataclasses.replace(short, too_long="truncate"))
    assert len(kept) < len(cut) == len(EXAMPLES)
    assert max(len(e.ids) for e in cut) == 60

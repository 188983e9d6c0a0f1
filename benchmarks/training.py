"""Fine-tuning on a CPU: our trainer beside TRL's SFTTrainer, with its defaults and with its best settings.

All train every parameter of the demo's base model (SmolLM2-135M-Instruct) on the same travel dialogues, a loss on the same
kinds of tokens, with the same number of threads, each as its users would call it. They take turns (ours, theirs, ours …) and
ours is compared with its own runs before and after, so that a machine that gets busier slows both. Tokens a second are those
of the dialogues, padding not counted, from the end of the first optimiser step on. Also: the time from calling the trainer to
the end of its first step, and the time a checkpoint takes. `pip install 'workbench[bench]'` brings TRL. Ten minutes or so on two
quiet cores.
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from common import Finding, main

from workbench.dialogue.model import chat_messages
from workbench.dialogue.planning import plan_paths
from workbench.dialogue.scenarios import scenario_for_path
from workbench.dialogue.scripted import write
from workbench.home import find_home
from workbench.training.base import base_model
from workbench.training.recipe import Recipe, load_recipe
from workbench.workflow.load import load_workflow

LONGEST = 240.0
"""Seconds after which a rival's run is cut short; its rate is then that of the steps it made."""
BEST = {
    "packing": True, "max_length": 1024, "per_device_train_batch_size": 1, "gradient_checkpointing": False,
}  # fmt: skip
"""TRL's fastest settings that we found for a processor: packs without padding, nothing computed twice; bf16 only where the
processor has it (its default, bf16 autocast everywhere, is very slow where it has not).
"""


def dialogues(count: int) -> list[dict[str, Any]]:
    """The demo's kind of data: `count` travel dialogues of the scripted writer in chat form."""
    workflow = load_workflow("travel_booking")
    paths = plan_paths(workflow, count, seed=1, least=0).paths[:count]
    written = [write(workflow, scenario_for_path(workflow, path, "train", i)) for i, path in enumerate(paths)]
    return [{"messages": chat_messages(workflow.instruction, workflow.context, d.messages)} for d in written]


@dataclasses.dataclass(frozen=True)
class Timing:
    """One run: tokens a second after the first step, seconds to its end, seconds of a checkpoint (None: none made)."""

    rate: float
    first_step: float
    checkpoint: float | None = None


def ours(base: Path, examples: list[dict[str, Any]], recipe: Recipe) -> Timing:
    """Our trainer on these examples, once through."""
    from workbench.training.loop import train

    marks: list[tuple[float, int]] = []
    saves: list[float] = []

    def report(type: str, **data: Any) -> None:
        if type == "metric":
            marks.append((time.perf_counter(), int(data["tokens"])))
        elif type == "checkpoint":
            saves.append(float(data["took"]))

    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        train(recipe, base, examples, [], Path(folder), report=report, probe=_silent)
    (first, tokens_first), (last, tokens_last) = marks[0], marks[-1]
    return Timing((tokens_last - tokens_first) / (last - first), first - began, saves[-1])


def _silent(answer: Any) -> Any:
    from workbench.training.answering import ProbeReport

    return ProbeReport()


def trl(base: Path, examples: list[dict[str, Any]], tokens: int, settings: dict[str, Any]) -> Timing:
    """TRL's SFTTrainer on these examples, once through; saving is left out of its rate."""
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    marks: list[float] = []
    planned: list[int] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            marks.append(time.perf_counter())
            planned.append(int(state.max_steps))
            control.should_training_stop |= len(marks) > 1 and marks[-1] - marks[0] > LONGEST

    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        trainer = SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
            processing_class=AutoTokenizer.from_pretrained(base),
            args=SFTConfig(
                output_dir=folder,
                report_to="none",
                save_strategy="no",
                num_train_epochs=1,
                disable_tqdm=True,
                use_cpu=True,
                **settings,
            ),
            train_dataset=Dataset.from_list(examples),
            callbacks=[Clock()],
        )
        trainer.train()
    share = (len(marks) - 1) / planned[0]
    return Timing(tokens * share / (marks[-1] - marks[0]), marks[0] - began)


def _installed() -> bool:
    from importlib.util import find_spec

    return find_spec("trl") is not None


def measure(quick: bool) -> list[Finding]:
    """Tokens a second of each, the ratios, start-up and checkpoint."""
    import torch
    from transformers import AutoTokenizer

    from workbench.training import network
    from workbench.training.encoding import encode

    recipe = dataclasses.replace(
        load_recipe("demo"),
        max_tokens_trained=None,
        epochs=1.0,
        save_every=10_000,
        eval_every=10_000,
        probe_every=10_000,
    )
    base = base_model(find_home().make(), recipe.base)
    examples = dialogues(8 if quick else 40)
    tokenizer = AutoTokenizer.from_pretrained(base)
    tokens = sum(len(encode(e, tokenizer).ids) for e in examples)
    mine = [ours(base, examples, recipe)]
    rivals: list[tuple[str, Timing | None]] = []
    precision = network.precision(recipe, torch.device("cpu"))
    able = precision == "bf16"
    usual = {} if able else {"bf16": False}  # a processor without bf16 would need minutes a step
    names = (
        f"TRL SFTTrainer, its defaults{'' if able else ' but fp32'}",
        f"TRL SFTTrainer, best settings, {precision}",
    )
    for name, settings in zip(names, (usual, {**BEST, "bf16": able}), strict=True):
        if quick or not _installed():
            rivals.append((f"{name}: {'left out by --quick' if quick else 'not installed'}", None))
            continue
        rivals.append((name, trl(base, examples, tokens, settings)))
        mine.append(ours(base, examples, recipe))
    rate = statistics.median(t.rate for t in mine)
    found = []
    for i, (name, theirs) in enumerate(rivals):
        beside = (mine[i].rate + mine[i + 1].rate) / 2 if theirs else rate
        found.append(
            Finding(f"tokens a second, {precision}", beside, "tokens/s", name, beside / theirs.rate if theirs else None)
        )
    first = statistics.median(t.first_step for t in mine)
    for name, theirs in rivals:
        found.append(Finding("call to first step", first, "s", name, theirs.first_step / first if theirs else None))
    saves = [t.checkpoint for t in mine if t.checkpoint is not None]
    return [*found, Finding("a checkpoint (weights and optimiser, 1.6 GB)", statistics.median(saves), "s")]


if __name__ == "__main__":
    main(measure, __doc__ or "")

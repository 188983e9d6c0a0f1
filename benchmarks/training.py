"""Fine-tuning on a CPU: our loop beside a plain padded loop, and beside TRL's SFTTrainer where `trl` is installed.

All train every parameter of the demo's base model on the same travel dialogues, in bf16 autocast where the processor has
it, with the same number of threads; ours and the plain loop take turns, dialogue for dialogue, so that a busy machine
slows both alike. Tokens are those of the dialogues, padding not counted. `pip install workbench[bench]` brings TRL.
"""

from __future__ import annotations

import copy
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import torch
from common import Finding, main

from workbench.dialogue.model import chat_messages
from workbench.dialogue.planning import plan_paths
from workbench.dialogue.scenarios import scenario_for_path
from workbench.dialogue.scripted import write
from workbench.home import find_home
from workbench.training import network
from workbench.training.base import base_model
from workbench.training.encoding import Encoded, encode, pack
from workbench.training.plan import plan
from workbench.training.recipe import Recipe, load_recipe
from workbench.workflow.load import load_workflow

BATCH = 8
Step = Callable[[Sequence[Encoded]], None]


def dialogues(count: int) -> list[dict[str, Any]]:
    """The demo's kind of data: `count` travel dialogues of the scripted writer in chat form."""
    workflow = load_workflow("travel_booking")
    paths = plan_paths(workflow, count, seed=1, least=0).paths[:count]
    written = [write(workflow, scenario_for_path(workflow, path, "train", i)) for i, path in enumerate(paths)]
    return [{"messages": chat_messages(workflow.instruction, workflow.context, d.messages)} for d in written]


def autocast(recipe: Recipe) -> Any:
    kind = network.precision(recipe, torch.device("cpu"))
    return torch.autocast("cpu", dtype=torch.bfloat16, enabled=kind == "bf16")


def ours(model: Any, recipe: Recipe) -> Step:
    """One optimiser step as `workbench.training.loop` does it."""
    loss, (optimiser,) = network.PackedLoss(model), network.optimisers(model, recipe)

    def step(batch: Sequence[Encoded]) -> None:
        order = plan([len(e.ids) for e in batch], recipe).steps
        packs = [pack([batch[i] for i in micro]) for micros in order for micro in micros]
        targets = sum(len(p.targets) for p in packs)
        for packed in packs:
            with autocast(recipe):
                value = loss(**network.tensors(packed, torch.device("cpu"))) / targets
            value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.grad_clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    return step


def plain(model: Any, recipe: Recipe, pad: int, micro: int = 4) -> Step:
    """What one writes first: padded batches of four, an attention mask, the model's own loss over all logits."""
    model.set_attn_implementation("sdpa")
    optimiser = torch.optim.AdamW(model.parameters(), lr=recipe.learning_rate)

    def step(batch: Sequence[Encoded]) -> None:
        for start in range(0, len(batch), micro):
            part = batch[start : start + micro]
            width = max(len(e.ids) for e in part)
            ids = torch.tensor([[*e.ids, *[pad] * (width - len(e.ids))] for e in part])
            mask = torch.tensor([[1] * len(e.ids) + [0] * (width - len(e.ids)) for e in part])
            labels = torch.tensor([[*e.labels, *[-100] * (width - len(e.ids))] for e in part])
            with autocast(recipe):
                value = model(input_ids=ids, attention_mask=mask, labels=labels, use_cache=False).loss
            (value * len(part) / len(batch)).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.grad_clip)
        optimiser.step()
        optimiser.zero_grad()

    return step


def trl_rate(base: Path, examples: list[dict[str, Any]], tokens: float, **settings: Any) -> float | None:
    """Tokens a second of TRL's SFTTrainer, the first step left out; None if `trl` is not installed."""
    try:
        from trl import SFTConfig, SFTTrainer
    except ImportError:
        return None
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

    marks: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, *_: Any, **__: Any) -> None:
            marks.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        trainer = SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32),
            processing_class=AutoTokenizer.from_pretrained(base),
            args=SFTConfig(output_dir=folder, report_to="none", save_strategy="no", num_train_epochs=1, **settings),
            train_dataset=Dataset.from_list(examples),
            callbacks=[Clock()],
        )
        trainer.train()
    share = (len(marks) - 1) / len(marks)
    return tokens * share / (marks[-1] - marks[0])


def measure(quick: bool) -> list[Finding]:
    """Tokens a second of each, and the ratios."""
    rounds = 2 if quick else 8
    recipe = load_recipe("demo")
    base = base_model(find_home().make(), recipe.base)
    examples = dialogues(BATCH * (rounds + 1))
    model, tokenizer = network.load(base, recipe)
    encoded = [encode(e, tokenizer) for e in examples]
    batches = [encoded[i : i + BATCH] for i in range(0, len(encoded), BATCH)]
    rival = plain(copy.deepcopy(model), recipe, tokenizer.pad_token_id)
    mine = ours(model, recipe)
    pairs = [(_seconds(mine, batch), _seconds(rival, batch)) for batch in batches][1:]
    sizes = [sum(len(e.ids) for e in batch) for batch in batches][1:]
    rate = statistics.median(size / a for size, (a, _) in zip(sizes, pairs, strict=True))
    found = [
        Finding("training", rate, "tokens/s", "plain padded loop", statistics.median(b / a for a, b in pairs)),
    ]
    if quick:
        return found
    del mine, rival, model
    total = float(sum(len(e.ids) for e in encoded))
    best = {"packing": True, "max_length": 1024, "gradient_checkpointing": False, "per_device_train_batch_size": 1}
    for name, settings in (("TRL SFTTrainer, its defaults", {}), ("TRL SFTTrainer, packed, no checkpointing", best)):
        theirs = trl_rate(base, examples, total, **settings)
        rival_name = name if theirs else f"{name}: not installed"
        found.append(Finding("training", rate, "tokens/s", rival_name, rate / theirs if theirs else None))
    return found


def _seconds(step: Step, batch: Sequence[Encoded]) -> float:
    began = time.perf_counter()
    step(batch)
    return time.perf_counter() - began


if __name__ == "__main__":
    main(measure, __doc__ or "")

"""The loop: packed steps in a fixed order, held-out loss, probes, checkpoints that resume bit for bit."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from workbench.errors import ServiceError, UserError
from workbench.training import checkpoints, network
from workbench.training.answering import Probe, ProbeReport, answer_with, replay
from workbench.training.base import save_model, set_end_token
from workbench.training.encoding import Encoded, encode, pack
from workbench.training.plan import Plan, plan
from workbench.training.readings import readings
from workbench.training.recipe import Recipe, learning_rate, recipe_dict

_FREE = frozenset(
    [
        "base",
        "eval_every",
        "probe_every",
        "save_every",
        "keep",
        "dev_limit",
        "early_stopping",
        "best_by",
        "activation_checkpointing",
    ]
)
"""Keys of a recipe that may change between a checkpoint and its resumption: they do not change the updates."""

Report = Callable[..., None]
"""Called as `report(type, **data)` with the event types of a job: start, metric, eval, sample, checkpoint, stop."""


@dataclass(frozen=True, slots=True)
class Summary:
    """How a run ended. Losses are nats per trained token; seconds include evaluations and all sessions."""

    status: str
    steps: int
    tokens: int
    seconds: float
    tokens_per_s: float
    train_loss: float
    dev_loss: float
    best_step: int
    best_dev_loss: float
    pass_rate: float | None
    peak_memory_mb: float
    folder: str


@dataclass(slots=True)
class _State:
    """What changes from step to step and is saved with a checkpoint."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    train_seconds: float = 0.0
    train_loss: float = math.nan
    dev_loss: float = math.nan
    pass_rate: float | None = None
    best_score: float = math.inf
    best_step: int = 0
    best_dev_loss: float = math.nan
    stale: int = 0
    peak_memory_mb: float = 0.0


def train(
    recipe: Recipe,
    base: Path,
    train_examples: Sequence[Mapping[str, Any]],
    dev_examples: Sequence[Mapping[str, Any]],
    folder: Path,
    *,
    report: Report = lambda type, **data: None,
    probe: Probe | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> Summary:
    """Train on chat examples (`{"messages": [...]}`) and leave `best/` and `last/` in `folder`, ready to be served.

    Run again on the same folder it resumes from the newest complete checkpoint, with the same order, optimiser and
    random state. `stopping` is asked after every step. Raises UserError for what the user must mend (data, recipe, a
    loss that is not finite) and ServiceError for a full disk; the last good checkpoint is then untouched.
    """
    return _Run(recipe, base, train_examples, dev_examples, folder, report, probe).run(stopping)


class _Run:
    """One process's part in a run: the state that the steps share."""

    def __init__(
        self,
        recipe: Recipe,
        base: Path,
        train_examples: Sequence[Mapping[str, Any]],
        dev_examples: Sequence[Mapping[str, Any]],
        folder: Path,
        report: Report,
        probe: Probe | None,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.recipe, self.folder, self.report = recipe, folder, report
        self.accelerator = Accelerator(mixed_precision="no")
        self.device = self.accelerator.device
        self.precision = network.precision(recipe, self.device)
        self.model, self.tokenizer = network.load(base, recipe)
        self.train = encode_all(train_examples, self.tokenizer, recipe)
        self.dev = encode_all(dev_examples, self.tokenizer, recipe)[: recipe.dev_limit]
        self.plan: Plan = plan([len(e.ids) for e in self.train], recipe, self.accelerator.num_processes)
        self.optimisers = network.optimisers(self.model, recipe)
        prepared = self.accelerator.prepare(network.PackedLoss(self.model), *self.optimisers)
        self.loss, self.optimisers = prepared[0], list(prepared[1:])
        self.probe = probe or replay([list(e["messages"]) for e in dev_examples[:2]])
        self.state = _State()

    def run(self, stopping: Callable[[], bool]) -> Summary:
        """Resume if there is a checkpoint, then step until the plan, the patience or the user ends it."""
        self._resume()
        if self.state.step == 0:
            checkpoints.require_space(self.folder, network.disk_bytes(self.model, self.recipe, self.precision))
        steps = len(self.plan.steps)
        self.report(
            "start",
            step=self.state.step,
            steps=steps,
            plan_tokens=self.plan.tokens,
            efficiency=self.plan.efficiency,
            epochs=self.plan.epochs,
            device=str(self.device),
            precision=self.precision,
            threads=torch.get_num_threads(),
            examples=len(self.train),
            dev_examples=len(self.dev),
            recipe=recipe_dict(self.recipe),
        )
        if self.state.step == 0:
            self._evaluate(probe=True)
        status = "done"
        while self.state.step < steps:
            with _causes(self.recipe, self.state.step + 1):
                self._step()
            last = self.state.step == steps
            if last or self.state.step % self.recipe.eval_every == 0:
                self._evaluate(probe=last or self.state.step % self.recipe.probe_every == 0)
                if self.recipe.early_stopping and self.state.stale >= self.recipe.early_stopping:
                    self.report(
                        "log", text=f"early stop at step {self.state.step}: {self.state.stale} evaluations no better"
                    )
                    self._save()
                    break
            stop = stopping()
            if stop or last or self.state.step % self.recipe.save_every == 0:
                self._save()
            if stop and not last:
                status = "stopped"
                break
        self._deploy("last")
        return self._summary(status)

    def _step(self) -> None:
        began = time.perf_counter()
        recipe, state = self.recipe, self.state
        batches = [pack([self.train[i] for i in micro]) for micro in self.plan.steps[state.step]]
        targets = sum(len(b.targets) for b in batches)
        world, rank = self.accelerator.num_processes, self.accelerator.process_index
        mine = batches[rank::world]
        total = torch.zeros((), device=self.device)
        for i, batch in enumerate(mine):
            last = i + 1 == len(mine)
            with nullcontext() if last else self.accelerator.no_sync(self.loss), self._autocast():
                loss = self.loss(**network.tensors(batch, self.device))
                self.accelerator.backward(loss * (world / targets))
            total += loss.detach()
        value = float(self.accelerator.reduce(total, "sum")) / targets
        norm = float(self.accelerator.clip_grad_norm_(self.model.parameters(), recipe.grad_clip))
        step, steps = state.step + 1, len(self.plan.steps)
        if not (math.isfinite(value) and math.isfinite(norm)):
            raise UserError(
                f"training stopped at step {step}: the loss is {value:g}, the gradient norm {norm:g}; the last checkpoint "
                f"is good: start --from this run with a learning_rate below {recipe.learning_rate:g} or precision: fp32"
            )
        rate = learning_rate(recipe, step, steps)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        took = time.perf_counter() - began
        tokens = sum(len(b.ids) for b in batches)
        state.step, state.train_loss = step, value
        state.tokens += tokens
        state.seconds += took
        state.train_seconds += took
        read = readings()
        state.peak_memory_mb = max(state.peak_memory_mb, read["memory_mb"])
        self.report(
            "metric",
            step=step,
            steps=steps,
            loss=value,
            lr=rate,
            grad_norm=norm,
            tokens=state.tokens,
            tokens_per_s=tokens / took,
            step_time=took,
            seconds=state.seconds,
            epoch=self.plan.epochs * step / steps,
            **read,
        )

    def _evaluate(self, probe: bool) -> None:
        """Held-out loss, the probe where it is due, and `best/` when the score is better than ever."""
        began = time.perf_counter()
        state = self.state
        state.dev_loss = self.dev_loss() if self.dev else math.nan
        found = ProbeReport()
        copy = None
        if probe and self.accelerator.is_main_process:
            copy = self._copy()
            with torch.random.fork_rng():  # a probe that draws numbers must not change the run
                found = self.probe(answer_with(copy, self.tokenizer))
            state.pass_rate = found.pass_rate
        score = state.dev_loss
        if self.recipe.best_by == "pass_rate" and found.pass_rate is not None:
            score = -found.pass_rate
        better = not self.dev or score < state.best_score
        if better and state.step > 0:
            state.best_score, state.best_step, state.best_dev_loss, state.stale = score, state.step, state.dev_loss, 0
            self._deploy("best", copy)
        elif state.step > 0:
            state.stale += 1
        state.seconds += time.perf_counter() - began
        self.report(
            "eval",
            step=state.step,
            steps=len(self.plan.steps),
            dev_loss=state.dev_loss,
            pass_rate=found.pass_rate,
            pass_n=found.n,
            best=better and state.step > 0,
            tokens=state.tokens,
            seconds=state.seconds,
            took=time.perf_counter() - began,
        )
        if found.samples:
            self.report("sample", step=state.step, samples=[dict(s) for s in found.samples])

    def dev_loss(self) -> float:
        """Mean loss per trained token of the dev examples, packed like the training data."""
        self.loss.eval()
        total = count = 0.0
        with torch.inference_mode(), self._autocast():
            for group in _groups(self.dev, self.recipe.micro_batch_tokens):
                packed = pack(group)
                total += float(self.loss(**network.tensors(packed, self.device)))
                count += len(packed.targets)
        self.loss.train()
        return total / count

    def _autocast(self) -> Any:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self.precision == "bf16")

    def _copy(self) -> Any:
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        copy = network.deployable(self.accelerator.unwrap_model(self.loss).model, dtype)
        set_end_token(copy, self.tokenizer)
        return copy

    def _deploy(self, name: str, copy: Any = None) -> None:
        """Write the model in its deployment form to `folder/name`, replacing what was there in one rename."""
        if not self.accelerator.is_main_process:
            return
        model = copy if copy is not None else self._copy()
        checkpoints.require_space(self.folder, sum(p.numel() * p.element_size() for p in model.parameters()))
        checkpoints.write_folder(self.folder / name, lambda aside: save_model(model, self.tokenizer, aside))

    def _save(self) -> None:
        if not self.accelerator.is_main_process:
            return
        began = time.perf_counter()
        model = self.accelerator.unwrap_model(self.loss).model
        groups = {
            "weights": {name: p for name, p in model.named_parameters() if p.requires_grad},
            "optimiser": network.optimiser_tensors(self.optimisers),
            "random": {"torch": torch.get_rng_state()},
        }
        saved = {**asdict(self.state), "plan": self._digest()}
        place = checkpoints.save(self.folder / "checkpoints", self.state.step, groups, saved, self.recipe.keep)
        self.report("checkpoint", step=self.state.step, path=str(place), took=time.perf_counter() - began)

    def _resume(self) -> None:
        found = checkpoints.newest(self.folder / "checkpoints")
        if found is None:
            return
        if found.state["plan"] != self._digest():
            raise UserError(
                f"{self.folder} holds a run with another recipe or data set; choose another folder to start anew"
            )
        model = self.accelerator.unwrap_model(self.loss).model
        weights = load_file(found.folder / "weights.safetensors")
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if parameter.requires_grad:
                    parameter.copy_(weights[name])
        network.restore_optimisers(self.optimisers, load_file(found.folder / "optimiser.safetensors"))
        torch.set_rng_state(load_file(found.folder / "random.safetensors")["torch"])
        self.state = _State(**{k: v for k, v in found.state.items() if k != "plan"})

    def _digest(self) -> str:
        """What must be equal for a checkpoint to be resumed: the order of the data and what decides the updates."""
        import hashlib

        recipe = recipe_dict(self.recipe)
        data = [{k: v for k, v in recipe.items() if k not in _FREE}, self.plan.steps, [e.ids for e in self.train]]
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()[:16]

    def _summary(self, status: str) -> Summary:
        s = self.state
        return Summary(
            status=status,
            steps=s.step,
            tokens=s.tokens,
            seconds=s.seconds,
            tokens_per_s=s.tokens / s.train_seconds if s.train_seconds else 0.0,
            train_loss=s.train_loss,
            dev_loss=s.dev_loss,
            best_step=s.best_step,
            best_dev_loss=s.best_dev_loss,
            pass_rate=s.pass_rate,
            peak_memory_mb=s.peak_memory_mb,
            folder=str(self.folder / "best"),
        )


@contextmanager
def _causes(recipe: Recipe, step: int) -> Iterator[None]:
    """Name the cause and the next step in one line where torch only names the symptom."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text = str(error).lower()
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in text:
            raise UserError(
                f"out of memory at step {step}: set activation_checkpointing: true and resume, or start again with "
                f"micro_batch_tokens: {recipe.micro_batch_tokens // 2} (the batch stays the same)"
            ) from error
        if "cuda error" in text or "nccl" in text:
            line = str(error).splitlines()[0]
            raise ServiceError(f"the GPU failed at step {step} ({line}): resume when it is back") from error
        raise


def encode_all(examples: Sequence[Mapping[str, Any]], tokenizer: Any, recipe: Recipe) -> list[Encoded]:
    """All examples encoded; those above `max_length` are refused, left out or cut, as the recipe says."""
    encoded = [encode(example, tokenizer) for example in examples]
    long = [len(e.ids) for e in encoded if len(e.ids) > recipe.max_length]
    if long and recipe.too_long == "refuse":
        raise UserError(
            f"{len(long)} of {len(encoded)} dialogues exceed max_length = {recipe.max_length} tokens "
            f"(the longest has {max(long)}): raise max_length and micro_batch_tokens, or set too_long: skip or truncate"
        )
    if recipe.too_long == "skip":
        return [e for e in encoded if len(e.ids) <= recipe.max_length]
    return [Encoded(e.ids[: recipe.max_length], e.labels[: recipe.max_length]) for e in encoded]


def _groups(examples: Sequence[Encoded], capacity: int) -> list[list[Encoded]]:
    groups: list[list[Encoded]] = []
    size = capacity + 1
    for example in examples:
        if size + len(example.ids) > capacity:
            groups.append([])
            size = 0
        groups[-1].append(example)
        size += len(example.ids)
    return groups

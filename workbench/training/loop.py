"""The loop: packed steps in a fixed order, held-out loss, probes, checkpoints that resume bit for bit."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, InitProcessGroupKwargs
from safetensors.torch import load_file

from workbench.errors import ServiceError, UserError
from workbench.training import checkpoints, network, world
from workbench.training.answering import Probe, ProbeReport, answer_with, replay
from workbench.training.base import save_model, set_end_token
from workbench.training.encoding import Encoded, encode, pack
from workbench.training.flops import flops_per_token, peak
from workbench.training.plan import Plan, plan
from workbench.training.readings import readings
from workbench.training.recipe import FREE, Recipe, learning_rate, recipe_dict

_PATIENT = InitProcessGroupKwargs(timeout=timedelta(hours=2))
"""While the first process talks to the model the others wait; torch's usual ten minutes would end the run."""

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
        self.recipe, self.folder = recipe, folder
        gloo = int(os.environ.get("WORLD_SIZE", "1")) > 1 and not torch.cuda.is_available()  # it must be told
        self.accelerator = Accelerator(mixed_precision="no", cpu=gloo, kwargs_handlers=[_PATIENT])
        self.report: Report = report if world.is_first() else _silent
        self.device = self.accelerator.device
        self.precision = network.precision(recipe, self.device)
        self.model, self.tokenizer = network.load(base, recipe)
        self.train = encode_all(train_examples, self.tokenizer, recipe)
        self.dev = encode_all(dev_examples, self.tokenizer, recipe)[: recipe.dev_limit]
        self.plan: Plan = plan([len(e.ids) for e in self.train], recipe, world.size())
        self.shards = recipe.shard and world.size() > 1
        if self.shards:
            loss = network.PackedLoss(self.model.to(self.device))
            self.loss: Any = world.shard(loss, network.layers(self.model), self.device)
            self.optimisers = network.optimisers(self.model, recipe)
        else:
            self.optimisers = network.optimisers(self.model, recipe)
            prepared = self.accelerator.prepare(network.PackedLoss(self.model), *self.optimisers)
            self.loss, self.optimisers = prepared[0], list(prepared[1:])
        self.work, self.peak, self.peak_from = self._flops()
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
            processes=world.size(),
            flops_per_token=self.work,
            peak_flops=self.peak,
            peak_from=self.peak_from,
            recipe=recipe_dict(self.recipe),
        )
        if self.state.step == 0:
            self._evaluate(probe=True)
        status = "done"
        while self.state.step < steps:
            with _causes(self.folder, self.recipe, self.state.step + 1):
                self._step()
                last = self.state.step == steps
                evaluates = last or self.state.step % self.recipe.eval_every == 0
                if evaluates:
                    self._evaluate(probe=last or self.state.step % self.recipe.probe_every == 0)
            if evaluates and self.recipe.early_stopping and self.state.stale >= self.recipe.early_stopping:
                self.report(
                    "log", text=f"early stop at step {self.state.step}: {self.state.stale} evaluations no better"
                )
                self._save()
                break
            stop = world.any_of(stopping(), self.device)
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
        mine = batches[world.rank() :: world.size()]
        total = torch.zeros((), device=self.device)
        for i, batch in enumerate(mine):
            with self._synced(i + 1 == len(mine)), self._autocast():
                loss = self.loss(**network.tensors(batch, self.device))
                self.accelerator.backward(loss * (world.size() / targets))
            total += loss.detach()
        value = float(self.accelerator.reduce(total, "sum")) / targets
        clipped = torch.nn.utils.clip_grad_norm_(self.model.parameters(), recipe.grad_clip)
        norm = float(world.whole(clipped))
        step, steps = state.step + 1, len(self.plan.steps)
        if not (math.isfinite(value) and math.isfinite(norm)):
            origin = f"--from {self.folder.name} " if (self.folder / "best").exists() else ""
            raise UserError(
                f"training stopped at step {step}: the loss is {value:g}, the gradient norm {norm:g}; the last checkpoint is "
                f"good: `workbench train start … {origin}--set learning_rate={recipe.learning_rate / 2:g}`"
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
            mfu=self.work * tokens / took / (self.peak * world.size()),
            seconds=state.seconds,
            epoch=self.plan.epochs * step / steps,
            **read,
        )

    def _evaluate(self, probe: bool) -> None:
        """Held-out loss, the probe where it is due, and `best/` when the score is better than ever."""
        began = time.perf_counter()
        state = self.state
        state.dev_loss = self.dev_loss() if self.dev else math.nan
        found = self._ask() if probe else ProbeReport()
        if probe:
            rate = world.agreed(math.nan if found.pass_rate is None else found.pass_rate, self.device)
            state.pass_rate = None if math.isnan(rate) else rate
        passed = state.pass_rate if self.recipe.best_by == "pass_rate" else None
        score = world.agreed(state.dev_loss if passed is None else -passed, self.device)
        judged = state.step > 0 and (probe or passed is None)  # between two probes nothing new is known of the rate
        unknown = not self.dev and (math.isnan(score) or math.isnan(state.best_score))  # nothing to compare: the newest
        better = judged and (unknown or score < state.best_score)
        if better:
            state.best_score, state.best_step, state.best_dev_loss, state.stale = score, state.step, state.dev_loss, 0
            self._deploy("best")
        elif judged:
            state.stale += 1
        state.seconds += time.perf_counter() - began
        self.report(
            "eval",
            step=state.step,
            steps=len(self.plan.steps),
            dev_loss=state.dev_loss,
            pass_rate=found.pass_rate,
            pass_n=found.n,
            best=better,
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
        with torch.no_grad() if self.shards else torch.inference_mode(), self._autocast():
            for group in _groups(self.dev, self.recipe.micro_batch_tokens):
                packed = pack(group)
                total += float(self.loss(**network.tensors(packed, self.device)))
                count += len(packed.targets)
        self.loss.train()
        return total / count

    def _autocast(self) -> Any:
        enabled = self.precision == "bf16" and self.recipe.weights == "fp32"
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled)

    def _synced(self, last: bool) -> Any:
        """Gradients travel between processes with a step's last micro-batch only."""
        if self.shards:
            self.loss.set_requires_gradient_sync(last)
            return nullcontext()
        return nullcontext() if last else self.accelerator.no_sync(self.loss)

    def _flops(self) -> tuple[float, float, str]:
        """Operations a token of this data, those a second of one device, and where the second figure is from."""
        count = sum(p.numel() for p in self.model.parameters())
        lengths = [len(e.ids) for e in self.train]
        trained = sum(e.trained for e in self.train)
        config = self.model.config.get_text_config().to_dict()
        work = flops_per_token(count, config, sum(n * n for n in lengths) / sum(lengths), trained / sum(lengths))
        return (work, *peak(self.device, self.precision))

    @contextmanager
    def _deployed(self) -> Iterator[Any]:
        """The model as it is deployed, in the first process (None in others, which must ask too)."""
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        model = self.model if self.shards else self.accelerator.unwrap_model(self.loss).model
        if not (self.shards or world.is_first()):
            yield None
            return
        with network.deployed(model, dtype) as found:
            if found is not None:
                set_end_token(found, self.tokenizer)
            yield found

    def _ask(self) -> ProbeReport:
        """What the probe says of the model as it is now (nothing in other processes than the first)."""
        with self._deployed() as model:
            if model is None:
                return ProbeReport()
            with torch.random.fork_rng():  # a probe that draws numbers must not change the run
                return self.probe(answer_with(model, self.tokenizer))

    def _deploy(self, name: str) -> None:
        """Write the model in its deployment form to `folder/name`, replacing what was there in one rename."""
        with self._deployed() as model:
            if model is None:
                return
            checkpoints.require_space(self.folder, sum(p.numel() * p.element_size() for p in model.parameters()))
            checkpoints.write_folder(self.folder / name, lambda aside: save_model(model, self.tokenizer, aside))

    def _save(self) -> None:
        began = time.perf_counter()
        groups = {
            "weights": {name: p for name, p in self.model.named_parameters() if p.requires_grad},
            "optimiser": network.optimiser_tensors(self.optimisers),
            "random": self._random_state(),
        }
        if self.shards:
            groups = {**groups, **{name: world.gathered(groups[name]) for name in ("weights", "optimiser")}}
        if not world.is_first():
            return
        saved = {**asdict(self.state), "plan": self._digest()}
        place = checkpoints.save(self.folder / "checkpoints", self.state.step, groups, saved, self.recipe.keep)
        self.report("checkpoint", step=self.state.step, path=str(place), took=time.perf_counter() - began)

    def _random_state(self) -> dict[str, Any]:
        """The random states of all processes: `torch` (and `cuda`) of the first, `torch.1` of the second …"""
        found = {"torch": torch.get_rng_state()}
        if self.device.type == "cuda":
            found["cuda"] = torch.cuda.get_rng_state(self.device)
        parts = {name: world.everyones(state) for name, state in found.items()}
        return {f"{name}.{r}" if r else name: s for name, states in parts.items() for r, s in enumerate(states)}

    def _resume(self) -> None:
        found = checkpoints.newest(self.folder / "checkpoints")
        if found is None:
            return
        if found.state["plan"] != self._digest():
            raise UserError(
                f"{self.folder} holds a run with another recipe or data set; choose another folder to start anew"
            )
        weights = load_file(found.folder / "weights.safetensors")
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                if parameter.requires_grad:
                    parameter.copy_(world.like(weights[name], parameter))
        network.restore_optimisers(self.optimisers, load_file(found.folder / "optimiser.safetensors"))
        random, mine = load_file(found.folder / "random.safetensors"), f".{world.rank()}" if world.rank() else ""
        torch.set_rng_state(random[f"torch{mine}"])
        if self.device.type == "cuda" and f"cuda{mine}" in random:
            torch.cuda.set_rng_state(random[f"cuda{mine}"], self.device)
        self.state = _State(**{k: v for k, v in found.state.items() if k != "plan"})

    def _digest(self) -> str:
        """What must be equal for a checkpoint to be resumed: the order of the data and what decides the updates."""
        import hashlib

        recipe = recipe_dict(self.recipe)
        data = [
            {k: v for k, v in recipe.items() if k != "base" and k not in FREE},
            self.plan.steps,
            [e.ids for e in self.train],
        ]
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


def _silent(type: str, **data: Any) -> None:
    """What a process reports that is not the first."""


@contextmanager
def _causes(folder: Path, recipe: Recipe, step: int) -> Iterator[None]:
    """Name the cause and the next step in one line where torch only names the symptom."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        text, line = str(error).lower(), (str(error).splitlines() or [""])[0]
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in text:
            half = max(recipe.max_length, recipe.micro_batch_tokens // 2)
            raise UserError(
                f"out of memory at step {step}: `workbench train resume {folder.name} --set activation_checkpointing=true`"
                + (f", or start again with --set micro_batch_tokens={half}" if half < recipe.micro_batch_tokens else "")
                + " (the batch stays the same)"
            ) from error
        if any(word in text for word in ("cuda error", "nccl", "gpu is lost", "cudnn", "acceleratorerror")):
            raise ServiceError(
                f"the GPU failed at step {step} ({line}); the last good checkpoint is untouched: "
                f"`workbench train resume {folder.name}` when it is back (`nvidia-smi` lists it)"
            ) from error
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

"""The engine: one worker thread that advances all running requests together, a step at a time.

A step takes one token of every reply that is being written and, beside them, a bounded piece of the prompts that are
still being read, so that a long prompt never stops the others. A new request continues from the longest prefix that
any finished or running sequence shares with it.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from workbench.errors import UserError
from workbench.models.server.cache import KVPool, Prefix, PrefixStore, Tokens, common_prefix
from workbench.models.server.choices import Trie, build_trie, score
from workbench.models.server.decode_text import TextStream
from workbench.models.server.decoder import Decoder, Piece, Step, Writing, causal, load_decoder, piece, writing
from workbench.text import clean_line

Finish = Literal["stop", "length", "cancelled", "error"]


@dataclass(frozen=True, slots=True)
class Generation:
    """What one request asks for. `temperature` 0 is greedy; `seed` makes a draw repeatable."""

    prompt: tuple[int, ...]
    max_tokens: int = 120
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of text."""

    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of a request. `scores` holds each option's log-probability and share where there were choices.

    `machine_s` is its share of the engine's time: a step's seconds are divided among the tokens that it computed.
    """

    text: str
    reason: Finish
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    scores: tuple[tuple[str, float, float], ...] = ()
    error: str = ""
    machine_s: float = 0.0


Sink = Callable[[Chunk | Finished], None]


@dataclass(eq=False)
class _Sequence:
    request: Generation
    sink: Sink
    stream: TextStream
    tokens: Tokens
    row: int = -1
    """Its row in the pool; -1 while it waits."""
    computed: int = 0
    cached: int = 0
    trie: Trie | None = None
    generator: torch.Generator | None = None
    cancelled: bool = False
    machine_s: float = 0.0

    @property
    def room(self) -> int:
        """Positions to set aside: the prompt, what is scored after it, and a reply of usual length."""
        return len(self.tokens) + (len(self.trie.tokens) if self.trie else min(self.request.max_tokens, 128))

    @property
    def pending(self) -> int:
        return len(self.tokens) - self.computed

    @property
    def reading(self) -> bool:
        return not self.stream.ids


@dataclass(frozen=True, slots=True)
class Load:
    """What the server is doing. Tokens per second are of the last steps that wrote text."""

    active: int = 0
    queued: int = 0
    slots: int = 0
    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    tokens_per_s: float = 0.0
    pool_bytes: int = 0
    cache_entries: int = 0
    cache_bytes: int = 0
    cache_limit: int = 0
    cache_evictions: int = 0


class Ticket:
    """A submitted request; `cancel` stops it at the next step."""

    def __init__(self, sequence: _Sequence, wake: Callable[[], None]) -> None:
        self._sequence, self._wake = sequence, wake

    def cancel(self) -> None:
        """Stop the request; its sink still gets a Finished with reason `cancelled`."""
        self._sequence.cancelled = True
        self._wake()


@dataclass(eq=False)
class Engine:
    """Runs requests on `decoder`. `submit` may be called from any thread; sinks are called from the worker thread."""

    decoder: Decoder
    tokenizer: Any
    turn_end: int
    """The token that ends a turn; it counts in the likelihood of an option."""
    end_tokens: frozenset[int]
    cache_bytes: int = 1 << 30
    """Limit of what finished sequences may keep."""
    pool_bytes: int = 2 << 30
    """Limit of what running sequences may take together; more of them wait (one alone always runs)."""
    slots: int = 32
    chunk: int = 256
    _waiting: queue.SimpleQueue[_Sequence | None] = field(default_factory=queue.SimpleQueue)
    _backlog: list[_Sequence] = field(default_factory=list)
    _active: list[_Sequence] = field(default_factory=list)
    _thread: threading.Thread | None = None
    _closing: bool = False
    _load: Load = field(default_factory=Load)

    def __post_init__(self) -> None:
        self._store = PrefixStore(self.cache_bytes)
        self._pool = KVPool(self.decoder.shape)

    def start(self) -> None:
        """Start the worker thread."""
        self._thread = threading.Thread(target=self._work, name="engine", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Cancel what is running and end the worker thread."""
        self._closing = True
        self._waiting.put(None)
        if self._thread is not None:
            self._thread.join()

    def submit(self, request: Generation, sink: Sink) -> Ticket:
        """Queue a request. The prompt and max_tokens together must fit `decoder.context`."""
        sequence = _Sequence(
            request, sink, TextStream(self.tokenizer, request.stop), np.asarray(request.prompt, dtype=np.int32)
        )
        if request.choices:
            sequence.trie = build_trie(self.tokenizer, request.choices)
        if request.seed is not None:
            sequence.generator = torch.Generator().manual_seed(request.seed)
        self._waiting.put(sequence)
        return Ticket(sequence, lambda: self._waiting.put(None))

    def forget(self) -> None:
        """Drop what finished sequences have left behind; nothing may be running."""
        self._store = PrefixStore(self.cache_bytes)

    def load(self) -> Load:
        """A reading of what the engine is doing."""
        store = self._store
        return replace(
            self._load,
            active=len(self._active),
            queued=len(self._backlog) + self._waiting.qsize(),
            slots=self.slots,
            pool_bytes=self._pool.bytes,
            cache_entries=len(store),
            cache_bytes=store.bytes,
            cache_limit=store.limit_bytes,
            cache_evictions=store.evictions,
        )

    def _work(self) -> None:
        with torch.inference_mode():
            while not self._closing:
                self._receive(block=not self._active and not self._backlog)
                self._drop_cancelled()
                self._admit()
                if self._active:
                    self._guarded_step()
        for sequence in [*self._active, *self._backlog]:
            self._finish(sequence, "cancelled")

    def _receive(self, block: bool) -> None:
        while True:
            try:
                sequence = self._waiting.get(block=block)
            except queue.Empty:
                return
            block = False
            if sequence is not None:
                self._backlog.append(sequence)

    def _drop_cancelled(self) -> None:
        for sequence in [s for s in self._active + self._backlog if s.cancelled]:
            self._finish(sequence, "cancelled")

    def _admit(self) -> None:
        while self._backlog and len(self._active) < self.slots:
            sequence = self._backlog[0]
            usable = sequence.tokens[:-1]  # the last prompt token is always run: its logits are the reply's first
            live = [Prefix(s.tokens[: s.computed], self._pool.view(s.row)) for s in self._active]
            known, donor = self._store.best(usable, live)
            coming = max((common_prefix(usable, s.tokens) for s in self._active if s.reading), default=0)
            if coming > known + 16:
                return  # someone is reading this very prefix: wait for it rather than read it twice
            length = sequence.room
            rows, capacity = self._pool.grown(len(self._active) + 1, length)
            if self._active and rows * capacity * self.decoder.shape.token_bytes > self.pool_bytes:
                return  # it waits until somebody leaves
            del self._backlog[0]
            used = max((s.computed for s in self._active), default=0)
            self._pool.reserve(rows, length, used)
            sequence.row, sequence.computed, sequence.cached = len(self._active), known, known
            if donor is not None:
                self._pool.put(sequence.row, donor, known)
            self._active.append(sequence)

    def _leave(self, sequence: _Sequence) -> None:
        """Take a sequence out; the last row moves into its place, so that the rows in use stay without gaps."""
        last = max(self._active, key=lambda s: s.row)
        self._active.remove(sequence)
        if not self._active:
            self._pool.clear()
        elif last is not sequence:
            self._pool.put(sequence.row, self._pool.view(last.row), last.computed)
            last.row = sequence.row

    def _guarded_step(self) -> None:
        try:
            self._step()
        except Exception as error:  # one bad step must not end the server: its requests fail with the reason
            for sequence in list(self._active):
                self._finish(sequence, "error", error=_said(error))

    def _step(self) -> None:
        began = time.perf_counter()
        writes = sorted((s for s in self._active if not s.reading), key=lambda s: s.row)
        tokens = [int(s.tokens[-1]) for s in writes]
        positions = [s.computed for s in writes]
        ready = [(s, 1) for s in writes]
        rows = list(range(len(writes)))
        pieces: list[Piece] = []
        read: list[tuple[_Sequence, int]] = []
        budget = self.chunk
        for sequence in [s for s in self._active if s.reading]:
            take = min(budget, sequence.pending)
            if take == 0:
                break
            budget -= take
            read.append((sequence, take))
            start, end = sequence.computed, sequence.computed + take
            trie = sequence.trie if end == len(sequence.tokens) else None
            extra = trie.tokens if trie else ()
            if end == len(sequence.tokens):
                last = len(tokens) + take - 1
                ready.append((sequence, 1 + len(extra)))
                rows += range(last, last + 1 + len(extra))
            may = trie.mask(start, take) if trie else causal(start, take)
            pieces.append(piece(self.decoder.shape, sequence.row, start, take + len(extra), may))
            tokens += [*sequence.tokens[start:end].tolist(), *extra]
            positions += [*range(start, end), *(end + depth for depth in (trie.depths if trie else ()))]
        now = self._writing(writes)
        logits = self._forward(tokens, positions, Step(self._pool, now, tuple(pieces)), rows)
        for sequence in writes:
            sequence.computed += 1
        for sequence, take in read:
            sequence.computed += take
        self._account(writes, read, time.perf_counter() - began)
        self._take_up(ready, logits)

    def _writing(self, writes: list[_Sequence]) -> Writing | None:
        if not writes:
            return None
        longest = max(s.computed for s in writes) + 1
        self._pool.reserve(len(self._active), longest, max(s.computed for s in self._active))
        return writing(self.decoder.shape, [(s.row, s.computed) for s in writes], len(self._active))

    def _account(self, writes: list[_Sequence], read: list[tuple[_Sequence, int]], spent: float) -> None:
        """Share a step's time among its tokens, so that the machine's time adds up over all requests."""
        share = spent / (len(writes) + sum(take for _, take in read))
        for sequence in writes:
            sequence.machine_s += share
        for sequence, take in read:
            sequence.machine_s += share * take
        if writes:
            rate, smooth = len(writes) / spent, self._load.tokens_per_s
            self._load = replace(self._load, tokens_per_s=rate if not smooth else 0.9 * smooth + 0.1 * rate)

    def _forward(self, tokens: list[int], positions: list[int], step: Step, rows: list[int]) -> torch.Tensor:
        device = self.decoder.shape.device
        ids, places, wanted = (
            torch.tensor(part, dtype=torch.long, device=device) for part in (tokens, positions, rows)
        )
        return self.decoder.forward(ids, places, step, wanted).cpu()

    def _take_up(self, ready: list[tuple[_Sequence, int]], logits: torch.Tensor) -> None:
        at = 0
        for sequence, count in ready:
            own = logits[at : at + count]
            at += count
            if sequence.trie is not None:
                self._choose(sequence, own)
            else:
                self._write(sequence, _pick(own[0], sequence.request, sequence.generator))

    def _choose(self, sequence: _Sequence, logits: torch.Tensor) -> None:
        assert sequence.trie is not None
        request = sequence.request
        chosen = score(sequence.trie, logits, self.turn_end, request.temperature, sequence.generator)
        sequence.stream.text = request.choices[chosen.index]
        scores = tuple(zip(request.choices, chosen.logprobs, chosen.shares, strict=True))
        self._finish(sequence, "stop", scores=scores)

    def _write(self, sequence: _Sequence, token: int) -> None:
        if token in self.end_tokens:
            self._finish(sequence, "stop")
            return
        sequence.tokens = np.append(sequence.tokens, np.int32(token))
        text = sequence.stream.push(token)
        if text:
            sequence.sink(Chunk(text))
        if sequence.stream.stopped:
            self._finish(sequence, "stop")
        elif len(sequence.stream.ids) >= sequence.request.max_tokens:
            self._finish(sequence, "length")

    def _finish(
        self,
        sequence: _Sequence,
        reason: Finish,
        scores: tuple[tuple[str, float, float], ...] = (),
        error: str = "",
    ) -> None:
        stream = sequence.stream
        if sequence not in self._active:
            self._backlog.remove(sequence)
        else:
            if not error:
                known = sequence.tokens[: sequence.computed]
                size = self.decoder.shape.token_bytes
                self._store.add(known, size, lambda: self._pool.take(sequence.row, sequence.computed))
            self._leave(sequence)
        if rest := stream.finish():
            sequence.sink(Chunk(rest))
        prompt, load = len(sequence.request.prompt), self._load
        self._load = replace(
            load,
            requests=load.requests + 1,
            prompt_tokens=load.prompt_tokens + prompt,
            cached_tokens=load.cached_tokens + sequence.cached,
            output_tokens=load.output_tokens + len(stream.ids),
        )
        written = len(stream.ids) or (1 if scores else 0)
        sequence.sink(
            Finished(stream.text, reason, prompt, sequence.cached, written, scores, error, sequence.machine_s)
        )


def _said(error: Exception) -> str:
    line = clean_line(str(error), 200)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "allocate memory" in line:
        return "out of memory: hold fewer or shorter conversations at once, or end other programs"
    return f"{type(error).__name__}: {line}"


def _pick(logits: torch.Tensor, request: Generation, generator: torch.Generator | None) -> int:
    if request.temperature <= 0:
        return int(logits.argmax())
    shares = torch.softmax(logits / request.temperature, dim=-1)
    if request.top_p < 1:
        ordered, places = shares.sort(descending=True)
        beyond = ordered.cumsum(0) - ordered >= request.top_p
        shares = torch.zeros_like(shares).scatter(0, places[~beyond], ordered[~beyond])
    return int(torch.multinomial(shares, 1, generator=generator))


def load_engine(path: Path, dtype: str = "auto", cache_bytes: int = 1 << 30) -> Engine:
    """An engine (not yet started) for a Hugging Face folder or a GGUF file. Raises UserError if it cannot be loaded."""
    try:
        decoder, tokenizer, ends = load_decoder(path, dtype)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{path}: this model cannot be loaded: {clean_line(str(error), 200)}") from error
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise UserError(
            f"{path.name} does not fit into memory: end other programs, or serve a smaller model"
        ) from error
    turn_end = min(ends) if tokenizer.eos_token_id is None else int(tokenizer.eos_token_id)
    return Engine(decoder, tokenizer, turn_end, ends | {turn_end}, cache_bytes)

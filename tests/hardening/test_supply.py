"""Dependencies: each is pinned, locked with hashes, and justified in the docs; the locks say what the pins say."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FREE = {"torch"}
"""Its build is the machine's choice: pinned by version, not by hash."""


def locked(name: str) -> dict[str, tuple[str, int]]:
    """Package → version and number of hashes."""
    found: dict[str, tuple[str, int]] = {}
    package = ""
    for line in (ROOT / name).read_text().splitlines():
        if match := re.match(r"([A-Za-z0-9._-]+)==([^ ;\\]+)", line):
            package = canonicalize_name(match[1])
            found[package] = (match[2], 0)
        found[package] = (found[package][0], found[package][1] + line.count("--hash=sha256:"))
    return found


def wanted(extra: str = "") -> set[str]:
    lines = [*PROJECT["dependencies"], *(PROJECT["optional-dependencies"][extra] if extra else ())]
    return {canonicalize_name(Requirement(line).name) for line in lines} - FREE


PINS = {
    canonicalize_name(Requirement(line).name): next(iter(Requirement(line).specifier)).version
    for line in (ROOT / "constraints.txt").read_text().splitlines()
    if line and not line.startswith("#")
}


@pytest.mark.parametrize(("file", "extra"), [("requirements.lock", ""), ("requirements-test.lock", "test")])
def test_the_lock_is_whole_hashed_and_of_the_pinned_versions(file: str, extra: str) -> None:
    found = locked(file)
    assert wanted(extra) <= set(found), f"run `make lock`: {wanted(extra) - set(found)}"
    assert all(hashes for _, hashes in found.values())
    other = {name: (version, PINS[name]) for name, (version, _) in found.items() if PINS.get(name, version) != version}
    assert not other, f"run `make lock`: {other}"
    assert not FREE & set(found)


def test_every_dependency_is_justified() -> None:
    told = (ROOT / "docs" / "hardening.md").read_text()
    extras = {extra for extra in PROJECT["optional-dependencies"] if extra not in ("test", "bench")}
    for name in wanted().union(*(wanted(extra) for extra in extras)) | FREE:
        assert f"`{name}`" in told, f"docs/hardening.md does not say why {name} is needed"


def test_no_pickle_and_no_remote_code() -> None:
    """Weights are safetensors; nothing that runs code while it is read."""
    words = (
        r"\bpickle\b",
        r"torch\.load\(",
        "joblib",
        "trust_remote_code=True",
        r"\bmarshal\b",
        r"\bshelve\b",
        r"unsafe_load",
    )
    risky = re.compile("|".join(words))
    for file in (ROOT / "workbench").rglob("*.py"):
        for number, line in enumerate(file.read_text().splitlines(), 1):
            if risky.search(line) and not re.search(r"[Nn]o pickle", line):
                raise AssertionError(f"{file}:{number}: {line.strip()}")


@pytest.mark.long
def test_models_are_read_from_safetensors_only(tmp_path: Path) -> None:
    """A folder whose weights are a pickle that would write a file when it is loaded."""
    (tmp_path / "config.json").write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 8, '
                                          '"num_attention_heads": 2, "num_hidden_layers": 1, "vocab_size": 8}')  # fmt: skip
    evil = tmp_path / "touched"
    code = (
        "import os, pickle, sys\n"
        f"class Evil:\n    def __reduce__(self): return (os.system, ('touch {evil}',))\n"
        f"pickle.dump({{'w': Evil()}}, open({str(tmp_path / 'pytorch_model.bin')!r}, 'wb'))\n"
        "from workbench.models.server.engine import load_engine\n"
        f"from pathlib import Path\ntry: load_engine(Path({str(tmp_path)!r}), 'float32')\n"
        "except Exception as error: print(type(error).__name__); sys.exit(7)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=180)
    assert done.returncode == 7, done
    assert not evil.exists()

"""Base models by name: what cannot be had is told in one line, at once."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.hub import fake_hub
from tests.training.conftest import build_tiny
from workbench.errors import UserError
from workbench.home import Home
from workbench.training.base import base_model


def test_a_hub_id_without_a_network_is_refused_in_one_line(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def unknown(host: str, *_: Any) -> None:
        asked.append(host)
        raise socket.gaierror(-2, "Name or service not known")

    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example")
    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(UserError, match=r"not on this disk and the hub cannot be reached .*folder or a \.gguf file"):
        base_model(home, "somebody/some-model")
    assert "hub.example" in asked
    assert not list(home.models.iterdir())


def test_a_gguf_that_is_not_there_is_refused(home: Home) -> None:
    with pytest.raises(UserError, match="no such file"):
        base_model(home, "/nowhere/model.gguf")


GET = """
import sys
from pathlib import Path
from workbench.errors import UserError
from workbench.home import Home
from workbench.training.base import base_model
home = Home(Path(sys.argv[1])).make()
for name in sys.argv[2:]:
    try:
        print(base_model(home, name))
    except UserError as error:
        print(f"refused: {error}")
"""


def test_hub_ids_where_there_is_a_network(home: Home, tmp_path: Path) -> None:
    """Fetched once; weights that could run code are not fetched at all; a name that nobody has is one line."""
    import torch
    from safetensors.torch import load_file

    tiny, pickled = build_tiny(tmp_path / "tiny"), tmp_path / "pickled"
    shutil.copytree(tiny, pickled)
    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    with fake_hub({"somebody/tiny": tiny, "somebody/pickled": pickled}) as (url, asked):
        # in a process of its own: the hub's library reads its settings when it is loaded
        names = ("somebody/tiny", "somebody/tiny", "somebody/pickled", "nobody/nothing")
        settings = {"HF_ENDPOINT": url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0", "no_proxy": "127.0.0.1"}
        words = [sys.executable, "-c", GET, str(home.root), *names]
        ran = subprocess.run(words, env=os.environ | settings, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    first, again, *refused = ran.stdout.splitlines()
    assert first == again == str(home.models / "somebody--tiny")
    assert {"config.json", "model.safetensors", "chat_template.jinja"} <= {file.name for file in Path(first).iterdir()}
    assert asked.count("GET tiny/model.safetensors") == 1
    assert not any(a.startswith("GET pickled/pytorch_model") for a in asked)
    told = [line.partition(": ")[2].partition(": ")[0] for line in refused]
    assert told == ["base model somebody/pickled", "base model nobody/nothing"]

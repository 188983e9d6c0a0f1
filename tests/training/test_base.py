"""Base models by name: what cannot be had is told in one line, at once."""

from __future__ import annotations

import socket
from typing import Any

import pytest

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

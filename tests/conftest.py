"""Fixtures for every room."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from workbench.home import Home

os.environ.setdefault("OMP_NUM_THREADS", "1")  # several workers of pytest share the cores


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home of its own for each test."""
    return Home(tmp_path / "runs").make()


@pytest.fixture(autouse=True)
def no_settings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's own config file decides how a test ends."""
    monkeypatch.setenv("WORKBENCH_CONFIG", str(tmp_path_factory.getbasetemp() / "none.toml"))


@pytest.fixture(autouse=True)
def own_queue(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training jobs of a test wait for nobody else's on this machine."""
    monkeypatch.setenv("WORKBENCH_QUEUE", str(tmp_path_factory.mktemp("queue")))

"""Fixtures for every room."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.home import Home


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home of its own for each test."""
    return Home(tmp_path / "runs").make()

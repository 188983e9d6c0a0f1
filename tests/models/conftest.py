"""One tiny model for all tests of this room."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.tiny import make_model


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    make_model(folder)
    return folder

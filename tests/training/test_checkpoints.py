from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from workbench.errors import ServiceError
from workbench.training import checkpoints

TENSORS = {"weights": {"w": torch.arange(4.0)}}


def test_the_newest_complete_checkpoint_is_found_and_older_ones_go(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        checkpoints.save(tmp_path, step, TENSORS, {"tokens": step * 10}, keep=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000010", "step-000015"]
    found = checkpoints.newest(tmp_path)
    assert found is not None
    assert (found.step, found.state["tokens"]) == (15, 150)


def test_a_write_cut_short_leaves_nothing_that_could_be_resumed_from(tmp_path: Path) -> None:
    checkpoints.save(tmp_path, 5, TENSORS, {}, keep=2)
    torn = tmp_path / ".aside-step-000010-123"
    torn.mkdir()
    (torn / "weights.safetensors").write_bytes(b"half")
    (tmp_path / "step-000009").mkdir()  # no marker in it
    found = checkpoints.newest(tmp_path)
    assert found is not None
    assert found.step == 5
    assert not torn.exists()


def test_a_failing_write_leaves_the_last_good_one_and_says_so(tmp_path: Path) -> None:
    target = tmp_path / "best"
    checkpoints.write_folder(target, lambda aside: (aside / "a").write_text("old") and None)

    def full(aside: Path) -> None:
        (aside / "a").write_text("new")
        raise OSError(28, "No space left on device")

    with pytest.raises(ServiceError, match="No space left"):
        checkpoints.write_folder(target, full)
    assert (target / "a").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["best"]


def test_a_disk_that_cannot_hold_it_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 2**26))  # type: ignore[attr-defined]
    with pytest.raises(ServiceError, match="GB free"):
        checkpoints.save(tmp_path / "checkpoints", 1, TENSORS, {}, keep=1)
    assert not (tmp_path / "checkpoints").exists()


def test_there_is_no_checkpoint_where_there_is_no_folder(tmp_path: Path) -> None:
    assert checkpoints.newest(tmp_path / "none") is None

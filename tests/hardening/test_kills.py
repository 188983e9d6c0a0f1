"""A few kills of each kind; `make nightly` does two hundred."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hardening.kills import KINDS, run


def test_two_kills_of_a_writing_job(tmp_path: Path) -> None:
    lines: list[str] = []
    killed = run(tmp_path, 2, 11, ["generate"], lines.append)
    assert sum(killed.values()) >= 1, lines


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_kills_of_every_kind(tmp_path: Path, kind: str) -> None:
    lines: list[str] = []
    killed = run(tmp_path, 5, 12, [kind], lines.append)
    assert killed[kind] >= 2, lines

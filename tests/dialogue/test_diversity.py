"""How different texts are from each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.dialogue.diversity import distinct


@pytest.mark.parametrize(
    ("texts", "n", "share"),
    [
        (["a b c", "A b d!"], 1, 4 / 6),
        (["a b c", "A b d!"], 2, 3 / 4),
        (["a b c", "A b d!"], 3, 1.0),
        (["a b", "b a"], 2, 1.0),
        (["a", "b"], 2, None),
        ([], 1, None),
    ],
)
def test_distinct_n(texts: list[str], n: int, share: float | None) -> None:
    assert distinct(texts, n) == (pytest.approx(share) if share is not None else None)


@given(st.lists(st.text(min_size=1), min_size=1), st.integers(1, 4))
def test_saying_everything_twice_halves_it(texts: list[str], n: int) -> None:
    once, twice = distinct(texts, n), distinct([*texts, *texts], n)
    assert (once is None) == (twice is None)
    if once is not None and twice is not None:
        assert 0 < once <= 1
        assert twice == pytest.approx(once / 2)

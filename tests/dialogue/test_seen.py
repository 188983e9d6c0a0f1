from __future__ import annotations

import tracemalloc
from random import Random

from workbench.dialogue.seen import Seen


def test_it_is_a_set() -> None:
    rng, seen, known = Random(1), Seen(), set[int]()
    for _ in range(20_000):
        number = rng.choice((rng.randrange(1, 5_000), rng.getrandbits(64) or 1, 1024 * rng.randrange(1, 300)))
        assert seen.add(number) is (number not in known)
        known.add(number)
    assert len(seen) == len(known)


def test_hundreds_of_thousands_take_at_most_24_bytes_each() -> None:
    rng, seen = Random(2), Seen()
    tracemalloc.start()
    try:
        for _ in range(30_000):
            seen.add(rng.getrandbits(64))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 24 * 30_000 + 4_096

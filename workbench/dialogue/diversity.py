"""Near-duplicates in a set of dialogues: MinHash finds candidates (datasketch), the exact overlap decides."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from workbench.dialogue.model import Dialogue

THRESHOLD = 0.9
SHINGLE = 3
PERMUTATIONS = 64


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """Two dialogues (the earlier first) and the Jaccard overlap of their word triples (1.0: the same words)."""

    first: str
    second: str
    overlap: float


def shingles(dialogue: Dialogue) -> frozenset[tuple[str, ...]]:
    """The word triples of what is said, values included."""
    words = re.findall(r"\w+", " ".join(m.text for m in dialogue.messages).lower())
    return frozenset(tuple(words[at : at + SHINGLE]) for at in range(max(len(words) - SHINGLE + 1, 1)))


def distinct(texts: Iterable[str], n: int) -> float | None:
    """Distinct-n: different word n-grams ÷ all n-grams of the texts, none across two texts (Li et al. 2016).

    It falls with the amount of text, so that only sets of one size compare. None if no text has n words.
    """
    total, seen = 0, set[tuple[str, ...]]()
    for text in texts:
        words = re.findall(r"\w+", text.lower())
        grams = [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]
        total += len(grams)
        seen.update(grams)
    return len(seen) / total if total else None


def near_duplicates(dialogues: Iterable[Dialogue], threshold: float = THRESHOLD) -> list[NearDuplicate]:
    """For every dialogue that overlaps an earlier one by `threshold` or more: the earlier one it is closest to.

    The candidates come from locality-sensitive hashing, so a pair just above the threshold may rarely be missed; none is
    reported that does not overlap so much.
    """
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS)
    kept: dict[str, frozenset[tuple[str, ...]]] = {}
    found: list[NearDuplicate] = []
    for dialogue in dialogues:
        own = shingles(dialogue)
        sketch = MinHash(num_perm=PERMUTATIONS)
        sketch.update_batch([" ".join(triple).encode("utf-8", "surrogatepass") for triple in own])
        near = [(_overlap(own, kept[key]), key) for key in index.query(sketch)]
        if near and (best := max(near))[0] >= threshold:
            found.append(NearDuplicate(best[1], dialogue.id, best[0]))
        if dialogue.id not in kept:
            index.insert(dialogue.id, sketch)
            kept[dialogue.id] = own
    return found


def _overlap(a: frozenset[tuple[str, ...]], b: frozenset[tuple[str, ...]]) -> float:
    return len(a & b) / len(a | b)

"""A small text classifier for few references a class: which of them a text is most like, and how sure that is.

Values are abstracted to slots (a date, an amount, a package), words to stems and character n-grams, both weighted by
rarity. Regularised least squares on one-of-n targets (Rifkin, Yeo and Poggio 2003) has a closed form, and so has what
it would say of each wording had it not been among the references: from these answers the scores are turned into
probabilities that mean the same with ten classes and with forty. Deterministic, no dependency but numpy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workbench.dialogue.slots import Slots

Array = NDArray[np.float64]

RIDGE = 0.3
"""Weight of the penalty; the least loss on left-out evaluation wordings of the shipped workflows (0.03, 0.1, 0.3, 1)."""
SHARPNESS = 10.0
"""Factor on the scores before the softmax where there are too few wordings to find it."""
LEAST_LEFT_OUT = 12
"""Wordings with a sibling of their class that it takes to find the sharpness."""

STOP = frozenset(
    re.findall(r"\w+", "a an the and or of to in is are it for with on at by that this you your i we do does be have")
)
_SPEECH_ACTS = {
    "greeting": re.compile(r"^\W*(hello|hi|hey|welcome|greetings|good (day|morning|afternoon|evening))\b"),
    "farewell": re.compile(r"\b(goodbye|good bye|bye|farewell|take care|have a (good|great|nice|lovely))\b"),
    "question": re.compile(r"\?\s*$"),
}


@dataclass(frozen=True, slots=True)
class Reference:
    """A text of a class. Those of one `wording` are left out together; None: a description, no wording."""

    label: str
    text: str
    weight: float = 1.0
    wording: str | None = None


class TextClassifier:
    """Learns from references once, then is pure."""

    def __init__(self, rows: Sequence[Reference], slots: Slots) -> None:
        """ValueError without rows."""
        if not rows:
            raise ValueError("nothing to learn from")
        self._slots = slots
        self.classes = list(dict.fromkeys(row.label for row in rows))
        features = [self._features(row.text) for row in rows]
        owners: dict[str, set[str]] = {}
        for row, (words, _) in zip(rows, features, strict=True):
            for word in words:
                owners.setdefault(word, set()).add(row.label)
        total = len(self.classes)
        self._rarity = {word: float(np.log((total + 1) / (len(seen) + 0.5))) for word, seen in owners.items()}
        self._unseen = float(np.log((total + 1) / 0.5))
        self._column = {word: index for index, word in enumerate(self._rarity)}
        self._marks = [*slots.kinds, *_SPEECH_ACTS]
        matrix = np.array([self._vector(words, marks) for words, marks in features])
        targets = np.array([self.classes.index(row.label) for row in rows])
        weights = _balanced(targets, np.array([row.weight for row in rows]))
        inverse = np.linalg.inv(matrix @ matrix.T + 1.0 + np.diag(RIDGE / weights))
        dual = inverse @ np.eye(total)[targets]
        self._weights, self._bias = matrix.T @ dual, dual.sum(axis=0)
        self._sharpness = _sharpness(rows, targets, weights, inverse, dual)

    def probabilities(self, text: str) -> dict[str, float]:
        """The chance of every class, given that it is one of them."""
        p = _softmax(self._sharpness * (self._vector(*self._features(text)) @ self._weights + self._bias))
        return dict(zip(self.classes, p.tolist(), strict=True))

    def known(self, text: str) -> float:
        """Share of the text's words, weighted by rarity, that occur in any reference; slots count as known."""
        words, marks = self._features(text)
        stems = [w for w in words if w.startswith("w:") and w[2:] not in STOP]
        here = sum(self._rarity[w] for w in stems if w in self._rarity) + 0.5 * sum(
            m in self._slots.kinds for m in marks
        )
        there = sum(self._unseen for w in stems if w not in self._rarity)
        return here / (here + there) if here + there else 0.0

    def _features(self, text: str) -> tuple[dict[str, float], set[str]]:
        plain, slots = self._slots.abstract(text)
        lower = plain.lower()
        marks = set(slots) | {name for name, pattern in _SPEECH_ACTS.items() if pattern.search(lower)}
        words: dict[str, float] = {}
        for word in re.findall(r"[^\W\d_]+", lower):
            stem = _stem(word)
            words[f"w:{stem}"] = 0.5 if word in STOP else 1.0
            for start in range(len(stem) - 1):
                words[f"c:{f'^{stem}$'[start : start + 4]}"] = 0.5
        return words, marks

    def _vector(self, words: dict[str, float], marks: Iterable[str]) -> Array:
        vector = np.zeros(len(self._column) + len(self._marks))
        for word, weight in words.items():
            if word in self._column:
                vector[self._column[word]] = weight * self._rarity[word]
        norm = np.linalg.norm(vector)
        vector /= norm or 1.0
        there = set(marks)
        vector[len(self._column) :] = [(2.0 if m in there else -2.0) / len(self._marks) ** 0.5 for m in self._marks]
        return vector


def _stem(word: str) -> str:
    """The word without a plural ending, cut to six letters: enough to join travel, travels, travelling and
    traveller."""
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith("s") and not word.endswith("ss") and len(word) > 3:
        word = word[:-1]
    return word[:6]


def _balanced(targets: NDArray[np.intp], weights: Array) -> Array:
    """Weights that give every class the same total, mean 1."""
    totals = np.bincount(targets, weights=weights)
    balanced = weights / totals[targets]
    return np.asarray(balanced / balanced.mean())


def _sharpness(
    rows: Sequence[Reference], targets: NDArray[np.intp], weights: Array, inverse: Array, dual: Array
) -> float:
    """The factor under which the left-out wordings are likeliest to be of their own class.

    The scores of rows I without these rows are y[I] - inverse[I, I]⁻¹ dual[I] (Rifkin and Lippert 2007).
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for index, row in enumerate(rows):
        if row.wording is not None:
            groups.setdefault((row.label, row.wording), []).append(index)
    siblings = [label for label, _ in groups]
    left = [np.array(members) for (label, _), members in groups.items() if siblings.count(label) > 1]
    if len(left) < LEAST_LEFT_OUT:
        return SHARPNESS
    truth = np.eye(dual.shape[1])[targets]
    scores = np.concatenate([truth[i] - np.linalg.solve(inverse[np.ix_(i, i)], dual[i]) for i in left])
    order = np.concatenate(left)

    def loss(factor: float) -> float:
        chance = _softmax(factor * scores)[np.arange(len(order)), targets[order]]
        return float(-(weights[order] * np.log(chance + 1e-12)).sum())

    return float(min(np.geomspace(2.0, 50.0, 33), key=loss))


def _softmax(z: Array) -> Array:
    p = np.exp(z - z.max(axis=-1, keepdims=True))
    return np.asarray(p / p.sum(axis=-1, keepdims=True))

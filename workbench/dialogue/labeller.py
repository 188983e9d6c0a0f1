"""Which place of the procedure speaks in a text: agent messages by their act, user messages by their move.

The references are the *evaluation* phrasings of the workflow and its prompts, never the training pool, so that an agent
cannot score by echo. Values are abstracted to slots (a date, an amount, a package), words to stems and character
n-grams; a multinomial logistic regression weighs them. Deterministic, fitted in milliseconds, no dependency but numpy.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import numpy as np
from numpy.typing import NDArray

from workbench.dialogue.slots import Slots
from workbench.workflow.model import Edge, Phrasing, Workflow

Array = NDArray[np.float64]

LEAST_PROBABILITY = 0.35
"""Below this the best act is a guess: the answer is "unknown"."""
LEAST_FOR_CLOSING = 0.45
"""The same for an act that ends the talk: a user who believes it leaves."""
LEAST_KNOWN = 0.25
"""Least share of a text's words (weighted by rarity) that the references must know for its act to count."""

_ASIDE = ""
"""The class of what an agent says beside its act: an aside's answer, a correction's acknowledgement."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_STOP = frozenset(
    re.findall(r"\w+", "a an the and or of to in is are it for with on at by that this you your i we do does be have")
)
_SPEECH_ACTS = {
    "greeting": re.compile(r"^\W*(hello|hi|hey|welcome|greetings|good (day|morning|afternoon|evening))\b"),
    "farewell": re.compile(r"\b(goodbye|good bye|bye|farewell|take care|have a (good|great|nice|lovely))\b"),
    "question": re.compile(r"\?\s*$"),
}


@dataclass(frozen=True, slots=True)
class Act:
    """Something an agent may say in one message: the speaking places (node and edge ids, in order) and where it leads.

    `awaits` is the user node that the message hands over to, `terminal` the terminal it ends in; exactly one is set.
    """

    units: tuple[str, ...]
    awaits: str | None
    terminal: str | None


@dataclass(frozen=True, slots=True)
class Label:
    """What a message was recognised as. `nodes` are those that speak in it (a hub, where the edge out of it speaks)."""

    act: Act
    nodes: tuple[str, ...]
    score: float

    @property
    def name(self) -> str:
        """The act in one word, for tables."""
        return "+".join(self.act.units)


class TextClassifier:
    """Multinomial logistic regression on slots, stems and character 4-grams, trained in its dual form."""

    def __init__(self, rows: Sequence[tuple[str, str, float]], slots: Slots, iterations: int = 250) -> None:
        """`rows` are (class, template or text, weight). ValueError without rows."""
        if not rows:
            raise ValueError("nothing to learn from")
        self._slots = slots
        self.classes = list(dict.fromkeys(label for label, _, _ in rows))
        features = [self._features(text) for _, text, _ in rows]
        owners: dict[str, set[str]] = {}
        for (label, _, _), (words, _) in zip(rows, features, strict=True):
            for word in words:
                owners.setdefault(word, set()).add(label)
        total = len(self.classes)
        self._rarity = {word: float(np.log((total + 1) / (len(seen) + 0.5))) for word, seen in owners.items()}
        self._unseen = float(np.log((total + 1) / 0.5))
        self._column = {word: index for index, word in enumerate(self._rarity)}
        self._marks = [*slots.kinds, *_SPEECH_ACTS]
        matrix = np.array([self._vector(words, marks) for words, marks in features])
        targets = np.array([self.classes.index(label) for label, _, _ in rows])
        self._weights = _fit(matrix, targets, _balanced(targets, np.array([w for _, _, w in rows])), iterations)

    def probabilities(self, text: str) -> dict[str, float]:
        """The chance of every class, given that it is one of them."""
        z = self._vector(*self._features(text)) @ self._weights
        p = np.exp(z - z.max())
        return dict(zip(self.classes, (p / p.sum()).tolist(), strict=True))

    def known(self, text: str) -> float:
        """Share of the text's words, weighted by rarity, that occur in any reference; slots count as known."""
        words, marks = self._features(text)
        stems = [w for w in words if w.startswith("w:") and w[2:] not in _STOP]
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
            words[f"w:{stem}"] = 0.5 if word in _STOP else 1.0
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


class Labeller:
    """Reads single messages of a workflow. Fitted once, then pure; the same one serves every agent."""

    def __init__(self, workflow: Workflow) -> None:
        """Learns from the evaluation phrasings, the prompts and the conditions in words."""
        self._workflow = workflow
        self._slots = Slots(workflow)
        self._acts = {"+".join(act.units): act for act, _ in _acts(workflow)}
        self._agent = TextClassifier(list(_agent_rows(workflow)), self._slots)
        self._users: dict[str, TextClassifier] = {}

    @property
    def acts(self) -> tuple[Act, ...]:
        """All that an agent may say in one message."""
        return tuple(self._acts.values())

    def label(self, text: str) -> Label | None:
        """The act of an agent's message, None if it is none that is known.

        Leading sentences that answer an aside or acknowledge a correction belong to no place and are passed over.
        """
        text = self._without_aside(text)
        if self._agent.known(text) < LEAST_KNOWN:
            return None
        name, score = max(self._agent.probabilities(text).items(), key=lambda item: item[1])
        if name == _ASIDE:
            return None
        act = self._acts[name]
        if score < (LEAST_FOR_CLOSING if act.terminal else LEAST_PROBABILITY):
            return None
        return Label(act, tuple(self._node(unit) for unit in act.units), score)

    def asked(self, text: str) -> str | None:
        """The user node whose answer this agent message asks for; None if it closes the talk or is not understood."""
        label = self.label(text)
        return label.act.awaits if label else None

    def answers_aside(self, text: str) -> bool:
        """Whether an agent's message begins with the answer to an aside or the acknowledgement of a correction."""
        text = text.strip()
        return self._without_aside(text) != " ".join(_SENTENCE_END.split(text))

    def move(self, text: str, node: str) -> str | None:
        """What the user does at the user node `node` with this text: the likeliest move id.

        A user does answer something, so a doubtful text gets its best guess; None only if no word of it is known.
        KeyError if `node` is no user node with moves.
        """
        moves = self._workflow.nodes[node].moves
        if not moves:
            raise KeyError(node)
        if node not in self._users:
            self._users[node] = TextClassifier(list(_user_rows(self._workflow, node)), self._slots)
        reader = self._users[node]
        if reader.known(text) == 0:
            return None
        chances = reader.probabilities(text)
        return max(chances, key=lambda move: chances[move])

    def _without_aside(self, text: str) -> str:
        sentences = _SENTENCE_END.split(text.strip())
        while len(sentences) > 1 and self._agent.probabilities(sentences[0]).get(_ASIDE, 0.0) > 0.5:
            del sentences[0]
        return " ".join(sentences)

    def _node(self, unit: str) -> str:
        edge = self._workflow.edge.get(unit)
        return edge.source if edge else unit


def acts_after(workflow: Workflow) -> dict[str | None, set[tuple[str, ...]]]:
    """The speaking places (`Act.units`) that the graph allows after a user node, under None those that may open."""
    table: dict[str | None, set[tuple[str, ...]]] = {}
    for act, before in _acts(workflow):
        table.setdefault(before, set()).add(act.units)
    return table


def _acts(workflow: Workflow) -> list[tuple[Act, str | None]]:
    """Every sequence of speaking places between two user messages, with the user node it follows (None: the
    opening)."""
    found: dict[tuple[Act, str | None], None] = {}
    for before in [None, *(n.id for n in workflow.nodes.values() if n.role == "user")]:
        stack: list[tuple[str, tuple[str, ...], tuple[str, ...]]] = []
        if before is None:
            stack.append((workflow.start, (), ()))
        else:
            stack += [(e.target, (e.id,) if e.say else (), ()) for e in workflow.out[before]]
        while stack:
            node_id, units, seen = stack.pop()
            node = workflow.nodes[node_id]
            if node.role == "user":
                if units:
                    found[Act(units, node_id, None), before] = None
                continue
            units += (node_id,) if node.say else ()
            if node.role == "terminal":
                if units:
                    found[Act(units, None, node_id), before] = None
                continue
            stack += [
                (edge.target, units + ((edge.id,) if edge.say else ()), (*seen, node_id))
                for edge in reversed(workflow.out[node_id])
                if edge.target not in seen
            ]
    return list(found)


def _agent_rows(workflow: Workflow) -> Iterator[tuple[str, str, float]]:
    """References of every act: its evaluation wording, alone and after what an agent says to an aside; prompts,
    lightly."""
    for act, before in _acts(workflow):
        name = "+".join(act.units)
        wordings = [list(_evaluation(_says(workflow, unit))) for unit in act.units]
        texts = [
            " ".join(part or own[0] for part, own in zip(row, wordings, strict=True)) for row in zip_longest(*wordings)
        ]
        replies = [r for d in workflow.deviations if before in d.at for r in d.reply.evaluation]
        for text in texts:
            yield name, text, 1.0
            for reply in replies:
                yield name, f"{reply} {text}", 1.0
        yield name, " ".join(_purpose(workflow, unit) for unit in act.units), 0.1
    for deviation in workflow.deviations:
        for reply in deviation.reply.evaluation:
            yield _ASIDE, reply, 1.0


def _user_rows(workflow: Workflow, node: str) -> Iterator[tuple[str, str, float]]:
    """References of every move at a user node: evaluation wording, alone and with personas and deviations around it."""
    before = [p for persona in workflow.personas for p in persona.before.evaluation]
    for move in workflow.nodes[node].moves:
        added = [
            text
            for d in workflow.deviations
            if node in d.at and (not d.at[node] or move.id in d.at[node])
            for text in d.say.evaluation
        ]
        for text in _evaluation(move.say):
            yield move.id, text, 1.0
            for words in before:
                yield move.id, f"{words} {text}", 0.2
            for words in added:
                yield move.id, f"{text} {words}", 0.2
        if move.description:
            yield move.id, move.description, 0.1


def _says(workflow: Workflow, unit: str) -> tuple[Phrasing, ...]:
    place: Edge | None = workflow.edge.get(unit)
    return place.say if place else workflow.nodes[unit].say


def _purpose(workflow: Workflow, unit: str) -> str:
    edge = workflow.edge.get(unit)
    return edge.condition if edge else workflow.nodes[unit].prompt


def _evaluation(phrasings: Iterable[Phrasing]) -> Iterator[str]:
    for phrasing in phrasings:
        yield from phrasing.pool.evaluation


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


def _fit(matrix: Array, targets: NDArray[np.intp], weights: Array, iterations: int, decay: float = 1e-3) -> Array:
    """Weights (features × classes) of a logistic regression by gradient descent with momentum on the Gram matrix."""
    rows, classes = len(matrix), int(targets.max()) + 1
    gram = matrix @ matrix.T
    truth = np.eye(classes)[targets]
    dual, speed = np.zeros((rows, classes)), np.zeros((rows, classes))
    for _ in range(iterations):
        z = gram @ dual
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        speed = 0.8 * speed - 1.0 * ((p - truth) * weights[:, None] / rows + decay * dual)
        dual += speed
    return np.asarray(matrix.T @ dual)

"""Which place of the procedure speaks in a text: agent messages by their act, user messages by their move.

The references are the *evaluation* phrasings of the workflow and its prompts, never the training pool, so that an agent
cannot score by echo. `classifier.py` says which of them a text is most like.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import zip_longest

from workbench.dialogue.classifier import Reference, TextClassifier
from workbench.dialogue.slots import Slots
from workbench.workflow.model import Edge, Phrasing, Workflow

LEAST_PROBABILITY = 0.3
"""Below this the best act is a guess: the answer is "unknown"."""
LEAST_FOR_CLOSING = 0.4
"""The same for an act that ends the talk: a user who believes it leaves."""
LEAST_KNOWN = 0.25
"""Least share of a text's words (weighted by rarity) that the references must know for its act to count."""

MOST_LIKE_A_USER = 0.95
"""From this chance on that a user and not an agent wrote a text, it is no act: an agent that echoes its user does
nothing of the procedure. Of left-out evaluation wordings of agents, 1 to 4% are lost by it.
"""

_MOST_REMEMBERED = 10_000
"""Texts whose labels are kept: in an evaluation the user, the record and the measures all read the same message."""
_ASIDE = ""
"""The class of what an agent says beside its act: an aside's answer, a correction's acknowledgement."""
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


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


class Labeller:
    """Reads single messages of a workflow. Fitted once, then pure; the same one serves every agent."""

    def __init__(self, workflow: Workflow) -> None:
        """Learns from the evaluation phrasings, the prompts and the conditions in words."""
        self._workflow = workflow
        self._slots = Slots(workflow)
        self._acts = {"+".join(act.units): act for act, _ in _acts(workflow)}
        references = list(agent_references(workflow))
        self._agent = TextClassifier(references, self._slots)
        self._speaker = TextClassifier(list(_speaker_rows(workflow, references)), self._slots)
        self._users: dict[str, TextClassifier] = {}
        self._read: dict[str, Label | None] = {}

    @property
    def acts(self) -> tuple[Act, ...]:
        """All that an agent may say in one message."""
        return tuple(self._acts.values())

    def label(self, text: str) -> Label | None:
        """The act of an agent's message, None if it is none that is known.

        Leading sentences that answer an aside or acknowledge a correction belong to no place and are passed over.
        """
        if text not in self._read:
            if len(self._read) >= _MOST_REMEMBERED:
                self._read.clear()
            self._read[text] = self._label(text)
        return self._read[text]

    def _label(self, text: str) -> Label | None:
        text = self._without_aside(text)
        if self._agent.known(text) < LEAST_KNOWN or self.by_user(text) >= MOST_LIKE_A_USER:
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

    def by_user(self, text: str) -> float:
        """The chance, 0 … 1, that a user and not an agent wrote the text."""
        return self._speaker.probabilities(text).get("user", 0.0)

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


def agent_references(workflow: Workflow) -> Iterator[Reference]:
    """References of every act: its evaluation wording and, lightly, its prompts; and of what is said beside an act."""
    for act in dict.fromkeys(act for act, _ in _acts(workflow)):
        name = "+".join(act.units)
        wordings = [list(_evaluation(_says(workflow, unit))) for unit in act.units]
        texts = [
            " ".join(part or own[0] for part, own in zip(row, wordings, strict=True)) for row in zip_longest(*wordings)
        ]
        for text in texts:
            yield Reference(name, text, wording=text)
        yield Reference(name, " ".join(_purpose(workflow, unit) for unit in act.units), 0.1)
    for deviation in workflow.deviations:
        for reply in deviation.reply.evaluation:
            yield Reference(_ASIDE, reply, wording=reply)


def _speaker_rows(workflow: Workflow, agent: Iterable[Reference]) -> Iterator[Reference]:
    """References of who speaks: the agents' evaluation wording, and the users'."""
    yield from dict.fromkeys(replace(row, label="agent", weight=1.0) for row in agent if row.wording is not None)
    for node in workflow.nodes.values():
        for text in dict.fromkeys(text for move in node.moves for text in _evaluation(move.say)):
            yield Reference("user", text, wording=text)


def _user_rows(workflow: Workflow, node: str) -> Iterator[Reference]:
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
            yield Reference(move.id, text, wording=text)
            for words in before:
                yield Reference(move.id, f"{words} {text}", 0.2, text)
            for words in added:
                yield Reference(move.id, f"{text} {words}", 0.2, text)
        if move.description:
            yield Reference(move.id, move.description, 0.1)


def _says(workflow: Workflow, unit: str) -> tuple[Phrasing, ...]:
    place: Edge | None = workflow.edge.get(unit)
    return place.say if place else workflow.nodes[unit].say


def _purpose(workflow: Workflow, unit: str) -> str:
    edge = workflow.edge.get(unit)
    return edge.condition if edge else workflow.nodes[unit].prompt


def _evaluation(phrasings: Iterable[Phrasing]) -> Iterator[str]:
    for phrasing in phrasings:
        yield from phrasing.pool.evaluation

"""Simulated users that need no model: agenda-based simulation (Schatzmann et al., 2007).

The agenda is the scenario's plan. The user sees what was said and its scenario; graph, path and expected terminal stay
unknown to it. Which question it was asked it reads from the agent's words, as a person would.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import Random
from typing import Protocol

from workbench.agents.base import UserTurn
from workbench.dialogue.model import Message, PlannedMove, Scenario
from workbench.dialogue.speech import find_deviation, realise
from workbench.workflow.model import Move, Split, Workflow
from workbench.workflow.situation import Situation

PATIENCE = 2
"""So many agent messages in a row may remain without sense; at the last of them the user leaves."""
_FAREWELL = re.compile(r"\b(good ?bye|bye|farewell|bon voyage|take care|have a (good|great|nice|lovely|safe))\b", re.I)
_LOST = ("Sorry, I did not understand that.", "I am sorry, what do you mean?")
_LEAVING = "I still do not understand. I will leave it there."


class Understood(Protocol):
    """What an agent's words were recognised as: the user node they hand over to, or the terminal they close with."""

    @property
    def awaits(self) -> str | None:
        """The user node whose answer is asked for."""
        ...

    @property
    def terminal(self) -> str | None:
        """The terminal, if the words close the talk."""
        ...


class _Label(Protocol):
    @property
    def act(self) -> Understood: ...


class Reader(Protocol):
    """The part of `workbench.dialogue.labeller.Labeller` that a user needs."""

    def label(self, text: str) -> _Label | None:
        """What an agent's message is, None if it makes no sense."""
        ...


class AgendaUser:
    """Answers what it was asked with the planned move of that question's n-th asking, in its split's own wording.

    Asked beyond its plan it repeats what it last did there, or else answers straight (`planned` is then False). It asks
    back what it does not understand, gives up after two in a row, and leaves when the agent has closed or said
    good-bye. The same scenario and `repetition` give the same words whatever the agent. A training scenario is spoken
    in dev wording.
    """

    name = "agenda"

    def __init__(self, workflow: Workflow, scenario: Scenario, reader: Reader, repetition: int = 0) -> None:
        self._workflow, self._scenario, self._reader = workflow, scenario, reader
        self._seed = f"user|{scenario.id}|{repetition}"
        self._wording: Split = "dev" if scenario.split == "train" else scenario.split
        self._planned = {(p.node, p.visit): p for p in scenario.plan}
        self._situation = Situation(scenario.variables)
        self._lost = 0

    async def answer(self, history: Sequence[Message]) -> UserTurn:
        """The user's answer to the last message of `history`."""
        heard = history[-1].text
        label = self._reader.label(heard)
        if label is None or label.act.awaits is None:
            if label is not None:
                return UserTurn("", ended="closed")
            return UserTurn("", ended="goodbye") if _FAREWELL.search(heard) else self._not_understood()
        self._lost = 0
        return self._answer(label.act.awaits)

    def _answer(self, node_id: str) -> UserTurn:
        node = self._workflow.nodes[node_id]
        self._situation = self._situation.entered(node_id)
        visit = self._situation.visits[node_id]
        planned = self._planned.get((node_id, visit))
        step = planned or PlannedMove(node_id, visit, self._improvised(node_id, visit).id)
        text, facts = realise(
            self._workflow,
            step,
            self._situation,
            self._scenario.persona,
            self._wording,
            Random(f"{self._seed}|{node_id}|{visit}"),
        )
        move = node.move(step.move)
        added = find_deviation(self._workflow, step.deviation)
        self._situation = self._situation.after_move(move.id, move.sets, added.sets if added else {})
        return UserTurn(text, node_id, move.id, step.deviation or move.deviation, facts, planned=planned is not None)

    def _improvised(self, node_id: str, visit: int) -> Move:
        """The last planned move at this question, or its first straight one; never the same change a second time."""
        node = self._workflow.nodes[node_id]
        before = [p for (n, v), p in sorted(self._planned.items()) if n == node_id and v < visit]
        if before and not node.move(before[-1].move).sets:
            return node.move(before[-1].move)
        straight = [m for m in node.moves if m.deviation is None and not m.sets]
        return (straight or list(node.moves))[0]

    def _not_understood(self) -> UserTurn:
        self._lost += 1
        if self._lost >= PATIENCE:
            return UserTurn(_LEAVING, ended="gave_up", planned=False)
        return UserTurn(Random(self._seed).choice(_LOST), planned=False)

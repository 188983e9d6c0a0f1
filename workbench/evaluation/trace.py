"""From a finished conversation to the trace that is measured: what each message is, read from its text alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from workbench.dialogue.labeller import Label, Labeller
from workbench.store.rows import MessageRow


@dataclass(frozen=True, slots=True)
class Event:
    """One visible thing in a conversation. `message` is the index of the message it comes from.

    An agent's event has the speaking place (`unit`: a node or edge id, None if the labeller answers "unknown"); a
    user's has the user node it answers (None: any) with the move and the added deviation, as far as they are known.
    """

    message: int
    is_user: bool
    unit: str | None = None
    move: str | None = None
    deviation: str | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """The events of a conversation in order, and the label of each of its messages (None for users and unknown
    ones)."""

    events: tuple[Event, ...]
    labels: tuple[Label | None, ...] = field(default=())

    @property
    def unknown(self) -> int:
        """Agent messages that the labeller could not place."""
        return sum(not e.is_user and e.unit is None for e in self.events)


def read_trace(labeller: Labeller, messages: Sequence[MessageRow]) -> Trace:
    """Label a conversation. An agent's own nodes are never looked at; a simulated user's true moves are, if recorded.

    A user message without a recorded move (a human, a language model) gets the labeller's reading of it, at the user
    node that the agent's message before it asks for.
    """
    events: list[Event] = []
    labels: list[Label | None] = []
    asked: str | None = None
    for index, message in enumerate(messages):
        if message.role == "agent":
            label = labeller.label(message.text)
            labels.append(label)
            asked = label.act.awaits if label else None
            units: Sequence[str | None] = label.act.units if label else (None,)
            events += [Event(index, False, unit) for unit in units]
            continue
        labels.append(None)
        said = message.label or {}
        node = str(said["question"]) if said.get("question") else asked
        move = message.move
        if move is None and node is not None and not said.get("simulated"):
            move = labeller.move(message.text, node)
        events.append(Event(index, True, node, move, message.deviation))
    return Trace(tuple(events), tuple(labels))

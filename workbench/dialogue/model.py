"""What passes between the rooms about dialogues: the scenario a user lives in, and the messages that are spoken."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from workbench.workflow.model import Split, Value

Speaker = Literal["agent", "user"]


@dataclass(frozen=True, slots=True)
class PlannedMove:
    """What the user does at a user node on its n-th visit (1-based), and the deviation added to it, if any."""

    node: str
    visit: int
    move: str
    deviation: str | None = None


@dataclass(frozen=True, slots=True)
class Scenario:
    """Variables, a persona and a plan. Together they fix the path an agent that follows the procedure must take.

    `variables` are the values at the start; moves and deviations may overwrite them (`Move.sets`). `id` hashes all of it.
    """

    id: str
    workflow_id: str
    split: Split
    seed: int
    variables: Mapping[str, Value]
    persona: str
    plan: tuple[PlannedMove, ...]
    deviations: tuple[str, ...] = ()
    """Kinds of deviation the scenario holds, sorted, from `workbench.workflow.model.DEVIATIONS`."""


@dataclass(frozen=True, slots=True)
class Message:
    """One spoken message and what is known of it; only `role` and `text` ever reach a training text.

    `nodes` are the steps it carries, in order, silent hubs and the terminal included; `edges` the edges taken to reach
    them. `move` and `deviation` belong to user messages. `facts` maps a variable to the value stated in the text.
    """

    role: Speaker
    text: str
    nodes: tuple[str, ...] = ()
    edges: tuple[str, ...] = ()
    move: str | None = None
    deviation: str | None = None
    facts: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A generated dialogue along one path of a workflow."""

    id: str
    workflow_id: str
    scenario: Scenario
    path: tuple[str, ...]
    """Edge ids."""
    terminal: str
    writer: str
    repetition: int
    messages: tuple[Message, ...]


def chat_messages(instruction: str, context: str, messages: tuple[Message, ...]) -> list[dict[str, str]]:
    """The dialogue in the chat form used in training, in serving and for every rival: system, then turns; agent opens."""
    system = f"{instruction}\n{context}" if context else instruction
    roles = {"agent": "assistant", "user": "user"}
    return [{"role": "system", "content": system}] + [{"role": roles[m.role], "content": m.text} for m in messages]

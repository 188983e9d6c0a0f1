"""The procedure as plain data: a directed graph whose nodes speak and whose hubs decide.

A *workflow* is read from a file by `workbench.workflow.load` and never changes afterwards. Four rules shape the
graph (`workbench.workflow.check` reports every breach):

- a **user node** has exactly one out-edge; it leads to an agent node or a terminal;
- an **agent node** with one out-edge leads to a user node; with several it is a **hub**, and a hub may lead anywhere;
- a hub's edge may carry its own `say`: what the agent says when it takes that edge. A hub without one is *silent*;
- a **terminal** may speak too: its `say` is the agent's closing message.

So agent nodes in a row are spoken as one message and messages alternate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

Role = Literal["agent", "user", "terminal"]
Split = Literal["train", "dev", "test"]
Value = str | int

SPLITS: tuple[Split, ...] = ("train", "dev", "test")
DEVIATIONS = ("corrects", "two_at_once", "asks_aside", "vague", "refuses", "changes_goal")
"""The named ways in which a user leaves the straight road (scenario design, issue 'the whole way')."""
TRAITS = ("unspecific", "dissatisfied", "unrealistic")
"""What a move says of its user: tells less than it could, is not content, wants what the procedure cannot give."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Phrasings of one meaning in two pools with no wording in common; `{variable}` marks a placeholder."""

    training: tuple[str, ...] = ()
    evaluation: tuple[str, ...] = ()

    def of(self, split: Split) -> tuple[str, ...]:
        """The wording a split may use: train, or one half of the evaluation pool each for test and dev."""
        if split == "train":
            return self.training
        return self.evaluation[0::2] if split == "test" else self.evaluation[1::2] or self.evaluation


@dataclass(frozen=True, slots=True)
class Condition:
    """A test on the situation at a hub; every part that is set must hold. `otherwise` holds when no sibling does.

    `variables` maps a variable's name to its admitted values; `bounds` to an inclusive (low, high), None is open.
    `visits` are 1-based visit numbers of the node where the condition is asked.
    """

    moves: tuple[str, ...] = ()
    visits: tuple[int, ...] = ()
    variables: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    bounds: Mapping[str, tuple[int | None, int | None]] = field(default_factory=dict)
    otherwise: bool = False


@dataclass(frozen=True, slots=True)
class Phrasing:
    """A pool that is used when `when` holds (always, if None). In a list, the first that holds is taken."""

    pool: Pool
    when: Condition | None = None


@dataclass(frozen=True, slots=True)
class Move:
    """Something a user can do at a user node: what it says, and which variables it overwrites.

    `sets` maps a variable to the one whose value it takes from then on (`{"destination": "new_destination"}`). `traits`
    (from `TRAITS`) help to design evaluations and are no part of the meaning: a file that is tagged hashes as before.
    """

    id: str
    say: tuple[Phrasing, ...]
    description: str = ""
    sets: Mapping[str, str] = field(default_factory=dict)
    deviation: str | None = None
    traits: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """A point of the procedure. `moves` belong to user nodes, `outcome` to terminals, `say` to agents and terminals."""

    id: str
    role: Role
    prompt: str
    say: tuple[Phrasing, ...] = ()
    moves: tuple[Move, ...] = ()
    outcome: str | None = None
    line: int | None = None

    def move(self, move_id: str) -> Move:
        """The move with this id; KeyError if the node has none."""
        for move in self.moves:
            if move.id == move_id:
                return move
        raise KeyError(move_id)


@dataclass(frozen=True, slots=True)
class Edge:
    """A step from one node to the next. Out of a hub it has a condition in words and one a machine can decide."""

    id: str
    source: str
    target: str
    condition: str = ""
    when: Condition | None = None
    say: tuple[Phrasing, ...] = ()
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Variable:
    """A fact of a scenario.

    `choice` values are closed and shared by all splits; `text`, `integer` and `date` values are open, and each split
    draws from its own (see `workbench.dialogue.variables`). `given` narrows the values by another variable's value;
    `after` (date only) is (variable, least days, most days).
    """

    name: str
    type: Literal["choice", "text", "integer", "date"]
    values: tuple[Value, ...] = ()
    low: str | int | None = None
    high: str | int | None = None
    step: int = 1
    given: Mapping[str, Mapping[Value, tuple[Value, ...]]] = field(default_factory=dict)
    after: tuple[str, int, int] | None = None
    differs_from: str | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Deviation:
    """Words added to a user's message that leave the path as it is: a correction, an aside, a second answer.

    `at` maps user node ids to the moves it may be added to (empty: any move). `reply` is what the agent puts before
    its next message (an aside's answer, a correction's acknowledgement); `sets` is as in `Move`.
    """

    id: str
    kind: str
    at: Mapping[str, tuple[str, ...]]
    say: Pool
    reply: Pool = Pool()
    sets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class OrderRule:
    """`then` is never said unless `first` was said before it; both name a node or an edge that speaks."""

    first: str
    then: str


@dataclass(frozen=True, slots=True)
class Persona:
    """A manner of speaking: words put before the user's own. Empty pools leave the message as it is."""

    id: str
    description: str = ""
    before: Pool = Pool()


@dataclass(frozen=True)
class Workflow:
    """A whole procedure. `nodes` and `edges` keep the file's order, which fixes the order of paths."""

    name: str
    title: str
    instruction: str
    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...]
    start: str
    variables: Mapping[str, Variable] = field(default_factory=dict)
    deviations: tuple[Deviation, ...] = ()
    personas: tuple[Persona, ...] = ()
    context: str = ""
    max_visits: int = 2
    description: str = ""
    source: str | None = None
    rules: tuple[OrderRule, ...] = ()

    @cached_property
    def out(self) -> Mapping[str, tuple[Edge, ...]]:
        """Out-edges of every node, in file order."""
        table: dict[str, list[Edge]] = {node: [] for node in self.nodes}
        for edge in self.edges:
            table[edge.source].append(edge)
        return {node: tuple(edges) for node, edges in table.items()}

    @cached_property
    def edge(self) -> Mapping[str, Edge]:
        """Edges by id."""
        return {edge.id: edge for edge in self.edges}

    @cached_property
    def hubs(self) -> tuple[str, ...]:
        """Agent nodes with several out-edges: where the procedure branches."""
        return tuple(n.id for n in self.nodes.values() if n.role == "agent" and len(self.out[n.id]) > 1)

    @cached_property
    def terminals(self) -> tuple[str, ...]:
        """Ids of the terminal nodes, in file order."""
        return tuple(n.id for n in self.nodes.values() if n.role == "terminal")

"""Checks on dialogues: alone (shape, path, facts, leaks) and as a set (contradictions at hubs, coverage)."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from workbench.dialogue.model import Dialogue
from workbench.dialogue.speech import find_deviation
from workbench.workflow.derived import derived
from workbench.workflow.model import Workflow
from workbench.workflow.situation import Situation

LONGEST_MESSAGE = 2000


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of a dialogue: a stable code, the message's index (None: the whole) and what is wrong."""

    code: str
    index: int | None
    what: str


@dataclass(frozen=True, slots=True)
class SetFindings:
    """What only a whole set shows. `ceiling` is the best hub accuracy that any agent could reach on it (0 to 1)."""

    dialogues: int
    contradictions: tuple[str, ...]
    ceiling: float
    edges: dict[str, int]
    terminals: dict[str, int]
    paths: int
    deviations: dict[str, int]


def check_dialogue(workflow: Workflow, dialogue: Dialogue) -> list[Finding]:
    """Every fault of one dialogue; empty if it may be trained on."""
    return [*_shape(workflow, dialogue), *_leaks(workflow, dialogue), *_facts(workflow, dialogue)]


def _shape(workflow: Workflow, dialogue: Dialogue) -> Iterator[Finding]:
    messages = dialogue.messages
    for i, message in enumerate(messages):
        if message.role != ("agent", "user")[i % 2]:
            yield Finding("not-alternating", i, f"message {i + 1} is the {message.role}'s out of turn")
        if not message.text.strip():
            yield Finding("empty", i, f"message {i + 1} is empty")
        if len(message.text) > LONGEST_MESSAGE:
            yield Finding("too-long", i, f"message {i + 1} has {len(message.text)} characters")
        if "{" in message.text or "}" in message.text:
            yield Finding("placeholder", i, f"message {i + 1} holds an unfilled placeholder")
    taken = tuple(edge for message in messages for edge in message.edges)
    nodes = [node for message in messages for node in message.nodes]
    expected = [workflow.start, *(workflow.edge[e].target for e in dialogue.path)]
    if taken != dialogue.path or nodes != expected:
        yield Finding("off-path", None, "the messages do not follow the dialogue's path")
    if not nodes or nodes[-1] != dialogue.terminal or workflow.nodes[dialogue.terminal].role != "terminal":
        yield Finding("wrong-terminal", None, f"the dialogue does not end at '{dialogue.terminal}'")


def _leaks(workflow: Workflow, dialogue: Dialogue) -> Iterator[Finding]:
    """No node id, edge condition or prompt text may stand in what is said."""
    ids, written = derived(workflow, "unsayable", lambda: _unsayable(workflow))
    for i, message in enumerate(dialogue.messages):
        if found := ids.search(message.text):
            yield Finding("leak", i, f"message {i + 1} holds the node id '{found.group()}'")
        folded = _fold(message.text)
        if any(text in folded for text in written):
            yield Finding("leak", i, f"message {i + 1} holds a prompt or condition of the workflow")


def _unsayable(workflow: Workflow) -> tuple[re.Pattern[str], list[str]]:
    """What no message may hold: a pattern of node ids, and prompts and conditions as folded text."""
    written = [n.prompt for n in workflow.nodes.values()] + [e.condition for e in workflow.edges]
    ids = re.compile(r"\b(" + "|".join(re.escape(n) for n in workflow.nodes) + r")\b")
    return ids, [_fold(text) for text in written if len(text) > 12]


def _facts(workflow: Workflow, dialogue: Dialogue) -> Iterator[Finding]:
    """Stated facts stand in the text with their current value; the agent states none that the user has not given."""
    situation = Situation(dialogue.scenario.variables)
    told: set[str] = set()
    constants = derived(workflow, "constants", lambda: _constants(workflow))
    distinctive = {v for v in dialogue.scenario.variables.values() if isinstance(v, str) and v not in constants}
    for i, message in enumerate(dialogue.messages):
        for name, value in message.facts.items():
            if str(value) not in message.text or situation.variables.get(name) != value:
                yield Finding("wrong-fact", i, f"message {i + 1} does not state {name} as {value}")
        if message.role == "user":
            told |= {str(value) for value in message.facts.values()}
            node = workflow.nodes[message.nodes[0]]
            added = find_deviation(workflow, _added(dialogue, message.nodes[0], situation.visits.get(node.id, 0) + 1))
            situation = situation.entered(node.id)
            if message.move is not None:
                move = node.move(message.move)
                situation = situation.after_move(move.id, move.sets, added.sets if added else {})
        else:
            rest = _without(message.text, told)
            for value in sorted(distinctive - told):
                if re.search(rf"\b{re.escape(value)}\b", rest):
                    yield Finding("untold-fact", i, f"message {i + 1} states '{value}', which the user has not given")


def _without(text: str, told: set[str]) -> str:
    """The text less what the user has said, longest first ('2 adults' may be part of what was told)."""
    for value in sorted(told, key=len, reverse=True):
        text = text.replace(value, " ")
    return text


def _added(dialogue: Dialogue, node: str, visit: int) -> str | None:
    plan = dialogue.scenario.plan
    return next((p.deviation for p in plan if (p.node, p.visit) == (node, visit)), None)


def _constants(workflow: Workflow) -> set[str]:
    """Variable values that stand literally in the agent's own phrasings: constants, which it may always state."""
    said = [p.pool for n in workflow.nodes.values() for p in n.say] + [p.pool for e in workflow.edges for p in e.say]
    text = " ".join(t for pool in said for t in (*pool.training, *pool.evaluation))
    values = {v for variable in workflow.variables.values() for v in variable.values if isinstance(v, str)}
    return {v for v in values if re.search(rf"\b{re.escape(v)}\b", text)}


def _fold(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


def check_set(workflow: Workflow, dialogues: Iterable[Dialogue]) -> SetFindings:
    """Coverage of a set, and its contradictions: the same history before a hub with different next nodes."""
    edges: Counter[str] = Counter()
    terminals: Counter[str] = Counter()
    deviations: Counter[str] = Counter()
    paths: set[Sequence[str]] = set()
    following: dict[tuple[str, ...], Counter[tuple[str, ...]]] = defaultdict(Counter)
    total = 0
    for dialogue in dialogues:
        total += 1
        edges.update(dialogue.path)
        terminals[dialogue.terminal] += 1
        deviations.update(dialogue.scenario.deviations)
        paths.add(dialogue.path)
        history: tuple[str, ...] = ()
        messages = dialogue.messages
        for i, message in enumerate(messages):
            if message.role == "agent" and any(node in workflow.hubs for node in message.nodes):
                after = messages[i + 1].nodes[:1] if i + 1 < len(messages) else ()
                following[history][message.nodes + after] += 1
            history = (*history, message.text)
    decided = sum(counter.total() for counter in following.values())
    best = sum(counter.most_common(1)[0][1] for counter in following.values())
    return SetFindings(
        dialogues=total,
        contradictions=tuple(
            f"after '{history[-1] if history else ''}' the dialogues go on to {_branches(counter)}"
            for history, counter in following.items()
            if len(counter) > 1
        ),
        ceiling=best / decided if decided else 1.0,
        edges=dict(edges),
        terminals=dict(terminals),
        paths=len(paths),
        deviations=dict(deviations),
    )


def _branches(counter: Counter[tuple[str, ...]]) -> str:
    return " or ".join(" > ".join(nodes) for nodes in counter)

"""Checks on dialogues: alone (shape, path, facts, leaks) and as a set (contradictions at hubs, coverage)."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from workbench.dialogue.language import language_of
from workbench.dialogue.model import Dialogue
from workbench.dialogue.slots import Slots
from workbench.dialogue.speech import find_deviation
from workbench.workflow.derived import derived
from workbench.workflow.model import Workflow
from workbench.workflow.situation import Situation

LONGEST_MESSAGE = 2000
LEAST_LETTERS = 120
"""A speaker with fewer letters in a dialogue says too little for a language to be told."""
_ENDINGS = tuple(".!?…:;)]\"'”’»。！？")


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of a dialogue: a stable code, the message's index (None: the whole) and what is wrong."""

    code: str
    index: int | None
    what: str


@dataclass(frozen=True, slots=True)
class SetFindings:
    """What only a whole set shows. `ceiling` is the best hub accuracy that any agent could reach on it (0 to 1).

    Counts are of visits (`nodes`, `edges`, and of these the hub `choices`) and of dialogues (`terminals`, `deviations`);
    `uncovered` are the nodes, edges and terminals that no dialogue visits; `distinct` is distinct-n by speaker and n.
    """

    dialogues: int
    contradictions: tuple[str, ...]
    ceiling: float
    edges: dict[str, int]
    terminals: dict[str, int]
    paths: int
    deviations: dict[str, int]
    nodes: dict[str, int]
    choices: dict[str, int]
    uncovered: tuple[str, ...]
    distinct: dict[str, dict[int, float]]


def check_dialogue(workflow: Workflow, dialogue: Dialogue) -> list[Finding]:
    """Every fault of one dialogue; empty if it may be trained on."""
    return [
        *_shape(workflow, dialogue),
        *_leaks(workflow, dialogue),
        *_facts(workflow, dialogue),
        *_invented(workflow, dialogue),
        *_language(workflow, dialogue),
    ]


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
        if message.role == "agent" and message.text.strip() and not message.text.rstrip().endswith(_ENDINGS):
            yield Finding("cut-off", i, f"message {i + 1} ends in the middle of a sentence")
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


def _invented(workflow: Workflow, dialogue: Dialogue) -> Iterator[Finding]:
    """The agent's dates, amounts, numbers and choices were said before, or stand in the workflow's own words."""
    slots, own = derived(workflow, "stated", lambda: _own_values(workflow))
    known = set(own)
    for i, message in enumerate(dialogue.messages):
        said = {(kind, words.lower()) for kind, words in slots.find(message.text)}
        if message.role == "agent":
            allowed = {str(value).lower() for value in message.facts.values()}
            for kind, words in sorted(said - known):
                if words not in allowed and not any(words in value for value in allowed):
                    yield Finding(
                        "invented-fact", i, f"message {i + 1} states '{words}' ({kind}), which nobody has given"
                    )
        known |= said


def _own_values(workflow: Workflow) -> tuple[Slots, set[tuple[str, str]]]:
    """The slots of the workflow, and what its own words state."""
    slots = Slots(workflow)
    return slots, {(kind, words.lower()) for text in _own_texts(workflow) for kind, words in slots.find(text)}


def _own_texts(workflow: Workflow) -> Iterator[str]:
    pools = [p.pool for n in workflow.nodes.values() for p in n.say] + [p.pool for e in workflow.edges for p in e.say]
    pools += [d.reply for d in workflow.deviations]
    for pool in pools:
        yield from (*pool.training, *pool.evaluation)
    yield workflow.context


def _language(workflow: Workflow, dialogue: Dialogue) -> Iterator[Finding]:
    """Each speaker uses the workflow's language (that of its own words), as far as there is enough text to tell."""
    wanted = derived(workflow, "language", lambda: language_of(" ".join([*_own_texts(workflow), *_prompts(workflow)])))
    for role in ("agent", "user"):
        text = " ".join(m.text for m in dialogue.messages if m.role == role)
        if sum(map(str.isalpha, text)) >= LEAST_LETTERS and (found := language_of(text)) != wanted:
            yield Finding("language", None, f"the {role} speaks '{found}', the workflow '{wanted}'")


def _prompts(workflow: Workflow) -> Iterator[str]:
    yield from (workflow.instruction, *(n.prompt for n in workflow.nodes.values()))


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
    nodes: Counter[str] = Counter()
    terminals: Counter[str] = Counter()
    deviations: Counter[str] = Counter()
    paths: set[Sequence[str]] = set()
    following: dict[bytes, Counter[tuple[str, ...]]] = defaultdict(Counter)
    last_said: dict[bytes, str] = {}
    grams = {role: {n: (set[int](), [0]) for n in (1, 2, 3)} for role in ("agent", "user")}
    total = 0
    for dialogue in dialogues:
        total += 1
        edges.update(dialogue.path)
        nodes.update(node for message in dialogue.messages for node in message.nodes)
        terminals[dialogue.terminal] += 1
        deviations.update(dialogue.scenario.deviations)
        paths.add(dialogue.path)
        history = blake2b(digest_size=16)
        messages = dialogue.messages
        for i, message in enumerate(messages):
            _count_grams(grams[message.role], message.text)
            if message.role == "agent" and any(node in workflow.hubs for node in message.nodes):
                after = messages[i + 1].nodes[:1] if i + 1 < len(messages) else ()
                key = history.digest()
                following[key][message.nodes + after] += 1
                last_said.setdefault(key, messages[i - 1].text if i else "")
            history.update(message.text.encode("utf-8", "surrogatepass") + b"\0")
    decided = sum(counter.total() for counter in following.values())
    best = sum(counter.most_common(1)[0][1] for counter in following.values())
    visited = {*nodes, *edges, *terminals}
    return SetFindings(
        dialogues=total,
        contradictions=tuple(
            f"after '{last_said[key]}' the dialogues go on to {_branches(counter)}"
            for key, counter in following.items()
            if len(counter) > 1
        ),
        ceiling=best / decided if decided else 1.0,
        edges=dict(edges),
        terminals=dict(terminals),
        paths=len(paths),
        deviations=dict(deviations),
        nodes=dict(nodes),
        choices={edge.id: edges[edge.id] for hub in workflow.hubs for edge in workflow.out[hub]},
        uncovered=tuple(name for name in (*workflow.nodes, *workflow.edge) if name not in visited),
        distinct={
            role: {n: len(seen) / count[0] if count[0] else 0.0 for n, (seen, count) in by_n.items()}
            for role, by_n in grams.items()
        },
    )


def _count_grams(by_n: dict[int, tuple[set[int], list[int]]], text: str) -> None:
    """Count the word n-grams of one message (distinct-n of Li et al. 2016); hashes keep a large set small."""
    words = re.findall(r"\w+", text.lower())
    for n, (seen, count) in by_n.items():
        for at in range(len(words) - n + 1):
            seen.add(hash(tuple(words[at : at + n])))
            count[0] += 1


def _branches(counter: Counter[tuple[str, ...]]) -> str:
    return " or ".join(" > ".join(nodes) for nodes in counter)

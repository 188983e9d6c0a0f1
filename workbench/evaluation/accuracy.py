"""How often the labeller is right, where the truth is known and withheld from it: generated dialogues, agents with a
graph."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from workbench.dialogue.labeller import Labeller
from workbench.dialogue.model import Dialogue, Message
from workbench.store.rows import MessageRow
from workbench.workflow.model import Workflow

RELIABLE = 0.95
"""Below this accuracy every adherence figure is shown as unreliable."""


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Agent messages labelled right. `confused` counts (true act, labelled act), the most frequent first."""

    n: int
    right: int
    confused: tuple[tuple[str, str, int], ...]

    @property
    def share(self) -> float | None:
        """Right ÷ n, None if there was nothing to label."""
        return self.right / self.n if self.n else None


def accuracy(labeller: Labeller, workflow: Workflow, talks: Iterable[Sequence[Message | MessageRow]]) -> Accuracy:
    """Compare the labels of agent messages with the acts that follow from their true nodes."""
    n = right = 0
    confused: Counter[tuple[str, str]] = Counter()
    for messages in talks:
        for message, truth in zip(messages, true_acts(workflow, messages), strict=True):
            if truth is None:
                continue
            label = labeller.label(message.text)
            said = label.name if label else "unknown"
            n += 1
            right += said == truth
            if said != truth:
                confused[truth, said] += 1
    return Accuracy(n, right, tuple((a, b, count) for (a, b), count in confused.most_common()))


def dialogue_accuracy(labeller: Labeller, workflow: Workflow, dialogues: Iterable[Dialogue]) -> Accuracy:
    """The accuracy on generated dialogues, whose agents speak the training wording."""
    return accuracy(labeller, workflow, (d.messages for d in dialogues))


def true_acts(workflow: Workflow, messages: Sequence[Message | MessageRow]) -> list[str | None]:
    """The act of every agent message from the nodes that it and the next message are known to carry.

    None for users' messages, and where the nodes are not known or nothing in them speaks.
    """
    acts: list[str | None] = []
    for index, message in enumerate(messages):
        if message.role == "user" or not message.nodes:
            acts.append(None)
            continue
        following = messages[index + 1] if index + 1 < len(messages) else None
        taken = [*message.edges, *(following.edges[:1] if following else ())]
        path = [*message.nodes, *(following.nodes[:1] if following else ())]
        acts.append("+".join(_units(workflow, path, taken)) or None)
    return acts


def _units(workflow: Workflow, path: Sequence[str], taken: Sequence[str]) -> list[str]:
    units: list[str] = []
    for index, node_id in enumerate(path):
        node = workflow.nodes[node_id]
        if index:
            between = [e for e in workflow.out[path[index - 1]] if e.target == node_id]
            edge = next((e for e in between if e.id in taken), between[0] if between else None)
            units += [edge.id] if edge and edge.say else []
        units += [node_id] if node.say and node.role != "user" else []
    return units

"""What a model is asked to write: a scenario's messages one by one, who speaks, what each has to say, which facts.

The outline is the scripted writer's dialogue with its words taken as the meaning. So a model's dialogue takes the same
path, its hubs stay decidable (the words that decide are part of the meaning), and the agent's side is handed only what
it may state: constants of the workflow file and what the user has said before. The prompts never hold ids or conditions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from workbench.dialogue.model import Message, Scenario, Speaker
from workbench.dialogue.scripted import write
from workbench.dialogue.speech import find_deviation
from workbench.text import clean
from workbench.workflow.model import Value, Workflow

_KINDS = {
    "corrects": "In the same message you correct a detail that you gave before.",
    "two_at_once": "In the same message you also say something that you were not asked yet.",
    "asks_aside": "In the same message you also ask a side question.",
    "vague": "You stay vague.",
    "refuses": "You refuse.",
    "changes_goal": "You change what you want.",
}


@dataclass(frozen=True, slots=True)
class Turn:
    """One message to be written. `task` says what it is for, `meaning` what it says (in the scripted writer's words);
    the values of `facts` must stand in the text as they are.
    """

    role: Speaker
    task: str
    meaning: str
    facts: Mapping[str, Value]
    message: Message

    @property
    def details(self) -> tuple[str, ...]:
        """The facts' values, each once."""
        return tuple(dict.fromkeys(str(value) for value in self.facts.values()))

    def said(self, text: str) -> Message:
        """The message with a model's words in the place of the scripted ones."""
        m = self.message
        return Message(m.role, text, m.nodes, m.edges, m.move, m.deviation, m.facts)

    def fault(self, text: str, most: int = 1200) -> str | None:
        """Why `text` cannot stand for this turn, in words that a model understands; None if it can."""
        if not text:
            return "it is empty"
        if len(text) > most:
            return f"it has {len(text)} characters, {most} are the most"
        if "{" in text or "}" in text:
            return "it holds curly brackets"
        missing = [value for value in self.details if value not in text]
        return f"it does not contain {', '.join(map(repr, missing))} exactly as given" if missing else None


def outline(workflow: Workflow, scenario: Scenario, repetition: int = 0) -> tuple[Turn, ...]:
    """The turns of a scenario's dialogue, agent first. Raises UserError if a move has no phrasing."""
    dialogue = write(workflow, scenario, repetition)
    return tuple(_turn(workflow, message) for message in dialogue.messages)


def _turn(workflow: Workflow, message: Message) -> Turn:
    task = _user_task(workflow, message) if message.role == "user" else _agent_task(workflow, message)
    return Turn(message.role, task, message.text, message.facts, message)


def _agent_task(workflow: Workflow, message: Message) -> str:
    """The prompts of the nodes that speak; hubs only decide, and what follows from their decision is in the meaning."""
    nodes = [workflow.nodes[node] for node in message.nodes]
    tasks = [node.prompt for node in nodes if node.id not in workflow.hubs]
    if nodes[-1].role == "terminal":
        tasks.append("This is the last message of the conversation.")
    return " ".join(tasks)


def _user_task(workflow: Workflow, message: Message) -> str:
    node = workflow.nodes[message.nodes[0]]
    move = node.move(message.move or "")
    added = find_deviation(workflow, message.deviation if message.deviation != move.deviation else None)
    kind = added.kind if added else move.deviation
    parts = [node.prompt, f"This time: {move.description or move.id}", _KINDS.get(kind or "", "")]
    return " ".join(part for part in parts if part)


def tidy(text: str) -> str:
    """A model's words as one clean line without the quotation marks some models put around them."""
    line = " ".join(clean(text).split())
    if len(line) > 1 and line[0] == line[-1] == '"' and '"' not in line[1:-1]:
        line = line[1:-1].strip()
    return line

"""A perfect model behind a loopback endpoint: it reads only what a model is sent, and answers as the procedure demands.

It speaks the evaluation wording of the place that a note is about, and at a hub it reads the customer's words with the
labeller and decides the edges' conditions from them. It is told no path and keeps nothing between calls.
"""

from __future__ import annotations

from typing import Any

from workbench.agents.prompts import open_values, options_of
from workbench.dialogue.labeller import Labeller
from workbench.workflow.model import Edge, Node, Workflow
from workbench.workflow.situation import Situation, decide


class PerfectModel:
    """Called with the messages of a chat request; gives the reply's text. `asked` counts choices and messages."""

    def __init__(self, workflow: Workflow) -> None:
        self._workflow = workflow
        self._labeller = Labeller(workflow)
        self.choices = 0
        self.spoken = 0

    def __call__(self, messages: list[dict[str, Any]]) -> str:
        talk, note = str(messages[-1]["content"]).split("<note>\n", 1)
        first, *rest = note.removesuffix("\n</note>").split("\n")
        if options := [line.removeprefix("- ") for line in rest if line.startswith("- ")]:
            self.choices += 1
            return self._choose(first, talk.strip(), messages, options)
        self.spoken += 1
        return self._speak(first)

    def _choose(self, prompt: str, said: str, messages: list[dict[str, Any]], options: list[str]) -> str:
        flow = self._workflow
        hub = next(h for h in flow.hubs if open_values(flow.nodes[h].prompt) == prompt)
        asked = self._labeller.asked(next(m["content"] for m in reversed(messages) if m["role"] == "assistant"))
        assert asked is not None, "the customer answers a question that was understood"
        move = self._labeller.move(said, asked)
        edge = decide(flow, hub, Situation({"question": "luggage"}, move))
        words = next(words for words, choice in options_of(flow, hub).items() if choice is edge)
        assert words in options
        return words

    def _speak(self, task: str) -> str:
        for place in [*self._workflow.nodes.values(), *self._workflow.edges]:
            if place.say and self._is_about(task, place):
                return str(place.say[0].pool.evaluation[0])
        return "Certainly."

    @staticmethod
    def _is_about(task: str, place: Node | Edge) -> bool:
        about = open_values(place.prompt) if isinstance(place, Node) else place.condition
        return bool(about) and about in task

"""A simulated user on any model: persona, facts and agenda in words (after tau2-bench), stop words to leave."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.agents.base import UserEnd, UserTurn
from workbench.agents.prompts import open_values
from workbench.dialogue.labeller import Labeller
from workbench.dialogue.model import Message, Scenario
from workbench.models.client import ChatMessage, Client, Request
from workbench.workflow.model import Workflow
from workbench.workflow.situation import fill

STOP_WORDS: dict[str, UserEnd] = {
    "###DONE###": "closed",
    "###TRANSFER###": "transferred",
    "###OUT-OF-SCOPE###": "out_of_scope",
    "###LOST###": "gave_up",
}
"""What a model writes to leave, and why it leaves. They never reach the agent."""

_KINDS = {
    "corrects": "correct a detail that you gave before",
    "two_at_once": "also say something that you were not asked yet",
    "asks_aside": "also ask a question that has little to do with it",
    "vague": "stay vague",
    "refuses": "refuse politely",
    "changes_goal": "change what you want",
}


class LlmUser:
    """Sees the messages, its facts and its agenda; never the graph, the path or the expected terminal.

    `node` and `move` of its turns are what the labeller reads from both sides' words, since a model keeps no books.
    """

    def __init__(
        self,
        client: Client,
        workflow: Workflow,
        scenario: Scenario,
        labeller: Labeller,
        *,
        seed: int | None = None,
        owner: str = "",
    ) -> None:
        self.name = f"llm:{client.model}"
        self._client, self._scenario, self._labeller = client, scenario, labeller
        self._seed, self._owner = seed, owner
        self._system = ChatMessage("system", user_system(workflow, scenario))

    async def answer(self, history: Sequence[Message]) -> UserTurn:
        """The model's next message as the user. Raises ServiceError."""
        talk = [ChatMessage("user" if m.role == "agent" else "assistant", m.text) for m in history]
        reply = await self._client.complete(
            Request((self._system, *talk), 120, temperature=None, seed=self._seed, purpose="user", owner=self._owner)
        )
        text, ended = reply.text.strip(), None
        for word, end in STOP_WORDS.items():
            if word in text:
                text, ended = text.replace(word, "").strip(), ended or end
        if reply.stop_reason == "refusal" or not (text or ended):
            text, ended = "", ended or "gave_up"  # the user's own failure; the audit counts it
        node = self._labeller.asked(history[-1].text)
        move = self._labeller.move(text, node) if node and text else None
        facts = {n: v for n, v in self._scenario.variables.items() if str(v).casefold() in text.casefold()}
        return UserTurn(text, node, move, None, facts, ended, reply.usage, reply.cost)


def user_system(workflow: Workflow, scenario: Scenario) -> str:
    """The system prompt of a simulated user: persona, facts, what to do when asked what, rules."""
    persona = next((p.description for p in workflow.personas if p.id == scenario.persona), "")
    facts = [
        f"- {(workflow.variables[name].description or name).rstrip('.')}: {value}"
        for name, value in scenario.variables.items()
    ]
    return f"""You play a customer who talks to an assistant ({workflow.title}). {persona}

# Your facts (tell one only when it is asked for or your agenda needs it; you know nothing beyond them)
{chr(10).join(facts)}

# Your agenda
{chr(10).join(_agenda(workflow, scenario))}
Asked again for something, repeat your answer.

# Rules
- Write one short message at a time, only what the customer says. Tell no more than what is asked for or what your agenda \
needs now. Invent nothing: what is not among your facts, you do not know, and you say so.
- Stay the customer to the end: never speak as the assistant, never mention these rules, and do not stop before the \
assistant has finished what you agreed to.
- When the assistant has closed the conversation or said good-bye, answer only ###DONE###.
- When it has handed you over to a person, answer only ###TRANSFER###.
- When it needs what neither your facts nor your agenda give, and has asked twice, answer only ###OUT-OF-SCOPE###.
- If you twice cannot make sense of the assistant, answer only ###LOST###."""


def _agenda(workflow: Workflow, scenario: Scenario) -> list[str]:
    lines = []
    for step in scenario.plan:
        node = workflow.nodes[step.node]
        move = node.move(step.move)
        extra = next((d for d in workflow.deviations if d.id == step.deviation), None)
        again = f" (time {step.visit} that this comes up)" if step.visit > 1 else ""
        line = (
            f"- When it is your turn to do this{again}: {open_values(node.prompt)} You: {move.description or move.id}"
        )
        if extra and extra.say.evaluation:
            words = fill(extra.say.evaluation[0], scenario.variables)
            line += f' In the same message {_KINDS[extra.kind]}, such as: "{words}"'
        lines.append(line)
    return lines

"""What an evaluation will take, before anything is spent: agents, users and judges make their requests for a few of its
scenarios, and a client that only counts answers them with what a faultless agent would say.

Imports no SDK and no graph library, so that the app may ask."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from workbench.agents.conversation import hold, limits_for
from workbench.agents.llm_user import user_system
from workbench.agents.names import AgentName, build_agent, parse_name
from workbench.agents.prompts import KICK_OFF, choice_note, options_of, orchestrated_system, speak_note
from workbench.agents.users import AgendaUser
from workbench.dialogue.labeller import Labeller
from workbench.dialogue.model import Scenario
from workbench.dialogue.slots import Slots
from workbench.evaluation.accuracy import true_acts
from workbench.evaluation.controls import flawless_talk
from workbench.evaluation.judge_prompt import Case, notes_for, request_for
from workbench.evaluation.judging import Panel
from workbench.models.client import ChatMessage, Reply, Request, Usage
from workbench.models.prices import Price
from workbench.store.rows import MessageRow
from workbench.workflow.model import Workflow

CHARACTERS_A_TOKEN = 4
"""The usual rule for English."""
LONGER = 1.3
"""Models say the same in more words than a workflow file's phrasings."""
SAMPLE = 6
"""Scenarios whose requests are really made."""
_CHOICE_TOKENS = 20
_VERDICT_TOKENS = 90
"""A reason and its quotations, a criterion."""


@dataclass(frozen=True, slots=True)
class Part:
    """One line of an estimate. `dollars` is None where a price is unknown, 0 where no money is owed."""

    what: str
    model: str
    calls: int
    input: int
    output: int
    dollars: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """All parts of what is left to do. `conversations` and `judgements` count what is not in the record yet."""

    parts: tuple[Part, ...]
    conversations: int
    judgements: int

    @property
    def dollars(self) -> float | None:
        """The sum; None if a part's price is unknown."""
        costs = [p.dollars for p in self.parts]
        return None if None in costs else sum(c or 0.0 for c in costs)


Prices = Mapping[str, tuple[Price | None, bool]]
"""Model → its price (None: unknown), and whether no money is owed for it."""


def estimate(
    workflow: Workflow,
    user: str | None,
    panel: Panel,
    scenarios: Sequence[Scenario],
    left: Mapping[str, int],
    judgements: Mapping[str, int],
    prices: Prices,
    *,
    batch_share: float = 1.0,
) -> Estimate:
    """`left` are the conversations still to be held by agent, `judgements` those still to be had by judge; `user` is the
    model that plays the user, None if none does.

    Prompt caching takes off and repeated calls come on top; neither is in it. `batch_share` is what a judgement costs
    of the full price.
    """
    sample = list(scenarios[:SAMPLE])
    labeller, slots = Labeller(workflow), Slots(workflow)
    talks = {s.id: flawless_talk(workflow, s) for s in sample}
    parts: list[Part] = []
    for name, count in left.items():
        agent = parse_name(name)
        if agent.model and count and sample:
            if agent.kind == "orchestrated":
                counted = _orchestrated_usage(workflow, sample, talks)
            else:
                counted = asyncio.run(_agent_usage(workflow, agent, sample, talks, labeller))
            parts.append(_part(name, agent.model, counted, count / len(sample), prices))
    if user and sum(left.values()) and sample:
        counted = _user_usage(workflow, sample, talks)
        parts.append(_part("simulated user", user, counted, sum(left.values()) / len(sample), prices))
    for judge, count in judgements.items():
        if count and sample:
            counted = _judge_usage(workflow, panel, sample, talks, slots)
            parts.append(_part(f"judge {judge}", judge, counted, count / len(sample), prices, batch_share))
    return Estimate(tuple(parts), sum(left.values()), sum(judgements.values()))


@dataclass(slots=True)
class _Counted:
    calls: int = 0
    usage: Usage = field(default_factory=Usage)

    def add(self, request: Request, output: int) -> None:
        characters = sum(len(m.content) for m in request.messages) + sum(map(len, request.choices))
        characters += len(str(request.schema or ""))
        self.calls += 1
        self.usage += Usage(characters // CHARACTERS_A_TOKEN, output)


class _Counter:
    """A client that answers with the faultless agent's words, and counts."""

    model = "estimate"

    def __init__(self, talk: Sequence[MessageRow], counted: _Counted) -> None:
        self._counted = counted
        self._says = iter([m.text for m in talk if m.role == "agent"])

    async def complete(self, request: Request) -> Reply:
        text = next(self._says, "Goodbye!")
        self._counted.add(request, round(len(text) * LONGER) // CHARACTERS_A_TOKEN)
        return Reply(text, "end", Usage(), 0.0, None, None, self.model)

    async def stream(self, request: Request) -> AsyncIterator[str | Reply]:
        yield await self.complete(request)

    async def close(self) -> None:
        return None


async def _agent_usage(
    workflow: Workflow,
    agent: AgentName,
    sample: Sequence[Scenario],
    talks: Mapping[str, Sequence[MessageRow]],
    labeller: Labeller,
) -> _Counted:
    counted, limits = _Counted(), limits_for(workflow)
    for scenario in sample:
        client = _Counter(talks[scenario.id], counted)
        talker = build_agent(agent, workflow, client, thread=f"estimate:{scenario.id}", scenario=scenario)
        try:
            await hold(talker, AgendaUser(workflow, scenario, labeller), limits)
        finally:
            await talker.close()
    return counted


def _orchestrated_usage(
    workflow: Workflow, sample: Sequence[Scenario], talks: Mapping[str, Sequence[MessageRow]]
) -> _Counted:
    """The calls that the orchestrated agent makes along a faultless talk, counted without its graph library."""
    counted, system = _Counted(), ChatMessage("system", orchestrated_system(workflow))
    for scenario in sample:
        talk, said = talks[scenario.id], [KICK_OFF]
        for message, act in zip(talk, true_acts(workflow, talk), strict=True):
            if message.role == "user":
                said.append(ChatMessage("user", message.text))
                continue
            notes = [
                (choice_note(workflow.nodes[n], tuple(options_of(workflow, n)), 1), _CHOICE_TOKENS)
                for n in message.nodes
                if n in workflow.hubs
            ]
            places = (act or "").split("+") if act else []
            words = round(len(message.text) * LONGER) // CHARACTERS_A_TOKEN
            notes += [
                (speak_note(workflow, workflow.edge.get(p) or workflow.nodes[p]), words // len(places)) for p in places
            ]
            for note, output in notes:
                counted.add(Request((system, *said, ChatMessage("user", note))), output)
            said.append(ChatMessage("assistant", message.text))
    return counted


def _user_usage(workflow: Workflow, sample: Sequence[Scenario], talks: Mapping[str, Sequence[MessageRow]]) -> _Counted:
    counted = _Counted()
    for scenario in sample:
        system, said = len(user_system(workflow, scenario)), 0
        for message in talks[scenario.id]:
            if message.role == "user":
                counted.calls += 1
                output = round(len(message.text) * LONGER) // CHARACTERS_A_TOKEN
                counted.usage += Usage((system + said) // CHARACTERS_A_TOKEN, output)
            said += len(message.text)
    return counted


def _judge_usage(
    workflow: Workflow,
    panel: Panel,
    sample: Sequence[Scenario],
    talks: Mapping[str, Sequence[MessageRow]],
    slots: Slots,
) -> _Counted:
    counted = _Counted()
    for scenario in sample:
        lines = tuple((m.role, m.text) for m in talks[scenario.id])
        case = Case(scenario.id, lines, notes_for(workflow, scenario, slots))
        request = request_for(case, panel.rubric, judge="", repetition=0, owner="")
        counted.add(request, _VERDICT_TOKENS * len(panel.rubric.criteria))
    return counted


def _part(what: str, model: str, counted: _Counted, scale: float, prices: Prices, share: float = 1.0) -> Part:
    price, free = prices.get(model, (None, False))
    dollars = 0.0 if free else None if price is None else price.cost(counted.usage) * scale * share
    return Part(
        what,
        model,
        round(counted.calls * scale),
        round(counted.usage.input * scale),
        round(counted.usage.output * scale),
        dollars,
    )

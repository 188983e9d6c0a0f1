"""Writers on a model, in three manners.

`turns`: message by message, each side with its own prompt and the history, as the paper does it. `whole`: all turns in
one structured reply, each tied to its turn by number; for bulk and for batches. `paraphrase`: the scripted dialogue,
every message said again in other words. A reply that cannot be used (refused, cut off, malformed, a fact missing) is
asked for again, told what was wrong, and after `TRIES` of them the dialogue is unusable, with the reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from workbench.dialogue.model import Dialogue, Message, Scenario
from workbench.dialogue.outline import Turn, outline, tidy
from workbench.dialogue.prompting import prompt_hash, turn_request, whole_request
from workbench.dialogue.scenarios import expected_path
from workbench.errors import ServiceError, UserError
from workbench.models.attempt import AttemptFailed
from workbench.models.client import Client, Reply, Request
from workbench.text import clean_line
from workbench.workflow.hashing import digest, path_hash
from workbench.workflow.model import Workflow

Manner = Literal["turns", "whole", "paraphrase"]
MANNERS: tuple[Manner, ...] = get_args(Manner)
TRIES = 3
REJECTED = "rejected"
"""The code of a dialogue whose request the service does not take."""
_ROUND_APART = 1_000_003
"""Between the seeds of two rounds; the seeds of a plan's scenarios lie closer together or further apart."""
_OF_THE_REQUEST = (200, 400, 413, 422)
"""Statuses (200: an error event in a stream) with which a service rejects one request and not the whole account."""


@dataclass(frozen=True, slots=True)
class Writer:
    """Who writes: a model's name (see `open_client`), a manner, and for `turns` the user's model if it is another."""

    model: str
    manner: Manner
    user: str | None = None

    @property
    def name(self) -> str:
        """As it stands in the record: `whole:anthropic/…`."""
        return f"{self.manner}:{self.model}" + (f"+{self.user}" if self.user else "")

    @property
    def models(self) -> tuple[str, ...]:
        """The names of its models, each once."""
        return tuple(dict.fromkeys([self.model, self.user or self.model]))

    def dialogue_id(self, workflow: Workflow, scenario: Scenario, path: Sequence[str], repetition: int = 0) -> str:
        """The id of the dialogue, known before it is written: path, scenario, writer, prompts, seed, repetition."""
        config = {"model": self.model, "manner": self.manner, "user": self.user}
        made_of = [path_hash(workflow, path), scenario.id, config, prompt_hash(self.manner), scenario.seed, repetition]
        return digest(made_of)


def writer_named(name: str) -> Writer | None:
    """The writer that stands in the record under this name (`Writer.name`); None for the scripted one, which is no model."""
    manner, _, model = name.partition(":")
    if manner not in MANNERS:
        return None
    user = re.search(r"\+((?:anthropic/|openai/|local/|https?://).*)$", model)
    return writer_of(model[: user.start()] if user else model, manner, user[1] if user else None)


class Unusable(Exception):
    """No reply could be used. `code` is refused (by the model), cut-off, malformed or rejected (the request, by the service);
    `messages` what had been written before."""

    def __init__(self, code: str, why: str, messages: tuple[Message, ...] = ()) -> None:
        super().__init__(why)
        self.code, self.messages = code, messages


def writer_of(model: str, manner: str, user: str | None = None) -> Writer:
    """The writer by the words of the command line. Raises UserError."""
    if manner not in MANNERS:
        raise UserError(f'no manner "{manner}": choose one of {", ".join(MANNERS)}')
    if user and manner != "turns":
        raise UserError(f"--user gives the user's side a model of its own, which only --manner turns has, not {manner}")
    return Writer(model, manner, user or None)


async def compose(
    workflow: Workflow,
    scenario: Scenario,
    writer: Writer,
    agent: Client,
    user: Client,
    repetition: int = 0,
    round_: int = 0,
) -> Dialogue:
    """The dialogue of a scenario in a model's words. Raises Unusable, and what the clients raise.

    `round_` above 0 is another attempt at a dialogue that could not be used: the same requests under other seeds.
    """
    turns = outline(workflow, scenario, repetition)
    path = expected_path(workflow, scenario)
    dialogue_id = writer.dialogue_id(workflow, scenario, path, repetition)
    owner = f"dialogue:{dialogue_id}"
    seed = scenario.seed + _ROUND_APART * round_
    if writer.manner == "turns":
        messages = await _turn_by_turn(workflow, scenario, turns, agent, user, owner, seed)
    else:
        messages = await _whole(workflow, scenario, turns, writer.manner, agent, owner, seed)
    return Dialogue(
        dialogue_id,
        scenario.workflow_id,
        scenario,
        path,
        turns[-1].message.nodes[-1],
        writer.name,
        repetition,
        messages,
    )


async def _turn_by_turn(
    workflow: Workflow, scenario: Scenario, turns: Sequence[Turn], agent: Client, user: Client, owner: str, seed: int
) -> tuple[Message, ...]:
    history: list[Message] = []
    for index, turn in enumerate(turns):
        client, purpose = (agent, "writer") if turn.role == "agent" else (user, "user")
        fault = ""
        for try_ in range(1, TRIES + 1):
            request = turn_request(workflow, scenario, history, turn, fault, try_)
            reply = await client.complete(_named(request, purpose, owner, seed, index, try_))
            code, fault = _stopped(reply)
            text = tidy(reply.text)
            if not fault:
                code, fault = "malformed", turn.fault(text) or ""
            if not fault:
                break
        else:
            raise Unusable(code, f"message {index + 1}: {fault} (tried {TRIES} times)", tuple(history))
        history.append(turn.said(text))
    return tuple(history)


async def _whole(
    workflow: Workflow, scenario: Scenario, turns: Sequence[Turn], manner: str, client: Client, owner: str, seed: int
) -> tuple[Message, ...]:
    code = fault = ""
    for try_ in range(1, TRIES + 1):
        request = whole_request(workflow, scenario, turns, manner, fault, try_)
        reply = await client.complete(_named(request, "writer", owner, seed, 0, try_))
        code, fault = _stopped(reply)
        if not fault:
            try:
                return read_whole(reply.text, turns)
            except ValueError as error:
                code, fault = "malformed", str(error)
    raise Unusable(code, f"{fault} (tried {TRIES} times)")


def read_whole(text: str, turns: Sequence[Turn]) -> tuple[Message, ...]:
    """The messages of a structured reply, each text with its turn. Raises ValueError, saying what is wrong."""
    try:
        entries = json.loads(_without_fence(text))["messages"]
        numbers = [entry["n"] for entry in entries]
        texts: dict[int, Any] = {entry["n"]: entry["text"] for entry in entries}
    except (ValueError, TypeError, KeyError, RecursionError):
        raise ValueError('it is not JSON of the form {"messages": [{"n": 1, "text": "…"}]}') from None
    if sorted(numbers, key=str) != sorted(range(1, len(turns) + 1), key=str):
        raise ValueError(f"it must hold each of the messages 1 to {len(turns)} once, not {len(numbers)} messages")
    messages = []
    for number, turn in enumerate(turns, 1):
        said = tidy(texts[number]) if isinstance(texts[number], str) else ""
        if fault := turn.fault(said):
            raise ValueError(f"message {number}: {fault}")
        messages.append(turn.said(said))
    return tuple(messages)


def _without_fence(text: str) -> str:
    """The text inside a Markdown code fence, where a model puts its JSON into one."""
    text = text.strip()
    if text.startswith("```") and text.endswith("```"):
        text = text[3:-3].removeprefix("json")
    return text


def _stopped(reply: Reply) -> tuple[str, str]:
    """Code and fault of a reply that did not come to its own end; two empty strings if it did."""
    if reply.stop_reason == "refusal":
        return "refused", f"the model refuses: {clean_line(reply.text, 120) or 'no reason given'}"
    if reply.stop_reason == "length":
        return "cut-off", "it was too long and was cut off"
    return "", ""


def _named(request: Request, purpose: str, owner: str, seed: int, index: int, try_: int) -> Request:
    """With what makes it one of its kind: the seed also tells repeated requests apart in the ledger."""
    return replace(request, purpose=purpose, owner=owner, seed=(seed * 1000 + index * 10 + try_) % 2**31)


def why_unusable(error: ServiceError) -> Unusable | None:
    """A failed call as an unusable reply, where the service did answer: never in a form that can be read, or that it does
    not take this very request. None for all that concerns other dialogues too (a key, a limit, a service that is away).
    """
    cause = error.__cause__
    if isinstance(cause, AttemptFailed) and cause.kind in ("malformed", "cut"):
        return Unusable("malformed", clean_line(str(error), 200))
    if isinstance(cause, AttemptFailed) and cause.kind == "refused" and cause.status in _OF_THE_REQUEST:
        return Unusable(REJECTED, clean_line(str(error), 200))
    return None

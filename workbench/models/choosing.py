"""Choosing among given texts: constrained where the server can, else by number, the answer read back and counted."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

from workbench.models.client import ChatMessage, Client, Reply, Request
from workbench.models.constraint import SCHEMA_TOKENS, choice_schema, chosen_text

TRIES = 3
_ASK = "Which of these fits? Answer with its number and nothing else."
_AGAIN = "That is not one of the numbers. Answer with one of them and nothing else."
_REPLY_TOKENS = 16


def ask_by_number(request: Request) -> Request:
    """`request` with its options numbered at the end of the last message (or as a user message of their own)."""
    options = "\n".join(f"{number}. {text}" for number, text in enumerate(request.choices, 1))
    messages, question = list(request.messages), f"{_ASK}\n{options}"
    if messages and messages[-1].role == "user":
        messages[-1] = replace(messages[-1], content=f"{messages[-1].content}\n\n{question}")
    else:
        messages.append(ChatMessage("user", question))
    return replace(request, messages=tuple(messages), choices=(), max_tokens=_REPLY_TOKENS, stop=())


def read_choice(text: str, options: Sequence[str]) -> int | None:
    """The option that `text` names: its words, the only valid number in it, or the only option quoted; else None."""
    said = " ".join(text.split()).strip("\"'`*. ").casefold()
    folded = [" ".join(option.split()).strip(". ").casefold() for option in options]
    if said in folded:
        return folded.index(said)
    numbers = {int(n) for n in re.findall(r"(?<![\w.])\d{1,4}(?![\w])", said)}
    if len(numbers) == 1 and 1 <= (number := numbers.pop()) <= len(options):
        return number - 1
    quoted = [index for index, option in enumerate(folded) if option and option in said]
    return quoted[0] if len(quoted) == 1 and not numbers else None


class ChoosingClient:
    """Wraps a client so that a request with `choices` ends in one of them.

    The choices are sent as they are first, for the server to constrain decoding (with `schema` as a JSON schema, for
    APIs that take no other form); a `free` request asks by number from the start. Whatever comes back that is no option
    is asked for again by number, up to three times. `detail["malformed"]` counts those and `detail["calls"]` all tries;
    if all fail, the text is the model's last words.
    """

    def __init__(self, inner: Client, schema: bool = False) -> None:
        self.inner = inner
        self.schema = schema
        self.model = inner.model

    async def complete(self, request: Request) -> Reply:
        """The whole reply; usage, latency and cost cover all tries."""
        if not request.choices:
            return await self.inner.complete(request)
        replies: list[Reply] = []
        first = ask_by_number(request) if request.free else self._constrained(request)
        asked = first
        while True:
            reply = await self.inner.complete(asked)
            replies.append(reply)
            index = read_choice(chosen_text(reply.text), request.choices)
            if index is not None or len(replies) == TRIES:
                return _summed(replies, request.choices[index] if index is not None else reply.text, index is None)
            if asked is first and not request.free:
                asked = ask_by_number(request)
            else:
                said = (ChatMessage("assistant", reply.text.strip() or "…"), ChatMessage("user", _AGAIN))
                asked = replace(asked, messages=(*asked.messages, *said))

    def _constrained(self, request: Request) -> Request:
        if not self.schema:
            return request
        room = max(request.max_tokens, SCHEMA_TOKENS)
        return replace(request, choices=(), schema=choice_schema(request.choices), max_tokens=room)

    async def stream(self, request: Request) -> AsyncIterator[str | Reply]:
        """A choice comes in one piece; everything else streams as the inner client does."""
        if request.choices:
            reply = await self.complete(request)
            yield reply.text
            yield reply
            return
        async for piece in self.inner.stream(request):
            yield piece

    async def close(self) -> None:
        """Release the inner client."""
        await self.inner.close()


def _summed(replies: list[Reply], text: str, malformed: bool) -> Reply:
    last = replies[-1]
    usage, cost = replies[0].usage, replies[0].cost
    for reply in replies[1:]:
        usage = usage + reply.usage
        cost = None if cost is None or reply.cost is None else cost + reply.cost
    detail = {**last.detail, "malformed": len(replies) - (0 if malformed else 1), "calls": len(replies)}
    latency = sum(reply.latency_s for reply in replies)
    return replace(last, text=text, usage=usage, cost=cost, latency_s=latency, detail=detail)

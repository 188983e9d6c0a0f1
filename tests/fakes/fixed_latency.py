"""A chat-completions server that takes the same time for every answer: `python -m tests.fakes.fixed_latency SECONDS`.

It prints its address and answers until its standard input ends. The agent it plays asks a few times more, as often as the
user's first words decide, and then hands over; so conversations differ in length, and are the same every time.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from tests.fakes.loopback import serving
from tests.fakes.openai_server import Act, Fake, app_for

OPENING = "Welcome! Which city, which dates and how many travellers?"
CLOSING = "A human advisor will take over from here. Goodbye!"


@dataclass
class Fixed(Fake):
    """A fake whose answers come after `latency` seconds; requests are not kept."""

    latency: float = 0.0

    async def act(self, request: Request) -> tuple[Act, dict[str, Any]]:
        """Wait, then answer by what has been said."""
        body = await request.json()
        await asyncio.sleep(self.latency)
        return Act(answer(body["messages"])), body


def answer(messages: list[dict[str, Any]]) -> str:
    """The next words of the agent: an opening, two to six questions, a farewell."""
    said = sum(m["role"] == "assistant" for m in messages)
    users = [str(m["content"]) for m in messages if m["role"] == "user"]
    first = users[1] if len(users) > 1 else ""
    asked = 2 + hashlib.sha256(first.encode()).digest()[0] % 5
    return CLOSING if said > asked else OPENING


def main() -> None:
    """Serve until the caller goes away."""
    with serving(app_for(Fixed(latency=float(sys.argv[1])))) as address:
        print(address, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()

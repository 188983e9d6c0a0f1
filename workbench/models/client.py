"""One small client protocol: every way to get text from a model, local or remote, looks like this."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

ChatRole = Literal["system", "user", "assistant"]
StopReason = Literal["end", "length", "refusal", "stopped"]
_MOST_TOKENS = 10**9


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a chat request."""

    role: ChatRole
    content: str


@dataclass(frozen=True, slots=True)
class Request:
    """One call. With `choices` the reply's text is one of them: by constrained decoding or by option likelihood.

    `free` has the model write a number instead and reads it back; malformed answers are counted in the reply's detail.
    `purpose` and `owner` (`dialogue:ID`) go to the ledger only. `temperature` None leaves the model's own default.
    `schema` is the JSON schema of the reply, where the API can hold the model to one. `cached` counts the messages at the
    beginning that other requests will share (the system prompt apart), for prompt caches that want to be told. `streamed`
    asks for the reply as a stream even where it is wanted whole, so that the time to its first token is seen.
    """

    messages: tuple[ChatMessage, ...]
    max_tokens: int = 120
    temperature: float | None = 0.0
    seed: int | None = None
    stop: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    free: bool = False
    purpose: str = ""
    owner: str = ""
    schema: Mapping[str, object] | None = None
    cached: int = 0
    streamed: bool = False


def tokens(said: object) -> int:
    """A number of tokens as a service says it. Raises ValueError for what no call can have used: costs hang on it."""
    if isinstance(said, bool) or not isinstance(said, int | float) or not 0 <= said <= _MOST_TOKENS:
        raise ValueError("no number of tokens")
    return int(said)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call. `input` excludes what was read from or written to a cache."""

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input + other.input,
            self.output + other.output,
            self.cache_read + other.cache_read,
            self.cache_write + other.cache_write,
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """What a call ended in. `cost` is in US dollars, None where the price is unknown (never 0 for unknown).

    `ttft_s` is the time to the first token, None where the reply came whole: nobody saw the first one then.
    """

    text: str
    stop_reason: StopReason
    usage: Usage
    latency_s: float
    ttft_s: float | None
    cost: float | None
    model: str
    detail: Mapping[str, object] = field(default_factory=dict)


async def whole(pieces: AsyncIterator[str | Reply]) -> Reply | None:
    """The Reply that a stream ends in, None for a stream without one."""
    async for piece in pieces:
        if isinstance(piece, Reply):
            return piece
    return None


class Client(Protocol):
    """Implemented by the anthropic and openai SDK clients, the local server's client and the fakes in the tests."""

    @property
    def model(self) -> str:
        """The model's name as its server knows it."""
        ...

    async def complete(self, request: Request) -> Reply:
        """The whole reply. Raises ServiceError when the service cannot answer after the retries."""
        ...

    def stream(self, request: Request) -> AsyncIterator[str | Reply]:
        """Text chunks as they come, then the Reply as the last item."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...

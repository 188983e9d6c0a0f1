"""Playing a recorded conversation again with its original timing, from the record alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from workbench.dialogue.model import Speaker
from workbench.store.rows import MessageRow

_LONGEST_PAUSE_S = 20.0
"""A person who went away for an hour is not waited for."""


@dataclass(frozen=True, slots=True)
class Piece:
    """`text` of message `idx` appears `at` seconds after the start; `last` ends the message."""

    at: float
    idx: int
    role: Speaker
    text: str
    last: bool


def timeline(messages: Sequence[MessageRow]) -> Iterator[Piece]:
    """When each piece of each message appeared: a reply's words between its first token and its end, evenly spread.

    Pauses between messages are the recorded ones, at most 20 s each.
    """
    clock, before = 0.0, None
    for idx, message in enumerate(messages):
        latency = message.latency_s or 0.0
        pause = 0.0 if before is None else message.created - latency - before
        clock += min(max(pause, 0.0), _LONGEST_PAUSE_S)
        before = message.created
        words = message.text.split(" ")
        first = min(message.ttft_s or 0.0, latency)
        for number, word in enumerate(words, 1):
            text = word if number == len(words) else f"{word} "
            share = (number - 1) / max(1, len(words) - 1)
            yield Piece(clock + first + share * (latency - first), idx, message.role, text, number == len(words))
        clock += latency

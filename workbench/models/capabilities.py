"""What a model's API accepts, by the beginning of its name. What a table cannot know is learnt from a refusal."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Capability:
    """`sampling`: temperature (and seed) may be sent. `cache_tokens`: shortest prefix that a prompt cache keeps.

    `schema`: replies can be held to a JSON schema.
    """

    sampling: bool = True
    cache_tokens: int = 1024
    schema: bool = True


_TABLE: tuple[tuple[str, Capability], ...] = (
    ("claude-sonnet-4-5", Capability(sampling=True)),
    ("claude-sonnet-4-6", Capability(sampling=True)),
    ("claude-opus-4-5", Capability(sampling=True)),
    ("claude-opus-4-6", Capability(sampling=True)),
    ("claude-haiku-4-5", Capability(sampling=True, cache_tokens=4096)),
    ("claude-", Capability(sampling=False)),
    ("gpt-5", Capability(sampling=False)),
    ("o1", Capability(sampling=False)),
    ("o3", Capability(sampling=False)),
    ("o4", Capability(sampling=False)),
)


def capability(model: str) -> Capability:
    """The entry with the first matching beginning; a model not listed takes everything."""
    return next((found for start, found in _TABLE if model.startswith(start)), Capability())

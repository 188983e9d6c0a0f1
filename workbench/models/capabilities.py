"""What a model's API accepts, by the beginning of its name. What a table cannot know is learnt from a refusal."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Form = Literal["format", "tool", "text"]
"""How a JSON schema is asked for: as the reply's format, as the input of a tool that must be called, by the prompt alone."""
_WEAKER: dict[Form, Form] = {"format": "tool", "tool": "text"}
_SIGNS: dict[Form, tuple[str, ...]] = {
    "format": ("output_config", "output format", "response_format", "json_schema"),
    "tool": ("tool",),
}


@dataclass(frozen=True, slots=True)
class Capability:
    """`sampling`: temperature (and seed) may be sent. `cache_tokens`: shortest prefix that a prompt cache keeps.

    `form`: the strongest form in which replies can be held to a JSON schema.
    """

    sampling: bool = True
    cache_tokens: int = 1024
    form: Form = "format"

    def without(self, complaint: str) -> Capability | None:
        """What is left after a request was declined with this message; None if it names nothing that can be left out.

        The request may have been sent before the same was learnt from another one: then nothing more is left out.
        """
        if "temperature" in complaint:
            return replace(self, sampling=False)
        for form, signs in _SIGNS.items():
            if any(sign in complaint for sign in signs):
                return replace(self, form=_WEAKER[form]) if form == self.form else self
        return None


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

"""How a request's `choices` are put to each kind of server, so that its reply can only be one of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

Constraint = Literal["none", "choice", "grammar"]
"""`choice`: structured_outputs, as vLLM and our own server take it. `grammar`: llama.cpp's GBNF. `none`: neither (the
OpenAI and Anthropic APIs are held to `choice_schema` instead)."""
SCHEMA_TOKENS = 256
"""Room for a choice written as JSON, however long the option is."""


def choice_schema(options: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of an object whose one field `choice` is one of `options`."""
    return {
        "type": "object",
        "properties": {"choice": {"type": "string", "enum": list(options)}},
        "required": ["choice"],
        "additionalProperties": False,
    }


def choice_grammar(options: Sequence[str]) -> str:
    """A GBNF grammar whose texts are exactly `options`."""
    return "root ::= " + " | ".join(json.dumps(option, ensure_ascii=False) for option in options)


def extra_body(constraint: Constraint, options: Sequence[str]) -> dict[str, Any]:
    """Fields to add to a chat-completions body."""
    if constraint == "choice":
        return {"structured_outputs": {"choice": list(options)}}
    return {"grammar": choice_grammar(options)} if constraint == "grammar" else {}


def chosen_text(text: str) -> str:
    """The option in a reply written along `choice_schema`; any other text as it is."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return str(found["choice"]) if isinstance(found, dict) and isinstance(found.get("choice"), str) else text

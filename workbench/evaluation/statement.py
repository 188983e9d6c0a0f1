"""The sentence that a comparison ends with: what its figures show, and of whom they say nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from workbench.agents.names import parse_name
from workbench.errors import UserError
from workbench.models.loopback import is_local


def statement(agents: Mapping[str, Mapping[str, Any]], user: str, judges: Sequence[str]) -> str:
    """What was shown, by what really ran: which models of a service answered, played the user or judged.

    `agents` are the entries of a summary, `user` and `judges` as the comparison names them.
    """
    answered = [
        model for entry in agents.values() if (model := _model(str(entry.get("agent", "")))) and is_remote(model)
    ]
    compiled = any(str(entry.get("agent", "")).startswith("compiled:") for entry in agents.values())
    learnt = (
        "This shows how far the procedure was learnt from the dialogues" if compiled else "No compiled agent took part"
    )
    if answered:
        beside = f", beside {_listed(answered)} on the same scenarios; other models and prompts may do otherwise"
        said = learnt + (beside if compiled else f": this compares agents on {_listed(answered)} and no others")
    else:
        said = f"{learnt}; it says nothing about frontier models: none answered as an agent"
    others = {"played the user": [user.partition(":")[2]] if user.startswith("llm:") else [], "judged": judges}
    parts = [
        f"{_listed(found)} {what}" for what, names in others.items() if (found := [n for n in names if is_remote(n)])
    ]
    return f"{said}. {' and '.join(parts)}." if parts else f"{said}."


def is_remote(model: str) -> bool:
    """Whether a model's name leads to a service: an API, or a server elsewhere. `local/…`, loopback and rules do not."""
    name = model.removeprefix("llm:")
    if name.startswith(("anthropic/", "openai/")):
        return True
    return "://" in name and not is_local(name)


def _model(agent: str) -> str | None:
    try:
        return parse_name(agent).model
    except UserError:
        return None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(names))

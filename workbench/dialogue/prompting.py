"""The prompts of model writers: text files whose content is hashed into the dialogues they make, filled in here."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from string import Template

from workbench.dialogue.model import Message, Scenario
from workbench.dialogue.outline import Turn
from workbench.models.client import ChatMessage, Request
from workbench.workflow.hashing import digest
from workbench.workflow.model import Workflow

FOLDER = Path(__file__).with_name("prompts")
VERSION = 1
"""Counted up when the code here fills the same templates in differently."""
TEMPLATES = {"whole": ("whole",), "paraphrase": ("paraphrase",), "turns": ("turns_agent", "turns_user")}
SCHEMA = {
    "type": "object",
    "properties": {
        "messages": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"n": {"type": "integer"}, "text": {"type": "string"}},
                "required": ["n", "text"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["messages"],
    "additionalProperties": False,
}
"""Of a whole dialogue: every text is tied to its turn by number."""
_REQUEST = "=== request ===\n"
_KICK_OFF = ChatMessage("user", "(The customer has just joined. Speak first.)")
_TURN_TOKENS = 400


@cache
def _parts(name: str) -> tuple[str, str]:
    system, _, request = (FOLDER / f"{name}.txt").read_text(encoding="utf-8").partition(_REQUEST)
    return system.rstrip(), request.rstrip()


@cache
def prompt_hash(manner: str) -> str:
    """The version of a manner's prompts: a hash of its template files."""
    return digest([VERSION, *(_parts(name) for name in TEMPLATES[manner])])


def whole_request(
    workflow: Workflow, scenario: Scenario, turns: Sequence[Turn], manner: str, fault: str = "", try_: int = 1
) -> Request:
    """One request for all turns (`whole` or `paraphrase`). `fault` is what was wrong with the last reply."""
    system, request = _parts(manner)
    entries = "\n".join(_entry(n, turn, manner) for n, turn in enumerate(turns, 1))
    text = Template(request).substitute(persona=_persona(workflow, scenario), turns=entries)
    if fault:
        text += f"\n\nYour last answer could not be used: {fault}. Write the whole conversation again."
    room = sum(len(turn.meaning) for turn in turns) // 2 + 60 * len(turns) + 200
    return Request(
        (ChatMessage("system", Template(system).substitute(_service(workflow))), ChatMessage("user", text)),
        max_tokens=min(8192, room * (2 if try_ > 1 else 1)),
        temperature=None,
        schema=SCHEMA,
    )


def turn_request(
    workflow: Workflow, scenario: Scenario, history: Sequence[Message], turn: Turn, fault: str = "", try_: int = 1
) -> Request:
    """The request for one turn after `history`, as its speaker sees it: the user's side knows scenario and persona."""
    mine = turn.role
    system, request = _parts(f"turns_{mine}")
    known = _service(workflow) if mine == "agent" else {"title": workflow.title, **_situation(workflow, scenario)}
    talk = [ChatMessage("assistant" if m.role == mine else "user", m.text) for m in history]
    if mine == "agent":
        talk.insert(0, _KICK_OFF)
    again = f"\nYour last answer could not be used: {fault}." if fault else ""
    note = Template(request).substitute(task=turn.task, meaning=turn.meaning, details=_details(turn, "\n"), again=again)
    return Request(
        (ChatMessage("system", Template(system).substitute(known)), *talk, ChatMessage("user", note)),
        max_tokens=_TURN_TOKENS * (2 if try_ > 1 else 1),
        temperature=None,
        cached=len(talk),
    )


def _entry(number: int, turn: Turn, manner: str) -> str:
    speaker = "assistant" if turn.role == "agent" else "user"
    if manner == "paraphrase":
        return f"{number}. {speaker}: {turn.meaning}{_details(turn, ' ')}"
    return f'{number}. {speaker}: {turn.task} It means: "{turn.meaning}"{_details(turn, " ")}'


def _details(turn: Turn, before: str) -> str:
    return f"{before}Details: {'; '.join(turn.details)}." if turn.details else ""


def _service(workflow: Workflow) -> dict[str, str]:
    return {
        "title": workflow.title,
        "description": workflow.description,
        "instruction": workflow.instruction,
        "context": f"\n{workflow.context}" if workflow.context else "",
    }


def _situation(workflow: Workflow, scenario: Scenario) -> dict[str, str]:
    facts = [
        f"- {(workflow.variables[name].description or name.replace('_', ' ')).rstrip('.')}: {value}"
        for name, value in scenario.variables.items()
    ]
    return {"persona": _persona(workflow, scenario), "facts": "\n".join(facts)}


def _persona(workflow: Workflow, scenario: Scenario) -> str:
    return next((p.description for p in workflow.personas if p.id == scenario.persona), "") or "A customer."

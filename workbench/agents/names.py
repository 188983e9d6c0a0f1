"""From a name (`compiled:RUN`, `orchestrated:MODEL`, `in-context:MODEL`, `oracle`) to the agent.

`orchestrated-free:MODEL` is the orchestrated agent whose choices at hubs are free text, read back, instead of constrained.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import urlsplit

from workbench.agents.base import Agent
from workbench.agents.prompts import rival_stop
from workbench.dialogue.model import Scenario
from workbench.errors import UserError
from workbench.models.client import Client
from workbench.text import clean_line
from workbench.workflow.model import Workflow

Kind = Literal["compiled", "orchestrated", "in-context", "oracle"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_FREE = "orchestrated-free"
_MODEL_FORMS = "anthropic/NAME, openai/NAME, local/RUN-or-path or URL#NAME"


@dataclass(frozen=True, slots=True)
class AgentName:
    """A parsed name. `model` is what `workbench.models.open.open_client` takes, None for the oracle, which has none.

    `free_choice`: hubs of an orchestrated agent are decided in free text.
    """

    text: str
    kind: Kind
    model: str | None
    free_choice: bool = False


def parse_name(text: str) -> AgentName:
    """Read an agent's name. Raises UserError that lists the forms if it has none of them."""
    kind, _, target = text.strip().partition(":")
    shown = clean_line(text, 80)
    if kind == "oracle":
        if target:
            raise UserError(f'agent "{shown}": the oracle takes no model; write just "oracle"')
        return AgentName("oracle", "oracle", None)
    if kind not in (*KINDS, _FREE):
        raise UserError(
            f'no agent "{shown}": write compiled:RUN, orchestrated:MODEL, in-context:MODEL or oracle; '
            f"a model is {_MODEL_FORMS}"
        )
    if not target:
        wants = "a run, a folder or a model" if kind == "compiled" else f"a model: {_MODEL_FORMS}"
        raise UserError(f'agent "{shown}" lacks what it runs on: after "{kind}:" give {wants}')
    bare = kind == "compiled" and not target.startswith(("anthropic/", "openai/", "local/")) and "#" not in target
    free = kind == _FREE
    known = next(k for k in KINDS if k == kind.removesuffix("-free"))
    return AgentName(text.strip(), known, f"local/{target}" if bare else target, free)


def brief_name(agent: str) -> str:
    """An agent's name for a heading: of `URL#NAME` the name, of a folder its last part; the whole is in the record."""
    kind, found, model = agent.partition(":")
    return f"{kind}:{model.rpartition('#')[2].rstrip('/').rsplit('/', 1)[-1]}" if found else agent


def told_apart(agents: Iterable[str]) -> dict[str, str]:
    """Each agent's name as short as the others allow: of those that are called the same also where they are."""
    forms = {agent: (brief_name(agent), _with_place(agent), agent) for agent in agents}

    def shortest(agent: str) -> str:
        others = [named for other, named in forms.items() if other != agent]
        return next((form for n, form in enumerate(forms[agent]) if all(named[n] != form for named in others)), agent)

    return {agent: shortest(agent) for agent in forms}


def _with_place(agent: str) -> str:
    """The brief name with the address of its server, or with the folder above."""
    kind, _, model = agent.partition(":")
    place, found, name = model.rpartition("#")
    if found:
        return f"{kind}:{urlsplit(place).netloc}#{name}"
    return f"{kind}:{'/'.join(model.rstrip('/').rsplit('/', 2)[-2:])}"


def build_agent(
    name: AgentName,
    workflow: Workflow,
    client: Client | None,
    *,
    thread: str,
    scenario: Scenario | None = None,
    reply_tokens: int = 120,
    checkpoints: Path | None = None,
) -> Agent:
    """The agent for one conversation, `thread` its id (also the owner of its calls in the ledger).

    `client` may be shared by any number of agents and stays open. `checkpoints` is a file in which an orchestrated
    conversation survives a restart. Raises UserError if the oracle is given no scenario.
    """
    if name.kind == "oracle":
        from workbench.agents.oracle import Oracle

        if scenario is None:
            raise UserError("the oracle follows a scenario: choose one (--scenario ID), or leave the oracle out")
        return Oracle(workflow, scenario)
    assert client is not None, "every agent but the oracle runs on a model"
    if name.kind == "orchestrated":
        from workbench.agents.orchestrated import OrchestratedAgent

        return OrchestratedAgent(
            client,
            workflow,
            thread=thread,
            name=name.text,
            reply_tokens=reply_tokens,
            stop=rival_stop(name.model),
            checkpoints=checkpoints,
            owner=thread,
            free_choice=name.free_choice,
        )
    if name.kind == "in-context":
        from workbench.agents.in_context import in_context_agent

        stop = rival_stop(name.model)
        return in_context_agent(client, workflow, name=name.text, reply_tokens=reply_tokens, stop=stop, owner=thread)
    from workbench.agents.compiled import compiled_agent

    return compiled_agent(client, workflow, name=name.text, reply_tokens=reply_tokens, owner=thread)

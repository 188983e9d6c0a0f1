"""The in-context agent: the whole graph in a system prompt, one call a turn."""

from __future__ import annotations

from workbench.agents.compiled import ChatAgent
from workbench.agents.prompts import KICK_OFF, in_context_system
from workbench.models.client import Client
from workbench.workflow.model import Workflow


def in_context_agent(
    client: Client,
    workflow: Workflow,
    *,
    name: str = "in-context",
    reply_tokens: int = 120,
    stop: tuple[str, ...] = (),
    owner: str = "",
) -> ChatAgent:
    """An agent that is told the whole procedure; the prompt is serialised once and leads every request (cacheable)."""
    return ChatAgent(
        name,
        client,
        in_context_system(workflow),
        reply_tokens,
        purpose="agent:in-context",
        owner=owner,
        preamble=(KICK_OFF,),
        stop=stop,
    )

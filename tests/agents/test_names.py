from __future__ import annotations

import pytest

from tests.agents.parts import ScriptedClient
from workbench.agents.compiled import ChatAgent
from workbench.agents.names import build_agent, parse_name, told_apart
from workbench.agents.orchestrated import OrchestratedAgent
from workbench.errors import UserError
from workbench.workflow.model import Workflow


@pytest.mark.parametrize(
    ("text", "kind", "model"),
    [
        ("compiled:last", "compiled", "local/last"),
        ("compiled:runs/jobs/ab/best", "compiled", "local/runs/jobs/ab/best"),
        ("compiled:http://127.0.0.1:8000/v1#mine", "compiled", "http://127.0.0.1:8000/v1#mine"),
        ("orchestrated:anthropic/claude-sonnet-5-5", "orchestrated", "anthropic/claude-sonnet-5-5"),
        ("in-context:openai/gpt-4.1", "in-context", "openai/gpt-4.1"),
        ("compiled:models/agent.gguf", "compiled", "local/models/agent.gguf"),
        ("orchestrated-free:local/last", "orchestrated", "local/last"),
        ("oracle", "oracle", None),
    ],
)
def test_names(text: str, kind: str, model: str | None) -> None:
    name = parse_name(text)
    assert (name.kind, name.model, name.text) == (kind, model, text)
    assert name.free_choice == text.startswith("orchestrated-free:")


@pytest.mark.parametrize("text", ["", "compiled:", "gpt", "oracle:x", "orchestrated:", "Compiled:x", "compiled-free:x"])
def test_bad_names_are_one_clear_line(text: str) -> None:
    with pytest.raises(UserError) as error:
        parse_name(text)
    assert "\n" not in str(error.value)


def test_building(travel: Workflow) -> None:
    client = ScriptedClient(lambda _: "Hello.")
    compiled = build_agent(parse_name("compiled:x"), travel, client, thread="t")
    assert isinstance(compiled, ChatAgent)
    assert compiled.system == travel.instruction
    context = build_agent(parse_name("in-context:local/x"), travel, client, thread="t")
    assert isinstance(context, ChatAgent)
    for node in travel.nodes.values():
        assert node.prompt in context.system
    for edge in travel.edges:
        assert edge.condition in context.system
    assert isinstance(build_agent(parse_name("orchestrated:local/x"), travel, client, thread="t"), OrchestratedAgent)
    assert (compiled.stop, context.stop) == ((), ("\n\n",))
    large = build_agent(parse_name("in-context:openai/gpt-4.1"), travel, client, thread="t")
    assert isinstance(large, ChatAgent)
    assert large.stop == ()
    with pytest.raises(UserError, match="scenario"):
        build_agent(parse_name("oracle"), travel, None, thread="t")


def test_names_are_as_short_as_the_others_allow() -> None:
    same = ("compiled:http://127.0.0.1:1/v1#m", "compiled:http://127.0.0.1:2/v1#m", "compiled:http://127.0.0.1:2/w#m")
    names = (*same, "in-context:http://127.0.0.1:1/v1#m", "oracle", "compiled:runs/a/best", "compiled:runs/b/best")
    assert list(told_apart(names).values()) == [
        "compiled:127.0.0.1:1#m", same[1], same[2], "in-context:m", "oracle", "compiled:a/best", "compiled:b/best",
    ]  # fmt: skip

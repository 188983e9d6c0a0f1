"""The closing sentence says what ran: it is not silent about frontier models that took part, nor speaks of what was not there."""

from __future__ import annotations

import pytest

from workbench.evaluation.statement import is_remote, statement


def entries(*agents: str) -> dict[str, dict[str, str]]:
    return {name: {"agent": name} for name in agents}


def test_offline_it_says_nothing_about_frontier_models() -> None:
    said = statement(entries("compiled:demo", "oracle", "in-context:local/base"), "agenda", ["rules"])
    assert "how far the procedure was learnt" in said
    assert said.endswith("it says nothing about frontier models: none answered as an agent.")


def test_frontier_models_are_named_with_the_part_they_had() -> None:
    said = statement(
        entries("compiled:demo", "in-context:anthropic/claude-sonnet-5-5"),
        "llm:openai/gpt-4.1",
        ["openai/gpt-4.1", "rules"],
    )
    assert "says nothing" not in said
    assert "beside anthropic/claude-sonnet-5-5 on the same scenarios" in said
    assert "openai/gpt-4.1 played the user and openai/gpt-4.1 judged" in said


def test_a_frontier_judge_alone_makes_no_frontier_agent() -> None:
    said = statement(entries("compiled:demo", "oracle"), "agenda", ["anthropic/claude-sonnet-5-5", "rules"])
    assert "none answered as an agent. anthropic/claude-sonnet-5-5 judged." in said


def test_without_a_compiled_agent_nothing_was_learnt() -> None:
    assert statement(entries("orchestrated:openai/gpt-4.1"), "agenda", ["rules"]).startswith(
        "No compiled agent took part"
    )


@pytest.mark.parametrize(
    ("model", "remote"),
    [
        ("local/base", False),
        ("http://127.0.0.1:8000/v1#m", False),
        ("https://models.example/v1#m", True),
        ("llm:openai/gpt-4.1", True),
        ("human:ann", False),
        ("rules", False),
    ],
)
def test_what_is_a_service(model: str, remote: bool) -> None:
    assert is_remote(model) is remote

"""Answers with a schema, asked for in the strongest form that a service takes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.fakes.openai_server import Act
from tests.models.test_clients import Bench, both
from workbench.errors import ServiceError
from workbench.models.capabilities import Capability
from workbench.models.client import ChatMessage, Request

SCHEMA = {
    "type": "object",
    "properties": {"score": {"type": "integer", "enum": [1, 2, 3, 4, 5]}},
    "required": ["score"],
    "additionalProperties": False,
}
ASKED = Request((ChatMessage("user", "Score it."),), owner="verdict:v1", schema=SCHEMA)
ANSWER = json.dumps({"score": 4})
NO_FORMAT = Act(status=400, kind="invalid_request_error", message="output_config / response_format: not supported")
NO_TOOL = Act(status=400, kind="invalid_request_error", message="tool_choice: tools are not supported")


@pytest.fixture
def bench() -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(stack)


@both
async def test_a_schema_is_sent_as_the_format(kind: str, bench: Bench) -> None:
    client = bench.client(kind, ANSWER)
    assert json.loads((await client.complete(ASKED)).text) == {"score": 4}
    body = bench.fake.bodies[0]
    sent = body["output_config"]["format"] if kind == "anthropic" else body["response_format"]["json_schema"]
    assert sent["schema"] == SCHEMA
    assert "tools" not in body


@both
async def test_without_formats_a_tool_is_forced_and_without_tools_the_prompt_must_do(kind: str, bench: Bench) -> None:
    client = bench.client(kind, NO_FORMAT, ANSWER, ANSWER, NO_TOOL, "plain words")
    assert json.loads((await client.complete(ASKED)).text) == {"score": 4}
    await client.complete(ASKED)
    assert (await client.complete(ASKED)).text == "plain words"
    refused, tool, again, _, plain = bench.fake.bodies
    assert "tools" not in refused
    assert "tool_choice" in tool
    assert "tool_choice" in again  # learnt once, not at every call
    assert not {"tools", "output_config", "response_format"} & set(plain)
    assert bench.slept == [0.0, 0.0]


@both
async def test_a_complaint_about_something_else_stays_an_error(kind: str, bench: Bench) -> None:
    client = bench.client(kind, Act(status=400, kind="invalid_request_error", message="messages: too long"))
    with pytest.raises(ServiceError, match="too long"):
        await client.complete(ASKED)


def test_what_two_requests_learn_at_once_is_left_out_once() -> None:
    left = Capability().without("output_config: not supported")
    assert left is not None
    assert left.form == "tool"
    assert left.without("output_config: not supported") == left
    assert left.without("messages: too long") is None
    assert left.without("tool_choice: no") == Capability(form="text")

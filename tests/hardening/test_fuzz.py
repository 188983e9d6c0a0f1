"""Whatever a file or a service says, parsers end in a result or in one clear line."""

from __future__ import annotations

import functools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hardening.fuzzing import Target, judge, mutated, targets
from workbench.errors import UserError
from workbench.workflow.exchange import read_text

NAMES = ("workflow", "mermaid", "dot", "drawio", "bpmn", "json", "events", "job", "config", "recipe", "rubric", "prices", "reply",
         "anthropic", "openai")  # fmt: skip


@functools.cache
def known() -> dict[str, Target]:
    return targets()


def test_every_parser_is_here() -> None:
    assert tuple(known()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_mutated_inputs(name: str) -> None:
    @settings(max_examples=6, deadline=None, database=None)
    @given(st.integers(0, 2**32))
    def fuzz(seed: int) -> None:
        judge(known()[name], mutated(known()[name].seeds, random.Random(seed)))

    fuzz()


HUGE = "9" * 400
DEEP = "[" * 3000
JOB = (
    '{"kind": "train", "title": "t", "args": {}, "created": %s, "attempt": 1, "command": null, "cwd": "", "budget": %s}'
)
POINT = '{"t": 1.5, "type": "metric", "step": 3, "loss": %s}'
PRICES = '{"date": "2026-11-01", "models": {"m": {"input": %s, "output": 1}}, "machines": {"n": {"usd_per_hour": %s}}}'


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("events", POINT % HUGE),
        ("events", f'{{"t": 1, "type": "metric", "step": {HUGE}}}'),
        ("config", f"ascii = {DEEP}"),
        ("prices", DEEP),
        ("prices", '{"a":' * 3000),
        ("prices", PRICES % (HUGE, 1)),
        ("prices", PRICES % (1, HUGE)),
        ("job", JOB % (HUGE, 1)),
        ("job", JOB % (1, HUGE)),
        ("recipe", f"base: {DEEP}"),
        ("recipe", "- " * 3000),
    ],
    ids=lambda value: value[:24],
)
def test_what_the_fuzzer_found(name: str, text: str) -> None:
    judge(known()[name], text.encode())


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_many_mutated_inputs(name: str) -> None:
    rng = random.Random(name)
    for _ in range(1000):
        judge(known()[name], mutated(known()[name].seeds, rng))


LAUGHS = '<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize("format", ["bpmn", "drawio"])
@pytest.mark.parametrize(
    "text",
    [
        LAUGHS + "]><definitions>&j;</definitions>",
        '<!DOCTYPE d SYSTEM "http://127.0.0.1:9/x.dtd"><definitions/>',
        '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><definitions name="&x;"/>',
        '<!DOCTYPE d [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x">%x;]><definitions/>',
        '<definitions xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="file:///etc/passwd"/></definitions>',
    ],
)
def test_xml_brings_no_entities_and_fetches_nothing(format: str, text: str) -> None:
    with pytest.raises(UserError) as caught:
        read_text(text, format, "x")
    assert "root:" not in str(caught.value)

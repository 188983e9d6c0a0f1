"""Whatever a file or a service says, parsers end in a result or in one clear line."""

from __future__ import annotations

import json
import random
import re
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hardening.fuzzing import CORPUS, ROOT, Target, judge, main, mutated, targets
from workbench.errors import UserError
from workbench.workflow.exchange import read_text
from workbench.workflow.load import parse_workflow

NAMES = ("workflow", "mermaid", "dot", "drawio", "bpmn", "json", "events", "job", "config", "recipe", "rubric", "prices", "reply",
         "anthropic", "openai")  # fmt: skip


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Target]:
    return targets(tmp_path_factory.mktemp("fuzz"))


def test_every_parser_is_here(known: dict[str, Target]) -> None:
    assert tuple(known) == NAMES


def test_the_command_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["fuzzing", "--count", "3", "--target", "config"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert json.loads(capsys.readouterr().out) == {"target": "config", "inputs": 3, "faults": 0}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_mutated_inputs(known: dict[str, Target], name: str) -> None:
    @settings(max_examples=6, deadline=None, database=None)
    @given(st.integers(0, 2**32))
    def fuzz(seed: int) -> None:
        judge(known[name], mutated(known[name].seeds, random.Random(seed)))

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
        ("recipe", "warmup: 0x_"),
        ("rubric", "version: 0x_"),
        ("drawio", "<mxfile><diagram>\ufeff7VQ9</diagram></mxfile>"),
    ],
    ids=lambda value: value[:24],
)
def test_what_the_fuzzer_found(known: dict[str, Target], name: str, text: str) -> None:
    judge(known[name], text.encode())


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_many_mutated_inputs(known: dict[str, Target], name: str) -> None:
    rng = random.Random(name)
    for _ in range(1000):
        judge(known[name], mutated(known[name].seeds, rng))


@pytest.mark.parametrize("declared", ["UT", "latin-1", "UTF-16", "edgeUTF-8"])
def test_an_xml_files_own_word_on_its_encoding_does_not_matter_once_it_is_text(declared: str) -> None:
    text = min((CORPUS / "bpmn").iterdir()).read_text(encoding="utf-8")
    body = re.sub(r"^<\?xml.*?\?>", "", text)
    plain, other = (read_text(f'<?xml version="1.0" encoding="{e}"?>{body}', "bpmn", "x") for e in ("UTF-8", declared))
    assert plain == other


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("after", ["departure", "-1 3", 21]),
        ("after", ["departure", 3]),
        ("given", {"destination": "x"}),
        ("given", "x"),
    ],
)
def test_a_variable_of_a_wrong_form_is_one_line(key: str, value: object) -> None:
    data = yaml.safe_load((ROOT / "workflows" / "travel_booking.yaml").read_text())
    next(iter(data["variables"].values()))[key] = value
    with pytest.raises(UserError, match=r"^x\.yaml:\d+:\d+: ('after' is|expected a mapping)"):
        parse_workflow(yaml.safe_dump(data), "x.yaml")


def test_an_empty_phrasing_is_one_line_or_none(known: dict[str, Target]) -> None:
    data = yaml.safe_load((ROOT / "workflows" / "travel_booking.yaml").read_text())
    data["nodes"][0]["say"] = [None]
    judge(known["workflow"], yaml.safe_dump(data).encode())


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

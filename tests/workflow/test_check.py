"""Checks: every code found where it stands, all at once, nothing found in the shipped files, hostile files refused."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workbench.workflow.check import CODES, Problem, check_file, check_text, check_workflow
from workbench.workflow.load import load_workflow, parse_workflow
from workbench.workflow.scaffold import scaffold

GOOD = scaffold("sample")
SHIPPED = ("travel_booking", "zoom_support", "insurance_claims")


def codes(text: str) -> set[str]:
    return {problem.code for problem in check_text(text)}


def changed(*pairs: tuple[str, str]) -> str:
    text = GOOD
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_workflows_have_no_problem(name: str) -> None:
    assert check_file(Path(load_workflow(name).source or "")) == []
    assert check_workflow(load_workflow(name)) == []


def test_the_scaffold_has_no_problem() -> None:
    assert check_text(GOOD) == []


CASES: dict[str, str] = {
    "WF070": GOOD + "rules:\n  - must_precede: [greet, nowhere]\n",
    "WF071": GOOD + "rules:\n  - must_precede: [greet, user_order]\n",
    "WF072": GOOD + "rules:\n  - never_before: [abandoned, ordered]\n",
    "WF002": changed(("name: sample", "name: [sample")),
    "WF003": changed(("role: user", "role: usr")),
    "WF004": changed(("max_visits: 2", "max_visits: 2\nmax_visits: 3")),
    "WF005": changed(("title: Sample", 'title: "Sam\\u202eple"')),
    "WF010": changed(("id: abandoned", "id: ordered")),
    "WF011": changed(("to: abandoned", "to: nowhere_at_all")),
    "WF012": changed(("    start: true\n", "")),
    "WF013": changed(("edges:", "  - {id: island, role: agent, prompt: p, say: {training: [a, b], evaluation: [c]}}\n\nedges:")),
    "WF014": changed(("  - {from: user_order, to: decide}\n", "")),
    "WF015": changed(("  - {from: user_order, to: decide}\n", "")),
    "WF016": changed(
        ("edges:", "  - {id: x, role: agent, prompt: p}\n  - {id: y, role: user, prompt: p}\n\nedges:"),
        ("    to: abandoned\n", "    to: x\n"),
        ("    when: {moves: [stop]}", "    when: {moves: [stop]}\n  - {from: x, to: y}\n  - {from: y, to: x}"),
    ),
    "WF017": GOOD + "  - {from: ordered, to: user_order}\n",
    "WF018": changed(("    outcome: success\n", "")),
    "WF020": GOOD + "  - {from: user_order, to: greet}\n",
    "WF021": changed(("{from: user_order, to: decide}", "{from: user_order, to: user_order}")),
    "WF022": changed(("{from: greet, to: user_order}", "{from: greet, to: decide}")),
    "WF030": changed(("    condition: The user wants nothing.\n    when: {moves: [stop]}\n", "")),
    "WF031": changed(("    condition: The user wants nothing.\n", "")),
    "WF032": changed(("    when: {moves: [stop]}\n", "")),
    "WF033": changed(("moves: [stop]", "moves: [vague]")),
    "WF034": changed(("moves: [stop]", "moves: [stop, vague]")),
    "WF035": changed(("moves: [stop]", "moves: [stop], visits: [1]")),
    "WF036": changed(("moves: [stop]", "moves: [stop], variables: {item: gin}")),
    "WF037": changed(("{from: greet, to: user_order}", "{from: greet, to: user_order, when: {moves: [order]}}")),
    "WF038": changed(("moves: [stop]", "moves: [stop], variables: {item: [tea]}")),
    "WF040": changed(('"Hello! What would you like?"', '"Hello! One {item}?"')),
    "WF041": changed(('"All right, goodbye!"', '"All right, no {item}!"'), ('"Nothing, thanks."', '"No {item}, thanks."')),
    "WF042": changed(("nodes:", "  spare: {type: integer, low: 1, high: 2}\nnodes:")),
    "WF043": changed(("type: choice, values: [tea, coffee, cocoa, juice]", "type: choice")),
    "WF050": changed((', "Hi, what can I get you?"', "")),
    "WF051": changed(("Good day! What shall it be?", "Hi, what can I get you")),
    "WF052": changed(
        ('    say:\n      training: ["Hello! What would you like?", "Hi, what can I get you?"]\n', ""),
        ('      evaluation: ["Good day! What shall it be?"]\n', ""),
    ),
    "WF053": changed(("    prompt: Say goodbye.\n", "")),
    "WF054": changed(("prompt: Say goodbye.", "prompt: 'TODO: say what is done here'")),
    "WF061": changed(("max_visits: 2", "max_visits: 1")),
    "WF062": changed(("moves: [order]", "moves: [order], visits: [1]")),
}  # fmt: skip


@pytest.mark.parametrize("code", sorted(CASES))
def test_code(code: str) -> None:
    found = [p for p in check_text(CASES[code], "f.yaml") if p.code == code]
    assert found, [(p.code, p.message) for p in check_text(CASES[code])]
    for problem in found:
        assert problem.severity == CODES[code][0]
        assert problem.file == "f.yaml"
        assert 1 <= problem.line <= CASES[code].count("\n") + 1
        assert problem.message
        assert problem.hint


def test_a_second_start_and_no_terminal() -> None:
    assert "WF012" in codes(
        changed(("  - id: decide ", "  - id: decide2\n    role: agent\n    start: true\n  - id: decide "))
    )
    text = "name: a\ninstruction: i\nnodes:\n- {id: a, role: agent, start: true}\nedges: []\n"
    assert {"WF060", "WF014"} <= codes(text)


def test_great_and_uncountable_path_spaces_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def chain(loops: int, width: int) -> str:
        nodes = ["- {id: n0, role: agent, start: true, prompt: p}"]
        nodes += [f"- {{id: n{i}, role: agent, prompt: p}}" for i in range(1, loops)]
        nodes += ["- {id: end, role: terminal, outcome: success, prompt: p}"]
        edges = [
            f"- {{from: n{i}, to: {f'n{t}' if t < loops else 'end'}, condition: c{i}.{t}}}"
            for i in range(loops)
            for t in {*range(max(0, i - width), min(loops, i + width) + 1)} - {i}
        ]
        return "\n".join(["name: a", "instruction: i", "nodes:", *nodes, "edges:", *edges])

    assert "WF063" in codes(chain(12, 2))
    monkeypatch.setattr("workbench.workflow.summary._WORK", 10**6)
    assert "WF064" in codes(chain(20, 4))


def test_everything_is_reported_at_once_at_its_place() -> None:
    text = changed(
        ("role: user", "role: usr"),
        ("to: abandoned", "to: abandonned"),
        ("    prompt: Say goodbye.\n", ""),
        ('"Hello! What would you like?"', '"Hello, {nobody}!"'),
    )
    found = check_text(text)
    assert {"WF003", "WF011", "WF053"} <= {p.code for p in found}
    lines = text.split("\n")
    (role,) = [p for p in found if p.code == "WF003"]
    assert lines[role.line - 1][role.column - 1 :].startswith("usr")
    assert "did you mean 'user'" in role.hint
    typo, slot = sorted((p for p in found if p.code == "WF011"), key=lambda p: -p.line)
    assert lines[typo.line - 1][typo.column - 1 :].startswith("abandonned")
    assert "did you mean 'abandoned'" in typo.hint
    assert "nobody" in slot.message
    assert [(p.line, p.column) for p in found] == sorted((p.line, p.column) for p in found)


def test_many_problems_of_one_kind_are_counted() -> None:
    edges = "".join(f"  - {{from: greet, to: missing{i}}}\n" for i in range(500))
    found = [p for p in check_text(GOOD + edges) if p.code == "WF011"]
    assert len(found) == 101
    assert "400 more" in found[-1].message


HOSTILE: dict[str, bytes] = {
    "flow": b"[" * 100_000,
    "map": b"{a: " * 50_000,
    "block": b"".join(b" " * i + b"a:\n" for i in range(2000)),
    "dashes": b"- " * 5000,
    "bomb": b"a: &a [x,x,x,x,x,x,x,x,x]\n"
    + b"".join(b"%c: &%c [%s]\n" % (98 + i, 98 + i, b",".join([b"*%c" % (97 + i)] * 9)) for i in range(20)),
    "itself": b"a: &a [*a]\n",
    "binary": bytes(range(256)) * 100,
    "zeros": b"\0" * 1000,
    "python": b'!!python/object/apply:os.system ["echo"]',
    "empty": b"",
    "list": b"- a\n",
    "text": b"hello",
    "key": b"? [a, b]\n: c\n",
    "documents": b"name: a\n---\nname: b\n",
    "tab": b"\tname: a",
    "line": b'name: "' + b"x" * 3_000_000 + b'"',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_end_in_clear_lines(name: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.yaml"
    path.write_bytes(HOSTILE[name])
    found = check_file(path)
    assert found
    assert all(p.severity == "error" and len(p.message) < 400 and "\n" not in p.message for p in found[:1])


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    (problem,) = check_file(path)
    assert (problem.code, "larger than" in problem.message) == ("WF001", True)


def test_thousands_of_nodes_are_checked() -> None:
    nodes = "".join(f"- {{id: n{i}, role: {'user' if i % 2 else 'agent'}, prompt: p}}\n" for i in range(1, 5_000))
    edges = "".join(f"- {{from: n{i}, to: n{i + 1}}}\n" for i in range(4_999)) + "- {from: n4999, to: end}\n"
    text = f"name: a\ninstruction: i\nnodes:\n- {{id: n0, role: agent, start: true, prompt: p}}\n{nodes}"
    found = check_text(f"{text}- {{id: end, role: terminal, outcome: success, prompt: p}}\nedges:\n{edges}")
    assert {p.code for p in found} == {"WF064"}


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    assert [p.code for p in check_file(tmp_path / "missing.yaml")] == ["WF001"]
    assert [p.code for p in check_file(tmp_path)] == ["WF001"]
    os.mkfifo(tmp_path / "pipe")
    assert [p.code for p in check_file(tmp_path / "pipe")] == ["WF001"]
    (tmp_path / "endless").symlink_to("/dev/zero")
    assert [p.code for p in check_file(tmp_path / "endless")] == ["WF001"]
    (tmp_path / "latin.yaml").write_bytes("name: é".encode("latin-1"))
    assert [p.code for p in check_file(tmp_path / "latin.yaml")] == ["WF001"]


def _mutate(data: Any, path: list[int], value: Any) -> Any:
    """Replace the part reached by taking every index modulo what is there."""
    keys = list(data) if isinstance(data, dict) else list(range(len(data))) if isinstance(data, list) else []
    if not path or not keys:
        return value
    key = keys[path[0] % len(keys)]
    copy = dict(data) if isinstance(data, dict) else list(data)
    copy[key] = _mutate(data[key], path[1:], value)
    return copy


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=6),
    st.one_of(
        st.none(), st.integers(-3, 3), st.text(max_size=5), st.booleans(), st.just([]), st.just({}), st.just([[1]])
    ),
)
def test_whatever_stands_in_a_file_the_check_answers(path: list[int], value: Any) -> None:
    text = yaml.safe_dump(_mutate(yaml.safe_load(GOOD), path, value), sort_keys=False)
    found = check_text(text)
    assert all(isinstance(p, Problem) and re.fullmatch(r"WF\d{3}", p.code) for p in found)
    if not any(p.severity == "error" for p in found):
        parse_workflow(text)

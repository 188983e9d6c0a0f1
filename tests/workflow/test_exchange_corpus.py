"""Every file of the corpus becomes a workflow that loads, with the counts of nodes, edges, labels and losses foretold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workbench.workflow.check import check_text
from workbench.workflow.check_words import TODO
from workbench.workflow.exchange import read_file
from workbench.workflow.exchange.yaml_format import to_yaml
from workbench.workflow.load import parse_workflow

CORPUS = Path(__file__).parents[1] / "corpus"
EXPECTED: dict[str, dict[str, dict[str, int]]] = json.loads((CORPUS / "expected.json").read_text())


def test_the_corpus_has_a_dozen_files_a_format_and_none_uncounted() -> None:
    assert set(EXPECTED) == {"mermaid", "dot", "drawio", "bpmn", "langgraph"}
    for format, files in EXPECTED.items():
        assert len(files) >= 12
        assert {path.name for path in (CORPUS / format).iterdir()} == set(files)


@pytest.mark.parametrize(("format", "name"), [(f, name) for f, files in EXPECTED.items() for name in files])
def test_file(format: str, name: str) -> None:
    imported = read_file(CORPUS / format / name)
    workflow = imported.workflow
    labels = sum(bool(e.condition) and not e.condition.startswith(TODO) for e in workflow.edges)
    found = {"nodes": len(workflow.nodes), "edges": len(workflow.edges), "labels": labels, "lost": len(imported.lost)}
    assert found == EXPECTED[format][name], imported.lost

    text = to_yaml(imported)
    again = parse_workflow(text)
    assert (again.nodes.keys(), again.start) == (workflow.nodes.keys(), workflow.start)
    assert [(e.source, e.target, e.condition) for e in again.edges] == [
        (e.source, e.target, e.condition) for e in workflow.edges
    ]
    assert not {p.code for p in check_text(text)} & {
        "WF001",
        "WF002",
        "WF003",
        "WF004",
        "WF005",
        "WF010",
        "WF011",
        "WF012",
    }
    assert all(f"- {line}" in text for line in imported.to_fill_in)

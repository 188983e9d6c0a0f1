"""Reading and writing other formats: round trips, bad and hostile input, LangGraph files that run."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from workbench.errors import UserError
from workbench.workflow.exchange import FORMATS, read_file, read_text, write
from workbench.workflow.exchange.yaml_format import round_trip
from workbench.workflow.hashing import workflow_hash
from workbench.workflow.load import load_workflow, parse_workflow
from workbench.workflow.model import Workflow

SHIPPED = ("travel_booking", "zoom_support", "insurance_claims")
BOTH_WAYS = [name for name, format in FORMATS.items() if format.read and name != "langgraph"]


@pytest.mark.parametrize("name", SHIPPED)
@pytest.mark.parametrize("format", BOTH_WAYS)
def test_what_is_written_is_read_back(name: str, format: str) -> None:
    workflow = load_workflow(name)
    imported = read_text(write(workflow, format), format, name)
    found = imported.workflow
    assert found.start == workflow.start
    assert {n.id: (n.role, n.outcome) for n in found.nodes.values()} == {
        n.id: (n.role, n.outcome if format != "mermaid" else found.nodes[n.id].outcome) for n in workflow.nodes.values()
    }
    assert [(e.source, e.target, " ".join(e.condition.split())) for e in found.edges] == [
        (e.source, e.target, " ".join(e.condition.split())) for e in workflow.edges
    ]
    assert imported.to_fill_in == ("instruction: one line that tells the agent what it is",)


@pytest.mark.parametrize("format", BOTH_WAYS)
def test_awkward_text_survives(format: str) -> None:
    text = (
        "name: a\ninstruction: i\nnodes:\n- {id: end, role: agent, start: true, prompt: 'Say \"<b>&amp; | [x]\" é'}\n"
    )
    text += "- {id: graph, role: terminal, outcome: success, prompt: p}\nedges:\n- {from: end, to: graph, condition: 'a \"q\" > b'}\n"
    workflow = parse_workflow(text)
    found = read_text(write(workflow, format), format, "a").workflow
    assert len(found.nodes) == 2
    assert [e.condition for e in found.edges] == ['a "q" > b']
    assert next(iter(found.nodes.values())).prompt == 'Say "<b>&amp; | [x]" é'


@pytest.mark.parametrize("name", SHIPPED)
def test_yaml_keeps_comments_and_meaning(name: str) -> None:
    workflow = load_workflow(name)
    assert workflow_hash(parse_workflow(write(workflow, "yaml"))) == workflow_hash(workflow)
    assert workflow_hash(parse_workflow(write(replace(workflow, source=None), "yaml"))) == workflow_hash(workflow)
    assert round_trip("# top\na: 1 # why\nb: [x, 'y']\n") == "# top\na: 1 # why\nb: [x, 'y']\n"


def test_json_is_networkx_node_link() -> None:
    import networkx

    workflow = load_workflow("travel_booking")
    graph = networkx.node_link_graph(json.loads(write(workflow, "json")), edges="edges")
    assert (graph.number_of_nodes(), graph.number_of_edges()) == (len(workflow.nodes), len(workflow.edges))
    assert graph.nodes["open"]["role"] == "agent"


@pytest.mark.parametrize(
    ("format", "text", "line"),
    [
        ("mermaid", "sequenceDiagram\n A->>B: x", "not a Mermaid flowchart"),
        ("mermaid", "graph TD\n A[never closed --> B", "line 2"),
        ("mermaid", "graph TD\n A ?? B", "line 2"),
        ("mermaid", "", "not a Mermaid flowchart"),
        ("mermaid", "graph TD\n", "it has no nodes"),
        ("dot", "digraph {", "not valid DOT"),
        ("dot", "x" * 600_000, "too large"),
        ("dot", "digraph " + "{subgraph " * 5000, "nested too deep"),
        ("drawio", "<mxfile><diagram>!!notbase64!!</diagram></mxfile>", "compressed"),
        ("drawio", "<mxfile><diagram/></mxfile>", "draw.io"),
        ("drawio", "<svg/>", "not a draw.io file"),
        ("drawio", "<mxfile", "not valid XML"),
        ("drawio", '<!DOCTYPE x [<!ENTITY a "b">]><mxfile>&a;</mxfile>', "DOCTYPE"),
        ("drawio", '<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd"><mxfile/>', "DOCTYPE"),
        ("bpmn", "<a/>", "not a BPMN file"),
        ("bpmn", "<a>" * 3000 + "</a>" * 3000, "nested more than"),
        ("bpmn", '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]><definitions>&e;</definitions>', "DOCTYPE"),
        ("json", "{", "not valid JSON"),
        ("json", "[" * 100_000, "not valid JSON"),
        ("json", '{"nodes": 3}', "not a graph"),
        ("yaml", "a: 1", "nothing to import"),
        ("visio", "", "unknown format 'visio'"),
    ],
)
def test_bad_input_is_one_clear_line(format: str, text: str, line: str) -> None:
    with pytest.raises(UserError, match=line) as caught:
        read_text(text, format, "x")
    assert "\n" not in str(caught.value)


def test_a_compressed_bomb_is_refused() -> None:
    import base64
    import zlib

    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packer.compress(b"a" * 60_000_000) + packer.flush()
    with pytest.raises(UserError, match="larger than"):
        read_text(f"<mxfile><diagram>{base64.b64encode(data).decode()}</diagram></mxfile>", "drawio", "x")


def test_files_are_told_by_their_beginning(tmp_path: Path) -> None:
    workflow = load_workflow("travel_booking")
    for format in BOTH_WAYS:
        path = tmp_path / "chart.txt"
        path.write_text(write(workflow, format))
        assert read_file(path).format == format
    path.write_text("hello")
    with pytest.raises(UserError, match="its format cannot be told"):
        read_file(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not UTF-8"):
        read_file(path)
    with pytest.raises(UserError, match="cannot be read"):
        read_file(tmp_path / "missing.mmd")


def _module(path: Path, workflow: Workflow) -> Any:
    path.write_text(write(workflow, "langgraph"))
    spec = importlib.util.spec_from_file_location("exported_agent", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_langgraph_file_runs_and_waits_at_user_nodes(tmp_path: Path) -> None:
    from langgraph.types import Command

    module = _module(tmp_path / "agent.py", load_workflow("travel_booking"))
    graph = module.build(speak=lambda prompt, _: prompt, choose=lambda options, _: len(options) - 1)
    config: Any = {"configurable": {"thread_id": "1"}}
    state = graph.invoke({"messages": []}, config)
    assert graph.get_state(config).next == ("user_request",)
    assert [m["role"] for m in state["messages"]] == ["assistant"]
    other: Any = {"configurable": {"thread_id": "2"}}
    asks = module.build(speak=lambda prompt, _: prompt, choose=lambda options, _: 0)
    asks.invoke({"messages": []}, other)
    state = asks.invoke(Command(resume="To Lisbon, please."), other)
    assert asks.get_state(other).next == ("user_info",)
    assert "the dates and the party are missing" in state["messages"][-1]["content"]
    state = graph.invoke(Command(resume="I need a yacht."), config)
    assert not graph.get_state(config).next
    assert [m["role"] for m in state["messages"]] == ["assistant", "user", "assistant"]


@pytest.mark.long
def test_the_langgraph_file_runs_as_a_program_on_a_server(tmp_path: Path) -> None:
    from tests.fakes.openai_server import fake_openai

    path = tmp_path / "agent.py"
    path.write_text(write(load_workflow("travel_booking"), "langgraph"))
    # It greets, finds the fourth condition of the hub to hold (no package trip), and says goodbye.
    with fake_openai("Hello, what is it?", "4", "A colleague will call you.") as fake:
        environ = {**os.environ, "OPENAI_BASE_URL": fake.url, "OPENAI_API_KEY": "none", "LANGSMITH_TRACING": "false"}
        done = subprocess.run(
            [sys.executable, str(path)],
            input="I need a yacht.\n",
            capture_output=True,
            text=True,
            timeout=120,
            env=environ,
            check=True,
        )
    assert done.stdout.splitlines() == ["agent: Hello, what is it?", "you: agent: A colleague will call you."]
    assert len(fake.bodies) == 3


def test_a_langgraph_file_is_read_only_when_trusted(tmp_path: Path) -> None:
    path = tmp_path / "agent.py"
    workflow = load_workflow("travel_booking")
    path.write_text(write(workflow, "langgraph"))
    with pytest.raises(UserError, match="--trust"):
        read_file(path)
    imported = read_file(path, trust=True)
    # LangGraph's own graph has one more node, where it ends.
    assert len(imported.workflow.nodes) == len(workflow.nodes) + 1
    assert imported.workflow.start == "open"
    path.write_text("raise SystemExit('no')")
    with pytest.raises(UserError, match="could not be read"):
        read_file(path, trust=True)

"""`workbench workflow …`: the figures, JSON as documented, exit codes, files written and never overwritten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from workbench.cli.main import cli
from workbench.workflow.exchange import FORMATS


def run(*args: object) -> Result:
    return CliRunner().invoke(cli, [str(arg) for arg in args])


def read(*args: object) -> Any:
    result = run(*args, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    ("name", "nodes", "hubs", "terminals", "paths", "turns"),
    [
        ("travel_booking", 14, 3, {"success", "abandoned", "escalated"}, 86, [4, 17]),
        ("zoom_support", 14, 3, {"resolved", "unresolved", "escalated"}, 60, [4, 17]),
        ("insurance_claims", 55, 6, {"approved", "denied", "withdrawn", "escalated", "pending"}, 2381, [9, 39]),
    ],
)
def test_show(name: str, nodes: int, hubs: int, terminals: set[str], paths: int, turns: list[int]) -> None:
    data = read("workflow", "show", name)
    assert (data["name"], data["nodes"], data["hubs"], data["paths"]) == (name, nodes, hubs, paths)
    assert (set(data["terminals"]), data["turns"], data["max_visits"]) == (terminals, turns, 2)
    assert sum(data["paths_by_terminal"].values()) == paths
    assert set(data["paths_by_terminal"]) == terminals
    assert f"{paths:,}" in run("workflow", "show", name).stdout


def test_show_with_another_visit_limit() -> None:
    assert read("workflow", "show", "travel_booking", "--max-visits", 1)["paths"] < 86


def test_list() -> None:
    data = read("workflow", "list")
    found = {row["name"]: row for row in data["workflows"]}
    assert found["zoom_support"]["summary"]["paths"] == 60
    assert found["zoom_support"]["errors"] == 0
    assert "travel_booking" in run("workflow", "list").stdout


def test_list_tells_a_broken_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("workflows").mkdir()
    Path("workflows/broken.yaml").write_text("name: [")
    found = {row["name"]: row for row in read("workflow", "list")["workflows"]}
    assert found["broken"]["errors"] == 1
    assert "not valid YAML" in found["broken"]["fault"]


def test_new_writes_a_valid_workflow_once(tmp_path: Path) -> None:
    assert run("workflow", "new", "returns_desk", "-o", tmp_path).exit_code == 0
    path = tmp_path / "returns_desk.yaml"
    assert read("workflow", "check", path) == {"problems": []}
    assert read("workflow", "show", path)["paths"] == 4
    before = path.read_text()
    again = run("workflow", "new", "returns_desk", "-o", tmp_path)
    assert again.exit_code == 2
    assert "is there already" in again.stderr
    assert path.read_text() == before
    assert run("workflow", "new", "../x", "-o", tmp_path).exit_code == 2


def test_check_exit_codes_and_json(tmp_path: Path) -> None:
    run("workflow", "new", "good", "-o", tmp_path)
    good = tmp_path / "good.yaml"
    bad = tmp_path / "bad.yaml"
    bad.write_text(good.read_text().replace("to: abandoned", "to: nowhere"))
    warned = tmp_path / "warned.yaml"
    warned.write_text(good.read_text().replace("    prompt: Say goodbye.\n", ""))
    assert run("workflow", "check", good).exit_code == 0
    assert run("workflow", "check", warned).exit_code == 0
    result = run("workflow", "check", good, bad, "--json")
    assert result.exit_code == 1
    problem = next(p for p in json.loads(result.stdout)["problems"] if p["code"] == "WF011")
    assert set(problem) == {"code", "severity", "file", "line", "column", "message", "hint"}
    assert problem["file"] == str(bad)
    assert f"{bad}:{problem['line']}:{problem['column']}: error WF011" in run("workflow", "check", bad).stdout
    assert run("workflow", "check", tmp_path / "missing.yaml").exit_code == 2
    assert run("workflow", "check", "nonsense").exit_code == 2
    assert run("workflow", "check").exit_code == 2


def test_a_broken_or_unknown_workflow_is_one_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("name: a\nnodes: 3\n")
    for command in (["show"], ["draw"], ["export", "--to", "dot"]):
        for target in (bad, "no_such_workflow", tmp_path / "missing.yaml"):
            result = run("workflow", command[0], target, *command[1:])
            assert result.exit_code == 2
            assert result.stderr.count("\n") == 1
    assert f"{bad}:2" in run("workflow", "show", bad).stderr


@pytest.mark.parametrize("view", ["outline", "ego", "canvas", "svg"])
def test_draw(view: str, tmp_path: Path) -> None:
    text = run("workflow", "draw", "travel_booking", "--view", view, "--path", 5).stdout
    assert "user_request" in text
    out = tmp_path / "drawing"
    assert run("workflow", "draw", "travel_booking", "--view", view, "-o", out).exit_code == 0
    assert run("workflow", "draw", "travel_booking", "--view", view, "-o", out).exit_code == 2
    assert run("workflow", "draw", "travel_booking", "--view", view, "-o", out, "--force").exit_code == 0
    assert "user_request" in out.read_text()
    if view != "svg":
        assert run("workflow", "draw", "travel_booking", "--view", view, "--ascii").stdout.isascii()


def test_draw_tells_what_is_wrong() -> None:
    assert "no path 86" in run("workflow", "draw", "travel_booking", "--path", 86).stderr
    assert "no node 'x'" in run("workflow", "draw", "travel_booking", "--view", "ego", "--node", "x").stderr


@pytest.mark.parametrize("format", [f for f in FORMATS if FORMATS[f].read and f != "langgraph"])
def test_export_and_import(format: str, tmp_path: Path) -> None:
    chart, back = tmp_path / "chart", tmp_path / "back.yaml"
    assert run("workflow", "export", "travel_booking", "--to", format, "-o", chart).exit_code == 0
    assert run("workflow", "export", "travel_booking", "--to", format).stdout == chart.read_text()
    data = read("workflow", "import", chart, "-o", back)
    assert (data["nodes"], data["edges"]) == (14, 22)
    assert data["to_fill_in"]
    assert run("workflow", "import", chart, "-o", back).exit_code == 2
    assert "Still to be filled in" in run("workflow", "import", chart, "-o", back, "--force").stdout
    assert read("workflow", "show", back)["paths"] == 86


def test_import_refuses_python_without_trust(tmp_path: Path) -> None:
    path = tmp_path / "agent.py"
    path.write_text("raise SystemExit(3)")
    result = run("workflow", "import", path, "-o", tmp_path / "x.yaml")
    assert result.exit_code == 2
    assert "--trust" in result.stderr
    assert not (tmp_path / "x.yaml").exists()


def test_diff(tmp_path: Path) -> None:
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    run("workflow", "new", "old", "-o", tmp_path)
    new.write_text(old.read_text().replace("prompt: Say goodbye.", "prompt: Say goodbye warmly."))
    data = read("workflow", "diff", old, new)
    assert data["nodes"]["changed"] == {"abandoned": ["prompt"]}
    assert data["paths"] == {"new": 0, "gone": 0, "touched": 2, "same": 2}
    text = run("workflow", "diff", old, new).stdout
    assert "~ node abandoned: prompt" in text
    assert "2 touched" in text
    assert "say the same" in run("workflow", "diff", old, old).stdout


def test_diff_names_stale_dialogues(tmp_path: Path) -> None:
    from workbench.dialogue.scenarios import scenario_for_path
    from workbench.dialogue.scripted import write
    from workbench.home import Home
    from workbench.store import connect
    from workbench.store.datasets import put_dataset
    from workbench.store.dialogues import put_dialogues
    from workbench.store.rows import DatasetRow, WorkflowRow
    from workbench.store.scenarios import put_scenarios
    from workbench.store.workflows import put_workflow
    from workbench.workflow.hashing import workflow_hash
    from workbench.workflow.load import load_workflow
    from workbench.workflow.paths import PathSpace

    run("workflow", "new", "old", "-o", tmp_path)
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    new.write_text(old.read_text().replace("prompt: Say goodbye.", "prompt: Say goodbye warmly."))
    workflow = load_workflow(old)
    dialogues = [write(workflow, scenario_for_path(workflow, p, "train", 1), "train") for p in PathSpace(workflow)]
    record = connect(Home(tmp_path / "runs").make())
    put_workflow(record, WorkflowRow(workflow_hash(workflow), workflow.name, workflow.title, "{}"))
    put_scenarios(record, [d.scenario for d in dialogues])
    put_dialogues(record, dialogues)
    row = DatasetRow("d" * 16, "first", workflow_hash(workflow), {}, 0.0)
    put_dataset(record, row, [(d.id, "train") for d in dialogues])
    record.close()
    result = run("--home", tmp_path, "workflow", "diff", old, new, "--dataset", "first", "--json")
    stale = json.loads(result.stdout)["stale_dialogues"]
    assert set(stale) == {d.id for d in dialogues if d.terminal == "abandoned"}
    assert all(parts == ["node abandoned"] for parts in stale.values())

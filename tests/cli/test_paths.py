"""`workbench paths`: counts, listing from a rank, samples, covers, filters."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from workbench.cli.main import cli
from workbench.workflow.load import load_workflow
from workbench.workflow.paths import PathSpace


def run(*args: object) -> Result:
    return CliRunner().invoke(cli, ["paths", *(str(arg) for arg in args)])


def read(*args: object) -> Any:
    result = run(*args, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_count() -> None:
    data = read("travel_booking", "--count")
    assert (data["count"], data["exact"], data["max_visits"]) == (86, True, 2)
    assert sum(data["by_terminal"].values()) == sum(data["by_steps"].values()) == 86
    assert "86 paths" in run("travel_booking", "--count").stdout
    assert read("travel_booking", "--count", "--max-visits", 1)["count"] < 86


def test_listing_pages_through_all_paths() -> None:
    space = PathSpace(load_workflow("travel_booking"))
    pages = [
        path for start in range(0, 100, 25) for path in read("travel_booking", "--from", start, "--limit", 25)["paths"]
    ]
    assert [tuple(path["edges"]) for path in pages] == list(space)
    assert [path["rank"] for path in pages] == list(range(86))
    first = pages[0]
    assert (first["nodes"][0], first["nodes"][-1], first["steps"]) == ("open", first["terminal"], len(first["nodes"]))


def test_samples_are_seeded() -> None:
    assert read("travel_booking", "--sample", 5, "--seed", 3) == read("travel_booking", "--sample", 5, "--seed", 3)
    assert read("travel_booking", "--sample", 5, "--seed", 3) != read("travel_booking", "--sample", 5, "--seed", 4)
    assert len(read("travel_booking", "--sample", 500)["paths"]) == 86


def test_cover() -> None:
    workflow = load_workflow("travel_booking")
    data = read("travel_booking", "--cover", "edges")
    assert {edge for path in data["paths"] for edge in path["edges"]} == {edge.id for edge in workflow.edges}
    missing = read("travel_booking", "--cover", "edges", "--terminal", "escalated")
    assert any("on no path" in note for note in missing["notes"])
    assert read("travel_booking", "--cover", "hub-choices")["paths"]


def test_filters_combine() -> None:
    data = read("travel_booking", "--terminal", "success", "--avoiding", "user_info", "--steps", "4-12", "--limit", 100)
    assert data["count"] == len(data["paths"]) > 0
    assert all(p["terminal"] == "success" and "user_info" not in p["nodes"] and p["steps"] <= 12 for p in data["paths"])
    through = read("travel_booking", "--through", "user_clarify", "--order", "steps", "--limit", 100)["paths"]
    assert all("user_clarify" in p["nodes"] for p in through)
    assert [p["steps"] for p in through] == sorted(p["steps"] for p in through)
    assert read("travel_booking", "--steps", "4", "--count")["by_steps"] == {"4": 1}


@pytest.mark.parametrize(
    "args",
    [["--steps", "x"], ["--steps", "4-y"], ["--through", "nowhere"], ["--terminal", "no"], ["--max-visits", "0"]],
)
def test_bad_options_are_one_line(args: list[str]) -> None:
    result = run("travel_booking", *args)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "unexpected error" not in result.stderr

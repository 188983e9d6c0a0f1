"""Where agents went in the graph: coverage of training and evaluation sets, hubs taken right, what was skipped."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from workbench.agents.names import parse_name
from workbench.dialogue.model import Scenario
from workbench.dialogue.scenarios import expected_path
from workbench.errors import UserError
from workbench.evaluation.adherence import coverage
from workbench.store.datasets import dataset_dialogues
from workbench.store.find import find
from workbench.store.record import Record
from workbench.store.rows import RunRow
from workbench.store.runs import get_run
from workbench.store.verdicts import measures
from workbench.workflow.model import Workflow

_MOST_LISTED = 8


def set_coverage(
    rec: Record, workflow: Workflow, scenarios: Iterable[Scenario], runs: Mapping[str, RunRow]
) -> dict[str, Any]:
    """Nodes, edges and hub choices that the evaluation's scenarios lead to, and those of each run's training set."""
    found: dict[str, Any] = {"evaluation": _share(workflow, (expected_path(workflow, s) for s in scenarios))}
    for condition, run in runs.items():
        if run.dataset_id:
            paths = (dialogue.path for dialogue, _ in dataset_dialogues(rec, run.dataset_id, "train"))
            found[f"training of {condition}"] = _share(workflow, paths)
    return found


def trained_runs(rec: Record, agents: Mapping[str, str]) -> dict[str, RunRow]:
    """Condition → the training run that its agent came from, for those that have one of the same workflow."""
    found: dict[str, RunRow] = {}
    for condition, agent in agents.items():
        name = parse_name(agent)
        if name.kind != "compiled" or not (name.model or "").startswith("local/"):
            continue
        try:
            run = get_run(rec, find(rec, "run", str(name.model).removeprefix("local/")))
        except UserError:
            continue
        if run:
            found[condition] = run
    return found


def walked(rec: Record, workflow: Workflow, comparison_id: str, where: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Condition → what its conversations saw of the graph, its hubs, and what was skipped or stood outside it.

    `where` maps a conversation's id to its condition.
    """
    edges: dict[str, list[Sequence[str]]] = defaultdict(list)
    skipped: dict[str, Counter[str]] = defaultdict(Counter)
    extra: Counter[str] = Counter()
    for row in measures(rec, comparison_id=comparison_id, name="fitness"):
        condition, detail = where.get(row.conversation_id, ""), _detail(row.detail)
        edges[condition].append(detail.get("walked", detail.get("edges", ())))  # older records know only the alignment
        skipped[condition].update(detail.get("skipped", ()))
        extra[condition] += len(detail.get("extra", ()))
    hubs: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in measures(rec, comparison_id=comparison_id, name="hub_choice"):
        for choice in _detail(row.detail).get("hubs", ()):
            _count(hubs[where.get(row.conversation_id, "")], choice)
    ends: dict[str, Counter[str]] = defaultdict(Counter)
    for row in measures(rec, comparison_id=comparison_id, name="right_terminal"):
        detail = _detail(row.detail)
        if not row.value:
            ends[where.get(row.conversation_id, "")][
                f"{detail.get('expected')} → {detail.get('reached') or 'none'}"
            ] += 1
    return {
        condition: {
            "coverage": _share(workflow, edges[condition]),
            "hubs": {hub: hubs[condition][hub] for hub in workflow.hubs if hub in hubs[condition]},
            "skipped": dict(skipped[condition].most_common(_MOST_LISTED)),
            "extra": extra[condition],
            "wrong_ends": dict(ends[condition].most_common(_MOST_LISTED)),
        }
        for condition in dict.fromkeys(where.values())
    }


def _detail(detail: Mapping[str, object]) -> Mapping[str, Any]:
    return detail


def _count(hubs: dict[str, dict[str, Any]], choice: Mapping[str, Any]) -> None:
    entry = hubs.setdefault(str(choice["hub"]), {"n": 0, "right": 0, "wrong": {}})
    entry["n"] += 1
    if choice.get("right"):
        entry["right"] += 1
    else:
        key = f"{choice.get('demanded')} → {choice.get('taken') or 'none'}"
        entry["wrong"][key] = entry["wrong"].get(key, 0) + 1


def _share(workflow: Workflow, walks: Iterable[Sequence[str]]) -> dict[str, Any]:
    known = [[edge for edge in walk if edge in workflow.edge] for walk in walks]
    return {"walks": len(known)} | asdict(coverage(workflow, known))

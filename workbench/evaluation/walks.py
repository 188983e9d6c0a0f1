"""Where agents went in the graph: coverage of training and evaluation sets, hubs taken right, what was skipped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
from workbench.store.verdicts import iterate_measures
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


def walked(rec: Record, workflow: Workflow, comparison_id: str, condition: str) -> dict[str, Any]:
    """What a condition's conversations saw of the graph, its hubs, and what was skipped or stood outside it."""

    def details(name: str) -> Iterator[tuple[float | None, Mapping[str, Any]]]:
        return ((row.value, row.detail) for row in iterate_measures(rec, comparison_id, condition, name))

    skipped: Counter[str] = Counter()
    extra = 0
    seen = _Walks(workflow)
    for _, detail in details("fitness"):
        seen.add(detail.get("walked", detail.get("edges", ())))  # older records know only the alignment
        skipped.update(detail.get("skipped", ()))
        extra += len(detail.get("extra", ()))
    hubs: dict[str, dict[str, Any]] = {}
    for _, detail in details("hub_choice"):
        for choice in detail.get("hubs", ()):
            _count(hubs, choice)
    ends = Counter(
        f"{detail.get('expected')} → {detail.get('reached') or 'none'}"
        for value, detail in details("right_terminal")
        if not value
    )
    return {
        "coverage": seen.share(),
        "hubs": {hub: hubs[hub] for hub in workflow.hubs if hub in hubs},
        "skipped": dict(skipped.most_common(_MOST_LISTED)),
        "extra": extra,
        "wrong_ends": dict(ends.most_common(_MOST_LISTED)),
    }


def _count(hubs: dict[str, dict[str, Any]], choice: Mapping[str, Any]) -> None:
    entry = hubs.setdefault(str(choice["hub"]), {"n": 0, "right": 0, "wrong": {}})
    entry["n"] += 1
    if choice.get("right"):
        entry["right"] += 1
    else:
        key = f"{choice.get('demanded')} → {choice.get('taken') or 'none'}"
        entry["wrong"][key] = entry["wrong"].get(key, 0) + 1


class _Walks:
    """How many walks there were and which edges of the workflow they took; none of them is kept."""

    def __init__(self, workflow: Workflow) -> None:
        self.workflow, self.n, self.taken = workflow, 0, set[str]()

    def add(self, walk: Sequence[str]) -> None:
        """One walk more; edges that the workflow does not know are left out."""
        self.n += 1
        self.taken.update(edge for edge in walk if edge in self.workflow.edge)

    def share(self) -> dict[str, Any]:
        """The coverage as plain JSON."""
        return {"walks": self.n} | asdict(coverage(self.workflow, [sorted(self.taken)]))


def _share(workflow: Workflow, walks: Iterable[Sequence[str]]) -> dict[str, Any]:
    seen = _Walks(workflow)
    for walk in walks:
        seen.add(walk)
    return seen.share()

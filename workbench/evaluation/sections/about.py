"""What a reader must know beside the tables: facts, notes, and the paper's own figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.evaluation.paper import reference
from workbench.evaluation.sections.table import Rows, Section
from workbench.evaluation.words import (
    CRITERIA,
    TITLES,
    Summary,
    dollars,
    number,
)


def facts(row_id: str, name: str, summary: Summary, config: Mapping[str, Any]) -> list[str]:
    """What a reader must know first: what was compared, on what, by whom it was judged, and what is offline."""
    made, judge = summary.get("provenance", {}), summary.get("judge", {})
    offline = [
        *(["the simulated user"] if summary.get("user") == "agenda" else []),
        *([f"the judge {judge.get('name')}"] if judge.get("offline") else []),
    ]
    versions = "; ".join(f"{k} {', '.join(v)}" for k, v in made.get("versions", {}).items() if v)
    lines = [
        f"comparison {name} ({row_id}), workflow {config.get('workflow')} "
        f"({made.get('workflow_id') or config.get('workflow_id') or 'hash unknown'})",
        f"{summary.get('scenarios', '–')} scenarios of the {config.get('split')} split, seed {config.get('seed')}, "
        f"{config.get('repetitions')} repetition(s); set {made.get('scenario_set', '–')}; the same for every agent",
        f"simulated user: {summary.get('user')}; judges: {', '.join(_named(j) for j in summary.get('judges') or [judge])}",
        f"offline: {' and '.join(offline)} (no language model)" if offline else "nothing offline: language models throughout",
    ]  # fmt: skip
    lines += [f"agent {c}: {agent}" for c, agent in made.get("agents", {}).items() if c != agent]
    lines += [f"versions: {versions}"] if versions else []
    lines += [f"intervals: {made['intervals']}"] if made.get("intervals") else []
    return lines


def _named(judge: Mapping[str, Any]) -> str:
    return f"{judge.get('name')} (rubric {judge.get('rubric')})"


def notes(summary: Summary) -> list[str]:
    """What to read the figures with: labeller, controls, what is not reported, and the statement."""
    reliable = "" if summary.get("adherence_reliable", True) else ": below 95%, adherence figures are UNRELIABLE"
    found = summary.get("controls", {})
    lines = [f"labeller accuracy on wording withheld from it: {number(summary.get('labeller_accuracy'), 3)}{reliable}"]
    if found:
        passed = sum(bool(c.get("passed")) for c in found.values())
        lines.append(f"controls passed: {passed} of {len(found)}")
    for condition, seen in summary.get("labeller", {}).get("agents", {}).items():
        lines.append(
            f"labeller accuracy on {condition}, whose true nodes are known: {seen['right'] / seen['n']:.3f} of "
            f"{seen['n']} messages"
        )
    if summary.get("not_reported"):
        lines.append(f"not reported, since their controls failed: {', '.join(summary['not_reported'])}")
    return [*lines, *([str(summary["statement"])] if summary.get("statement") else [])]


def paper(summary: Summary) -> Section:
    """The paper's own table for the same workflow, marked as the paper's; empty for other workflows."""
    data = reference()
    workflow = str(summary.get("provenance", {}).get("workflow") or "")
    name = next((w for w in data["workflows"] if w in workflow), None)
    if name is None:
        return Section("paper", "The paper's figures", "", [])
    columns = data["workflows"][name]
    n = data["scenarios"]
    rows: Rows = [("the paper's", *columns)]
    rows += [(TITLES[k], *(number(column.get(k), 2) for column in columns.values())) for k in CRITERIA]
    rows += [
        (f"failures of {n}", *(str(column.get("failures", "–")) for column in columns.values())),
        ("messages", *(number(column.get("messages"), 1) for column in columns.values())),
        ("seconds", *(number(column.get("seconds"), 1) for column in columns.values())),
        ("dollars a conversation", *(dollars(column.get("cost"), "–") for column in columns.values())),
    ]
    note = (
        f"REFERENCE, not measured here: {data['source']}. Compiled model {data['models'][name]}, judge {data['judge']}, "
        f"{n} scenarios a condition. Other models, users and judges: not to be compared figure by figure."
    )
    return Section("paper", "The paper's figures", note, rows)

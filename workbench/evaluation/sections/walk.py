"""Sections on the way through the graph and on how far to trust the measures: hubs, coverage, controls, what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workbench.evaluation.sections.table import Rows, Section, Target, whole
from workbench.evaluation.words import (
    Summary,
    agents_in_order,
    number,
    percent,
    title_in,
)


def procedure(summary: Summary) -> Section:
    """Where the agents left the procedure: hub by hub, skipped places, wrong ends."""
    rows: Rows = []
    for c, e in agents_in_order(summary).items():
        walks = e.get("walks", {})
        for hub, found in walks.get("hubs", {}).items():
            wrong = sorted(found["wrong"].items(), key=lambda item: -item[1])[:3]
            said = ", ".join(f"{n}× {way}" for way, n in wrong)
            rows.append((c, f"hub {hub}", f"{found['right']} of {found['n']}", said))
        ends = walks.get("wrong_ends", {})
        rows += [(c, "wrong end (due → reached)", f"{n}", way) for way, n in ends.items()]
        rows += [(c, "passed over in silence", f"{n}", place) for place, n in walks.get("skipped", {}).items()]
        if walks.get("extra"):
            rows.append((c, "messages outside the procedure", str(walks["extra"]), ""))
    accuracy = summary.get("labeller_accuracy")
    trust = "" if summary.get("adherence_reliable", True) else " Below 95%: adherence is UNRELIABLE."
    note = f"Read from the text alone, for every agent by the same labeller (accuracy {number(accuracy, 3)}).{trust}"
    head = ("agent", "what", "right, or how often", "mistaken (demanded → taken), or where")
    told = {"hub": "hub_choice", "wrong": "right_terminal"}
    split = [(agent, *what.split(" ", 1)) for agent, what, *_ in rows]
    targets = [Target(told.get(kind, "fitness"), "", c, hub=rest if kind == "hub" else "") for c, kind, rest in split]
    return Section("procedure", "Procedure", note if rows else "", [head, *rows] if rows else [], tuple(targets))


def coverage(summary: Summary) -> Section:
    """How much of the graph the training set, the evaluation set and the agents' conversations have seen."""
    found = dict(summary.get("coverage", {}))
    found |= {
        f"walked by {c}": w for c, e in agents_in_order(summary).items() if (w := e.get("walks", {}).get("coverage"))
    }
    if not found:
        return Section("coverage", "Coverage", "", [])
    rows: Rows = [("set", "walks", "nodes", "edges", "hub choices", "not covered")]
    for name, c in found.items():
        gone = [*c["missing_nodes"], *c["missing_edges"]]
        shown = ", ".join(gone[:4]) + (f" and {len(gone) - 4} more" if len(gone) > 4 else "")
        rows.append((name, str(c["walks"]), *(percent(c[k]) for k in ("nodes", "edges", "hub_choices")), shown))
    walked = [n.removeprefix("walked by ") if n.startswith("walked by ") else None for n in found]
    targets = [Target("fitness", "", agent) if agent else None for agent in walked]
    return Section("coverage", "Coverage of the graph", "", rows, tuple(targets))


def controls(summary: Summary) -> Section:
    """The controls that the measures must pass."""
    found = summary.get("controls", {})
    rows: Rows = [("control", "n", "value", "at least", "")]
    for name, c in found.items():
        shown = (name, str(c.get("n", "–")), number(c.get("value"), 3), number(c.get("least"), 2))
        rows.append((*shown, "passed" if c.get("passed") else "FAILED"))
    return Section("controls", "Controls", "A measure whose control fails is not reported.", rows if found else [])


def missing(summary: Summary) -> Section:
    """What is missing, by agent and by judge: never counted as a number anywhere."""
    rows: Rows = []
    for c, e in agents_in_order(summary).items():
        rows.append((c, "conversations broken by infrastructure", str(e.get("missing", 0)), f"of {whole(e)}"))
        if (planned := e.get("planned") or 0) > whole(e):
            rows.append((c, "conversations not held yet", str(planned - whole(e)), f"of {planned}"))
        rows += [
            (c, f"{title_in(summary, name)}, scenarios without a value", str(i["missing"]), f"of {_n(i)}")
            for name, i in e.get("intervals", {}).items()
            if i.get("missing")
        ]
    for j in summary.get("judges", ()):
        rows.append((j["name"], "verdicts without a score", str(j["missing"]), f"of {j['n'] + j['missing']}"))
    note = "Missing data are counted and left out; no test or mean reads them as a number."
    return Section("missing", "Missing", note if rows else "", [("who", "what", "missing", ""), *rows] if rows else [])


def _n(found: Mapping[str, Any]) -> int:
    return int(found.get("n", 0)) + int(found["missing"])

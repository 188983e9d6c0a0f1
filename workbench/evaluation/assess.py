"""One finished conversation, measured: adherence, terminal, facts. What the rules judge, the controls and the report
read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.agents.audit import Auditor
from workbench.dialogue.labeller import Labeller
from workbench.dialogue.model import Scenario
from workbench.dialogue.scenarios import expected_path
from workbench.evaluation.adherence import Adherence, adherence, broken_rules, must_precede
from workbench.evaluation.alignment import Procedure
from workbench.evaluation.facts import FactChecker, Facts
from workbench.evaluation.trace import Trace, read_trace
from workbench.store.rows import MessageRow
from workbench.workflow.model import Workflow

FINISHED = ("agent", "user")
"""How a conversation ends that came to its end by itself; every other end is a stop."""
MEASURES = ("right_terminal", "fitness", "hub_choice", "slot_accuracy")
"""The measures that a report leads with; all lie in 0…1."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """All that is measured on one conversation without judging it. `terminal` None: it came to no terminal."""

    scenario: Scenario
    messages: tuple[MessageRow, ...]
    ended_by: str
    expected_edges: tuple[str, ...]
    expected_terminal: str
    terminal: str | None
    trace: Trace
    adherence: Adherence
    facts: Facts
    broken_rules: tuple[tuple[str, str], ...]

    @property
    def is_right_terminal(self) -> bool:
        """Ended by itself at the terminal that the scenario leads to."""
        return self.terminal == self.expected_terminal

    def measures(self) -> dict[str, tuple[float | None, dict[str, Any]]]:
        """Name → (value, detail) for the record. Shares lie in 0…1; None where there was nothing to measure."""
        a, agent = self.adherence, [m for m in self.messages if m.role == "agent"]
        wrong = [{"message": s.message, "kind": s.kind, "due": s.due, "said": s.said} for s in self.facts.wrong]
        hubs = [
            {"hub": h.hub, "taken": h.taken, "demanded": h.demanded, "message": h.message, "right": h.is_right}
            for h in a.hubs
        ]
        walk = {
            "nodes": a.nodes,
            "edges": a.edges,
            "walked": a.walked,
            "skipped": a.skipped,
            "extra": a.extra,
            "cost": a.cost,
        }
        return {
            "right_terminal": (
                float(self.is_right_terminal),
                {"reached": self.terminal, "expected": self.expected_terminal},
            ),
            "fitness": (a.fitness, walk | {"trace_length": a.trace_length, "shortest": a.shortest}),
            "hub_choice": (a.hub_choice, {"hubs": hubs}),
            "slot_accuracy": (self.facts.accuracy, {"n": len(self.facts.statements), "wrong": wrong}),
            "unknown_messages": (self.trace.unknown / len(agent) if agent else None, {"n": self.trace.unknown}),
            "rules_kept": (float(not self.broken_rules), {"broken": self.broken_rules}),
        }


class Assessor:
    """Measures conversations of one workflow; holds what is computed once (labeller, transition system, constants)."""

    def __init__(self, workflow: Workflow, rules: Sequence[tuple[str, str]] | None = None) -> None:
        """`rules` are (a, b): b never before a; by default those that the graph implies and those that its file states."""
        self.workflow = workflow
        self.labeller = Labeller(workflow)
        self.procedure = Procedure(workflow)
        self.facts = FactChecker(workflow)
        self.auditor = Auditor(workflow, self.labeller)
        stated = tuple((rule.first, rule.then) for rule in workflow.rules)
        self.rules = tuple(dict.fromkeys((*must_precede(workflow), *stated))) if rules is None else tuple(rules)

    def assess(self, scenario: Scenario, messages: Sequence[MessageRow], ended_by: str) -> Assessment:
        """Measure one conversation. Reads the agent's texts and the user's true moves; never the agent's own nodes."""
        trace = read_trace(self.labeller, messages)
        walk = adherence(self.procedure, scenario.variables, trace)
        expected = expected_path(self.workflow, scenario)
        last = next(
            (label for m, label in zip(messages[::-1], trace.labels[::-1], strict=True) if m.role == "agent"), None
        )
        return Assessment(
            scenario=scenario,
            messages=tuple(messages),
            ended_by=ended_by,
            expected_edges=expected,
            expected_terminal=self.workflow.edge[expected[-1]].target,
            terminal=last.act.terminal if last and ended_by in FINISHED else None,
            trace=trace,
            adherence=walk,
            facts=self.facts.check(messages, trace, walk.situations),
            broken_rules=broken_rules(self.rules, trace.events),
        )

    def units_of(self, edges: Sequence[str]) -> tuple[str, ...]:
        """The places that speak along a path (edge ids), the start included."""
        w = self.workflow
        units = [w.start] if w.nodes[w.start].say else []
        for edge in (w.edge[e] for e in edges):
            units += [edge.id] if edge.say else []
            target = w.nodes[edge.target]
            units += [target.id] if target.say and target.role != "user" else []
        return tuple(units)


def averages(rows: Sequence[Mapping[str, float | None]], names: Sequence[str]) -> dict[str, float | None]:
    """Means by name, None values left out; None where nothing is left."""
    result: dict[str, float | None] = {}
    for name in names:
        values = [v for row in rows if (v := row.get(name)) is not None]
        result[name] = sum(values) / len(values) if values else None
    return result

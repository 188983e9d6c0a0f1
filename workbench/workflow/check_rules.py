"""Checks on the order rules: places that exist, that can be heard, and that the graph itself keeps to."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from workbench.workflow.check_graph import reachable
from workbench.workflow.check_problem import Finding
from workbench.workflow.model import Workflow


def check_rules(workflow: Workflow) -> Iterator[Finding]:
    """Findings on `rules`."""
    places = {n.id: bool(n.say) and n.role != "user" for n in workflow.nodes.values()}
    places |= {e.id: bool(e.say) for e in workflow.edges}
    ways = {n: [e.id for e in workflow.out[n]] for n in workflow.nodes} | {e.id: [e.target] for e in workflow.edges}
    for index, rule in enumerate(workflow.rules):
        named = (rule.first, rule.then)
        unknown = [name for name in named if name not in places]
        for name in unknown:
            near = difflib.get_close_matches(name, list(places), 1)
            hint = f"did you mean '{near[0]}'?" if near else "name a node, or an edge as FROM>TO"
            yield Finding("WF070", ("rules", index), f"no node or edge is called '{name}'", hint)
        if unknown:
            continue
        for name in named:
            if not places[name]:
                message = f"'{name}' says nothing: whether the rule is kept cannot be heard"
                yield Finding("WF071", ("rules", index), message, "name a place with its own 'say'")
        around = {place: [t for t in targets if t != rule.first] for place, targets in ways.items()}
        if rule.first != workflow.start and rule.then in reachable([workflow.start], around):
            message = f"a way of the graph leads to '{rule.then}' without '{rule.first}' before it"
            yield Finding("WF072", ("rules", index), message, "change the edges, or drop the rule")

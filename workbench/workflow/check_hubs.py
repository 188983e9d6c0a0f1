"""Checks on decisions: does every situation that can occur at a hub lead to exactly one edge, and can it be told?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations, islice, product

from workbench.workflow.check_moves import Facts, admits
from workbench.workflow.check_problem import Finding, Places
from workbench.workflow.model import Condition, Edge, Move, Value, Workflow
from workbench.workflow.situation import Situation, holds

MAX_CASES = 5_000
"""Situations tried at one hub and move; a hub with more is checked on these alone."""


def check_hubs(workflow: Workflow, places: Places, facts: Facts) -> Iterator[Finding]:
    """Findings on the conditions of every hub, and on conditions where nothing is decided."""
    hubs = set(workflow.hubs)
    moves = {move.id for node in workflow.nodes.values() for move in node.moves}
    for edge in workflow.edges:
        yield from _references(workflow, places, edge, moves)
        if edge.source not in hubs and (edge.when or edge.say) and edge.source not in places.doubtful:
            part = "when" if edge.when else "say"
            yield Finding(
                "WF037",
                places.edge(edge.id, part),
                f"'{part}' on the only edge out of '{edge.source}' has no effect: nothing is decided there",
                "move it to a hub's edge, or to the node",
            )
    for hub in workflow.hubs:
        yield from _conditions(workflow, places, hub)
        if all(edge.when for edge in workflow.out[hub]) and hub not in places.doubtful:
            yield from _situations(workflow, places, hub, facts)
            yield from _evidence(workflow, places, hub, facts)
            yield from _alike(workflow, places, hub)


def _references(workflow: Workflow, places: Places, edge: Edge, known: set[str]) -> Iterator[Finding]:
    when = edge.when or Condition()
    for position, move in enumerate(when.moves):
        if move not in known:
            yield Finding(
                "WF011",
                places.edge(edge.id, "when", "moves", position),
                f"no user node has a move '{move}'",
                f"known moves: {', '.join(sorted(known)) or 'none'}",
            )
    for name in (*when.variables, *when.bounds):
        variable = workflow.variables.get(name)
        place = places.edge(edge.id, "when", "variables", name)
        if variable is None:
            yield Finding(
                "WF011",
                place,
                f"the condition reads an unknown variable '{name}'",
                f"known variables: {', '.join(workflow.variables) or 'none'}",
            )
        elif variable.type == "choice" and variable.values:
            for value in when.variables.get(name, ()):
                if value not in variable.values:
                    yield Finding(
                        "WF036",
                        place,
                        f"'{name}' never has the value '{value}'",
                        f"its values are {', '.join(map(str, variable.values))}",
                    )


def _conditions(workflow: Workflow, places: Places, hub: str) -> Iterator[Finding]:
    edges = workflow.out[hub]
    for edge in edges:
        if not edge.condition and edge.when is None:
            yield Finding(
                "WF030",
                places.edge(edge.id),
                f"the edge '{edge.id}' of the hub '{hub}' has no condition",
                "say in 'condition' when it is taken, and in 'when' what a machine can test",
            )
        elif not edge.condition:
            yield Finding(
                "WF031",
                places.edge(edge.id),
                f"the edge '{edge.id}' has no condition in words",
                "add 'condition': LLM writers and orchestrated agents read it",
            )
        elif edge.when is None:
            yield Finding(
                "WF032",
                places.edge(edge.id),
                f"the edge '{edge.id}' has no 'when'",
                "add 'when': the offline writer, user and oracle decide by it",
            )
    for first, second in combinations(edges, 2):
        same_words = first.condition and first.condition.casefold() == second.condition.casefold()
        if same_words or (first.when is not None and first.when == second.when):
            yield Finding(
                "WF033",
                places.edge(second.id),
                f"'{first.id}' and '{second.id}' have the same condition",
                "make them differ, or merge the two",
            )


def _situations(workflow: Workflow, places: Places, hub: str, facts: Facts) -> Iterator[Finding]:
    edges = workflow.out[hub]
    taken: set[str] = set()
    overlaps: set[tuple[str, str]] = set()
    for move in facts[hub]:
        stuck: Situation | None = None
        for situation in islice(_cases(workflow, hub, move), MAX_CASES):
            fitting = [e for e in edges if e.when and not e.when.otherwise and holds(e.when, situation, hub)]
            rest = [e for e in edges if e.when and e.when.otherwise]
            taken |= {e.id for e in (fitting or rest)[:1]}
            if not fitting and not rest:
                stuck = stuck or situation
            for one, other in combinations(fitting, 2):
                if one.when != other.when and (one.id, other.id) not in overlaps:
                    overlaps.add((one.id, other.id))
                    yield Finding(
                        "WF034",
                        places.edge(other.id, "when"),
                        f"'{one.id}' and '{other.id}' both hold {_told(situation, hub)}; the first is taken",
                        "narrow one of them",
                    )
        if stuck is not None:
            yield Finding(
                "WF035",
                places.node(hub),
                f"the hub '{hub}' has no edge {_told(stuck, hub)}",
                "add an edge, widen a condition, or mark one edge 'otherwise: true'",
            )
    for edge in edges:
        if facts[hub] and edge.id not in taken:
            yield Finding(
                "WF036",
                places.edge(edge.id, "when"),
                f"the condition of '{edge.id}' never holds at '{hub}'",
                "compare it with the moves and values that can occur there",
            )


def _cases(workflow: Workflow, hub: str, move: str | None) -> Iterator[Situation]:
    """Situations at a hub after a move: every visit, and of every variable that is read each value that matters."""
    conditions = [e.when for e in workflow.out[hub] if e.when and admits(e.when, move)]
    names = sorted({n for c in conditions for n in (*c.variables, *c.bounds) if n in workflow.variables})
    domains = [values_that_matter(workflow, name, conditions) for name in names]
    visits = range(1, workflow.max_visits + 1) if any(c.visits for c in conditions) else (1,)
    for values in product(*domains):
        variables = dict(zip(names, values, strict=True))
        if possible(workflow, variables):
            for visit in visits:
                yield Situation(variables, move, {hub: visit})


def values_that_matter(workflow: Workflow, name: str, conditions: list[Condition]) -> list[Value]:
    """Values of a variable that these conditions tell apart: all of a choice, else those named and their neighbours."""
    variable = workflow.variables[name]
    if variable.type == "choice":
        return list(variable.values)
    found: dict[Value, None] = {}
    for condition in conditions:
        found.update(dict.fromkeys(condition.variables.get(name, ())))
        low, high = condition.bounds.get(name, (None, None))
        edges = [v for v in (low, high) if v is not None]
        found.update(dict.fromkeys(v + d for v in edges for d in (-1, 0, 1)))
    if variable.type == "integer":
        least, most = variable.low, variable.high
        found.update(dict.fromkeys(v for v in (least, most) if isinstance(v, int)))
        return [
            v
            for v in found
            if isinstance(v, int)
            and not (isinstance(least, int) and v < least)
            and not (isinstance(most, int) and v > most)
        ]
    return [*found, "(something else)"]


def possible(workflow: Workflow, variables: Mapping[str, Value]) -> bool:
    """Whether these values can stand together by `given` and `differs_from`, as far as both variables are here."""
    for name, value in variables.items():
        if variables.get(workflow.variables[name].differs_from or "") == value:
            return False
        for other, table in workflow.variables[name].given.items():
            allowed = table.get(str(variables[other]), table.get(variables[other])) if other in variables else None
            if allowed is not None and value not in allowed:
                return False
    return True


def _told(situation: Situation, hub: str) -> str:
    parts = [f"after the move '{situation.move}'" if situation.move else "before any move"]
    parts += [f"{name} = {value}" for name, value in situation.variables.items()]
    if situation.visits.get(hub, 1) > 1:
        parts.append(f"visit {situation.visits[hub]}")
    return ", ".join(parts)


def _evidence(workflow: Workflow, places: Places, hub: str, facts: Facts) -> Iterator[Finding]:
    reported: set[str] = set()
    for edge in workflow.out[hub]:
        when = edge.when or Condition()
        for name in (*when.variables, *when.bounds):
            hidden = [m for m, known in facts[hub].items() if admits(when, m) and not known.evident(name)]
            if hidden and name not in reported and name in workflow.variables:
                reported.add(name)
                after = f"after '{hidden[0]}'" if hidden[0] else "at the start"
                yield Finding(
                    "WF038",
                    places.edge(edge.id, "when", "variables", name),
                    f"the hub '{hub}' reads '{name}', which on some way nobody has said ({after})",
                    "let the user state it before, or put it into the context",
                )


def _alike(workflow: Workflow, places: Places, hub: str) -> Iterator[Finding]:
    """Two moves that lead to different edges must not share a wording: nobody could tell them apart."""
    for user in (n for n in workflow.nodes.values() if n.moves and any(e.target == hub for e in workflow.out[n.id])):
        owner: dict[str, Move] = {}
        for move in user.moves:
            for text in {_bare(t) for p in move.say for t in (*p.pool.training, *p.pool.evaluation)}:
                other = owner.setdefault(text, move)
                if other is not move and _leads(workflow, hub, other) != _leads(workflow, hub, move):
                    place = places.node(user.id, "moves", user.moves.index(move))
                    yield Finding(
                        "WF038",
                        place,
                        f"the moves '{other.id}' and '{move.id}' of '{user.id}' share the wording "
                        f"'{text[:60]}' but lead to different edges of '{hub}'",
                        "change one of the wordings",
                    )


def _leads(workflow: Workflow, hub: str, move: Move) -> list[str]:
    return [e.id for e in workflow.out[hub] if e.when and not e.when.otherwise and admits(e.when, move.id)]


def _bare(text: str) -> str:
    return " ".join("".join(c for c in text.casefold() if c.isalnum() or c in " {_}").split())

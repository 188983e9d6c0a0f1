"""Checks on what is said: placeholders, variables, pools of wordings, prompts."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from workbench.workflow.check_moves import Facts, Known, admits, after_move, said
from workbench.workflow.check_problem import Finding, Places
from workbench.workflow.model import Phrasing, Pool, Variable, Workflow
from workbench.workflow.situation import placeholders
from workbench.workflow.source import Place

LEAST_TRAINING = 2
TODO = "TODO"
"""What a text begins with that an import could not know and a person must write."""


def check_words(workflow: Workflow, places: Places, facts: Facts) -> Iterator[Finding]:
    """Findings on placeholders, slots, variables, wordings and prompts."""
    yield from _placeholders(workflow, places)
    yield from _slots(workflow, places, facts)
    yield from _variables(workflow)
    yield from _pools(workflow, places)
    yield from _silences(workflow, places)
    yield from _prompts(workflow, places)


def _spoken(workflow: Workflow, places: Places) -> Iterator[tuple[Place, Phrasing]]:
    """Every pool of the workflow with its place."""
    groups: list[tuple[Place, tuple[Phrasing, ...]]] = []
    for node in workflow.nodes.values():
        groups.append((places.node(node.id, "say"), node.say))
        groups += [(places.node(node.id, "moves", i, "say"), move.say) for i, move in enumerate(node.moves)]
    groups += [(places.edge(edge.id, "say"), edge.say) for edge in workflow.edges]
    for place, phrasings in groups:
        for i, phrasing in enumerate(phrasings):
            yield (place if len(phrasings) == 1 else (*place, i)), phrasing
    for i, deviation in enumerate(workflow.deviations):
        yield ("deviations", i, "say"), Phrasing(deviation.say)
        yield ("deviations", i, "reply"), Phrasing(deviation.reply)
    for i, persona in enumerate(workflow.personas):
        yield ("personas", i, "before"), Phrasing(persona.before)


def _texts(pool: Pool) -> Iterator[tuple[str, int, str]]:
    for key in ("training", "evaluation"):
        for position, text in enumerate(getattr(pool, key)):
            yield key, position, text


def _placeholders(workflow: Workflow, places: Places) -> Iterator[Finding]:
    known = ", ".join(workflow.variables) or "none"
    for place, phrasing in _spoken(workflow, places):
        for key, position, text in _texts(phrasing.pool):
            for name in placeholders(text):
                if name not in workflow.variables:
                    yield Finding(
                        "WF011", (*place, key, position), f"no variable is called '{name}'", f"known: {known}"
                    )
    for name in placeholders(workflow.context):
        if name not in workflow.variables:
            yield Finding("WF011", ("context",), f"no variable is called '{name}'", f"known: {known}")


def _slots(workflow: Workflow, places: Places, facts: Facts) -> Iterator[Finding]:
    """An agent may state only what the user has said before, or what stands in the context."""
    for node in workflow.nodes.values():
        if node.role != "user":
            yield from _stated(workflow, node.id, node.say, places.node(node.id, "say"), facts[node.id])
    for edge in workflow.edges:
        arriving = {m: known for m, known in facts[edge.source].items() if admits(edge.when, m)}
        yield from _stated(workflow, edge.id, edge.say, places.edge(edge.id, "say"), arriving)
    for i, deviation in enumerate(workflow.deviations):
        ever: set[str] = set(said((Phrasing(deviation.say),)).ever)
        for node_id, moves in deviation.at.items():
            at = workflow.nodes.get(node_id)
            for move in at.moves if at else ():
                if not moves or move.id in moves:
                    ever |= {
                        v
                        for known in facts[node_id].values()
                        for v in after_move(workflow, node_id, move.id, known).ever
                    }
        ever |= {name for name, value in deviation.sets.items() if value in ever}
        for name in {n for _, _, text in _texts(deviation.reply) for n in placeholders(text)} - ever:
            if name in workflow.variables:
                yield _unset(("deviations", i, "reply"), deviation.id, name)


def _unset(place: Place, where: str, name: str) -> Finding:
    return Finding(
        "WF040",
        place,
        f"'{where}' states {{{name}}}, which no path has set before",
        "let the user say it on the way, or put it into the context",
    )


def _stated(
    workflow: Workflow, where: str, phrasings: tuple[Phrasing, ...], place: Place, arriving: dict[str | None, Known]
) -> Iterator[Finding]:
    seen: set[str] = set()
    for i, phrasing in enumerate(phrasings):
        here = place if len(phrasings) == 1 else (*place, i)
        knowns = [known for move, known in arriving.items() if admits(phrasing.when, move)]
        for key, position, text in _texts(phrasing.pool):
            for name in set(placeholders(text)) & set(workflow.variables) - seen:
                if not knowns:
                    continue  # the node cannot be reached, which is reported elsewhere
                if all(name not in known.ever for known in knowns):
                    seen.add(name)
                    yield _unset((*here, key, position), where, name)
                elif any(name not in known.always for known in knowns):
                    seen.add(name)
                    yield Finding(
                        "WF041",
                        (*here, key, position),
                        f"'{where}' states {{{name}}}, but on some way nobody has said it",
                        "ask for it on every way, or word this without it",
                    )


def _variables(workflow: Workflow) -> Iterator[Finding]:
    used = {name for texts in _used_texts(workflow) for name in placeholders(texts)}
    for edge in workflow.edges:
        used |= {*(edge.when.variables if edge.when else ()), *(edge.when.bounds if edge.when else ())}
    for _, phrasing in _spoken(workflow, Places()):
        used |= {*(phrasing.when.variables if phrasing.when else ()), *(phrasing.when.bounds if phrasing.when else ())}
    for variable in workflow.variables.values():
        used |= {n for n in (*variable.given, variable.differs_from, variable.after and variable.after[0]) if n}
        yield from _domain(workflow, variable)
    for place, sets in _assignments(workflow):
        used |= set(sets.values())
        for name in {*sets, *sets.values()} - set(workflow.variables):
            yield Finding(
                "WF011", place, f"'sets' names an unknown variable '{name}'", "mend the name or add the variable"
            )
    for name in workflow.variables:
        if name not in used:
            yield Finding("WF042", ("variables", name), f"the variable '{name}' is used nowhere", "use it or delete it")
    for i, deviation in enumerate(workflow.deviations):
        for node, moves in deviation.at.items():
            known = {move.id for move in workflow.nodes[node].moves} if node in workflow.nodes else None
            wrong = [node] if known is None else sorted(set(moves) - known)
            if wrong:
                what = "user node" if known is None else f"move of '{node}'"
                yield Finding(
                    "WF011", ("deviations", i, "at", node), f"no {what} is called '{wrong[0]}'", "mend the name"
                )


def _used_texts(workflow: Workflow) -> Iterator[str]:
    yield workflow.context
    yield workflow.instruction
    for _, phrasing in _spoken(workflow, Places()):
        yield from (text for _, _, text in _texts(phrasing.pool))
    yield from (node.prompt for node in workflow.nodes.values())
    yield from (edge.condition for edge in workflow.edges)


def _assignments(workflow: Workflow) -> Iterator[tuple[Place, dict[str, str]]]:
    for index, node in enumerate(workflow.nodes.values()):
        for position, move in enumerate(node.moves):
            yield ("nodes", index, "moves", position, "sets"), dict(move.sets)
    for index, deviation in enumerate(workflow.deviations):
        yield ("deviations", index, "sets"), dict(deviation.sets)


def _domain(workflow: Workflow, variable: Variable) -> Iterator[Finding]:
    place: Place = ("variables", variable.name)
    for name in (*variable.given, variable.differs_from, variable.after and variable.after[0]):
        if name and name not in workflow.variables:
            yield Finding("WF011", place, f"'{variable.name}' refers to an unknown variable '{name}'", "mend the name")
    if variable.type in ("choice", "text") and not variable.values and not variable.given:
        yield Finding("WF043", place, f"'{variable.name}' has no values", "add 'values: […]'")
    if variable.type == "integer" and not (
        isinstance(variable.low, int) and isinstance(variable.high, int) and variable.low <= variable.high
    ):
        yield Finding("WF043", place, f"'{variable.name}' needs whole numbers 'low' and 'high', low ≤ high", "add both")
    if variable.type == "date" and not variable.after:
        days = [_day(bound) for bound in (variable.low, variable.high)]
        if None in days or (days[0] and days[1] and days[0] > days[1]):
            yield Finding(
                "WF043",
                place,
                f"'{variable.name}' needs days 'low' and 'high' such as '1 March', low first",
                "add both, or 'after: [date variable, least days, most days]'",
            )
    if variable.differs_from == variable.name:
        yield Finding("WF043", place, f"'{variable.name}' cannot differ from itself", "name another variable")
    other = workflow.variables.get(variable.differs_from or "")
    if other is not None and other is not variable and len({*other.values, *variable.values}) == 1:
        yield Finding(
            "WF043", place, f"'{variable.name}' can never differ from '{variable.differs_from}'", "add values"
        )


def _day(text: object) -> datetime.date | None:
    try:
        return datetime.datetime.strptime(f"{text} 2028", "%d %B %Y").date()
    except ValueError:
        return None


def _pools(workflow: Workflow, places: Places) -> Iterator[Finding]:
    for place, phrasing in _spoken(workflow, places):
        training, evaluation = phrasing.pool.training, phrasing.pool.evaluation
        if not training and not evaluation:
            continue
        if len(training) < LEAST_TRAINING or 2 * len(evaluation) < len(training):
            yield Finding(
                "WF050",
                place,
                f"{len(training)} training and {len(evaluation)} evaluation wordings",
                f"give at least {LEAST_TRAINING}, and a third of all to evaluation",
            )
        known = {_same(text) for text in training}
        for position, text in enumerate(evaluation):
            if _same(text) in known:
                yield Finding(
                    "WF051",
                    (*place, "evaluation", position),
                    "the evaluation pool repeats a training wording",
                    "reword it: evaluation must not be won by echo",
                )


def _same(text: str) -> str:
    return " ".join("".join(c for c in text.casefold() if c.isalnum() or c in " {_}").split())


def _silences(workflow: Workflow, places: Places) -> Iterator[Finding]:
    """Only where some wordings are given: a workflow without any is one for LLM writers."""
    if not any(True for _, p in _spoken(workflow, places) if p.pool.training):
        return
    after_user = {edge.target for edge in workflow.edges if workflow.nodes[edge.source].role == "user"}
    hubs = set(workflow.hubs)
    for node in workflow.nodes.values():
        if node.role == "user":
            silent: list[tuple[Place, str]] = [(places.node(node.id), "no moves")] if not node.moves else []
            silent += [
                (places.node(node.id, "moves", i), f"no wordings for the move '{move.id}'")
                for i, move in enumerate(node.moves)
                if not move.say
            ]
        elif node.role == "terminal" or node.id not in hubs:
            silent = [(places.node(node.id), "no wordings")] if not node.say else []
        else:
            silent = [
                (places.edge(edge.id), f"no wordings for the edge '{edge.id}', and the agent's message would be empty")
                for edge in workflow.out[node.id]
                if node.id in after_user
                and not node.say
                and not edge.say
                and workflow.nodes[edge.target].role == "user"
            ]
        for place, what in silent:
            yield Finding("WF052", place, f"'{node.id}' has {what}", "add wordings: the offline writer needs them")


def _prompts(workflow: Workflow, places: Places) -> Iterator[Finding]:
    for node in workflow.nodes.values():
        if not node.prompt.strip():
            yield Finding(
                "WF053",
                places.node(node.id),
                f"'{node.id}' has no prompt",
                "say what is done here: LLM writers and orchestrated agents go by it",
            )
    yield from _todo(("instruction",), "the instruction", workflow.instruction)
    for node in workflow.nodes.values():
        yield from _todo(places.node(node.id, "prompt"), f"the prompt of '{node.id}'", node.prompt)
    for edge in workflow.edges:
        yield from _todo(places.edge(edge.id, "condition"), f"the condition of '{edge.id}'", edge.condition)


def _todo(place: Place, what: str, text: str) -> Iterator[Finding]:
    if text.startswith(TODO):
        yield Finding("WF054", place, f"{what} is still to be written", f"replace the text that begins with {TODO}")

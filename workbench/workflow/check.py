"""All that is wrong with a workflow, at once: stable codes, severities, places, and how to mend each.

`CODES` in `check_problem` lists what is looked for. Reading is bounded (see `source`), so a hostile file ends in one
clear problem within seconds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from workbench.errors import UserError
from workbench.workflow.check_graph import check_graph
from workbench.workflow.check_hubs import check_hubs
from workbench.workflow.check_moves import flow
from workbench.workflow.check_paths import check_paths
from workbench.workflow.check_problem import CODES, Finding, Places, Problem, located
from workbench.workflow.check_rules import check_rules
from workbench.workflow.check_source import check_source, repaired
from workbench.workflow.check_words import check_words
from workbench.workflow.load import build_workflow
from workbench.workflow.model import Workflow
from workbench.workflow.source import Source, read_file, read_text

__all__ = ["CODES", "Problem", "check_file", "check_text", "check_workflow"]

MAX_EACH = 100
"""Problems of one code that are listed; the rest is counted."""
_WHERE = re.compile(r"^(?P<file>.*?):(?P<line>\d+)(?::(?P<column>\d+))?: (?P<what>.*)$", re.S)
_UNREADABLE = ("not a file", "no such file", "cannot be read", "larger than", "not UTF-8")


def check_file(path: str | Path) -> list[Problem]:
    """Every problem of a workflow file, in the order of the file. Never raises for what the file holds."""
    return _checked(lambda: read_file(Path(path)), str(path))


def check_text(text: str, name: str = "<text>") -> list[Problem]:
    """Every problem of a workflow given as text, as an editor holds it before it is saved."""
    return _checked(lambda: read_text(text, name), name)


def check_workflow(workflow: Workflow) -> list[Problem]:
    """Every problem of a workflow that was built, not read: places are the lines its nodes and edges remember."""
    places = Places(
        {node: ("nodes", i) for i, node in enumerate(workflow.nodes)},
        {edge.id: ("edges", i) for i, edge in enumerate(workflow.edges)},
    )
    marks = {places.node(n.id): (n.line or 1, 1) for n in workflow.nodes.values()}
    marks |= {places.edge(e.id): (e.line or 1, 1) for e in workflow.edges}
    return _listed(_semantic(workflow, places), Source(workflow.source or workflow.name, None, marks))


def _checked(read: Callable[[], Source], name: str) -> list[Problem]:
    try:
        source = read()
    except UserError as error:
        return [_from_error(error, name)]
    findings = list(check_source(source))
    if isinstance(source.data, dict):
        findings += _built(source, findings)
    return _listed(findings, source)


def _built(source: Source, findings: list[Finding]) -> Iterator[Finding]:
    """Checks on the graph of what is sound in the file."""
    sound, places, edges = repaired(source, findings)
    try:
        workflow = build_workflow(sound)
    except UserError as error:
        if not findings:
            yield Finding("WF003", (), _split(error)[2], "see workflows/schema.json")
        return
    yield from _semantic(workflow, replace(places, edges=dict(zip((e.id for e in workflow.edges), edges, strict=True))))


def _semantic(workflow: Workflow, places: Places) -> Iterator[Finding]:
    graph = list(check_graph(workflow, places))
    yield from graph
    facts = flow(workflow)
    yield from check_hubs(workflow, places, facts)
    yield from check_words(workflow, places, facts)
    yield from check_rules(workflow)
    if places.sure_start and not places.doubtful and all(CODES[f.code][0] != "error" for f in graph):
        yield from check_paths(workflow, places)


def _listed(findings: Iterable[Finding], source: Source) -> list[Problem]:
    problems = sorted((located(f, source) for f in findings), key=lambda p: (p.line, p.column, p.code))
    seen: Counter[str] = Counter()
    kept = []
    for problem in dict.fromkeys(problems):
        seen[problem.code] += 1
        if seen[problem.code] <= MAX_EACH:
            kept.append(problem)
    for code, n in seen.items():
        if n > MAX_EACH:
            severity, meaning = CODES[code]
            message = f"{n - MAX_EACH:,} more problems of this kind: {meaning}"
            kept.append(Problem(code, severity, source.name, 1, 1, message, "mend the ones that are listed first"))
    return kept


def _split(error: UserError) -> tuple[int, int, str]:
    found = _WHERE.match(str(error))
    if not found:
        return 1, 1, str(error)
    return int(found["line"]), int(found["column"] or 1), found["what"]


def _from_error(error: UserError, name: str) -> Problem:
    line, column, message = _split(error)
    message = message.removeprefix(f"{name}: ")
    code = "WF001" if any(sign in message for sign in _UNREADABLE) else "WF002"
    what, _, hint = message.partition("; ")
    return Problem(code, CODES[code][0], name, line, column, what, hint or "mend the line and check again")

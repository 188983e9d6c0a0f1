"""The workflow format itself: writing what was imported, and a round trip that keeps comments."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from workbench.text import clean_line
from workbench.workflow.exchange.build import Imported
from workbench.workflow.hashing import meaning
from workbench.workflow.model import Condition, Edge, Move, Node, Phrasing, Workflow


def write_yaml(workflow: Workflow) -> str:
    """The workflow as YAML. One that was read from a file keeps that file's comments and layout."""
    if workflow.source and Path(workflow.source).suffix in (".yaml", ".yml") and Path(workflow.source).is_file():
        return round_trip(Path(workflow.source).read_text(encoding="utf-8"))
    return _dump(_as_data(workflow))


def round_trip(text: str) -> str:
    """YAML text read and written again: comments, order and quotes stay, white space is made regular."""
    yaml = _yaml()
    yaml.preserve_quotes = True
    return _dump(yaml.load(text))


def to_yaml(imported: Imported) -> str:
    """An imported workflow as YAML, headed by what is still to be written and what was lost."""
    head = [f"# Read from {imported.format}. Complete it, then: workbench workflow check FILE"]
    for title, lines in (("Still to be filled in", imported.to_fill_in), ("Lost on the way", imported.lost)):
        head += [f"# {title}:", *(f"#   - {clean_line(line)}" for line in lines)] if lines else []
    return "\n".join([*head, _dump(_as_data(imported.workflow))])


def _yaml() -> Any:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _dump(data: Any) -> str:
    stream = io.StringIO()
    _yaml().dump(data, stream)
    return stream.getvalue()


def _as_data(workflow: Workflow) -> dict[str, Any]:
    data: dict[str, Any] = {"name": workflow.name, "title": workflow.title}
    for key in ("description", "instruction", "context"):
        data |= {key: value} if (value := getattr(workflow, key)) else {}
    data["max_visits"] = workflow.max_visits
    if workflow.variables:
        data["variables"] = {name: _variable(meaning(v)) for name, v in workflow.variables.items()}
    for key, items in (("personas", workflow.personas), ("deviations", workflow.deviations)):
        if items and [item.id for item in items] != ["plain"]:
            data[key] = [meaning(item) for item in items]
    data["nodes"] = [_node(node, node.id == workflow.start) for node in workflow.nodes.values()]
    data["edges"] = [_edge(edge) for edge in workflow.edges]
    if workflow.rules:
        data["rules"] = [{"must_precede": [rule.first, rule.then]} for rule in workflow.rules]
    return data


def _variable(fields: Any) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key != "name"}


def _node(node: Node, start: bool) -> dict[str, Any]:
    data: dict[str, Any] = {"id": node.id, "role": node.role} | ({"start": True} if start else {})
    data |= {"outcome": node.outcome} if node.outcome else {}
    data |= {"prompt": node.prompt} | ({"say": _say(node.say)} if node.say else {})
    if node.moves:
        data["moves"] = [_move(move) for move in node.moves]
    return data


def _move(move: Move) -> dict[str, Any]:
    data = _without(meaning(move), "say") | ({"traits": list(move.traits)} if move.traits else {})
    return data | ({"say": _say(move.say)} if move.say else {})


def _edge(edge: Edge) -> dict[str, Any]:
    data: dict[str, Any] = {} if edge.id == f"{edge.source}>{edge.target}" or "#" in edge.id else {"id": edge.id}
    data |= {"from": edge.source, "to": edge.target} | ({"condition": edge.condition} if edge.condition else {})
    data |= {"when": _when(edge.when)} if edge.when else {}
    return data | ({"say": _say(edge.say)} if edge.say else {})


def _say(phrasings: tuple[Phrasing, ...]) -> Any:
    items = [({"when": _when(p.when)} if p.when else {}) | {
        key: list(texts) for key, texts in (("training", p.pool.training), ("evaluation", p.pool.evaluation)) if texts
    } for p in phrasings]  # fmt: skip
    return items[0] if len(items) == 1 else items


def _when(condition: Condition) -> dict[str, Any]:
    data: dict[str, Any] = {"moves": list(condition.moves)} if condition.moves else {}
    data |= {"visits": list(condition.visits)} if condition.visits else {}
    variables: dict[str, Any] = {name: list(values) for name, values in condition.variables.items()}
    for name, (low, high) in condition.bounds.items():
        variables[name] = {k: v for k, v in (("at_least", low), ("at_most", high)) if v is not None}
    data |= {"variables": variables} if variables else {}
    return data | ({"otherwise": True} if condition.otherwise else {})


def _without(fields: Any, *names: str) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key not in names}

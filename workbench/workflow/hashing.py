"""Hashes of meaning: two files that say the same in another layout, order of keys or with other comments hash alike.

Every node, edge and variable has its own hash, so that what was made from a workflow is stale only if something it
used has changed. What identifies things by name (nodes, edges, moves, variables, deviations, personas) is unordered;
lists whose order decides (phrasings, of which the first that holds is taken, and the texts of a pool) keep theirs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass

from workbench.workflow.model import Workflow

_WHERE = frozenset({"line", "traits"})
"""Fields that say where something stands or what it is good for in a test, not what it means."""


def canonical(obj: object) -> str:
    """`obj` (JSON values, mappings, tuples, dataclasses) as compact JSON with sorted keys.

    TypeError for anything else: a hash must never depend on a `repr`.
    """
    return json.dumps(obj, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain, allow_nan=False)


def digest(obj: object) -> str:
    """16 hexadecimal digits of the SHA-256 of `obj` in canonical form: the id of whatever `obj` describes."""
    return hashlib.sha256(canonical(obj).encode("utf-8", "surrogatepass")).hexdigest()[:16]


def workflow_hash(workflow: Workflow) -> str:
    """The id of a workflow: everything it says, wherever its file lies."""
    return _remembered(workflow, ("workflow", ""), lambda: _whole(workflow))


def canonical_workflow(workflow: Workflow) -> str:
    """Everything a workflow says as canonical JSON: the text that `workflow_hash` hashes."""
    return canonical(_whole(workflow))


def graph_hash(workflow: Workflow) -> str:
    """The hash of what a drawing of the graph shows: nodes with their roles, edges with their ends, in file order."""
    return _remembered(workflow, ("graph", ""), lambda: _graph(workflow))


def node_hash(workflow: Workflow, node: str) -> str:
    """The hash of one node: role, prompt, phrasings, moves, outcome. KeyError for an unknown id."""
    return _remembered(workflow, ("node", node), lambda: meaning(workflow.nodes[node]))


def edge_hash(workflow: Workflow, edge: str) -> str:
    """The hash of one edge: its ends, its conditions and its phrasings. KeyError for an unknown id."""
    return _remembered(workflow, ("edge", edge), lambda: meaning(workflow.edge[edge]))


def variable_hash(workflow: Workflow, variable: str) -> str:
    """The hash of one scenario variable. KeyError for an unknown name."""
    return _remembered(workflow, ("variable", variable), lambda: meaning(workflow.variables[variable]))


def path_hash(workflow: Workflow, edges: Iterable[str]) -> str:
    """The id of a path, made of its edges' hashes in order. KeyError for an unknown edge id."""
    return digest([edge_hash(workflow, edge) for edge in edges])


def meaning(obj: object) -> object:
    """A dataclass of the workflow model as JSON values: unset fields and the place in the file are left out."""
    if is_dataclass(obj) and not isinstance(obj, type):
        said = [f.name for f in fields(obj) if f.name not in _WHERE and not _is_default(obj, f)]
        return {name: meaning(getattr(obj, name)) for name in said}
    if isinstance(obj, Mapping):
        return {str(key): meaning(value) for key, value in obj.items()}
    if isinstance(obj, list | tuple):
        items = [meaning(item) for item in obj]
        named = bool(obj) and all(hasattr(item, "id") for item in obj)
        return {item.id: value for item, value in zip(obj, items, strict=True)} if named else items
    return obj


def _is_default(obj: object, field: Field[object]) -> bool:
    value = getattr(obj, field.name)
    if field.default is not MISSING:
        return bool(value == field.default)
    return field.default_factory is not MISSING and bool(value == field.default_factory())


def _whole(workflow: Workflow) -> object:
    """`Workflow.source` is a place, while `Edge.source` is a meaning, so it is left out by hand."""
    whole = meaning(workflow)
    assert isinstance(whole, dict)
    whole.pop("source", None)
    return whole


def _graph(workflow: Workflow) -> object:
    nodes = [[node.id, node.role] for node in workflow.nodes.values()]
    return [workflow.start, nodes, [[edge.id, edge.source, edge.target] for edge in workflow.edges]]


def _plain(obj: object) -> object:
    if is_dataclass(obj) and not isinstance(obj, type):
        return meaning(obj)
    if isinstance(obj, Mapping):
        return dict(obj)
    raise TypeError(f"{type(obj).__name__} has no canonical form")


def _remembered(workflow: Workflow, key: tuple[str, str], make: Callable[[], object]) -> str:
    """Workflows never change, so their hashes are kept beside `cached_property`'s values."""
    known: dict[tuple[str, str], str] = vars(workflow).setdefault("_hashes", {})
    if key not in known:
        known[key] = digest(make())
    return known[key]

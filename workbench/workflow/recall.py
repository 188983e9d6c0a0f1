"""A workflow back from its canonical form in the record: what was meant when something was made from it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from workbench.errors import UserError
from workbench.workflow.model import Workflow


def recall_workflow(canonical: str, like: Workflow | None = None) -> Workflow:
    """The workflow whose canonical form (`hashing.canonical_workflow`) this is.

    The form knows no order of nodes and edges: those that `like` has too come in its order, the others after them by
    name. Raises UserError if the text is no such form.
    """
    try:
        made: Workflow = _read(Workflow, json.loads(canonical))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError("the record holds no readable workflow of that id") from error
    if like is None:
        return made
    edges = {edge.id: n for n, edge in enumerate(like.edges)}
    nodes = {node: n for n, node in enumerate(like.nodes)}
    return replace(
        made,
        edges=tuple(sorted(made.edges, key=lambda e: edges.get(e.id, len(edges)))),
        nodes={name: made.nodes[name] for name in sorted(made.nodes, key=lambda n: nodes.get(n, len(nodes)))},
    )


def _read(kind: Any, data: Any) -> Any:
    """JSON values as what a type hint of the workflow model says; named items come as an object by id."""
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{f.name: _read(hints[f.name], data[f.name]) for f in fields(kind) if f.name in data})  # type: ignore[operator]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        inner = [a for a in arguments if a is not type(None)]
        return data if data is None or len(inner) != 1 else _read(inner[0], data)
    if origin is tuple:
        if arguments[-1] is Ellipsis:
            return tuple(_read(arguments[0], item) for item in (data.values() if isinstance(data, dict) else data))
        return tuple(_read(argument, item) for argument, item in zip(arguments, data, strict=True))
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: _read(arguments[1], value) for key, value in data.items()}
    return data

"""Checks on the file's data before it is a workflow: schema, keys, ids, ends of edges, characters.

`repaired` then takes out what was found, so that the checks on the graph can still say what else is wrong.
"""

from __future__ import annotations

import copy
import difflib
import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from workbench.text import clean, clean_line
from workbench.workflow.check_problem import Finding, Places
from workbench.workflow.source import Place, Source, texts

_KINDS = {dict: "a mapping", list: "a list", str: "text", int: "a number", bool: "true or false", type(None): "nothing"}
_NAMES = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "boolean": "true or false",
}


def schema_file() -> Path:
    """The published JSON Schema of the format."""
    return Path(__file__).resolve().parents[2] / "workflows" / "schema.json"


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(schema_file().read_text(encoding="utf-8")))


def check_source(source: Source) -> Iterator[Finding]:
    """Everything that is wrong with the data itself."""
    for place, _, _ in source.duplicates:
        yield Finding("WF004", place, f"the key '{place[-1]}' is given twice here", "keep one of them")
    yield from schema_findings(source.data)
    for place, text in texts(source.data):
        if (harmless := clean(text)) != text:
            bad = sorted({f"U+{ord(c):04X}" for c in text if not clean(c)})
            hint = f"write it as '{clean_line(harmless, 60)}'"
            yield Finding("WF005", place, f"holds characters that no terminal may get: {', '.join(bad[:6])}", hint)
    yield from _ids(source.data)
    yield from _ends(source.data)


def schema_findings(data: Any) -> Iterator[Finding]:
    """Breaches of the schema, in words."""
    for error in _validator().iter_errors(data):
        place: Place = tuple(error.absolute_path)
        match error.validator:
            case "additionalProperties":
                known = list(error.schema.get("properties", {}))
                for key in sorted(set(error.instance) - set(known)):
                    near = _near(key, known) or f"known here: {', '.join(known)}"
                    yield Finding("WF003", (*place, key), f"unknown key '{clean_line(key, 60)}'", near)
            case "required":
                key = error.message.split("'")[1]
                yield Finding("WF003", (*place, key), f"'{key}' is missing", f"add '{key}: …'")
            case "type":
                wanted = error.validator_value if isinstance(error.validator_value, list) else [error.validator_value]
                names = " or ".join(_NAMES.get(str(name), str(name)) for name in wanted)
                found = _KINDS.get(type(error.instance), "something else")
                hint = (
                    "put it in quotes if it is text"
                    if found in ("a number", "true or false")
                    else "see workflows/schema.json"
                )
                yield Finding("WF003", place, f"expected {names}, found {found}", hint)
            case "enum" | "const":
                known = [str(v) for v in error.schema.get("enum", ["true"])]
                value = clean_line(str(error.instance), 60)
                near = _near(value, known) or f"use {' | '.join(known)}"
                yield Finding("WF003", place, f"'{value}' cannot stand here", near)
            case "pattern":
                value = clean_line(str(error.instance), 60)
                yield Finding("WF003", place, f"'{value}' is no valid id", "use letters, digits, '_', '-' and '.'")
            case _:
                yield Finding("WF003", place, clean_line(error.message, 160), "see workflows/schema.json")


def _near(word: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(word, list(known), 1)
    return f"did you mean '{found[0]}'?" if found else ""


def listed(data: Any, key: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The mappings in the list under `key`, with their indexes; anything else is passed over."""
    items = data.get(key) if isinstance(data, dict) else None
    for index, item in enumerate(items if isinstance(items, list) else []):
        if isinstance(item, dict):
            yield index, item


def _ids(data: Any) -> Iterator[Finding]:
    groups: list[tuple[Place, str]] = [(("nodes",), "node"), (("edges",), "edge"), (("personas",), "persona")]
    groups.append((("deviations",), "deviation"))
    for place, kind in groups:
        yield from _twice(listed(data, str(place[0])), place, kind)
    for index, node in listed(data, "nodes"):
        yield from _twice(listed(node, "moves"), ("nodes", index, "moves"), "move")


def _twice(items: Iterable[tuple[int, dict[str, Any]]], place: Place, kind: str) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, item in items:
        name = item.get("id")
        if isinstance(name, str) and name in seen:
            yield Finding("WF010", (*place, index, "id"), f"the {kind} id '{name}' is used twice", "rename one of them")
        seen.add(str(name))


def _ends(data: Any) -> Iterator[Finding]:
    known = [str(node["id"]) for _, node in listed(data, "nodes") if "id" in node]
    names = set(known)
    for index, edge in listed(data, "edges"):
        for key in ("from", "to"):
            end = edge.get(key)
            if isinstance(end, str) and end not in names:
                hint = _near(end, known) or "mend the name or add the node"
                yield Finding("WF011", ("edges", index, key), f"no node is called '{clean_line(end, 60)}'", hint)
    starts = [(i, n) for i, n in listed(data, "nodes") if n.get("start") is True]
    if not starts and names:
        yield Finding("WF012", ("nodes",), "no node is marked as the start", "put 'start: true' on the first node")
    for index, node in starts[1:]:
        message = f"'{node.get('id')}' is a second start besides '{starts[0][1].get('id')}'"
        yield Finding("WF012", ("nodes", index, "start"), message, "keep 'start: true' on one node only")


def repaired(source: Source, findings: Iterable[Finding]) -> tuple[Source, Places, list[Place]]:
    """A copy of the source without the faulty parts, so that it builds; where its nodes and where its edges stand.

    `source.data` must be a mapping. The edges' places come in their order, since an edge may have no id in the file.
    """
    data = copy.deepcopy(source.data)
    index: dict[int, Place] = {id(item): (key, i) for key in ("nodes", "edges") for i, item in listed(data, key)}
    faults = [f for f in findings if f.code in ("WF003", "WF010", "WF011")]
    doubtful = set()
    known = [str(node.get("id")) for _, node in listed(data, "nodes")]
    for fault in list(faults):
        if fault.code == "WF011":
            edge = data["edges"][fault.place[1]]
            doubtful |= {str(edge.get("from")), str(edge.get("to"))}
            # A name that is nearly right is taken for what was meant, so that the rest of the file can be judged.
            if near := difflib.get_close_matches(edge[fault.place[2]], known, 1):
                edge[fault.place[2]] = near[0]
                faults.remove(fault)
    in_place = [f.code == "WF003" or (f.place[0] == "edges" and f.place[-1] == "id") for f in faults]
    cut = [f.place if keep else f.place[:-1] for f, keep in zip(faults, in_place, strict=True)]
    for _ in range(8):
        _prune(data, cut)
        for key, empty in (("name", "unnamed"), ("instruction", "?"), ("nodes", []), ("edges", [])):
            data.setdefault(key, empty)
        for _, node in listed(data, "nodes"):
            node.setdefault("role", "user" if "moves" in node else "terminal" if "outcome" in node else "agent")
        ids = {node.get("id") for _, node in listed(data, "nodes")}
        data["edges"] = [e for e in data["edges"] if isinstance(e, dict) and {e.get("from"), e.get("to")} <= ids]
        # A copy from which nothing was taken has no faults but those already found.
        cut = [f.place for f in schema_findings(data)] if cut else []
        if not cut:
            break
    starts = [node for _, node in listed(data, "nodes") if node.get("start") is True]
    for node in starts[1:]:
        del node["start"]
    if not starts and data["nodes"]:
        data["nodes"][0]["start"] = True
    nodes = {node["id"]: index[id(node)] for _, node in listed(data, "nodes")}
    edges = [index[id(edge)] for _, edge in listed(data, "edges")]
    places = Places(nodes, doubtful=frozenset(doubtful), sure_start=len(starts) == 1)
    return Source(source.name, data, source.marks), places, edges


def _prune(data: Any, places: Iterable[Place]) -> None:
    """Delete these places, or what lacks a key where the place is that key; the last first, so that indexes hold."""
    for place in sorted(places, key=lambda p: [(isinstance(k, str), k) for k in p], reverse=True):
        target: Any = data
        holders: list[Any] = []
        try:
            for key in place[:-1]:
                holders.append(target)
                target = target[key]
            if isinstance(target, list) or place[-1] in target:
                target.pop(place[-1])  # type: ignore[arg-type]  # an index if it is a list
            elif holders:
                del holders[-1][place[-2]]
        except (KeyError, IndexError, TypeError):
            continue  # it went with a part around it

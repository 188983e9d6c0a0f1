"""Reading a workflow file as plain data that remembers where everything stands (line and column, 1-based)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from workbench.errors import UserError
from workbench.text import clean_line

MAX_BYTES = 8_000_000
MAX_DEPTH = 24
MAX_VALUES = 400_000

Place = tuple[str | int, ...]
"""A position in the data: mapping keys and list indexes from the root, as in ("nodes", 3, "prompt")."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Source:
    """The data of a file and where each value starts; `duplicates` are mapping keys given twice."""

    name: str
    data: Any
    marks: Mapping[Place, tuple[int, int]] = field(default_factory=dict)
    duplicates: tuple[tuple[Place, int, int], ...] = ()

    def at(self, *place: str | int) -> tuple[int, int]:
        """(line, column) of a place, or of the nearest one around it that is in the file."""
        for end in range(len(place), -1, -1):
            if place[:end] in self.marks:
                return self.marks[place[:end]]
        return (1, 1)

    def where(self, *place: str | int) -> str:
        """`file:line:column` of a place."""
        line, column = self.at(*place)
        return f"{self.name}:{line}:{column}"


def read_file(path: Path) -> Source:
    """Read a YAML (or JSON) file. Raises UserError if it cannot be read, is not text, too large or not YAML."""
    name = clean_line(str(path), 300)
    try:
        if path.exists() and not path.is_dir() and not path.is_file():
            raise UserError(f"{name}: not a file but a device or a pipe; save it as a file first")
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise UserError(f"{name}: larger than {MAX_BYTES // 1_000_000} MB; a workflow file is far smaller")
        raw = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{name}: no such file; `workbench workflow list` shows the workflows that are there") from None
    except OSError as error:
        raise UserError(f"{name}: cannot be read ({error.strerror})") from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise UserError(f"{name}:{line}: not UTF-8 text; save the file as UTF-8") from None
    return read_text(text, name)


def read_text(text: str, name: str = "<text>") -> Source:
    """Parse YAML text. Raises UserError with the place of the first fault; never builds Python objects from tags."""
    marks: dict[Place, tuple[int, int]] = {}
    duplicates: list[tuple[Place, int, int]] = []
    budget = iter(range(MAX_VALUES))

    def build(node: yaml.Node, place: Place) -> Any:
        line, column = node.start_mark.line + 1, node.start_mark.column + 1
        marks.setdefault(place, (line, column))
        if len(place) > MAX_DEPTH:
            raise UserError(f"{name}:{line}:{column}: nested more than {MAX_DEPTH} deep; a workflow file is flatter")
        if next(budget, None) is None:
            raise UserError(f"{name}:{line}:{column}: more than {MAX_VALUES:,} values (multiplied by anchors?)")
        if isinstance(node, yaml.MappingNode):
            result: dict[str, Any] = {}
            for key_node, value_node in node.value:
                key = str(build(key_node, (*place, "\0key")))
                marks.pop((*place, "\0key"), None)
                if key in result:
                    duplicates.append(((*place, key), key_node.start_mark.line + 1, key_node.start_mark.column + 1))
                result[key] = build(value_node, (*place, key))
            return result
        if isinstance(node, yaml.SequenceNode):
            return [build(item, (*place, i)) for i, item in enumerate(node.value)]
        return _scalar(node)

    loader: Any = None
    try:
        _limit_depth(text, name)
        loader = _Loader(text)
        root = loader.get_single_node()
        data = build(root, ()) if root is not None else None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise UserError(
            f"{name}:{line}:{column}: not valid YAML: {clean_line(error.problem or 'syntax', 200)}"
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"{name}: not valid YAML: {clean_line(str(error), 200)}") from None
    except RecursionError:
        raise UserError(f"{name}: nested more than {MAX_DEPTH} deep; a workflow file is flatter") from None
    finally:
        if loader is not None:
            loader.dispose()
    return Source(name, data, marks, tuple(duplicates))


def _limit_depth(text: str, name: str) -> None:
    """Refuse deep nesting while only events are read: the composer recurses in C and would crash the process."""
    depth = 0
    loader = _Loader(text)
    try:
        while loader.check_event():
            event = loader.get_event()
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                line, column = event.start_mark.line + 1, event.start_mark.column + 1
                raise UserError(
                    f"{name}:{line}:{column}: nested more than {MAX_DEPTH} deep; a workflow file is flatter"
                )
    finally:
        loader.dispose()


_INT, _BOOL, _NULL = "tag:yaml.org,2002:int", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:null"


def _scalar(node: yaml.Node) -> str | int | bool | None:
    """Only text, whole numbers, booleans and null: dates and floats stay the text they were written as."""
    text = str(node.value)
    if node.tag == _INT and (text.lstrip("+-").isdigit()) and len(text) < 19:
        return int(text)
    if node.tag == _BOOL and text.lower() in {"true", "false"}:
        return text.lower() == "true"
    if node.tag == _NULL:
        return None
    return text


def texts(data: Any, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Every text in the data with its place."""
    if isinstance(data, str):
        yield place, data
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from texts(value, (*place, key))
    elif isinstance(data, list):
        for i, value in enumerate(data):
            yield from texts(value, (*place, i))

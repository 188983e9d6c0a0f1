"""Other formats, in and out: a registry by name. Readers make a workflow that loads; writers give text.

What a reader finds is untrusted: sizes are bounded, nothing is executed or fetched, except a LangGraph Python file
when the caller says that it is trusted.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workbench.errors import UserError
from workbench.text import clean_line
from workbench.workflow.exchange import bpmn, dot, drawio, langgraph, mermaid, yaml_format
from workbench.workflow.exchange.build import Imported, to_workflow
from workbench.workflow.exchange.chart import Chart
from workbench.workflow.model import Workflow

__all__ = ["FORMATS", "Format", "Imported", "read_file", "read_text", "write"]

MAX_BYTES = 8_000_000


@dataclass(frozen=True, slots=True)
class Format:
    """A format by name: file endings that tell it, and what reads and writes it (None: that way is not offered)."""

    name: str
    suffixes: tuple[str, ...]
    read: Callable[[str], Chart] | None
    write: Callable[[Workflow], str] | None


FORMATS: dict[str, Format] = {
    f.name: f
    for f in (
        Format(
            "mermaid", (".mmd", ".mermaid"), lambda text: langgraph.without_markers(mermaid.read(text)), mermaid.write
        ),
        Format("dot", (".dot", ".gv"), dot.read, dot.write),
        Format("drawio", (".drawio", ".dio"), drawio.read, drawio.write),
        Format("bpmn", (".bpmn",), bpmn.read, bpmn.write),
        Format("langgraph", (".py",), langgraph.read, langgraph.write_python),
        Format("json", (".json",), langgraph.read, langgraph.write_json),
        Format("yaml", (".yaml", ".yml"), None, yaml_format.write_yaml),
    )
}


def read_file(path: Path, format: str | None = None, *, trust: bool = False, name: str | None = None) -> Imported:
    """Read a flowchart file as a workflow called `name` (else as the file). Raises UserError naming the file."""
    wanted = name or path.stem
    try:
        if path.suffix == ".py" and format in (None, "langgraph"):
            if not trust:
                raise UserError(
                    "reading a Python file runs it; add --trust if you trust it, or export its graph as JSON"
                )
            return to_workflow(langgraph.read_python(path), "langgraph", wanted)
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise UserError(f"larger than {MAX_BYTES // 1_000_000} MB; a flowchart is far smaller")
        text = path.read_bytes().decode("utf-8-sig")
    except UserError as error:
        raise UserError(f"{clean_line(str(path), 300)}: {error}") from None
    except UnicodeDecodeError:
        raise UserError(f"{clean_line(str(path), 300)}: not UTF-8 text; save the file as UTF-8") from None
    except OSError as error:
        raise UserError(f"{clean_line(str(path), 300)}: cannot be read ({error.strerror})") from None
    try:
        return read_text(text, format or _guess(path, text), wanted)
    except UserError as error:
        raise UserError(f"{clean_line(str(path), 300)}: {error}") from None


def read_text(text: str, format: str, name: str) -> Imported:
    """Read a flowchart in a named format. Raises UserError."""
    reader = _format(format).read
    if reader is None:
        raise UserError(f"{format} is the workflow format itself: there is nothing to import")
    try:
        return to_workflow(reader(text), format, name)
    except RecursionError:
        raise UserError("nested too deep") from None


def write(workflow: Workflow, format: str) -> str:
    """The workflow in a named format. Raises UserError for an unknown one."""
    writer = _format(format).write
    assert writer is not None  # every format is written
    return writer(workflow)


def _format(name: str) -> Format:
    if name not in FORMATS:
        raise UserError(f"unknown format '{clean_line(name, 40)}' (known: {', '.join(FORMATS)})")
    return FORMATS[name]


def _guess(path: Path, text: str) -> str:
    """The format by the file's ending, else by how it begins."""
    for format in FORMATS.values():
        if path.suffix.lower() in format.suffixes:
            return format.name
    start = text.lstrip("\ufeff \t\r\n")[:4000]
    for pattern, name in (
        (r"<mxfile|<mxGraphModel", "drawio"),
        (r"<(\w+:)?definitions\b", "bpmn"),
        (r"^\s*(strict\s+)?(di)?graph\b[^\n]*\{", "dot"),
        (r"^\s*(```mermaid\s+)?(flowchart|graph)\b|^---\s", "mermaid"),
        (r"^\{", "json"),
    ):
        if re.search(pattern, start, re.M):
            return name
    raise UserError(f"its format cannot be told; give --from with one of {', '.join(FORMATS)}")

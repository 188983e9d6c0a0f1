"""What every command prints with: cleaned text for people, stable JSON for programs, and the shared options.

A command is a thin function: it asks a lower room for plain data and hands it to `emit`.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from workbench.home import Home
from workbench.text import clean, clean_line

F = TypeVar("F", bound=Callable[..., Any])

pass_home = click.make_pass_decorator(Home)
"""Hands the `Home` in force (`--home`, WORKBENCH_HOME, ./runs) to a command as its first argument."""


def json_option(function: F) -> F:
    """The `--json` option of every read, as the parameter `as_json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON for a program instead of text.")(function)


def on_option(function: F) -> F:
    """The `--on` option of every command whose job can be done by a cluster."""
    told = "A Ray cluster does the work: ray (this machine's cores), ray://ADDRESS or HOST:PORT; here (default): one process."
    return click.option("--on", metavar="WHERE", help=told)(function)


def example(*lines: str) -> str:
    """The examples that every command's help ends with, for `@click.command(epilog=example("workbench …"))`."""
    heading = "Example:" if len(lines) == 1 else "Examples:"
    return "\n".join(["\b", heading, *(f"  {line}" for line in lines)])


def plain(data: Any) -> Any:
    """`data` as what JSON can hold: dataclasses become objects, tuples and sets lists, NaN and infinities null."""
    if dataclasses.is_dataclass(data) and not isinstance(data, type):
        return {field.name: plain(getattr(data, field.name)) for field in dataclasses.fields(data)}
    if isinstance(data, Mapping):
        return {str(key): plain(value) for key, value in data.items()}
    if isinstance(data, float) and not math.isfinite(data):
        return None
    if isinstance(data, str | int | float | None):
        return data
    if isinstance(data, Path):
        return str(data)
    if isinstance(data, set | frozenset):
        return sorted(plain(item) for item in data)
    if isinstance(data, Iterable):
        return [plain(item) for item in data]
    raise TypeError(f"{type(data).__name__} has no JSON form")


def to_json(data: Any) -> str:
    """`data` as JSON that parses back unchanged and is harmless on a terminal: what `clean` drops is escaped."""
    text = json.dumps(plain(data), ensure_ascii=False, indent=2)
    harmful = {char for char in set(text) if not clean(char)}
    return text.translate({ord(char): json.dumps(char)[1:-1] if char != "\x7f" else "\\u007f" for char in harmful})


def emit(data: Any, as_json: bool, render: Callable[[Any], str]) -> None:
    """Print `data`: as JSON, or as the cleaned text that `render(data)` makes of it."""
    click.echo(to_json(data) if as_json else clean(render(data)))


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[int] = ()) -> str:
    """Aligned columns of one-line cells; columns whose index is in `right` are set flush right. None prints as '–'."""
    from rich.cells import cell_len

    cells = [[("–" if cell is None else clean_line(str(cell), 200)) for cell in row] for row in rows]
    flush = set(right)
    lines = [list(headers), *cells]
    widths = [max(cell_len(line[column]) for line in lines) for column in range(len(headers))]

    def pad(text: str, column: int) -> str:
        space = " " * (widths[column] - cell_len(text))
        return space + text if column in flush else text + space

    return "\n".join("  ".join(pad(cell, column) for column, cell in enumerate(line)).rstrip() for line in lines)

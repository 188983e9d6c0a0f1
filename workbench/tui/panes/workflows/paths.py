"""The table of paths as plain data: what is typed into its filter, its rows by position, and where a number leads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from workbench.dialogue.walked import choose_paths
from workbench.errors import UserError
from workbench.home import Home
from workbench.tui.effects import reader
from workbench.tui.format import count
from workbench.tui.widgets.table import Column, Row
from workbench.workflow.choosing import LISTED, Chosen, PathFilter
from workbench.workflow.draw.model import edge_number
from workbench.workflow.model import Workflow
from workbench.workflow.paths import Path, PathSpace, Size

HINT = "node or terminal ids · terminal:T node:N edge:E steps:4-9 covered:DATASET seen:EVALUATION, - before any: not"
_KEYS = ("terminal", "node", "edge", "steps", "covered", "seen")


@dataclass(frozen=True, slots=True)
class Asked:
    """A filter as typed, understood; `unknown` are the words that were not."""

    wanted: PathFilter = field(default_factory=PathFilter)
    unknown: tuple[str, ...] = ()


def understand(workflow: Workflow, text: str) -> Asked:
    """`terminal:denied -node:appeal steps:9-20 covered:last`: all must hold, a `-` before a word turns it round."""
    wanted, unknown = PathFilter(), list[str]()
    for word in text.split():
        plain = word.removeprefix("-")
        key, found, value = plain.partition(":")
        if not found or key not in _KEYS:
            key, value = "terminal" if plain in workflow.terminals else "node", plain
        try:
            wanted = _add(workflow, wanted, key, value, word != plain)
        except (UserError, KeyError):
            unknown.append(word)
    return Asked(wanted, tuple(unknown))


def _add(workflow: Workflow, wanted: PathFilter, key: str, value: str, no: bool) -> PathFilter:
    """The filter with one word more. KeyError or UserError if the word means nothing in this workflow."""
    if key == "steps":
        if no:
            raise UserError("steps have bounds of their own")
        return wanted.steps(value)
    if key in ("covered", "seen"):
        name = {"covered": ("covered", "uncovered"), "seen": ("seen", "unseen")}[key][no]
    elif value not in workflow.nodes and value not in workflow.edge:
        raise KeyError(value)
    elif no:
        name = "avoiding"
    else:
        name = "terminals" if key == "terminal" else "through"
    added: dict[str, Any] = {name: (*getattr(wanted, name), value)}
    return replace(wanted, **added)


@dataclass(frozen=True)
class PathSource:
    """The rows of the paths that pass a filter, made when they are looked at; there may be any number of them.

    A row is known by its path's rank in the whole space, whatever the filter; where the whole cannot be counted, by
    its position.
    """

    workflow: Workflow
    space: PathSpace
    chosen: Chosen
    asked: Asked
    size: Size
    whole: Size
    """The sizes of the choice and of the whole space, counted once."""
    error: str = ""
    """Why the filter could not be applied; then nothing passes."""

    def count(self) -> int:
        """How many rows there are (past the budget: as many as are listed)."""
        return self.size.least if self.size.exact else min(self.size.least, LISTED)

    def window(self, start: int, stop: int) -> Sequence[Row]:
        """Rank, steps, terminal and the numbers of the edges taken at the hubs."""
        paths = self.chosen.window(start, min(stop, self.count()))
        return [path_row(self.workflow, self.rank(path, start + n), path) for n, path in enumerate(paths)]

    def rank(self, path: Path, position: int) -> int:
        """What a row is known by."""
        return self.space.rank(path) if self.space.exact else position

    def path(self, rank: int) -> Path | None:
        """The path of a row; None if there is none."""
        if self.space.exact:
            return self.space[rank] if rank < self.space.count() else None
        return next(iter(self.chosen.window(rank, rank + 1)), None)

    def place(self, rank: int) -> int:
        """The position of the first row whose rank is at least this one; the last row if there is none."""
        low, high = 0, max(self.count() - 1, 0)
        if not self.space.exact:
            return min(rank, high)
        while low < high:
            middle = (low + high) // 2
            if self.space.rank(self.chosen.window(middle, middle + 1)[0]) < rank:
                low = middle + 1
            else:
                high = middle
        return low

    @property
    def named(self) -> bool:
        """Whether the filter names data sets or evaluations, so that the record has a say."""
        w = self.asked.wanted
        return bool(w.covered or w.uncovered or w.seen or w.unseen)

    @property
    def head(self) -> tuple[str, str]:
        """What the heading says of the rows, with its tone."""
        if self.error:
            return self.error, "bad"
        if self.asked.unknown:
            return f"not understood: {' '.join(self.asked.unknown)}", "bad"
        if not self.size.exact:
            return f"at least {count(self.size.least)}, the first {self.count():,} listed", "warn"
        if self.whole == self.size:
            return count(self.size.least), "dim"
        return f"{count(self.size.least)} of {count(self.whole.least) if self.whole.exact else 'too many'}", "dim"

    def columns(self) -> tuple[Column, ...]:
        """The table's columns: wide enough for the ranks."""
        last = self.space.count() - 1 if self.space.exact else LISTED
        return (
            Column("#", max(len(f"{last:,}"), 5), "right"), Column("steps", 5, "right"), Column("ends", 10), Column("hubs"),
        )  # fmt: skip


def find_paths(home: Home, workflow: Workflow, space: PathSpace, text: str) -> PathSource:
    """The rows that pass a filter as typed. What it names is looked up in the record."""
    asked, whole = understand(workflow, text), space.size()
    w = asked.wanted
    try:
        named = w.covered or w.uncovered or w.seen or w.unseen
        chosen = choose_paths(reader(home) if named else None, workflow, space, w)
        return PathSource(workflow, space, chosen, asked, chosen.size(), whole)
    except UserError as error:
        return PathSource(workflow, space, Chosen(space), asked, Size(0), whole, str(error))


def path_row(workflow: Workflow, rank: int, path: Path) -> Row:
    """A row of the table of paths."""
    end = workflow.edge[path[-1]].target
    choices = "".join(edge_number(workflow, workflow.edge[e]) or "" for e in path)
    tone = outcome_tone(workflow.nodes[end].outcome)
    return Row(str(rank), (f"{rank:,}", str(len(path) + 1), (end, tone), (choices, "dim")))


def outcome_tone(outcome: str | None) -> str:
    """Success is good, giving up is a warning, anything else is plain."""
    return {"success": "good", "abandoned": "warn", "escalated": "warn", "failure": "bad"}.get(outcome or "", "plain")


def destination(source: PathSource, text: str) -> int | None:
    """The position that `1234` (a path's number) or `45%` (of the rows) means; None for anything else."""
    text = "".join(text.split()).replace(",", "").replace("_", "").removeprefix("#")
    number, share = text.removesuffix("%"), text.endswith("%")
    whole, _, parts = number.partition(".")
    if len(text) > 400 or not (whole + parts).isdecimal() or not (whole + parts).isascii() or (parts and not share):
        return None
    if share:
        return int(Fraction(number if whole else f"0{number}") / 100 * max(source.count() - 1, 0))
    return source.place(int(number))

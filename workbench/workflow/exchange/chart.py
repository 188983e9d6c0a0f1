"""What every reader makes of a flowchart, whatever its format: shapes, links, and a list of what was lost."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from typing import Literal

from workbench.text import clean, clean_line

Kind = Literal["", "agent", "user", "terminal", "decision", "start"]


@dataclass(slots=True)
class Shape:
    """A node as drawn. `kind` is what its form or its own attributes tell about it; empty if nothing."""

    id: str
    label: str = ""
    kind: Kind = ""
    prompt: str = ""
    outcome: str = ""
    start: bool = False
    lane: str = ""


@dataclass(slots=True)
class Link:
    """An arrow as drawn."""

    source: str
    target: str
    label: str = ""


@dataclass(slots=True)
class Chart:
    """A flowchart as drawn. `lost` says in words what the workflow will not have."""

    title: str = ""
    shapes: dict[str, Shape] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def shape(self, id: str) -> Shape:
        """The shape with this id, made if it is new."""
        return self.shapes.setdefault(id, Shape(id))

    def lose(self, what: str) -> None:
        """Note something that is not carried over, once."""
        if (line := clean_line(what, 200)) not in self.lost:
            self.lost.append(line)


def one_line(text: str) -> str:
    """Text that is no HTML, cleaned and on one line."""
    return " ".join(clean(text).split())


def plain_text(label: str) -> str:
    """A label without HTML tags, entities, Markdown marks and line breaks."""
    text = re.sub(r"(?i)<\s*(br|/p|/div|/li)\s*/?\s*>", " ", label)
    text = re.sub(r"<[^<>]{0,2000}>", "", text)
    return " ".join(clean(html.unescape(text)).replace("\xa0", " ").split())

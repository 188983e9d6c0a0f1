"""Markdown of untrusted text as toned lines: headings, lists, quotes, code and emphasis. Nothing in it is executed: a link
is its words and, dimmed, where it leads; HTML stays text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from workbench.text import clean
from workbench.tui.widgets.safe import Line, Span, pieces, wrap, wrap_line

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_MARKS = re.compile(r"[*_`#\[>|~]|^\s*([-+]|\d+[.)])\s", re.M)


def markdown(text: str, width: int) -> list[Line]:
    """`text` rendered for `width` cells; text without any mark is wrapped as it stands."""
    text = clean(text)
    if not _MARKS.search(text):
        return [((row, "plain"),) for row in wrap(text, width)]
    rows: list[Line] = []
    _Blocks(rows, max(width, 4)).render(_parser().parse(text))
    while rows and not rows[-1]:
        rows.pop()
    return rows or [()]


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark", {"html": False})


class _Blocks:
    """Turns block tokens into rows: what stands before a row (a quote's bar, a list's indent) is a stack."""

    def __init__(self, rows: list[Line], width: int) -> None:
        self.rows, self.width = rows, width
        self.before: list[str] = []
        self.marker = ""
        self.numbers: list[int | None] = []

    def render(self, tokens: Sequence[Token]) -> None:
        tone, tight = "plain", False
        for token in tokens:
            match token.type:
                case "heading_open":
                    tone = "strong"
                case "heading_close":
                    tone = "plain"
                    self.rows.append(())
                case "paragraph_open":
                    tight = token.hidden
                case "paragraph_close" if not tight:
                    self.rows.append(())
                case "inline":
                    self.put(_spans(token.children or [], tone))
                case "fence" | "code_block":
                    for row in token.content.rstrip("\n").split("\n"):
                        self.put([(row, "key")])
                    self.rows.append(())
                case "hr":
                    self.put([("─" * 8, "dim")])
                case "blockquote_open":
                    self.before.append("│ ")
                case "bullet_list_open" | "ordered_list_open":
                    start = int(token.attrGet("start") or 1) if token.type.startswith("ordered") else None
                    self.numbers.append(start)
                case "list_item_open":
                    self.item()
                case "list_item_close" | "blockquote_close":
                    self.before.pop()
                case "bullet_list_close" | "ordered_list_close":
                    self.numbers.pop()
                    if not self.numbers:
                        self.rows.append(())
                case _:
                    pass

    def item(self) -> None:
        number = self.numbers[-1]
        self.marker = "• " if number is None else f"{number}. "
        if number is not None:
            self.numbers[-1] = number + 1
        self.before.append(" " * len(self.marker))

    def put(self, spans: list[Span]) -> None:
        lead = "".join(self.before)
        first = "".join(self.before[:-1]) + self.marker if self.marker else lead
        self.marker = ""
        room = max(self.width - len(lead), 4)
        for part in _split(spans):
            for row in wrap_line(tuple(_broken(part, room)), room):
                self.rows.append(((first, "dim"), *row) if first else row)
                first = lead


def _spans(tokens: Sequence[Token], tone: str) -> list[Span]:
    """Inline tokens as spans; a newline in a span is a line break."""
    spans: list[Span] = []
    strong = emphasis = 0
    links: list[tuple[str, int]] = []
    for token in tokens:
        here = "strong" if strong else "accent" if emphasis else tone
        match token.type:
            case "text" | "html_inline":
                spans.append((token.content, here))
            case "code_inline":
                spans.append((token.content, "key"))
            case "softbreak" | "hardbreak":
                spans.append(("\n", here))
            case "strong_open":
                strong += 1
            case "strong_close":
                strong -= 1
            case "em_open":
                emphasis += 1
            case "em_close":
                emphasis -= 1
            case "link_open":
                links.append((str(token.attrGet("href") or ""), len(spans)))
            case "link_close":
                href, since = links.pop()
                if "".join(text for text, _ in spans[since:]) != href:
                    spans.append((f" ({href})", "dim"))
            case "image":
                spans.append((f"[picture: {token.content}]", "dim"))
            case _:
                pass
    return spans


def _split(spans: Sequence[Span]) -> list[list[Span]]:
    """Spans cut into lines at newlines."""
    lines: list[list[Span]] = [[]]
    for text, tone in spans:
        for number, part in enumerate(text.split("\n")):
            if number:
                lines.append([])
            if part:
                lines[-1].append((part, tone))
    return lines


def _broken(spans: Sequence[Span], width: int) -> list[Span]:
    """Words that are longer than a line are broken, so that none of them is cut off."""
    out: list[Span] = []
    for text, tone in spans:
        words = (part for word in text.split(" ") for part in pieces(word, width))
        out.append((" ".join(words), tone))
    return out

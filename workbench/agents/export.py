"""Conversations as files: Markdown and JSON lines for reading and programs, SVG and HTML as a picture side by side."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal, get_args

from workbench.store.rows import ConversationRow, MessageRow
from workbench.text import clean, clean_line

if TYPE_CHECKING:
    from rich.console import Console

Form = Literal["md", "jsonl", "svg", "html"]
FORMS: tuple[Form, ...] = get_args(Form)
Held = tuple[ConversationRow, Sequence[MessageRow]]
COLUMN_CELLS = 48


def export(held: Sequence[Held], form: Form, title: str = "") -> str:
    """The conversations as the text of a file of this form."""
    if form == "md":
        return "\n".join(_markdown(row, messages) for row, messages in held) + "\n"
    if form == "jsonl":
        return "\n".join(_json_line(row, messages) for row, messages in held) + "\n"
    console = _drawn(held)
    shown = clean_line(title, 120) or "workbench chat"
    if form == "html":
        return console.export_html(inline_styles=True)
    from rich._export_format import CONSOLE_SVG_FORMAT

    alone = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)  # no font from anywhere else
    return console.export_svg(title=shown, code_format=alone)


def facts(row: ConversationRow) -> str:
    """Who spoke, when, how it ended and what it cost, in a line."""
    end = f"{row.terminal or 'no terminal'} (ended by {row.ended_by})" if row.ended_by else row.status
    cost = row.totals.get("cost")
    dollars = "unknown" if not isinstance(cost, int | float) else f"${cost:.4f}"
    when = datetime.fromtimestamp(row.created, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return clean_line(f"{row.agent}, user {row.provenance.get('user', '?')}, {when}, {end}, cost {dollars}", 300)


def figures(message: MessageRow, *, nodes: bool = True) -> str:
    """What an agent's message took and, if wanted, the nodes of it; "" for a user's."""
    if message.role != "agent" or message.latency_s is None:
        return ""
    read = (message.label or {}).get("nodes")
    place = message.nodes or (tuple(map(str, read)) if isinstance(read, list) else ())
    took = took_words(message.usage, message.calls, message.latency_s, message.ttft_s, message.cost)
    return clean_line(", ".join([took, *(["→".join(place)] if place and nodes else [])]), 200)


def took_words(usage: Mapping[str, int], calls: int, latency_s: float, ttft_s: float | None, cost: float | None) -> str:
    """What a message took: tokens in (those from a cache apart) and out, seconds, calls, dollars; `–` is unknown."""
    if not calls:
        return "no model call"
    cached, given = usage.get("cache_read", 0), usage.get("input", 0) + usage.get("cache_write", 0)
    first = "–" if ttft_s is None else f"{ttft_s:.2f} s"
    parts = [
        f"{given}{f'+{cached} cached' if cached else ''}→{usage.get('output', 0)} tokens",
        f"{latency_s:.1f} s, first {first}",
        *([f"{calls} calls"] if calls > 1 else []),
        "cost unknown" if cost is None else f"${cost:.{6 if 0 < cost < 0.001 else 4}f}",
    ]
    return ", ".join(parts)


def _markdown(row: ConversationRow, messages: Sequence[MessageRow]) -> str:
    lines = [f"# Conversation {row.id}", "", facts(row), ""]
    for message in messages:
        said = clean(message.text).replace("\\", "\\\\").replace("<", "\\<").replace("[", "\\[")
        lines += [f"**{'User' if message.role == 'user' else 'Agent'}**", ""]
        lines += [f"> {line}" for line in said.splitlines() or [""]]
        lines.append("")
        if note := figures(message):
            lines += [f"`{note.replace('`', '')}`", ""]
    return "\n".join(lines)


def _json_line(row: ConversationRow, messages: Sequence[MessageRow]) -> str:
    return json.dumps({"conversation": asdict(row), "messages": [asdict(m) for m in messages]}, sort_keys=True)


def _drawn(held: Sequence[Held]) -> Console:
    """The conversations side by side on a recording console."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(
        record=True,
        width=COLUMN_CELLS * len(held) + 4,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
    )
    table = Table(box=box.SIMPLE, expand=True, padding=(0, 1, 1, 0))
    for row, _ in held:
        table.add_column(Text(clean_line(row.agent, 80)), ratio=1)
    for messages in zip_longest(*(messages for _, messages in held)):
        cells: list[Text] = []
        for message in messages:
            cell = Text()
            if message is not None:
                cell.append(clean(message.text), style="" if message.role == "agent" else "bold yellow")
                if note := figures(message):
                    cell.append(f"\n{note}", style="dim")
            cells.append(cell)
        table.add_row(*cells)
    table.add_row(*(Text(facts(row), style="dim italic") for row, _ in held))
    console.print(table)
    return console

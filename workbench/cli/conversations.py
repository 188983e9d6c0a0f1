"""`workbench conversations`: list, read, export and replay what agents have said."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from workbench.agents.replay import timeline
from workbench.cli.output import emit, example, json_option, pass_home, plain, table
from workbench.cli.review import review_command
from workbench.errors import UserError
from workbench.home import Home
from workbench.store import connect
from workbench.store.conversations import ConversationFilter, conversations, get_conversation
from workbench.store.find import find
from workbench.store.rows import ConversationRow, MessageRow
from workbench.text import clean, clean_line


@click.group(epilog=example("workbench conversations list --agent compiled:last"))
def group() -> None:
    """List, read, review, export and replay recorded conversations."""


@group.command(
    "list",
    epilog=example(
        "workbench conversations list --ended-by messages", "workbench conversations list --text refund --json"
    ),
)
@click.option("--agent", help="Only this agent, by its full name (compiled:RUN).")
@click.option("--comparison", help="Only those of a comparison (id, name or last).")
@click.option("--live/--simulated", default=None, help="Only chats, or only those of evaluations.")
@click.option("--terminal", help="Only those that ended at this terminal.")
@click.option("--ended-by", help="Only those ended by: agent, user, gave_up, messages, cut, failure, error, stopped.")
@click.option("--text", default="", help="Only those in which these words were said.")
@click.option("--limit", "-n", type=click.IntRange(1), default=50, show_default=True, help="At most so many.")
@json_option
@pass_home
def list_(
    home: Home,
    agent: str | None,
    comparison: str | None,
    live: bool | None,
    terminal: str | None,
    ended_by: str | None,
    text: str,
    limit: int,
    as_json: bool,
) -> None:
    """List conversations, newest first."""
    with connect(home, readonly=True) as record:
        wanted = ConversationFilter(
            comparison_id=find(record, "comparison", comparison) if comparison else None,
            agent=agent,
            live=live,
            terminal=terminal,
            ended_by=ended_by,
            text=text,
        )
        found = conversations(record, wanted, "-made")
    emit(found[:limit], as_json, lambda _: _render_list(found, limit))


@group.command(epilog=example("workbench conversations show last", "workbench conversations show 3f2a --nodes"))
@click.argument("conversation")
@click.option("--nodes", is_flag=True, help="Show the graph position of every message, where it is known.")
@json_option
@pass_home
def show(home: Home, conversation: str, nodes: bool, as_json: bool) -> None:
    """Read one conversation. CONVERSATION is an id, its beginning, or last."""
    row, messages = _get(home, conversation)
    emit({"conversation": row, "messages": messages}, as_json, lambda _: _render_one(row, messages, nodes))


@group.command(
    epilog=example("workbench conversations export last --to md -o talk.md", "workbench conversations export 3f2a 77b0")
)
@click.argument("conversation", nargs=-1, required=True)
@click.option("--to", "form", type=click.Choice(["md", "jsonl"]), default="jsonl", show_default=True)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A file (else standard output).")
@pass_home
def export(home: Home, conversation: Sequence[str], form: str, output: Path | None) -> None:
    """Write conversations as Markdown, or as JSON lines: one conversation a line, with all that was measured."""
    parts = []
    for wanted in conversation:
        row, messages = _get(home, wanted)
        parts.append(_markdown(row, messages) if form == "md" else _json_line(row, messages))
    text = "\n".join(parts) + "\n"
    if output is None:
        click.echo(clean(text), nl=False)
        return
    try:
        output.write_text(text, "utf-8")
    except OSError as error:
        raise UserError(f"cannot write {output}: {error.strerror or error}") from error


@group.command(epilog=example("workbench conversations replay last", "workbench conversations replay 3f2a --speed 4"))
@click.argument("conversation")
@click.option(
    "--speed", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True, help="Times faster."
)
@json_option
@pass_home
def replay(home: Home, conversation: str, speed: float, as_json: bool) -> None:
    """Play a conversation again with its original timing, without any model (--json: its timeline, at once)."""
    row, messages = _get(home, conversation)
    pieces = list(timeline(messages))
    if as_json:
        emit(pieces, True, str)
        return
    click.echo(f"REPLAY {clean_line(row.agent)}, recorded {_when(row.created)}, {speed:g}× speed\n")
    start, begun = time.monotonic(), -1
    for piece in pieces:
        time.sleep(max(0.0, start + piece.at / speed - time.monotonic()))
        if piece.idx != begun:
            click.echo("> " if piece.role == "user" else "", nl=False)
            begun = piece.idx
        click.echo(clean(piece.text) + ("\n" if piece.last else ""), nl=piece.last)


group.add_command(review_command("conversation"))


def _get(home: Home, wanted: str) -> tuple[ConversationRow, list[MessageRow]]:
    with connect(home, readonly=True) as record:
        found = get_conversation(record, find(record, "conversation", wanted))
    assert found is not None, "find gives ids that are there"
    return found


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _cost(totals: Any) -> str:
    cost = totals.get("cost")
    return "unknown" if cost is None else f"${cost:.4f}"


def _render_list(found: Sequence[ConversationRow], limit: int) -> str:
    if not found:
        return "no conversations: `workbench chat AGENT` or `workbench evaluate W --agents …` makes some"
    rows = [
        (
            r.id,
            r.agent,
            r.terminal or "",
            r.ended_by or r.status,
            r.totals.get("messages"),
            _cost(r.totals),
            _when(r.created),
        )
        for r in found[:limit]
    ]
    text = table(("id", "agent", "terminal", "ended by", "messages", "cost", "begun"), rows, right=(4, 5))
    return text if len(found) <= limit else f"{text}\n… {len(found) - limit} more (--limit)"


def _facts(row: ConversationRow) -> str:
    end = f"{row.terminal or 'no terminal'} (ended by {row.ended_by})" if row.ended_by else row.status
    user = row.provenance.get("user", "?")
    return f"{row.agent}, user {user}, {_when(row.created)}, {end}, cost {_cost(row.totals)}"


def _render_one(row: ConversationRow, messages: Sequence[MessageRow], nodes: bool) -> str:
    lines = [f"{row.id}  {clean_line(_facts(row), 300)}", ""]
    for message in messages:
        lines.append(f"> {message.text}" if message.role == "user" else message.text)
        figures = []
        if message.role == "agent" and message.latency_s is not None:
            figures.append(f"{message.usage.get('output', 0)} tokens, {message.latency_s:.1f} s")
        if nodes and message.nodes:
            figures.append("→".join(message.nodes))
        if figures:
            lines.append(f"    [{', '.join(figures)}]")
    return "\n".join(lines)


def _markdown(row: ConversationRow, messages: Sequence[MessageRow]) -> str:
    lines = [f"# Conversation {row.id}", "", clean_line(_facts(row), 300), ""]
    for message in messages:
        said = clean(message.text).replace("\\", "\\\\").replace("<", "\\<").replace("[", "\\[")
        lines += [f"**{'User' if message.role == 'user' else 'Agent'}**", ""]
        lines += [f"> {line}" for line in said.splitlines() or [""]]
        lines.append("")
    return "\n".join(lines)


def _json_line(row: ConversationRow, messages: Sequence[MessageRow]) -> str:
    return json.dumps({"conversation": plain(row), "messages": plain(messages)}, sort_keys=True)

"""`workbench conversations`: list, read, export and replay what agents have said."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from workbench.agents.export import FORMS, Form, facts, figures
from workbench.agents.export import export as written
from workbench.agents.replay import timeline
from workbench.cli.output import emit, example, json_option, pass_home, table
from workbench.cli.review import review_command
from workbench.errors import UserError
from workbench.home import Home
from workbench.store import connect
from workbench.store.blind import unnamed, veiled, veiled_talk
from workbench.store.chats import chat_conversations, chats, find_chat, name_chat
from workbench.store.conversations import ConversationFilter, first_conversations, get_conversation
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
        rows, every = first_conversations(record, wanted, limit)
        rows = veiled(record, rows)
    # a blind chat is not chosen by what it does not tell
    found = [row for row in rows if agent in (None, row.agent) and terminal in (None, row.terminal)]
    hidden = len(rows) - len(found)
    emit(found, as_json, lambda _: _render_list(found, every - hidden))


@group.command(epilog=example("workbench conversations show last", "workbench conversations show 3f2a --nodes"))
@click.argument("conversation")
@click.option("--nodes", is_flag=True, help="Show the graph position of every message, where it is known.")
@json_option
@pass_home
def show(home: Home, conversation: str, nodes: bool, as_json: bool) -> None:
    """Read one conversation. CONVERSATION is an id, its beginning, or last."""
    row, messages = _get(home, conversation)
    emit({"conversation": row, "messages": messages}, as_json, lambda _: _render_one(row, messages, nodes))


@group.command("chats", epilog=example("workbench conversations chats", "workbench conversations chats --json"))
@json_option
@pass_home
def chats_(home: Home, as_json: bool) -> None:
    """List chats (conversations held side by side), newest first, with their names."""
    with connect(home, readonly=True) as record:
        found = [replace(c, agents=tuple(map(unnamed, range(len(c.agents))))) if c.blind else c for c in chats(record)]

    def render(_: object) -> str:
        rows = [
            (
                c.job,
                c.name,
                "blind" if c.blind else ", ".join(c.agents),
                c.messages,
                "open" if c.open else "ended",
                _when(c.created),
            )
            for c in found
        ]
        headers = ("chat", "name", "agents", "messages", "state", "begun")
        return table(headers, rows, right=(3,)) if rows else "no chats: `workbench chat AGENT AGENT` makes one"

    emit(found, as_json, render)


@group.command(epilog=example('workbench conversations name last "the one with the refund"'))
@click.argument("chat")
@click.argument("name")
@pass_home
def name(home: Home, chat: str, name: str) -> None:
    """Give a chat a name. CHAT is its id, the beginning of one, its present name, or last."""
    with connect(home) as record:
        name_chat(record, find_chat(record, chat).job, name.strip())


@group.command(
    epilog=example(
        "workbench conversations export last --to md -o talk.md",
        "workbench conversations export 3f2a 77b0 --to svg -o side-by-side.svg",
        "workbench conversations export --chat last --to html -o talk.html",
    )
)
@click.argument("conversation", nargs=-1)
@click.option("--chat", help="All columns of a chat: its id, name or last.")
@click.option("--to", "form", type=click.Choice(FORMS), default="jsonl", show_default=True)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A file (else standard output).")
@pass_home
def export(home: Home, conversation: Sequence[str], chat: str | None, form: Form, output: Path | None) -> None:
    """Write conversations: Markdown, JSON lines (all that was measured), or a picture of them side by side."""
    if bool(conversation) == bool(chat):
        raise UserError("name conversations, or a chat: `workbench conversations list` and `chats` show them")
    title = ""
    if chat:
        with connect(home, readonly=True) as record:
            row = find_chat(record, chat)
            conversation, title = chat_conversations(record, row.job), row.name
    text = written([_get(home, wanted) for wanted in conversation], form, title)
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
        return veiled_talk(record, *found)


def _when(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _cost(totals: Any) -> str:
    cost = totals.get("cost")
    return "unknown" if cost is None else f"${cost:.4f}"


def _render_list(found: Sequence[ConversationRow], every: int) -> str:
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
        for r in found
    ]
    text = table(("id", "agent", "terminal", "ended by", "messages", "cost", "begun"), rows, right=(4, 5))
    return text if len(found) == every else f"{text}\n… {every - len(found):,} more (--limit)"


def _render_one(row: ConversationRow, messages: Sequence[MessageRow], nodes: bool) -> str:
    lines = [f"{row.id}  {facts(row)}", ""]
    for message in messages:
        lines.append(f"> {message.text}" if message.role == "user" else message.text)
        if note := figures(message, nodes=nodes):
            lines.append(f"    [{note}]")
    return "\n".join(lines)

"""`workbench chat`: talk to one or more agents side by side, in plain text."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, TextIO

import click

from workbench.agents.export import took_words
from workbench.agents.live_client import (
    Event,
    LiveClient,
    draw_scenario,
    failure_words,
    launch_chat,
    with_persona,
    workflow_of,
)
from workbench.cli.output import example, json_option, pass_home, to_json
from workbench.errors import ServiceError, UserError
from workbench.home import Home
from workbench.text import clean, clean_line
from workbench.workflow.load import load_workflow

ORDERS = """/to B TEXT      say TEXT to column B alone (it has then diverged)
/auto [N]       let the simulated user say N messages, or go on to the end
/back N [TEXT]  go on after message N, saying TEXT next; the old conversation stays in the record
/retry          ask failed columns again, the others for their last reply anew
/vote A|B|tie|bad [NOTE]   judge; a blind comparison then tells the names
/end            end the conversation"""
LETTERS = "ABCD"
_LONGEST_LINE = 1 << 16
_LEAST_WIDTH = 28
"""Narrower columns are printed one below the other."""


@click.command(
    epilog=example(
        "workbench chat compiled:last                            talk; an empty line or Ctrl+D ends it",
        "workbench chat compiled:last oracle --auto --seed 3     let a simulated user talk to both",
        "workbench chat compiled:last oracle --blind             names are told after your vote",
        "workbench chat compiled:last --script lines.txt --json  say the lines of a file",
        'echo "To Oslo, please." | workbench chat in-context:anthropic/claude-sonnet-5-5',
    )
)
@click.argument("agents", nargs=-1, metavar="AGENT [AGENT…]")
@click.option("--workflow", "-w", metavar="W", help="Workflow, by name or file (else the one a compiled run learnt).")
@click.option("--scenario", metavar="ID", help="A scenario of the record, for the oracle and the simulated user.")
@click.option("--auto", is_flag=True, help="Let a simulated user talk (with a drawn scenario, if none is given).")
@click.option("--user", metavar="USER", help="Who the simulated user is: agenda (default) or llm:MODEL.")
@click.option("--persona", metavar="P", help="The persona of the simulated user, else the scenario's own.")
@click.option("--blind", is_flag=True, help="Shuffle the agents and name them after a vote.")
@click.option("--seed", default=0, show_default=True, help="Seed of the drawn scenario and of the simulated user.")
@click.option("--script", type=click.File(), help="Read the user's lines from a file (or a pipe: -).")
@click.option("--join", "job", metavar="JOB", help="Join a conversation, or take up one whose process has gone.")
@json_option
@pass_home
def command(
    home: Home,
    agents: tuple[str, ...],
    workflow: str | None,
    scenario: str | None,
    auto: bool,
    user: str | None,
    persona: str | None,
    blind: bool,
    seed: int,
    script: TextIO | None,
    job: str | None,
    as_json: bool,
) -> None:
    """Talk to one to four agents side by side: compiled:RUN, orchestrated:MODEL, in-context:MODEL, oracle.

    Lines come from the keyboard, a pipe or --script. Ctrl+C leaves the conversation as it is: --join takes it up again.
    A line that begins with / is an order; /help lists them.
    """
    if bool(agents) == bool(job):
        raise UserError("name the agents to talk to (compiled:RUN, oracle, …), or --join JOB")
    if job is None:
        flow = workflow or workflow_of(home, agents)
        load_workflow(flow)
        if scenario is None and (auto or persona or any(a.strip() == "oracle" for a in agents)):
            scenario = draw_scenario(home, flow, seed)
        if scenario and persona:
            scenario = with_persona(home, flow, scenario, persona)
        simulated = user or ("agenda" if scenario else None)
        job = launch_chat(home, agents, flow, scenario=scenario, user=simulated, seed=seed, blind=blind).id
    else:
        job = _taken_up(home, job)
    try:
        columns = asyncio.run(_talk(home, job, auto, script or sys.stdin, quiet=as_json))
    except KeyboardInterrupt:
        click.echo(f"\nleft; `workbench chat --join {job}` takes it up again", err=True)
        raise
    if as_json:
        click.echo(to_json([column.told() for column in columns]))
    if columns and all(column.ended_by is None and column.error for column in columns):
        raise ServiceError((not columns[0].is_unnamed and columns[0].error) or "no agent could answer")


def _taken_up(home: Home, job: str) -> str:
    """The chat of this id; started again where its process has ended. Raises UserError if it is none."""
    from workbench.jobs import ENDED, resume, status

    now = status(home, job)
    if now.kind != "chat":
        raise UserError(f"{now.id} is no conversation but {now.kind}: `workbench conversations chats` lists them")
    return resume(home, now.id).id if now.state in ENDED else now.id


class _Column:
    """What is known of one agent's side of the talk."""

    def __init__(self, agent: str, conversation: str, shown: str) -> None:
        self.agent, self.conversation = agent, conversation
        self.shown = shown
        """What it is called: its name, or in a blind comparison before the vote a letter."""
        self.messages: list[dict[str, Any]] = []
        self.partial = ""
        """What has come of the reply in the making, or of one that failed."""
        self.totals: dict[str, Any] = {}
        self.state = "answering"
        self.ended_by: str | None = None
        self.terminal: str | None = None
        self.error: str | None = None

    def take(self, event: Event) -> None:
        """Bring the column up to date."""
        if event["type"] == "branch":
            del self.messages[event["idx"] :]
            self.conversation, self.state = event["conversation"], "answering"
        elif event["type"] == "place" and self.messages:
            self.messages[-1]["place"] = {n: event[n] for n in ("nodes", "at", "known")}
        elif event["type"] == "chunk":
            self.partial += event["text"]
        elif event["type"] in ("said", "turn") and event["text"]:
            self.partial = ""
            role = "user" if event["type"] == "said" else "agent"
            names = ("text", "move", "nodes", "calls", "latency_s", "ttft_s", "cost", "usage", "stop_reason")
            self.messages.append({"role": role, **{n: event[n] for n in names if n in event}})
            self.totals = event.get("totals", self.totals)
        elif event["type"] == "state":
            if self.error and event["state"] != "failed":  # it is asked again
                self.partial = ""
            busy = event["state"] == "ready" and (event["queued"] or event["auto"])
            self.state = "answering" if busy else event["state"]
            self.ended_by, self.terminal = event.get("ended_by"), event.get("terminal")
            self.error = event.get("error")

    def told(self) -> dict[str, Any]:
        """All that is known of it; before the vote of a blind comparison who said what, and nothing that tells who it is."""
        known = {name: value for name, value in vars(self).items() if name != "shown"}
        if not self.is_unnamed:
            return known
        said = [{name: m[name] for name in ("role", "text") if name in m} for m in self.messages]
        error = failure_words(self.error or "", unnamed=True) or None
        return known | {"agent": self.shown, "messages": said, "totals": {}, "terminal": None, "error": error}

    @property
    def is_unnamed(self) -> bool:
        """Whether nothing may tell yet who it is."""
        return self.shown != self.agent

    @property
    def is_done(self) -> bool:
        """Whether nothing more comes from it before somebody speaks."""
        return self.state in ("ended", "failed") or (self.state == "ready" and bool(self.messages))


async def _talk(home: Home, job: str, auto: bool, lines: TextIO, *, quiet: bool) -> list[_Column]:
    client = await LiveClient.join(home, job, timeout=600.0)
    printer = _Printer(quiet)
    columns: list[_Column] = []
    events = client.events()
    try:
        await _settle(events, columns, printer)
        if auto:
            await client.auto()
            await _settle(events, columns, printer, to_the_end=True)
        while _goes_on(columns, lines):
            line = await (_typed(lines, quiet) if lines.isatty() else asyncio.to_thread(_read, lines))
            if not line or line == "/end":
                break
            if line.startswith("/"):
                await _obey(client, events, columns, printer, line)
            elif said := [c for c in columns if c.state == "ready"]:
                await _say(client, columns, said, line)
                await _settle(events, columns, printer)
            elif not lines.isatty():
                break
            else:
                click.echo("nobody listens any more: /retry, /back N, /vote A|B|tie|bad or /end")
        await client.end()
        with suppress(StopAsyncIteration):
            while not all(c.state == "ended" for c in columns):
                _take(await anext(events), columns)
    finally:
        await client.close()
    printer.totals(columns)
    return columns


def _goes_on(columns: Sequence[_Column], lines: TextIO) -> bool:
    """Whether there is anything to be said: a person is not asked for more once all have ended, but for a vote."""
    unnamed = any(c.is_unnamed for c in columns)
    return unnamed or not lines.isatty() or any(c.state != "ended" for c in columns)


async def _say(client: LiveClient, columns: Sequence[_Column], to: Sequence[_Column], text: str) -> None:
    for column in to:
        column.state = "answering"
    await client.say(text, [columns.index(c) for c in to])


async def _obey(client: LiveClient, events: Any, columns: list[_Column], printer: _Printer, line: str) -> None:
    """Do what an order says, and show what comes of it. Raises UserError for one that makes no sense."""
    order, _, rest = line[1:].partition(" ")
    first, _, words = rest.strip().partition(" ")
    match order:
        case "to" if words and (column := _lettered(columns, first)):
            await _say(client, columns, [column], words)
        case "auto" if not first or first.isdigit():
            await client.auto(int(first) if first else None)
        case "back" if first.isdigit():
            printer.again(int(first))
            for column in [c for c in columns if len(c.messages) >= int(first)] or columns:
                column.state = "answering"
            await client.back(int(first), words or None)
        case "retry":
            printer.again(min((len(c.messages) for c in columns), default=1) - 1)
            for column in columns:
                column.state = "answering" if column.messages or column.error else column.state
            await client.retry()
        case "vote" if first in ("tie", "bad") or _lettered(columns, first):
            column = _lettered(columns, first)
            await client.vote(str(columns.index(column)) if column else first, words)
            await _voted(events, columns)
            return
        case _:
            click.echo(ORDERS)
            return
    await _settle(events, columns, printer, to_the_end=order == "auto" and not first)


def _lettered(columns: Sequence[_Column], letter: str) -> _Column | None:
    at = LETTERS.find(letter.upper()) if len(letter) == 1 else -1
    return columns[at] if 0 <= at < len(columns) else None


async def _voted(events: Any, columns: list[_Column]) -> None:
    """Wait until the vote is in the record, then tell the names."""
    async for event in events:
        if event["type"] == "refused":
            raise UserError(str(event["error"]))
        _take(event, columns)
        if event["type"] == "vote":
            click.echo(", ".join(f"{LETTERS[n]} is {clean_line(c.agent, 120)}" for n, c in enumerate(columns)))
            return


def _read(lines: TextIO) -> str:
    """The next line that says something; "" at the end."""
    said = (clean(line).strip() for line in iter(lines.readline, ""))
    return next(filter(None, said), "")


async def _typed(lines: TextIO, quiet: bool) -> str:
    """What a person at the keyboard enters next; "" for nothing or the end. No thread waits, so Ctrl+C ends it at once."""
    if not quiet:
        click.echo("you> ", nl=False)
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(lines.fileno(), ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(lines.fileno())
    return clean(os.read(lines.fileno(), _LONGEST_LINE).decode("utf-8", "replace")).strip()


async def _settle(events: Any, columns: list[_Column], printer: _Printer, *, to_the_end: bool = False) -> None:
    """Take events until every column has answered (or, to the end, has ended); print each round as it is whole."""
    while True:
        try:
            event = await anext(events)
        except StopAsyncIteration:
            raise ServiceError("the process that held the conversation is gone: see `workbench jobs list`") from None
        if event["type"] == "refused":
            raise UserError(str(event["error"]))
        _take(event, columns)
        printer.show(columns)
        if event["type"] == "waiting":
            printer.waits(columns[event["column"]], event["text"])
        over = all(c.state in ("ended", "failed") for c in columns)
        if columns and event["type"] == "state" and (over or (not to_the_end and all(c.is_done for c in columns))):
            printer.show(columns, everything=True)
            return


def _take(event: Event, columns: list[_Column]) -> None:
    if event["type"] == "hello" and not columns:
        columns += [
            _Column(
                agent["name"], agent["conversation"], f"agent {LETTERS[n]}" if event.get("blind") else agent["name"]
            )
            for n, agent in enumerate(event["agents"])
        ]
    elif event["type"] == "vote":
        for column in columns:
            column.shown = column.agent
    elif "column" in event and event["column"] < len(columns):
        columns[event["column"]].take(event)


class _Printer:
    """Prints rounds: the n-th message of every column, side by side."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._shown = 0
        self._failed: set[tuple[str, str]] = set()

    def show(self, columns: Sequence[_Column], *, everything: bool = False) -> None:
        """Print the rounds that every column that still talks has come to."""
        if self._quiet:
            return
        open_ = [c for c in columns if c.state not in ("ended", "failed")]
        longest = max((len(c.messages) for c in columns), default=0)
        whole = longest if everything else min((len(c.messages) for c in open_), default=longest)
        while self._shown < whole:
            if self._shown == 0 and len(columns) > 1:
                click.echo(_side_by_side([clean_line(c.shown, 200) for c in columns]))
            click.echo(_side_by_side([_cell(c, self._shown) for c in columns]) + "\n")
            self._shown += 1
        for column in columns:
            failure = (column.conversation, column.error or "")
            if column.error and failure not in self._failed:
                self._failed.add(failure)
                why = "/retry asks it again" if column.is_unnamed else clean_line(column.error)
                why += f"; it had said: {clean_line(column.partial)}" if column.partial else ""
                click.echo(f"{clean_line(column.shown)} failed: {why}", err=True)

    def waits(self, column: _Column, why: str) -> None:
        """Say that a reply is late, and why."""
        if not self._quiet:
            told = "it has to be asked again" if column.is_unnamed else clean_line(why)
            click.echo(f"{clean_line(column.shown)}: {told}", err=True)

    def again(self, number: int) -> None:
        """From round `number` on the rounds are printed anew."""
        self._shown = min(self._shown, max(number, 0))
        self._failed.clear()

    def totals(self, columns: Sequence[_Column]) -> None:
        """The closing line of every column."""
        if self._quiet:
            return
        for column in columns:
            sums = column.totals
            if not sums:
                continue
            if column.is_unnamed:
                click.echo(f"{clean_line(column.shown)}: name and figures come after a vote  ({column.conversation})")
                continue
            cost = "unknown" if sums["cost"] is None else f"${sums['cost']:.4f}"
            end = column.terminal or column.ended_by or "open"
            tokens = sums["input"] + sums["cache_read"] + sums["cache_write"]
            click.echo(
                f"{clean_line(column.shown)}: {end}, {sums['messages']} messages, {tokens}+{sums['output']} tokens "
                f"in+out, {sums['model_s']:.1f} s, cost {cost}  ({column.conversation})"
            )


def _cell(column: _Column, number: int) -> str:
    if number >= len(column.messages):
        return ""
    message = column.messages[number]
    if message["role"] == "user":
        return f"> {clean(message['text'])}"
    if column.is_unnamed:  # calls, dollars and nodes would tell who it is
        return clean(message["text"])
    figures = [took_words(*(message[name] for name in ("usage", "calls", "latency_s", "ttft_s", "cost")))]
    if message["nodes"]:
        figures.append(clean_line("→".join(message["nodes"]), 60))
    return f"{clean(message['text'])}\n  [{', '.join(figures)}]"


def _side_by_side(cells: Sequence[str]) -> str:
    """Cells as columns of equal width where the terminal is wide enough, else one below the other."""
    width = shutil.get_terminal_size((100, 24)).columns
    each = (width - 3 * (len(cells) - 1)) // len(cells)
    if len(cells) > 1 and each < _LEAST_WIDTH:
        return "\n".join(cell for cell in cells if cell)
    wrapped = [list(_wrap(cell, each)) for cell in cells]
    rows = range(max(len(lines) for lines in wrapped))
    return "\n".join(
        " │ ".join((lines[row] if row < len(lines) else "").ljust(each) for lines in wrapped).rstrip() for row in rows
    )


def _wrap(text: str, width: int) -> Iterator[str]:
    for line in text.expandtabs(4).splitlines():
        yield from textwrap.wrap(line, width) or [""]

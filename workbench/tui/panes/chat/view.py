"""What the Chat pane shows, as plain data: the events of a live conversation folded into columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from workbench.home import Home
from workbench.store.runs import runs
from workbench.store.scenarios import scenarios
from workbench.store.workflows import get_workflow
from workbench.text import clean_line
from workbench.tui.effects import reader
from workbench.tui.format import agent_name, dollars, duration, short
from workbench.tui.widgets.safe import Line, Span
from workbench.tui.widgets.transcript import Bubble

FULL_COLUMNS = ((160, 4), (120, 3), (80, 2), (0, 1))
"""From so many cells on, so many columns stand side by side; the others are a line each."""


@dataclass(frozen=True)
class Column:
    """One agent: what was said, the reply in the making, and its running sums."""

    number: int
    agent: str
    bubbles: tuple[Bubble, ...] = ()
    reply: str = ""
    state: str = "ready"
    queued: int = 0
    auto: int = 0
    totals: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    ended_by: str = ""

    @property
    def shown(self) -> tuple[Bubble, ...]:
        """The messages with the reply as far as it has come, or what went wrong."""
        more: list[Bubble] = []
        if self.state == "answering" or self.reply:
            more.append(Bubble("agent", self.reply, streaming=self.state == "answering"))
        if self.error:
            more.append(Bubble("error", self.error, (("r asks again", "key"),)))
        if self.ended_by:
            more.append(
                Bubble(
                    "end",
                    {"agent": "the agent has closed the conversation"}.get(self.ended_by, f"ended: {self.ended_by}"),
                )
            )
        return (*self.bubbles, *more)

    @property
    def cost(self) -> float | None:
        """Dollars so far; None if a price is unknown."""
        cost = self.totals.get("cost")
        return float(cost) if isinstance(cost, int | float) else None


@dataclass(frozen=True)
class Talk:
    """A live conversation as far as its events have been read (`last` is the number of the newest)."""

    columns: tuple[Column, ...] = ()
    workflow: str = ""
    last: int = 0

    @property
    def open(self) -> tuple[int, ...]:
        """Columns that still listen."""
        return tuple(c.number for c in self.columns if c.state != "ended")


def fold(talk: Talk, event: Mapping[str, Any]) -> Talk:
    """The talk after one event; see `workbench.agents.live_client` for their forms."""
    talk = replace(talk, last=max(talk.last, int(event.get("seq", 0))))
    kind = event.get("type")
    if kind == "hello":
        named = [a for a in event.get("agents", ()) if isinstance(a, Mapping)]
        known = {c.number: c for c in talk.columns}
        columns = tuple(
            replace(known.get(n, Column(n, str(a.get("name", "")))), reply="", error="")
            for n, a in ((int(a.get("column", i)), a) for i, a in enumerate(named))
        )
        return replace(talk, columns=columns, workflow=str(event.get("workflow", "")))
    number = event.get("column")
    return replace(talk, columns=tuple(_column(c, event) if c.number == number else c for c in talk.columns))


def _column(column: Column, event: Mapping[str, Any]) -> Column:
    kind, text = event.get("type"), str(event.get("text", ""))
    idx = int(event.get("idx", len(column.bubbles)))
    if kind == "chunk":
        return replace(column, reply=column.reply + text)
    if kind == "said":
        margin: Line = ((f"by {event['by']}", "dim"),) if event.get("by") not in (None, "human") else ()
        return replace(column, bubbles=(*column.bubbles[:idx], Bubble("user", text, margin)), reply="", error="")
    if kind == "turn":
        said = (*column.bubbles[:idx], Bubble("agent", text, _nodes(event), figures(event))) if text else column.bubbles
        return replace(column, bubbles=said, reply="", error="", totals=event.get("totals") or column.totals)
    if kind == "state":
        state, error = str(event.get("state", column.state)), clean_line(str(event.get("error") or ""))
        ended = clean_line(str(event.get("ended_by") or ""), 40) if state == "ended" else ""
        reply = column.reply if state in ("answering", "failed") else ""
        return replace(
            column, state=state, error=error, ended_by=ended, reply=reply, queued=int(event.get("queued") or 0),
            auto=int(event.get("auto") or 0),
        )  # fmt: skip
    return column


def _nodes(event: Mapping[str, Any]) -> Line:
    nodes = event.get("nodes")
    return ((" › ".join(str(n) for n in nodes), "agent"),) if isinstance(nodes, list | tuple) and nodes else ()


def figures(event: Mapping[str, Any]) -> str:
    """One turn's figures: seconds, time to first token, tokens in and out (cached ones apart), calls, dollars."""
    usage = event.get("usage") or {}
    cached = usage.get("cache_read", 0)
    tokens = f"{usage.get('input', 0) + usage.get('cache_write', 0):,}{f'+{cached:,} cached' if cached else ''}→{usage.get('output', 0):,}"
    calls = event.get("calls") or 0
    if not calls:
        return "no model call"
    parts = [f"{duration(event.get('latency_s'))}, first {duration(event.get('ttft_s'))}", f"{tokens} tok"]
    if calls > 1:
        parts.append(f"{calls} calls")
    parts.append(dollars(event.get("cost")))
    if event.get("stop_reason") == "length":
        parts.append("cut off")
    return " · ".join(parts)


def sums(column: Column, columns: Sequence[Column]) -> Line:
    """A column's running totals, and how many times cheaper it is than the dearest."""
    totals = column.totals
    turns = sum(b.role == "agent" for b in column.bubbles)
    tokens = sum(int(totals.get(k) or 0) for k in ("input", "output", "cache_read", "cache_write"))
    spans: list[Span] = [
        (f"{turns} turn{'s'[: turns != 1]} · {short(tokens)} tok · {dollars(column.cost) if totals else '$0'}", "dim")
    ]
    if totals.get("model_s") is not None:
        spans.append((f" · {duration(float(totals['model_s']))}", "dim"))
    dearest = max((c.cost or 0.0 for c in columns), default=0.0)
    if column.cost and dearest > column.cost * 1.05:
        spans.append((f" · {dearest / column.cost:.1f}× cheaper", "good"))
    if column.queued:
        spans.append((f" · {column.queued} waiting", "warn"))
    return tuple(spans)


MARKS: dict[str, Span] = {
    "ready": ("○", "dim"),
    "answering": ("●", "accent"),
    "failed": ("✗", "bad"),
    "ended": ("■", "good"),
}


def strip(column: Column) -> Line:
    """A column that does not fit, in one line: state, name, dollars, last words."""
    last = column.reply or (column.bubbles[-1].text if column.bubbles else "")
    return (
        MARKS.get(column.state, ("?", "dim")),
        (f" {agent_name(column.agent)}", "strong"),
        (f"  {dollars(column.cost)}  ", "dim"),
        (last[-200:], "plain"),
    )


def side_by_side(width: int) -> int:
    """How many columns fit."""
    return next(columns for least, columns in FULL_COLUMNS if width >= least)


@dataclass(frozen=True)
class Offers:
    """Agents that can be talked to, and what they talk about."""

    agents: tuple[str, ...]
    workflow: str
    scenario: str | None


def offers(home: Home) -> Offers:
    """The compiled agents of this record, the same models untrained as rivals, and the oracle, with a test scenario."""
    agents: list[str] = []
    workflow, scenario = "travel_booking", None
    if home.database.exists():
        rec = reader(home)
        found = [run for run in runs(rec) if run.status == "done"]
        agents += [f"compiled:{run.name}" for run in found]
        if found and found[0].workflow_id:
            row = get_workflow(rec, found[0].workflow_id)
            workflow = (row.source or row.name) if row else workflow
            held = scenarios(rec, found[0].workflow_id, "test")
            scenario = held[0].id if held else None
    bases = sorted(folder for folder in home.models.glob("*") if (folder / "config.json").exists())
    for base in bases:
        agents += [f"orchestrated:local/{base}", f"in-context:local/{base}"]
    return Offers((*dict.fromkeys(agents), *(("oracle",) if scenario else ())), workflow, scenario)

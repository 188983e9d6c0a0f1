"""What the Chat pane shows, as plain data: the events of a live conversation folded into columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from workbench.agents.live_client import failure_words
from workbench.agents.names import told_apart
from workbench.numbers import finite
from workbench.text import clean_line
from workbench.tui.format import dollars, duration, short
from workbench.tui.widgets.safe import Line, Span

FULL_COLUMNS = ((160, 4), (120, 3), (80, 2), (0, 1))
"""From so many cells on, so many columns stand side by side; the others are a line each."""
LETTERS = "ABCD"
"""What columns are called in short, and all that is said of them in a blind comparison."""
ENDS = {
    "agent": "the agent has closed the conversation",
    "user": "the user has left",
    "gave_up": "the user understood nothing any more and left",
    "messages": "ended: longer than any path of the workflow",
    "stopped": "ended by hand",
}


@dataclass(frozen=True, slots=True)
class Said:
    """One message. `figures` is its line of figures, `nodes` what the agent's own graph or the labeller says of it;
    `counted` is false where a service never said how many tokens it took."""

    role: str
    text: str
    by: str = ""
    figures: str = ""
    nodes: tuple[str, ...] = ()
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Column:
    """One agent: what was said, the reply in the making, its running sums, and where it stands in the graph."""

    number: int
    agent: str
    said: tuple[Said, ...] = ()
    reply: str = ""
    state: str = "ready"
    waits: tuple[str, ...] = ()
    """What somebody has said to it and it has not heard yet."""
    queued: int = 0
    auto: int = 0
    totals: Mapping[str, Any] = field(default_factory=dict)
    error: str = ""
    waiting: str = ""
    """Why the reply does not come yet: its service is asked again in a moment."""
    ended_by: str = ""
    diverged: bool = False
    walk: tuple[str, ...] = ()
    edges: tuple[str, ...] = ()
    at: str = ""
    known: bool = False
    """Whether the agent itself knows where it is; else its texts were read."""

    @property
    def letter(self) -> str:
        """A, B, C or D."""
        return LETTERS[self.number] if self.number < len(LETTERS) else "?"

    @property
    def open(self) -> bool:
        """Whether it still listens."""
        return self.state != "ended"

    @property
    def cost(self) -> float | None:
        """Dollars so far; None if a price is unknown."""
        return finite(self.totals.get("cost"))

    @property
    def spent(self) -> str:
        """Dollars so far in words: `≥ $0.02` where a message's price is unknown, `$?` where all are."""
        known = self.totals.get("known_cost")
        if not self.totals:
            return "$0"
        return f"≥ {dollars(float(known))}" if self.cost is None and known else dollars(self.cost)

    @property
    def tokens(self) -> str:
        """Tokens so far in words: `≥ 1.2k tok` where a message's number is unknown, `? tok` where all are."""
        known = sum(int(self.totals.get(k) or 0) for k in ("input", "output", "cache_read", "cache_write"))
        if all(s.counted for s in self.said):
            return f"{short(known)} tok"
        return f"≥ {short(known)} tok" if known else "? tok"


@dataclass(frozen=True, slots=True)
class Talk:
    """A live conversation as far as its events have been read (`last` is the number of the newest)."""

    columns: tuple[Column, ...] = ()
    workflow: str = ""
    last: int = 0
    blind: bool = False
    vote: str = ""

    @property
    def listening(self) -> tuple[int, ...]:
        """Columns that still listen."""
        return tuple(c.number for c in self.columns if c.open)

    @property
    def masked(self) -> bool:
        """Whether names, figures and graph must not be shown: a blind comparison before its vote."""
        return self.blind and not self.vote

    def name(self, column: Column) -> str:
        """What a column is called on the screen."""
        if self.masked:
            return f"agent {column.letter}"
        return told_apart(c.agent for c in self.columns).get(column.agent, column.agent)


def fold(talk: Talk, event: Mapping[str, Any]) -> Talk:
    """The talk after one event; see `workbench.agents.live_client` for their forms."""
    talk = replace(talk, last=max(talk.last, int(event.get("seq", 0))))
    kind = event.get("type")
    if kind == "hello":
        named = [a for a in event.get("agents", ()) if isinstance(a, Mapping)]
        known = {c.number: c for c in talk.columns}
        numbered = [(int(a.get("column", i)), str(a.get("name", ""))) for i, a in enumerate(named)]
        columns = tuple(replace(known.get(n, Column(n, name)), reply="", error="") for n, name in numbered)
        return replace(talk, columns=columns, workflow=str(event.get("workflow", "")), blind=bool(event.get("blind")))
    if kind == "vote":
        return replace(talk, vote=str(event.get("choice", "")))
    number = event.get("column")
    return replace(talk, columns=tuple(_column(c, event) if c.number == number else c for c in talk.columns))


def _column(column: Column, event: Mapping[str, Any]) -> Column:
    kind, text = event.get("type"), str(event.get("text", ""))
    if column.waiting or kind == "waiting":
        column = replace(column, waiting=clean_line(text) if kind == "waiting" else "")
    idx = int(event.get("idx", len(column.said)))
    if kind == "chunk":
        passing = tuple(map(str, event.get("nodes") or ()))
        return replace(column, reply=column.reply + text, at=passing[-1] if passing else column.at)
    if kind == "queued":
        return replace(column, waits=(*column.waits, text))
    if kind == "said":
        by = str(event.get("by") or "human")
        column = replace(column, waits=column.waits[by == "human" :])
        return replace(column, said=(*column.said[:idx], Said("user", text, by)), reply="", error="")
    if kind == "turn":
        said = column.said
        if text:
            nodes = tuple(map(str, event.get("nodes") or ()))
            said = (*said[:idx], Said("agent", text, "", figures(event), nodes, is_counted(event)))
        return replace(column, said=said, reply="", error="", totals=event.get("totals") or column.totals)
    if kind == "place":
        return _placed(column, idx, event)
    if kind == "branch":
        return replace(
            column, said=column.said[:idx], reply="", error="", ended_by="", state="ready", walk=(), edges=(), at="",
            waits=(),
        )  # fmt: skip
    if kind == "state":
        state, error = str(event.get("state", column.state)), clean_line(str(event.get("error") or ""))
        ended = clean_line(str(event.get("ended_by") or ""), 40) if state == "ended" else ""
        goes_on = (
            state == "answering" and column.state != "failed"
        )  # a failed reply's text stands until it is asked for again
        reply = column.reply if goes_on or state == "failed" else ""
        return replace(
            column, state=state, error=error, ended_by=ended, reply=reply, queued=int(event.get("queued") or 0),
            waits=() if state == "ended" else column.waits,
            auto=int(event.get("auto") or 0), diverged=column.diverged or bool(event.get("diverged")),
        )  # fmt: skip
    return column


def _placed(column: Column, idx: int, event: Mapping[str, Any]) -> Column:
    """Where the column stands, and beside the last message what was read in it."""
    read = tuple(map(str, event.get("read") or ()))
    said = column.said
    if idx == len(said) - 1 and said and not said[-1].nodes:
        said = (*said[:-1], replace(said[-1], nodes=read))
    return replace(
        column,
        said=said,
        walk=tuple(map(str, event.get("nodes") or ())),
        edges=tuple(map(str, event.get("edges") or ())),
        at=str(event.get("at") or ""),
        known=bool(event.get("known")),
    )


def is_counted(event: Mapping[str, Any]) -> bool:
    """Whether a turn's tokens are known: the count comes at the end of a reply, and one that was cut has none."""
    return not event.get("calls") or any((event.get("usage") or {}).values())


def figures(event: Mapping[str, Any]) -> str:
    """One turn's figures: seconds, time to first token, tokens in (cached ones apart) and out, calls, dollars."""
    usage = event.get("usage") or {}
    calls = event.get("calls") or 0
    if not calls:
        return "no model call"
    cached = usage.get("cache_read", 0)
    given = usage.get("input", 0) + usage.get("cache_write", 0)
    tokens = f"{given:,}{f'+{cached:,}c' if cached else ''}→{usage.get('output', 0):,}"
    if not is_counted(event):
        tokens = "?"
    parts = [f"{seconds(event.get('latency_s'))} first {seconds(event.get('ttft_s'))}", f"{tokens} tok"]
    if calls > 1:
        parts.append(f"{calls} calls")
    if event.get("malformed"):
        parts.append(f"{event['malformed']} malformed")
    parts.append(dollars(event.get("cost")))
    if event.get("stop_reason") in ("length", "stopped"):
        parts.append({"length": "cut off", "stopped": "stopped"}[event["stop_reason"]])
    return " · ".join(parts)


def seconds(value: Any) -> str:
    """`0.42 s`, `3.1 s`, `75 s`; what nobody measured is `–`."""
    if not isinstance(value, int | float):
        return "–"
    return f"{value:.2f} s" if value < 1 else f"{value:.1f} s" if value < 20 else duration(value)


def sums(column: Column, columns: Sequence[Column], width: int = 999) -> Line:
    """A column's running totals, and how many times cheaper it is than the dearest; closer together where it is narrow."""
    totals = column.totals
    turns = sum(s.role == "agent" for s in column.said)
    parts = [f"{turns} turn{'s'[: turns != 1]}", column.tokens, column.spent]
    if totals.get("model_s") is not None:
        parts.append(duration(float(totals["model_s"])))
    dearest = max((c.cost or 0.0 for c in columns), default=0.0)
    cheaper = f"{dearest / column.cost:.1f}× cheaper" if column.cost and dearest > column.cost * 1.05 else ""
    if len(" · ".join([*parts, cheaper])) <= width:
        return ((" · ".join(parts), "dim"), (" · " if cheaper else "", "dim"), (cheaper, "good"))
    tight = " ".join(part.replace(" turns", "t").replace(" turn", "t").replace(" ", "") for part in parts)
    return ((tight + " ", "dim"), (cheaper, "good"))


MARKS: dict[str, Span] = {
    "ready": ("○", "dim"),
    "answering": ("●", "accent"),
    "failed": ("✗", "bad"),
    "ended": ("■", "good"),
}


def delay(column: Column, *, masked: bool) -> str:
    """Why its reply does not come yet."""
    return "it has to be asked again" if column.waiting and masked else column.waiting


def head(talk: Talk, column: Column, addressed: bool, width: int = 999) -> tuple[Line, Line]:
    """The two lines over a column: who it is and how it is faring; its sums, or what is wrong, wherever one reads."""
    spans: list[Span] = [MARKS.get(column.state, ("?", "dim")), (f" {column.letter} ", "key")]
    if column.auto and column.open:
        spans.append((f"auto{f' {column.auto}' if column.auto > 0 else ''} ", "warn"))
    if column.queued:
        spans.append((f"{column.queued} queued ", "warn"))
    if column.diverged:
        spans.append(("diverged ", "warn"))
    if not addressed:
        spans.append(("not addressed ", "dim"))
    if column.ended_by in ("agent", "user") and column.at and not talk.masked:
        spans.append((f"{column.at} ", "good"))
    elif column.ended_by and not talk.masked:
        spans.append((f"{column.ended_by.replace('_', ' ')} ", "warn"))
    name = talk.name(column)
    if talk.vote and column.number == _winner(talk):
        spans.append(("★ ", "good"))
    return (*spans, (name, "strong")), _second(talk, column, width)


def _second(talk: Talk, column: Column, width: int) -> Line:
    if words := failure_words(column.error, unnamed=talk.masked):
        return (("r ", "key"), (words, "bad"))
    if words := delay(column, masked=talk.masked):
        return (("x ", "key"), (words, "warn"))
    return (("figures after the vote", "dim"),) if talk.masked else sums(column, talk.columns, width)


def _winner(talk: Talk) -> int:
    return int(talk.vote) if talk.vote.isdigit() else -1


def strip(talk: Talk, column: Column) -> Line:
    """A column that does not fit, in one line: state, name, node, dollars, last words."""
    last = column.reply or (column.said[-1].text if column.said else "")
    known: list[Span] = [] if talk.masked else [(f" {column.at or '–'}", "agent"), (f" {column.spent}", "dim")]
    wrong, late = failure_words(column.error, unnamed=talk.masked), delay(column, masked=talk.masked)
    return (
        MARKS.get(column.state, ("?", "dim")),
        (f" {column.letter} ", "key"),
        (talk.name(column), "strong"),
        *known,
        ("  ", "plain"),
        (wrong or late or clean_line(last[-200:]), "bad" if wrong else "warn" if late else "plain"),
    )


def side_by_side(width: int) -> int:
    """How many columns fit."""
    return next(columns for least, columns in FULL_COLUMNS if width >= least)


def undone(talk: Talk) -> str:
    """What a process that is gone has left undone, in words: messages not said, replies not given; "" for nothing."""
    waiting = max((len(c.waits) for c in talk.columns), default=0)
    owing = "".join(c.letter for c in talk.columns if c.state == "answering")
    parts = [
        f"{waiting} message{'s'[: waiting != 1]} not said yet" if waiting else "",
        f"{owing} to reply" if owing else "",
    ]
    return ", ".join(filter(None, parts))


def notice(talk: Talk, *, speed: float | None, chosen: int | None, gone: bool) -> Line:
    """One line over the input while something unusual is the case: a replay's `speed`, a message that is `chosen`, a
    process that is `gone` before all was said."""
    if speed is not None:
        pace = "paused" if not speed else f"{speed:g}× its own timing"
        return (("REPLAY", "warn"), (f" {pace}, no model is asked   ", "plain"), ("+ -", "key"), (" speed   ", "dim"),
                ("P", "key"), (" stops", "dim"))  # fmt: skip
    if gone and (left := undone(talk)):
        return (("its process is gone", "warn"), (f" ({left}): ", "plain"), ("⏎", "key"), (" goes on", "dim"))
    if talk.masked:
        over = talk.columns and not talk.listening
        return (
            ("blind", "warn"),
            (" all have ended: " if over else " names and figures come after your vote: ", "plain"),
            ("v", "key"), (" votes", "dim"),
        )  # fmt: skip
    if chosen is not None:
        return ((f"message {chosen + 1}", "strong"), ("  ", "dim"), ("e", "key"), (" say anew  ", "dim"),
                ("b", "key"), (" branch after it  ", "dim"), ("r", "key"), (" retry from it  ", "dim"),
                ("]", "key"), (" to the end", "dim"))  # fmt: skip
    return ()


def whom(talk: Talk, to: int | None) -> str:
    """What stands in the empty input: to whom the next message goes."""
    columns = talk.columns
    if not columns:
        return "…"
    listening = hearing(talk, to)
    again = "".join(c.letter for c in listening if c.state == "failed")
    retry = f", ⏎ asks {again} again" if again else ""
    if to is not None and to < len(columns):
        letter, name = columns[to].letter, talk.name(columns[to])
        if not listening:
            return f"{letter} has ended: ^t writes to others, n begins anew, e says something else"
        diverges = "" if columns[to].diverged or hearing(talk, None) == listening else "; it will have diverged"
        return f"to {letter} only: {name}{retry} (^t changes it{diverges})"
    if not listening:
        return "all have ended: n begins anew, e says something else"
    names = "all " if len(listening) == len(columns) else "" if len(listening) > 1 else "only "
    letters = "".join(c.letter for c in listening)
    busy = sum(c.state == "answering" for c in listening)
    later = f", {busy} still answering take{'s'[: busy == 1]} it next" if busy else ""
    return f"to {names}{letters}{later}{retry} (^t: one alone)"


def hearing(talk: Talk, to: int | None) -> list[Column]:
    """The columns that a message to `to` (None: to all) reaches: those that have not ended."""
    return [c for c in talk.columns if c.open and to in (None, c.number)]


def transcript(talk: Talk) -> str:
    """All columns as plain text, one after the other."""
    return "\n\n".join(f"# {talk.name(c)}\n" + "\n".join(f"{s.role}: {s.text}" for s in c.said) for c in talk.columns)

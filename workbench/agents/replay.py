"""Playing a recorded conversation again with its original timing, from the record alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.agents.conversation import cost_sums
from workbench.agents.names import parse_name
from workbench.dialogue.model import Speaker
from workbench.models.client import Usage
from workbench.models.prices import Price
from workbench.store.rows import ConversationRow, MessageRow

_LONGEST_PAUSE_S = 20.0
"""A person who went away for an hour is not waited for."""


@dataclass(frozen=True, slots=True)
class Piece:
    """`text` of message `idx` appears `at` seconds after the start; `last` ends the message."""

    at: float
    idx: int
    role: Speaker
    text: str
    last: bool


def timeline(messages: Sequence[MessageRow]) -> Iterator[Piece]:
    """When each piece of each message appeared: a reply's words between its first token and its end, evenly spread.

    Pauses between messages are the recorded ones, at most 20 s each.
    """
    clock, before = 0.0, None
    for idx, message in enumerate(messages):
        latency = message.latency_s or 0.0
        pause = 0.0 if before is None else message.created - latency - before
        clock += min(max(pause, 0.0), _LONGEST_PAUSE_S)
        before = message.created
        words = message.text.split(" ")
        first = latency if message.ttft_s is None else min(message.ttft_s, latency)
        for number, word in enumerate(words, 1):
            text = word if number == len(words) else f"{word} "
            share = (number - 1) / max(1, len(words) - 1)
            yield Piece(clock + first + share * (latency - first), idx, message.role, text, number == len(words))
        clock += latency


def paced(events: Sequence[Mapping[str, Any]]) -> Iterator[tuple[float, Mapping[str, Any]]]:
    """Each event with the seconds that passed before it, at most 20."""
    before: float | None = None
    for event in events:
        at = float(event["t"])
        yield (0.0 if before is None else min(max(at - before, 0.0), _LONGEST_PAUSE_S)), event
        before = at


def pricing(price_of: Callable[[str], Price | None]) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Takes the events of a live conversation in order; turns without a cost get what `price_of` their agent's model says.

    A cost that was known stays; where the usage is not known (a reply that was cut) it stays unknown. Prices by the
    second of the machine take the turn's time for it.
    """
    models: dict[int, str | None] = {}
    costs: dict[int, dict[int, float | None]] = {}

    def with_price(event: Mapping[str, Any]) -> dict[str, Any]:
        if event["type"] == "hello":
            models.clear()
            models.update({a["column"]: parse_name(a["name"]).model for a in event["agents"]})
        column = event.get("column", -1)
        if event["type"] == "branch":
            costs[column] = {n: c for n, c in costs.get(column, {}).items() if n < event["idx"]}
        if event["type"] == "turn":
            cost = event["cost"]
            used = Usage(**event["usage"])
            if cost is None and used.output and (price := price_of(models.get(column) or "")):
                cost = price.second * event["latency_s"] if price.second else price.cost(used)
            spent = costs.setdefault(column, {})
            spent[event["idx"]] = cost
            event = {**event, "cost": cost, "totals": event["totals"] | cost_sums(list(spent.values()))}
        return dict(event)

    return with_price


def events_of(held: Sequence[tuple[ConversationRow, Sequence[MessageRow]]], workflow: str) -> list[dict[str, Any]]:
    """Conversations of the record as the events of a live one (`workbench.agents.live_client`), a column each.

    For conversations whose process left no events: those of an evaluation, or taken in from another machine. The texts
    are the record's, the pieces of a reply are spread evenly between its first token and its end.
    """
    begun = min((row.created for row, _ in held), default=0.0)
    agents = [{"column": n, "name": row.agent, "conversation": row.id} for n, (row, _) in enumerate(held)]
    found: list[dict[str, Any]] = []
    for column, (row, messages) in enumerate(held):
        for piece in timeline(messages):
            message, at = messages[piece.idx], row.created + piece.at
            here = {"t": at, "column": column}
            if piece.role == "agent":
                found.append({**here, "type": "chunk", "text": piece.text})
            if piece.last:
                found.append({**here, **_whole(messages, piece.idx, row)})
                found.append({**here, "type": "state", "state": "ready" if message.role == "agent" else "answering"})
        if row.ended_by:
            at = found[-1]["t"] if found else row.created
            found.append({"t": at, "column": column, "type": "state", "state": "ended", "ended_by": row.ended_by})
    found.sort(key=lambda event: float(event["t"]))
    hello = {"t": begun, "type": "hello", "agents": agents, "workflow": workflow}
    return [{"seq": n, **event} for n, event in enumerate([hello, *found], 1)]


def _whole(messages: Sequence[MessageRow], idx: int, row: ConversationRow) -> dict[str, Any]:
    message = messages[idx]
    if message.role == "user":
        return {"type": "said", "idx": idx, "text": message.text, "by": row.provenance.get("user", "human")}
    so_far = [m for m in messages[: idx + 1] if m.role == "agent"]
    costs = [m.cost for m in so_far]
    names = ("input", "output", "cache_read", "cache_write")
    totals: dict[str, Any] = {name: sum(m.usage.get(name, 0) for m in so_far) for name in names}
    totals |= {**cost_sums(costs), "messages": idx + 1}
    totals["model_s"] = sum(m.latency_s or 0.0 for m in so_far)
    read = (message.label or {}).get("nodes") or ()
    return {
        "type": "turn",
        "idx": idx,
        "text": message.text,
        "nodes": list(message.nodes or (read if isinstance(read, list) else ())),
        "totals": totals,
        **{name: getattr(message, name) for name in ("usage", "calls", "cost", "latency_s", "ttft_s")},
    }

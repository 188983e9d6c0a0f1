"""From messages of the record to what a transcript shows beside them."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.dialogue.model import Message
from workbench.store.rows import MessageRow
from workbench.tui.format import dollars, duration
from workbench.tui.widgets.safe import Line, Span
from workbench.tui.widgets.transcript import Bubble


def bubbles(messages: Sequence[Message]) -> tuple[Bubble, ...]:
    """Messages with what is known of them beside: nodes, the user's move, a deviation, the facts stated."""
    return tuple(Bubble(m.role, m.text, margin(m)) for m in messages)


def margin(m: Message) -> Line:
    """The words beside a message."""
    spans: list[Span] = [(" › ".join(m.nodes), m.role)]
    if m.move:
        spans.append((f"  move {m.move}", "dim"))
    if m.deviation:
        spans.append((f"  △\xa0{m.deviation}", "warn"))
    if m.facts and m.role == "user":
        spans.append(("  " + ", ".join(f"{name}={value}" for name, value in m.facts.items()), "dim"))
    elif m.facts:
        spans.append((f"  restates {len(m.facts)} fact{'s'[: len(m.facts) != 1]}", "dim"))
    return tuple(spans)


def spoken(messages: Sequence[MessageRow]) -> tuple[Bubble, ...]:
    """Messages of a conversation, with what was measured under the agent's: tokens, seconds, calls, cost."""
    return tuple(Bubble(m.role, m.text, _known(m), _figures(m)) for m in messages)


def _known(m: MessageRow) -> Line:
    """The agent's own nodes where it knows them; else what the labeller read, marked as read. Of a simulated user: the
    question it understood, its move, its deviation."""
    if m.role == "user":
        return _heard(m)
    if m.nodes:
        return ((" › ".join(m.nodes), m.role),)
    label = m.label or {}
    nodes = label.get("nodes")
    if isinstance(nodes, list) and nodes:
        return (("read as ", "dim"), (" › ".join(str(n) for n in nodes), m.role))
    return (("not recognised", "warn"),) if label else ()


def _heard(m: MessageRow) -> Line:
    asked = " › ".join(m.nodes) or str((m.label or {}).get("question") or "")
    spans: list[Span] = [(asked, m.role)] if asked else []
    spans += [(f"  move {m.move}", "dim")] if m.move else []
    spans += [(f"  △\xa0{m.deviation}", "warn")] if m.deviation else []
    return tuple(spans)


def _figures(m: MessageRow) -> str:
    parts = []
    if m.role == "agent" and m.usage:
        parts.append(
            f"{sum(m.usage.get(k, 0) for k in ('input', 'cache_read', 'cache_write')):,}→{m.usage.get('output', 0)} tokens"
        )
    if m.latency_s is not None:
        parts.append(duration(m.latency_s))
    if m.calls > 1:
        parts.append(f"{m.calls} calls")
    if m.role == "agent" and (m.cost or parts):
        parts.append(dollars(m.cost))
    return " · ".join(parts)

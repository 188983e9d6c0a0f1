"""What the Chat pane shows before a conversation: what to press, what to type, who is here, what was said last."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from workbench.agents.names import brief_name
from workbench.store.rows import ChatRow
from workbench.tui.format import ago
from workbench.tui.state import ChatState
from workbench.tui.widgets.safe import Line, Span, fit, line

KINDS = {
    "compiled": "the procedure is in its weights",
    "orchestrated": "LangGraph prompts it at every step",
    "in-context": "has the whole graph in its prompt",
    "oracle": "follows the graph exactly: the ceiling",
}
"""What the agents of a kind are, in a few words."""
NAME_CELLS = 36
"""At most, so that a line is whole at 80 columns."""
MOST_AGENTS, MOST_TALKS = 6, 5


def waiting(agents: Sequence[str]) -> tuple[Line, ...]:
    """While the process that holds a conversation starts."""
    names = ", ".join(map(brief_name, agents)) or "a conversation"
    return (line(("starting ", "dim"), names, (" …", "dim")),)


def invitation(state: ChatState, agents: Sequence[str], talks: Sequence[ChatRow], workflow: str) -> tuple[Line, ...]:
    """The empty pane. `agents` are those of the record (none before it is read), `talks` the newest conversations first."""
    if len(agents) < 2 and not state.agents:
        return (
            line(("nobody to talk to yet: ", "dim"), ("workbench demo", "strong"), (" compiles an agent, or ", "dim"),
                 ("a", "key"), (" names one", "dim")),
        )  # fmt: skip
    lines = [
        line(("Talk to agents side by side", "strong"), ("  up to four; what you write goes to all of them", "dim")),
        (),
    ]
    if state.agents:
        lines += [_key("n", "talks to ", (", ".join(map(brief_name, state.agents)), "plain"))]
    lines += [
        _key("a", "chooses the agents" if not state.agents else "chooses others"),
        _key("i", f"then write what a user of {workflow} would say"),
        _key("p", "or let a simulated user speak"),
        _key("o", "opens an earlier conversation"),
    ]
    if agents:
        lines += [(), line(("Agents here", "strong"), (f"  {len(agents)}", "dim")), *_agents(agents[:MOST_AGENTS])]
    if len(agents) > MOST_AGENTS:
        lines.append(line((f"  and {len(agents) - MOST_AGENTS} more: a shows all", "dim")))
    if talks:
        lines += [
            (),
            line(("Last conversations", "strong"), (f"  {len(talks)}", "dim")),
            *map(_talk, talks[:MOST_TALKS]),
        ]
    return tuple(lines)


def _key(key: str, what: str, *more: Span) -> Line:
    return line((f"  {key}  ", "key"), (what, "dim"), *more)


def _agents(names: Sequence[str]) -> list[Line]:
    width = min(max(cell_len(brief_name(name)) for name in names), NAME_CELLS)
    said = [(fit(brief_name(name), width), KINDS.get(name.partition(":")[0], "")) for name in names]
    return [line(f"  {name}  ", (what, "dim")) for name, what in said]


def _talk(talk: ChatRow) -> Line:
    agents = "blind" if talk.blind else ", ".join(map(brief_name, talk.agents))
    when = f"  {ago(talk.created):>12}  "
    messages = f"{talk.messages:>4} message{'s'[: talk.messages != 1]}"
    return line((when, "dim"), (f"{messages}  ", "dim"), *([(f"{talk.name}  ", "strong")] if talk.name else []), agents)

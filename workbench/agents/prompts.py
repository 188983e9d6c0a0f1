"""What the rivals are told: the workflow put into words for models that are not trained on it.

No straw men. A compiled agent learns constants (prices, rules) and the answers to side questions from its dialogues;
what it could learn is therefore told to the rivals too: every place where the agent speaks hands over what is to be
said, drawn from the *training* pool (the evaluation pool is read by no agent but the oracle), one phrasing a case, with
`[variable]` in the place of every value, to be put in the model's own words. Conditions come in the file's words, the
cases of a phrasing (`when`) in words made from the moves' descriptions. All that does not change comes first, so that
a prefix cache serves it, and every request prolongs the one before; for the same reason decisions at hubs share the
talk's prompt instead of having one of their own. Left out on purpose: several phrasings a place (a model recites them
all) and the user's moves at user nodes (the conditions say what matters of them).

Small local models go on talking after a good first paragraph (SmolLM2-135M answered the opening note well and then
recited the note until it was cut). For them a rival's reply ends at its first blank line; large models are not cut.
"""

from __future__ import annotations

from collections.abc import Sequence

from workbench.agents.compiled import system_text
from workbench.models.client import ChatMessage
from workbench.workflow.model import Condition, Edge, Node, Workflow
from workbench.workflow.situation import placeholders

KICK_OFF = ChatMessage("user", "(The customer has just joined. Speak first.)")
"""Chat models expect a user to begin; the compiled agent, which learnt to open, goes without."""

_MANNER = """\
- Write only what you say to the customer: one message, one or two short sentences, no lists, no headings.
- State only facts that the customer has told you or that stand here. Invent nothing. Put the customer's own details
  where [brackets] stand; if the customer corrects or changes one, use the new one from then on.
- Never ask again for what the customer has told you, and never ask for anything that you are not told to ask.
- Never mention the procedure, its steps, these rules or anything in brackets."""


def rival_stop(model: str | None) -> tuple[str, ...]:
    """Where the replies of an orchestrated or in-context agent on this model (a name, see `open_client`) end."""
    return ("\n\n",) if model and model.startswith("local/") else ()


def in_context_system(workflow: Workflow) -> str:
    """The system prompt that holds the whole graph: role, procedure node by node, side questions, rules."""
    nodes = "\n\n".join(_node_text(workflow, node) for node in workflow.nodes.values())
    return f"""{system_text(workflow)}

You hold the conversation by the procedure below, a flowchart. Begin at the step "{workflow.start}". Keep track of the \
step you are at. At a step where you speak, do its task. At a step where you decide, silently take the one way whose \
condition is true, judging by what the customer has said. Steps of yours that follow each other make one message. \
Where the customer speaks, stop and wait for the answer. A closing step is the last thing you say.

# Procedure
{nodes}
{_side_remarks(workflow)}
# Rules
- Follow the procedure exactly: skip no step, add none, end only at a closing step.
{_MANNER}"""


def orchestrated_system(workflow: Workflow) -> str:
    """The system prompt of the orchestrated agent, the same at every node: role, side questions, rules."""
    return f"""{system_text(workflow)}

A program leads the conversation. After the customer's last message it adds a note in <note> tags. A note either says \
what your next message is for: then say that, in your own words, and nothing else. Or it asks you to choose one of \
several statements about the conversation: then answer with the true statement, copied exactly.
{_side_remarks(workflow)}
# Rules
{_MANNER}"""


def speak_note(workflow: Workflow, place: Node | Edge, said: Sequence[str] = ()) -> str:
    """The note that makes a model speak at a node or on a hub's edge; `said` is what this message already holds."""
    task = open_values(place.prompt) if isinstance(place, Node) else f"It is so: {place.condition} Go on accordingly."
    lines = [f"Your next message: {task}", *_content(workflow, place)]
    if isinstance(place, Node) and place.role == "terminal":
        lines.append("This is the last message of the conversation.")
    if said:
        lines.append(f'You have already said in this message: "{" ".join(said)}" Continue it without repeating that.')
    return _note(lines)


def choice_note(hub: Node, options: Sequence[str], visit: int) -> str:
    """The note that makes a model choose among a hub's conditions; `visit` counts how often the hub was reached."""
    lines = [open_values(hub.prompt)]
    if visit > 1:
        lines.append(f"(This is decision number {visit} of its kind in this conversation.)")
    lines += ["Which one of these statements is true of the customer's last message? Answer with it, copied exactly:"]
    return _note(lines + [f"- {option}" for option in options])


def options_of(workflow: Workflow, hub: str) -> dict[str, Edge]:
    """The edges of a hub by their condition in words (made unique); an edge without words is the rest."""
    options: dict[str, Edge] = {}
    for edge in workflow.out[hub]:
        words = edge.condition or (_when_words(workflow, edge.when) if edge.when else "") or "None of the others."
        options[words if words not in options else f"{words} ({workflow.nodes[edge.target].prompt})"] = edge
    return options


def _note(lines: Sequence[str]) -> str:
    return "<note>\n" + "\n".join(lines) + "\n</note>"


def _node_text(workflow: Workflow, node: Node) -> str:
    out, prompt = workflow.out[node.id], open_values(node.prompt)
    if node.role == "user":
        return f"## {node.id} (the customer speaks)\n{prompt}\nThen: {out[0].target}"
    if node.role == "terminal":
        return "\n".join([f"## {node.id} (closing step)", prompt, *_content(workflow, node)])
    if len(out) == 1:
        return "\n".join([f"## {node.id} (you speak)", prompt, *_content(workflow, node), f"Then: {out[0].target}"])
    lines = [f"## {node.id} (you decide)", prompt, *_content(workflow, node)]
    for words, edge in options_of(workflow, node.id).items():
        lines.append(f"- {words} Then: {edge.target}")
        lines += [f"  {line}" for line in _content(workflow, edge)]
    return "\n".join(lines)


def _content(workflow: Workflow, place: Node | Edge) -> list[str]:
    """What is to be said at a place: one training phrasing a case, values left open."""
    lines: list[str] = []
    for phrasing in place.say:
        if not phrasing.pool.training:
            continue
        case = _when_words(workflow, phrasing.when) if phrasing.when else "otherwise" if lines else ""
        lines.append(f"What to say{f' ({case})' if case else ''}: {open_values(phrasing.pool.training[0])}")
    return lines


def open_values(text: str) -> str:
    """`text` with `[variable name]` in the place of every `{variable}`."""
    for name in placeholders(text):
        text = text.replace("{" + name + "}", f"[{name.replace('_', ' ')}]")
    return text


def _when_words(workflow: Workflow, when: Condition) -> str:
    parts = []
    if when.otherwise:
        parts.append("none of the others is so")
    if when.moves:
        told = {m.id: m.description.rstrip(".") or m.id for n in workflow.nodes.values() for m in n.moves}
        parts.append("the customer: " + " / ".join(told.get(move, move) for move in when.moves))
    if when.visits:
        parts.append("for the " + " or ".join(f"{n}." for n in when.visits) + " time")
    for name, values in when.variables.items():
        parts.append(f"{name.replace('_', ' ')} is {' or '.join(str(v) for v in values)}")
    for name, (low, high) in when.bounds.items():
        span = f"at least {low}" if high is None else f"at most {high}" if low is None else f"{low} to {high}"
        parts.append(f"{name.replace('_', ' ')} is {span}")
    return ", ".join(parts)


def _side_remarks(workflow: Workflow) -> str:
    lines = [
        f'- "{open_values(d.say.training[0])}" → begin with: "{open_values(d.reply.training[0])}"'
        for d in workflow.deviations
        if d.say.training and d.reply.training
    ]
    if not lines:
        return ""
    return "\n# If the customer adds something like this, answer it first, then go on\n" + "\n".join(lines) + "\n"

"""Keys are data: one registry from which bindings, footer, help and palette are made.

An action lives in a scope: `app` everywhere, a pane's name in that pane, `list` and `text` wherever such a widget has
the focus. A key may mean one thing only within a scope and `app` together; `clashes` says where that is broken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from textual.binding import Binding

from workbench.errors import UserError
from workbench.settings import Config
from workbench.text import clean_line

PANES = ("workflows", "dialogues", "training", "chat", "results")
FOOTER_ENTRIES = 5
SHARED: dict[str, tuple[str, ...]] = {"dialogues": ("review",), "results": ("review",)}
"""Scopes that a pane has beside its own: the same keys do the same in every pane that takes them."""
RESERVED = frozenset({"ctrl+s", "ctrl+q", "ctrl+z", "ctrl+b"} | {f"f{n}" for n in range(1, 25)})
"""Never a default key: flow control, terminal multiplexers, job control, and keys that do not travel well."""

Predicate = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class Action:
    """Something a key does.

    `id` is `scope.name` and calls the method `action_name` of the pane (or app, or widget) that owns the scope. `key`
    is a Textual key, several with commas. `footer` ranks it there (0: never). `when` gets the owner's state and says
    whether the action makes sense now. `short` is the word used in the footer.
    """

    id: str
    group: str
    verb: str
    key: str
    short: str = ""
    footer: int = 0
    when: Predicate | None = None
    priority: bool = False

    @property
    def scope(self) -> str:
        """The part of the id before the dot."""
        return self.id.split(".", 1)[0]

    @property
    def name(self) -> str:
        """The part of the id after the dot; Textual's action string, parameters included."""
        return self.id.split(".", 1)[1]

    @property
    def keys(self) -> tuple[str, ...]:
        """The keys as Textual names them."""
        return tuple(key.strip() for key in self.key.split(","))

    @property
    def title(self) -> str:
        """`group: verb`, as the palette shows it."""
        return f"{self.group}: {self.verb}"


_NAMES = {
    "question_mark": "?", "full_stop": ".", "slash": "/", "colon": ":", "left_square_bracket": "[",
    "right_square_bracket": "]", "space": "space", "enter": "⏎", "escape": "esc", "up": "↑", "down": "↓", "left": "←",
    "right": "→", "pageup": "pgup", "pagedown": "pgdn", "plus": "+", "minus": "-", "comma": ",", "equals_sign": "=",
    "less_than_sign": "<", "greater_than_sign": ">", "number_sign": "#",
}  # fmt: skip


def key_name(key: str) -> str:
    """How a Textual key is written for people: `question_mark` is `?`, `ctrl+g` is `^g`."""
    if key.startswith("ctrl+"):
        return "^" + key_name(key[5:])
    return _NAMES.get(key, key)


def _workflow(state: Any) -> bool:
    return state.workflow is not None


def _selected(state: Any) -> bool:
    return state.selected is not None


def _subject(state: Any) -> bool:
    return state.subject is not None


def _reviewing(state: Any) -> bool:
    return getattr(state, "depth", 1) == 1


def _closed(state: Any) -> bool:
    return state.selected is not None and not state.opened


def _not_opened(state: Any) -> bool:
    return not state.opened


def _opened(state: Any) -> bool:
    return bool(state.opened)


def _agents(state: Any) -> bool:
    return bool(state.agents)


def _session(state: Any) -> bool:
    return state.session is not None


def _running(state: Any) -> bool:
    return bool(state.running)


def _resumable(state: Any) -> bool:
    return bool(state.resumable)


def _marked(state: Any) -> bool:
    return bool(state.marked)


def _finished(state: Any) -> bool:
    return bool(state.finished)


def _app(name: str, group: str, verb: str, key: str, **more: Any) -> Action:
    return Action(f"app.{name}", group, verb, key, **more)


# fmt: off
ACTIONS: tuple[Action, ...] = (
    *(_app(f"pane('{pane}')", "go", pane, str(n), short=pane) for n, pane in enumerate(PANES, 1)),
    _app("jump", "go", "to any place by its letter, or pane by number", "L"),
    _app("chord", "go", "the same, also while typing (^g 1…5, ^g letter)", "ctrl+g", priority=True),
    _app("help", "app", "keys and help", "question_mark", short="help", footer=9),
    _app("command_palette", "app", "all commands", "colon,ctrl+p"),
    _app("follow", "demo", "follow the running demo", "F", short="follow", footer=1, when=lambda app: app.can_follow),
    _app("welcome", "demo", "what to start with: demo, tour, a look", "W"),
    _app("tour", "app", "a short tour of the panes", "Z"),
    _app("face", "app", "light or dark", "T"),
    _app("reading", "app", "reading mode: double-spaced conversations", "equals_sign"),
    _app("times", "app", "times as ages or as dates", "K"),
    _app("copy", "app", "copy what is shown", "y"),
    _app("screenshot_file", "app", "save the screen as SVG", "S"),
    _app("quit", "app", "quit (jobs go on)", "q", short="quit"),
    _app("interrupt", "app", "quit, also while typing", "ctrl+c", priority=True),
    _app("back", "app", "leave the input, or go back", "escape", short="back"),
    Action("list.move(-1)", "list", "up", "up,k"),
    Action("list.move(1)", "list", "down", "down,j"),
    Action("list.page(-1)", "list", "page up", "pageup,ctrl+u"),
    Action("list.page(1)", "list", "page down", "pagedown,ctrl+d"),
    Action("list.first", "list", "first", "home,g"),
    Action("list.last", "list", "last", "end,G"),
    Action("list.choose", "list", "open", "enter"),
    Action("text.scroll(-1)", "text", "up", "up,k"),
    Action("text.scroll(1)", "text", "down", "down,j"),
    Action("text.page(-1)", "text", "page up", "pageup,ctrl+u"),
    Action("text.page(1)", "text", "page down", "pagedown,ctrl+d,space"),
    Action("text.first", "text", "top", "home,g"),
    Action("text.last", "text", "end", "end,G"),
    Action("canvas.pan(0, -1)", "drawing", "up", "up,k"),
    Action("canvas.pan(0, 1)", "drawing", "down", "down,j"),
    Action("canvas.pan(-1, 0)", "drawing", "left", "left,h"),
    Action("canvas.pan(1, 0)", "drawing", "right", "right,l"),
    Action("canvas.page(-1)", "drawing", "page up", "pageup,ctrl+u"),
    Action("canvas.page(1)", "drawing", "page down", "pagedown,ctrl+d,space"),
    Action("workflows.view('paths')", "workflows", "paths", "p", short="paths", footer=1, when=_workflow),
    Action("workflows.view('outline')", "workflows", "outline of the graph", "o", short="outline", footer=2, when=_workflow),
    Action("workflows.view('graph')", "workflows", "drawing of the graph", "d", short="drawing", footer=3, when=_workflow),
    Action("workflows.view('ego')", "workflows", "what lies around a node", "n", short="around", when=_workflow),
    Action("workflows.view('check')", "workflows", "what the check says", "c", short="check", when=_workflow),
    Action("workflows.sample", "workflows", "say the path with other words", "s", short="sample", footer=5, when=_workflow),
    Action("workflows.search", "workflows", "filter the paths", "slash", short="filter", footer=4, when=_workflow, priority=True),
    Action("workflows.goto", "workflows", "go to a path by number or percent", "number_sign", short="go to", when=_workflow, priority=True),
    Action("workflows.step(-1)", "workflows", "to the node before on the path", "left_square_bracket", when=_workflow),
    Action("workflows.step(1)", "workflows", "to the node after on the path", "right_square_bracket", when=_workflow),
    Action("workflows.radius(1)", "workflows", "more around the node", "plus", when=_workflow),
    Action("workflows.radius(-1)", "workflows", "less around the node", "minus", when=_workflow),
    Action("workflows.edit", "workflows", "edit the file in $EDITOR", "e", short="edit", when=_workflow),
    Action("dialogues.search", "dialogues", "filter and search", "slash", short="filter", footer=1, priority=True),
    Action("dialogues.edit", "review", "mend the words of a copy", "e", short="fix", footer=5, when=_selected),
    Action("dialogues.beside", "dialogues", "another dialogue of the same path beside it", "v", short="beside", when=_selected),
    Action("dialogues.place", "dialogues", "the path's place in the graph", "o", short="graph", when=_selected),
    Action("dialogues.plan", "review", "draw a sampling plan", "P"),
    Action("dialogues.split", "review", "where reviewers disagree", "D"),
    Action("dialogues.retry", "dialogues", "write the quarantined anew (a model's)", "R", when=_selected),
    Action("dialogues.agreement", "review", "agreement of reviewers", "A"),
    Action("dialogues.export", "review", "export the reviews (CSV and Markdown)", "X"),
    Action("review.decide('pass')", "review", "pass", "a", short="pass", footer=2, when=_subject),
    Action("review.decide('flag')", "review", "flag", "f", short="flag", footer=3, when=_subject),
    Action("review.take", "review", "next of the sampling plan", "n", short="next", footer=4, when=_reviewing),
    Action("review.unreviewed(1)", "review", "next without a review", "u", short="unreviewed", when=_subject),
    Action("review.unreviewed(-1)", "review", "the one before without a review", "B", when=_subject),
    Action("review.tags", "review", "tags (without a decision: a flag)", "t", short="tags", when=_subject),
    Action("review.note", "review", "note (without a decision: a flag)", "m", short="note", when=_subject, priority=True),
    Action("review.plans", "review", "follow another sampling plan", "N"),
    Action("review.open", "review", "see what others decided (mine no longer counts as independent)", "O"),
    Action("review.settle", "review", "settle a disagreement of others", "J", when=_subject),
    Action("review.undo", "review", "take my newest decision back", "U", short="undo"),
    Action("dialogues.fresh", "dialogues", "show the new ones", "full_stop,r"),
    Action("training.begin", "training", "start a run", "n", short="start", footer=4),
    Action("training.stop", "training", "stop after this step, keeping a checkpoint", "x", short="stop", footer=1, when=_running),
    Action("training.resume", "training", "resume from the last checkpoint", "r", short="resume", footer=1, when=_resumable),
    Action("training.talk", "training", "talk to this model", "c", short="chat", footer=1, when=_finished),
    Action("training.smooth", "training", "smooth or raw curves", "s", short="smooth", footer=3, when=_selected),
    Action("training.log", "training", "log or answers", "l", short="log", footer=2, when=_selected),
    Action("training.mark", "training", "draw this run with the others, or not", "space", when=_selected),
    Action("training.axis", "training", "curves by step, time or tokens", "b", when=_selected),
    Action("training.metric", "training", "the next metric in the lower chart", "m", when=_selected),
    Action("training.compare", "training", "recipes and results of the marked runs", "v", short="compare", footer=5, when=_marked),
    Action("training.search", "training", "search the log", "slash", when=_selected, priority=True),
    Action("training.edit", "training", "name and note", "e", when=_selected),
    Action("training.write_csv", "training", "save all metrics as CSV", "w", when=_selected),
    Action("training.delete", "training", "delete the run (asks first)", "D", when=_selected),
    Action("chat.write", "chat", "write a message", "i,slash", short="write", footer=1, when=_agents, priority=True),
    Action("chat.agents", "chat", "choose the agents", "a", short="agents", footer=2),
    Action("chat.fresh", "chat", "new conversation", "n", when=_agents),
    Action("chat.blind", "chat", "new blind conversation: no names before the vote", "B", when=_agents),
    Action("chat.vote", "chat", "vote for the better one", "v", when=_session),
    Action("chat.auto", "autopilot", "let the simulated user speak, or take over", "p", short="autopilot", footer=3, when=_agents),
    Action("chat.step", "autopilot", "one message of the simulated user", "s", when=_agents),
    Action("chat.scenario", "autopilot", "choose its scenario and persona", "c", when=_agents),
    Action("chat.graph", "chat", "the graph: where every agent stands", "m", short="graph", footer=4, when=_session),
    Action("chat.align", "chat", "message n on one line, or not", "l", when=_session),
    Action("chat.address", "chat", "write to all or to one", "ctrl+t", when=_agents),
    Action("chat.halt", "chat", "stop the replies", "x", when=_session),
    Action("chat.retry", "chat", "retry the reply", "r", when=_session),
    Action("chat.choose(-1)", "turn", "choose an earlier message", "left_square_bracket", when=_session),
    Action("chat.choose(1)", "turn", "choose a later message", "right_square_bracket", when=_session),
    Action("chat.edit", "turn", "say the chosen (or last) message of the user anew", "e", when=_session),
    Action("chat.branch", "turn", "branch after the chosen message", "b", when=_session),
    Action("chat.earlier", "conversations", "open an earlier one", "o"),
    Action("chat.name", "conversations", "name this one", "N", when=_session),
    Action("chat.export", "conversations", "save as Markdown, JSON lines, SVG and HTML", "w", when=_session),
    Action("chat.replay", "conversations", "replay with its own timing; again: stop", "P", when=_session),
    Action("chat.speed(2.0)", "conversations", "replay faster", "plus", when=_session),
    Action("chat.speed(0.5)", "conversations", "replay slower", "minus", when=_session),
    Action("chat.servers", "chat", "local servers: health, load, memory", "H"),
    Action("chat.close", "chat", "end the conversation", "X", when=_session),
    Action("results.votes", "results", "people's votes on agents side by side", "V"),
    Action("results.behind", "results", "conversations behind the figure", "v", short="behind", footer=1, when=_closed),
    Action("results.mend", "results", "mend what went wrong, recompile", "M", short="mend", footer=5, when=_selected),
    Action("results.agent(-1)", "results", "agent to the left", "left,h", when=_selected),
    Action("results.agent(1)", "results", "agent to the right", "right,l", short="agent", footer=3, when=_selected),
    Action("results.differ", "results", "all, where agents differ, where judges differ", "x", short="differ", footer=1, when=_opened),
    Action("results.side", "results", "one scenario, agent beside agent", "s", short="side by side", footer=2, when=_opened),
    Action("results.show('tests')", "results", "tests after Holm", "p", short="tests", footer=2, when=_closed),
    Action("results.show('cost')", "results", "cost of a conversation", "c", short="cost", footer=4, when=_closed),
    Action("results.show('plot')", "results", "cost against quality", "C", when=_closed),
    Action("results.show('break-even')", "results", "when compiling has paid back", "b", when=_closed),
    Action("results.show('distributions')", "results", "distribution of the scores", "d", when=_closed),
    Action("results.show('deviations')", "results", "by what the user did unasked", "o", when=_closed),
    Action("results.show('procedure')", "results", "where agents left the procedure", "w", when=_closed),
    Action("results.show('coverage')", "results", "coverage of the graph", "z", when=_closed),
    Action("results.show('judges')", "results", "every judge's scores", "i", when=_closed),
    Action("results.show('agreement')", "results", "agreement of judges and people", "A", when=_closed),
    Action("results.show('paper')", "results", "the paper's figures, as a reference", "P", when=_closed),
    Action("results.show('about')", "results", "seeds, versions, rubrics, what is missing", "I", when=_closed),
    Action("results.evaluate", "results", "start an evaluation", "e", short="evaluate", when=_not_opened),
    Action("results.turn(1)", "results", "next view", "right_square_bracket", short="views", footer=5, when=_closed),
    Action("results.turn(-1)", "results", "view before", "left_square_bracket", when=_closed),
)
# fmt: on


def remap(config: Config) -> None:
    """Give actions the keys that the user's file says. Raises UserError for an unknown action, and for clashes.

    Called once, before the panes are imported: bindings, footer, help and palette are made from the registry.
    """
    global ACTIONS
    ids = {action.id for action in ACTIONS}
    if unknown := sorted(set(config.keymap) - ids):
        near = get_close_matches(unknown[0], ids, n=1, cutoff=0)[0]
        raise UserError(
            f'{config.file}: no action "{clean_line(unknown[0], 60)}" to give a key to; the nearest is "{near}"'
        )
    wanted = tuple(replace(a, key=config.keymap[a.id]) if a.id in config.keymap else a for a in ACTIONS)
    if config.keymap and (found := clashes(wanted, frozenset())):
        raise UserError(f"{config.file}: {found[0]}; choose another key")
    ACTIONS = wanted


def actions_of(*scopes: str) -> tuple[Action, ...]:
    """The actions of these scopes, in the registry's order."""
    return tuple(action for action in ACTIONS if action.scope in scopes)


def scopes_of(pane: str) -> tuple[str, ...]:
    """A pane's own scope and those that it shares."""
    return (pane, *SHARED.get(pane, ()))


def bindings(scope: str) -> list[Binding]:
    """Textual bindings of a scope; their ids let a keymap change them."""
    return [
        Binding(action.key, action.name, action.verb, id=action.id, show=False, priority=action.priority)
        for action in actions_of(scope)
    ]


def footer(scope: str, state: Any, app: Any) -> list[Action]:
    """The few actions that matter in a pane now, best first, with those of the app at the end."""
    ranked = sorted(
        (a for a in actions_of(*scopes_of(scope)) if a.footer and allowed(a, state)), key=lambda a: a.footer
    )
    always = sorted((a for a in actions_of("app") if a.footer and allowed(a, app)), key=lambda a: a.footer)
    return [*ranked[: FOOTER_ENTRIES - len(always)], *always]


def allowed(action: Action, state: Any) -> bool:
    """Whether the action makes sense in this state."""
    return action.when is None or bool(action.when(state))


def clashes(actions: Iterable[Action], reserved: frozenset[str] = RESERVED) -> list[str]:
    """Where one key means two things, or a reserved key is used: one line each, none when all is well.

    A pane's keys must differ from the app's, and from those of the list and the text that it holds.
    """
    actions, found = tuple(actions), []
    for pane in (*PANES, "app"):
        seen: dict[str, Action] = {}
        for action in actions:
            if action.scope not in (*scopes_of(pane), "app", "list"):
                continue
            for key in action.keys:
                if key in reserved:
                    found.append(f"{action.id}: {key} is never a default")
                if key in seen and seen[key] is not action:
                    found.append(f"{action.id}: {key} is taken by {seen[key].id}")
                seen[key] = action
    return found

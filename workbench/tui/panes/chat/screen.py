"""The Chat pane: one input, two to four agents answering side by side. The conversation itself lives in a job."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widget import Widget
from textual.widgets import Input

from workbench.agents.live_client import draw_scenario, launch_chat, with_persona
from workbench.store.rows import ChatRow
from workbench.tui import state as states
from workbench.tui.panes.chat import offers, session, view
from workbench.tui.panes.chat.board import Board, Heads
from workbench.tui.panes.chat.dialogs import AgentsScreen, EarlierScreen, ScenarioScreen, VoteScreen, WordsScreen
from workbench.tui.panes.chat.invitation import invitation, waiting
from workbench.tui.panes.chat.map import WIDTH, Map
from workbench.tui.panes.chat.talking import Order, Talking, go_on
from workbench.tui.state import ChatState
from workbench.tui.widgets.safe import Line, SafeText
from workbench.workflow.model import Workflow

REDRAW = 0.12
"""Seconds between two drawings while text streams in: eight a second, however many columns and tokens."""
REDRAW_SLOW = 0.25
LEAST_COLUMN = 40
FASTEST, SLOWEST = 64.0, 0.25


class ChatPane(Talking):
    """A client of the detached conversation: leaving the pane or the app ends nothing, coming back joins again."""

    scope = "chat"
    first = "#chat-board"
    HELP = (
        "What you write goes to all columns, or to one (^t), which has then diverged. A column that answers takes it next. "
        "Every message is in the record. [ and ] choose a message: e says it anew, b branches after it. $? is an unknown "
        "price: `workbench --price paper-a100`, or local_price in the settings, says what a local model costs."
    )

    def __init__(self) -> None:
        super().__init__()
        self._due = False
        self._workflow: tuple[str, Workflow | None] = ("", None)
        self._offers = offers.Offers((), "")

    def compose(self) -> ComposeResult:
        """Compose."""
        yield SafeText(id="chat-empty", classes="note", hanging=True)
        with Horizontal(id="chat-body"):
            with Vertical(id="chat-talk"):
                yield Heads(id="chat-heads")
                yield Board(id="chat-board")
                yield SafeText(id="chat-strips", classes="note", wrapped=False)
            yield Map(id="chat-map")
        yield SafeText(id="chat-notice", classes="note", wrapped=False)
        yield Input(self.state.draft, id="chat-input", select_on_focus=False)

    def on_mount(self) -> None:
        """Say what to do first."""
        self.query_one("#chat-empty").can_focus = True
        if self.shell.slow:
            self.query_one(Board).jump = 0.75
        self._draw()

    def refresh_data(self, topics: frozenset[str]) -> None:
        """What can be talked to comes from the record; the conversation comes over its own socket."""
        if "record" in topics or "opened" in topics:
            self.run("offers", lambda: offers.offers(self.home), self._offered)
        wanted = self.state.session
        joined = self._session is not None and self._session.job == wanted
        there = wanted and (self.home.jobs / wanted / "job.json").exists()
        if wanted and not joined and (there or ("opened" in topics and not self.shell.banner)):
            self._join(wanted)

    def _offered(self, found: offers.Offers) -> None:
        self._offers = found
        self._draw()

    # The conversation --------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        super()._forget()
        self.query_one(Board).choose(None)

    def _begin(self, *, blind: bool = False) -> None:
        """Start the process that holds the conversation; join it when it is there."""
        state, offered = self.state, self._offers

        def start() -> str:
            scenario = state.scenario or offered.scenario or draw_scenario(self.home, offered.workflow)
            job = launch_chat(self.home, state.agents, offered.workflow, scenario=scenario, user="agenda", blind=blind)
            return job.id

        def started(job: str) -> None:
            self.state = states.session_begun(self.state, job)
            self._join(job)

        self._forget()
        self.state = states.session_begun(self.state, None)
        self.run("start", start, started)
        self.changed()

    # What is shown -----------------------------------------------------------------------------------------------

    def changed(self) -> None:
        """Draw soon, however much comes until then."""
        if not self._due:
            self._due = True
            self.set_timer(REDRAW_SLOW if self.shell.slow else REDRAW, self._later)

    def _later(self) -> None:
        self._due = False
        self._draw()

    def _draw(self) -> None:
        talk, state = self.talk, self.state
        width = self.size.width or 80
        count = min(view.side_by_side(width), len(talk.columns))
        body = self.query_one("#chat-body")
        if body.display != bool(count):
            body.display = bool(count)
            if count and self.is_open and not isinstance(self.screen.focused, Input) and self.screen is self.shell.base:
                self.query_one(Board).focus()
        self.query_one(Heads).show(
            [view.head(talk, c, self._to in (None, c.number), width // max(count, 1) - 1) for c in talk.columns[:count]]
        )
        self.query_one("#chat-strips", SafeText).put(*(view.strip(talk, c) for c in talk.columns[count:]))
        self._map(width, count)
        self.query_one(Board).show(talk, count, aligned=state.aligned)
        empty = self.query_one("#chat-empty", SafeText)
        empty.display = not talk.columns
        empty.put(*self._invitation(state))
        notice = self.query_one("#chat-notice", SafeText)
        words = view.notice(talk, speed=self._speed, chosen=self._chosen, gone=self._gone)
        notice.display = bool(words)
        notice.put(words)
        box = self.query_one("#chat-input", Input)
        box.placeholder = view.whom(talk, self._to)
        box.display = bool(state.agents)

    def _map(self, width: int, count: int) -> None:
        """The graph: beside the columns where there is room, over them where it was asked for."""
        talk, panel = self.talk, self.query_one(Map)
        beside = width - count * LEAST_COLUMN >= WIDTH
        panel.display = self.graph_shown
        panel.set_class(not beside, "-over")
        if not panel.display:
            return
        if self._workflow[0] != talk.workflow:
            self._workflow = (talk.workflow, None)
            self.run("flow", lambda: (talk.workflow, offers.flow_of(talk.workflow)), self._flowed)
        elif self._workflow[1]:
            led = (c.number for c in talk.columns if c.agent.startswith("orchestrated") and c.at)
            panel.show(self._workflow[1], talk, self._to if self._to is not None else next(led, 0))

    def _flowed(self, found: tuple[str, Workflow | None]) -> None:
        self._workflow = found
        self._draw()

    @property
    def graph_shown(self) -> bool:
        """Whether the graph stands beside or over the talk."""
        width, talk = self.size.width or 80, self.talk
        count = min(view.side_by_side(width), len(talk.columns))
        if not count or talk.masked:
            return False
        fits = width - count * LEAST_COLUMN >= WIDTH
        return bool(self.state.graph == "on" or (self.state.graph == "auto" and fits))

    def _invitation(self, state: ChatState) -> tuple[Line, ...]:
        if state.session or self._session:
            return waiting(state.agents)
        return invitation(state, self._offers.agents, self._offers.talks, self._offers.name)

    def on_resize(self) -> None:
        """Columns by width."""
        self._draw()

    # Events and actions ------------------------------------------------------------------------------------------

    @on(Input.Changed, "#chat-input")
    def _typed(self, message: Input.Changed) -> None:
        self.state = states.message_drafted(self.state, message.value)

    @on(Input.Submitted, "#chat-input")
    def _submitted(self, message: Input.Submitted) -> None:
        text, to = message.value.strip(), self._addressed
        if not self._session:
            self.shell.say("nobody to hear it: n begins a conversation", tone="warn")
        elif not text:
            if not self._retry_failed() and self._gone and view.undone(self.talk):
                self._send(go_on)
        elif self._is_heard():
            message.input.value = ""
            self._send(lambda client: client.say(text, to))

    def _is_heard(self) -> bool:
        """Whether a message reaches anybody (one that is just starting will take it); else says what to do."""
        if self.talk.columns and not view.hearing(self.talk, self._to):
            self.shell.say(view.whom(self.talk, self._to), tone="warn")
            return False
        return True

    def action_write(self) -> None:
        """To the input."""
        self.screen.set_focus(self.query_one("#chat-input"))

    def action_agents(self) -> None:
        """Choose the agents, then begin."""

        def chosen(agents: tuple[str, ...] | None) -> None:
            if agents:
                self.state = states.agents_chosen(self.state, ())
                self.state = states.agents_chosen(self.state, agents)
                self._begin()

        self.app.push_screen(AgentsScreen(self._offers.agents, self.state.agents), chosen)

    def action_fresh(self) -> None:
        """A new conversation with the same agents; the old one stays in the record."""
        self._begin()

    def action_blind(self) -> None:
        """A new conversation whose agents are shuffled and not named."""
        if len(self.state.agents) < 2:
            self.shell.say("a blind comparison needs two agents or more: a chooses them", tone="warn")
            return
        self._begin(blind=True)

    def action_vote(self) -> None:
        """Say which was better."""

        def voted(answer: tuple[str, str] | None) -> None:
            if answer:
                choice, note = answer
                self._send(lambda client: client.vote(choice, note))

        if len(self.talk.columns) > 1:
            self.app.push_screen(VoteScreen(self.talk), voted)

    def action_scenario(self) -> None:
        """Choose the scenario of the simulated user, then begin anew."""
        workflow = self._offers.workflow
        self.run("cases", lambda: offers.cases(self.home, workflow), self._choose_case)

    def _choose_case(self, found: offers.Cases) -> None:
        def chosen(answer: tuple[str, str | None] | None) -> None:
            if answer is None:
                return
            scenario, persona = answer
            workflow = self._offers.workflow
            make = (lambda: with_persona(self.home, workflow, scenario, persona)) if persona else (lambda: scenario)
            self.run("persona", make, self._case_chosen)

        self.app.push_screen(ScenarioScreen(found, self.state.scenario), chosen)

    def _case_chosen(self, scenario: str) -> None:
        self.state = states.scenario_chosen(self.state, scenario)
        self._begin()

    def action_graph(self) -> None:
        """The graph, or more room for the words."""
        if self.talk.masked:
            self.shell.say("the graph would tell who is who: vote first", tone="warn")
            return
        self.state = states.graph_toggled(self.state, self.graph_shown)
        self._draw()

    def action_align(self) -> None:
        """Message n on one line, or not."""
        self.state = states.lined_up(self.state)
        self._draw()

    def action_address(self) -> None:
        """To all, to the first, to the second, … and round again."""
        numbers = [None, *self.talk.listening]
        at = numbers.index(self._to) if self._to in numbers else 0
        self._to = numbers[(at + 1) % len(numbers)]
        self._draw()

    def action_auto(self) -> None:
        """Let the simulated user speak to all (or the one addressed), or take over from it."""
        flying = any(column.auto and column.open for column in self.talk.columns)
        to = self._addressed
        if self._is_heard():
            self._send(lambda client: client.auto(0 if flying else None, to))

    def action_step(self) -> None:
        """One message of the simulated user."""
        to = self._addressed
        if self._is_heard():
            self._send(lambda client: client.auto(1, to))

    def action_halt(self) -> None:
        """Cut the replies in the making."""
        to = self._addressed
        self._send(lambda client: client.stop_reply(to))

    def action_close(self) -> None:
        """End the conversation of all columns, or of the one addressed."""
        to = self._addressed
        self._send(lambda client: client.end(to))

    def action_retry(self) -> None:
        """Ask failed columns again; if none failed, have the chosen or the last reply made anew."""
        idx, to = self._chosen, self._addressed
        if idx is not None:
            at = idx if self._role(idx) == "agent" else idx + 1
            self._go(lambda client: client.back(at, None, to))
        elif not self._retry_failed():
            self._send(lambda client: client.retry(to))

    def _retry_failed(self) -> bool:
        """Ask failed columns again; whether there were any."""
        if failed := [c.number for c in self.talk.columns if c.state == "failed"]:
            self._send(lambda client: client.retry(failed))
        return bool(failed)

    def action_choose(self, by: int) -> None:
        """Choose a message, in all columns the one of the same number; past the last the end is followed again."""
        most = max((len(c.said) for c in self.talk.columns), default=0)
        at = (most if self._chosen is None else self._chosen) + by
        self._chosen = None if at >= most or not most else max(at, 0)
        self.query_one(Board).choose(self._chosen)
        self._draw()

    def action_edit(self) -> None:
        """Say a message of the user anew: the conversation goes on from there, the old one stays in the record."""
        last = (
            self._chosen if self._chosen is not None else max((len(c.said) for c in self.talk.columns), default=0) - 1
        )
        idx = last if self._role(last) == "user" else last - 1
        words = self._words(idx)
        if words is None:
            self.shell.say("the user has said nothing there yet", tone="warn")
            return
        to = self._addressed

        def said(text: str | None) -> None:
            if text:
                self._go(lambda client: client.back(idx, text, to))

        self.app.push_screen(WordsScreen(f"Instead of message {idx + 1}", words), said)

    def action_branch(self) -> None:
        """Go on after the chosen message as another conversation."""
        if self._chosen is None:
            self.shell.say("choose a message first: [ and ]", tone="warn")
            return
        idx, to = self._chosen + 1, self._addressed
        self._go(lambda client: client.back(idx, None, to))

    def _go(self, what: Order) -> None:
        """Send, and follow the end again."""
        self._chosen = None
        self.query_one(Board).choose(None)
        self._send(what)

    def _role(self, idx: int) -> str:
        return next((c.said[idx].role for c in self.talk.columns if 0 <= idx < len(c.said)), "")

    def _words(self, idx: int) -> str | None:
        """What the user said there, in the column that is addressed or the first that has it."""
        columns = self.talk.columns if self._to is None else (self.talk.columns[self._to],)
        return next((c.said[idx].text for c in columns if 0 <= idx < len(c.said) and c.said[idx].role == "user"), None)

    def action_earlier(self) -> None:
        """Open an earlier conversation."""

        def chosen(job: str | None) -> None:
            if job:
                self.state = states.session_begun(states.agents_chosen(self.state, agents[job]), job)
                self._join(job)

        def show(found: list[ChatRow]) -> None:
            agents.update({c.job: tuple(sorted(c.agents)) if c.blind else c.agents for c in found})
            self.app.push_screen(EarlierScreen(found), chosen)

        agents: dict[str, tuple[str, ...]] = {}
        """Those of a blind one not in the order of its columns, which would tell who is who."""
        self.run("earlier", lambda: offers.earlier(self.home), show)

    def action_name(self) -> None:
        """Name the conversation."""
        job = self.state.session

        def named(name: str | None) -> None:
            if name is not None and job:
                done = f"called “{name}”" if name else "without a name"
                self.run(
                    "name", lambda: session.rename(self.home, job, name), lambda _: self.shell.say(done, tone="good")
                )

        self.app.push_screen(WordsScreen("What is this conversation called?"), named)

    def action_export(self) -> None:
        """Save it in every form."""
        job = self.state.session
        if job and self.talk.masked:
            self.shell.say("a file would name the agents: vote first", tone="warn")
        elif job:
            self.run(
                "export", lambda: session.save(self.home, job), lambda f: self.shell.say(f"saved {f}", tone="good")
            )

    def action_replay(self) -> None:
        """Play it again with its own timing; once more: back to how it is."""
        held = self._session
        if held is None:
            return
        replaying = self._speed is not None
        job = held.job
        self._join(job)
        if not replaying and self._session:
            self._speed = 1.0
            self._listen(self._session.replay(lambda: self._speed or 0.0))

    def action_servers(self) -> None:
        """The local servers and how they fare."""
        from workbench.tui.panes.chat.servers import ServersScreen

        self.app.push_screen(ServersScreen(self.home, self.run))

    def action_speed(self, by: float) -> None:
        """A replay faster or slower."""
        if self._speed is not None:
            self._speed = min(max(self._speed * by, SLOWEST), FASTEST)
            self._draw()

    def opened(self) -> None:
        """The focus: where it was, else the columns."""
        target = self._focus if self._focus and self._focus.is_attached and self._focus.display else None
        self.screen.set_focus(target or self._home_widget)

    def back(self) -> None:
        """To the columns, at their end."""
        if self._chosen is not None:
            self._chosen = None
            self.query_one(Board).choose(None)
            self._draw()
        self._home_widget.focus()

    def leave_input(self, focused: Widget) -> None:
        """The draft stays in the input."""
        self._home_widget.focus()

    @property
    def _home_widget(self) -> Widget:
        return self.query_one("#chat-board" if self.talk.columns else "#chat-empty")

    def selected_text(self) -> str:
        """All columns, one after the other."""
        return view.transcript(self.talk)


PANE = ChatPane

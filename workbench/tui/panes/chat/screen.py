"""The Chat pane: one input, two or three agents answering side by side. The conversation itself lives in a job."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Input

from workbench.agents.live_client import LiveClient, launch_chat, recorded_events
from workbench.errors import UserError
from workbench.jobs import ENDED, job_folder, resume, status
from workbench.tui import state as states
from workbench.tui.format import agent_name
from workbench.tui.pane import Pane
from workbench.tui.panes.chat import view
from workbench.tui.panes.chat.widgets import AgentColumn, AgentsScreen
from workbench.tui.state import ChatState
from workbench.tui.widgets.safe import SafeText

PATIENCE = 600.0
"""Seconds to wait for a conversation's process: a model may have to be loaded first; a job that ends is told at once."""
REDRAW = 0.12
"""Seconds between two drawings while text streams in: eight a second, however many columns and tokens."""


class ChatPane(Pane):
    """A client of the detached conversation: leaving the pane or the app ends nothing, coming back joins again."""

    scope = "chat"
    first = "#chat-columns Transcript, #chat-empty"
    HELP = "What you write goes to all columns, or to one (^t). A column that answers takes it next. Every message is in the record."

    def __init__(self) -> None:
        super().__init__()
        self.talk = view.Talk()
        self._client: LiveClient | None = None
        self._joined: str | None = None
        self._to: int | None = None
        self._due = False
        self._offers = view.Offers((), "", None)

    def compose(self) -> ComposeResult:
        """Compose."""
        yield SafeText(id="chat-empty", classes="note")
        yield Horizontal(id="chat-columns")
        yield SafeText(id="chat-strips", classes="note")
        yield Input(self.state.draft, id="chat-input", select_on_focus=False)

    def on_mount(self) -> None:
        """Say what to do first."""
        self.query_one("#chat-empty").can_focus = True
        self._draw()

    def refresh_data(self, topics: frozenset[str]) -> None:
        """What can be talked to comes from the record; the conversation comes over its own socket."""
        if "record" in topics or "opened" in topics:
            self.run("offers", lambda: view.offers(self.home), self._offered)
        if "opened" in topics and self.state.session and self._joined != self.state.session:
            self._join(self.state.session)

    def _offered(self, offers: view.Offers) -> None:
        self._offers = offers
        self._draw()

    # The conversation --------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Start the process that holds the conversation; join it when it is there."""
        agents, offers = self.state.agents, self._offers
        scenario = offers.scenario
        user = "agenda" if scenario else None

        def start() -> str:
            job = launch_chat(self.home, agents, offers.workflow, scenario=scenario, user=user)
            return job.id

        def started(job: str) -> None:
            self.state = states.session_begun(self.state, job)
            self._join(job)

        self.talk, self._client, self._joined = view.Talk(), None, None
        self.run("start", start, started)
        self._soon()

    def _join(self, job: str) -> None:
        self._joined, self._client, self.talk = job, None, view.Talk()
        self.run_worker(self._listen(job), group="chat", exclusive=True, exit_on_error=False)

    async def _listen(self, job: str) -> None:
        """Show what the record has of an ended conversation, or follow a live one until it ends or we leave."""
        try:
            if status(self.home, job).state in ENDED:
                for event in recorded_events(job_folder(self.home, job)):
                    self.talk = view.fold(self.talk, event)
                self._soon()
                return
            client = await LiveClient.join(self.home, job, timeout=PATIENCE)
            self._client = client
            async for event in client.events():
                self.talk = view.fold(self.talk, event)
                self._soon()
        except UserError as error:
            self.shell.say(str(error), tone="bad")
        finally:
            if self._client:
                await self._client.close()
            self._client = None
            self._soon()

    def _send(self, what: Callable[[LiveClient], Awaitable[None]]) -> None:
        """Send something; an ended process is started again first and takes the conversation up where it was."""

        async def send() -> None:
            try:
                job = self.state.session
                if self._client is None and job:
                    again = resume(self.home, job)
                    self._client = await LiveClient.join(self.home, again.id, after=self.talk.last, timeout=PATIENCE)
                    self.run_worker(self._follow(self._client), group="chat", exclusive=True, exit_on_error=False)
                if self._client:
                    await what(self._client)
            except UserError as error:
                self.shell.say(str(error), tone="bad")

        self.run_worker(send(), group="send", exit_on_error=False)

    async def _follow(self, client: LiveClient) -> None:
        async for event in client.events():
            self.talk = view.fold(self.talk, event)
            self._soon()
        self._client = None

    # What is shown -----------------------------------------------------------------------------------------------

    def _soon(self) -> None:
        if not self._due:
            self._due = True
            self.set_timer(REDRAW, self._later)

    async def _later(self) -> None:
        self._due = False
        await self._columns()
        self._draw()

    async def _columns(self) -> None:
        """As many column widgets as fit."""
        row = self.query_one("#chat-columns", Horizontal)
        fit = min(view.side_by_side(self.size.width or 80), len(self.talk.columns))
        there = len(row.children)
        if there > fit:
            await row.remove_children(list(row.query_children(AgentColumn))[fit:])
        for number in range(there, fit):
            await row.mount(AgentColumn(number))
        if not there and fit and self.is_open and not isinstance(self.screen.focused, Input):
            row.query("Transcript").first().focus()

    def _draw(self) -> None:
        talk, state = self.talk, self.state
        widgets = list(self.query(AgentColumn))
        for column, widget in zip(talk.columns, widgets, strict=False):
            widget.show(column, talk.columns, self._to in (None, column.number))
        self.query_one("#chat-strips", SafeText).put(
            *(view.strip(c) for c in talk.columns[view.side_by_side(self.size.width or 80) :])
        )
        empty = self.query_one("#chat-empty", SafeText)
        empty.display = not talk.columns
        empty.put(*self._invitation(state))
        box = self.query_one("#chat-input", Input)
        box.placeholder = self._whom()
        box.display = bool(state.agents)

    def _invitation(self, state: ChatState) -> list[Any]:
        if state.agents:
            return [(("starting ", "dim"), (", ".join(state.agents), "plain"), (" …", "dim"))]
        if self._offers.agents:
            return [
                (
                    ("a", "key"),
                    (" chooses the agents to talk to: ", "plain"),
                    (", ".join(self._offers.agents[:4]), "dim"),
                )
            ]
        return [
            (
                ("nobody to talk to yet: ", "dim"),
                ("workbench demo", "strong"),
                (" compiles an agent, or ", "dim"),
                ("a", "key"),
                (" names one", "dim"),
            )
        ]

    def _whom(self) -> str:
        columns = self.talk.columns
        if self._to is not None and self._to < len(columns):
            return f"to {agent_name(columns[self._to].agent)} only (^t changes it)"
        listening = len(self.talk.open)
        return (
            f"to all {listening} that listen"
            if columns and listening
            else "everyone has ended: n begins anew"
            if columns
            else "…"
        )

    async def on_resize(self) -> None:
        """Columns by width."""
        await self._columns()
        self._draw()

    # Events and actions ------------------------------------------------------------------------------------------

    @on(Input.Changed, "#chat-input")
    def _typed(self, message: Input.Changed) -> None:
        self.state = states.message_drafted(self.state, message.value)

    @on(Input.Submitted, "#chat-input")
    def _submitted(self, message: Input.Submitted) -> None:
        text = message.value.strip()
        to = None if self._to is None else [self._to]
        if text and self.state.session:
            message.input.value = ""
            self._send(lambda client: client.say(text, to))

    def action_write(self) -> None:
        """To the input."""
        self.query_one("#chat-input").focus()

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

    def action_address(self) -> None:
        """To all, to the first, to the second, … and round again."""
        numbers = [None, *self.talk.open]
        at = numbers.index(self._to) if self._to in numbers else 0
        self._to = numbers[(at + 1) % len(numbers)]
        self._draw()

    def action_auto(self) -> None:
        """Let the simulated user speak to all, or take over from it."""
        flying = any(column.auto for column in self.talk.columns)
        self._send(lambda client: client.auto(0 if flying else None))

    def action_halt(self) -> None:
        """Cut the replies in the making."""
        self._send(lambda client: client.stop_reply())

    def action_retry(self) -> None:
        """Ask failed columns again."""
        self._send(lambda client: client.retry())

    def opened(self) -> None:
        """The focus: where it was, else the first column."""
        target = self._focus or next(iter(self.query(self.first)), None)
        if target and target.is_attached:
            target.focus()

    def back(self) -> None:
        """To the first column."""
        self.leave_input(self)

    def leave_input(self, focused: Widget) -> None:
        """The draft stays in the input."""
        columns = self.query("#chat-columns Transcript")
        (columns.first() if columns else self.query_one("#chat-empty")).focus()

    def selected_text(self) -> str:
        """All columns, one after the other."""
        return "\n\n".join(
            f"# {c.agent}\n" + "\n".join(f"{b.role}: {b.text}" for b in c.bubbles) for c in self.talk.columns
        )


PANE = ChatPane

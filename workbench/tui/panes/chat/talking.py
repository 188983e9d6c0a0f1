"""The conversation of the chat pane: joined, heard, spoken to, replayed. What is drawn of it is the pane's business."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial

from workbench.agents.live_client import LiveClient
from workbench.errors import UserError
from workbench.tui.pane import Pane
from workbench.tui.panes.chat import session, view

Order = Callable[[LiveClient], Awaitable[None]]


async def go_on(client: LiveClient) -> None:
    """Nothing to say: a process that is started again does by itself what was left to do."""


class Talking(Pane):
    """A pane that holds one conversation at a time as `talk`, and is told by `changed` whenever that is another."""

    scope = "talking"
    """No keys of its own: they belong to the pane that is made of it."""

    def __init__(self) -> None:
        super().__init__()
        self.talk = view.Talk()
        self._session: session.Session | None = None
        self._to: int | None = None
        """The column that is spoken to alone; None: all."""
        self._chosen: int | None = None
        """The number of the message that is chosen."""
        self._speed: float | None = None
        """Of a replay; None when none runs."""
        self._gone = False
        """Whether its process has gone: nothing more comes before somebody speaks."""
        self._sending = asyncio.Lock()

    def changed(self) -> None:
        """The talk, or what is known about it, is not what it was."""
        raise NotImplementedError

    def _forget(self) -> None:
        self.talk, self._session = view.Talk(), None
        self._to = self._chosen = self._speed = None
        self._gone = False

    def _join(self, job: str) -> None:
        self._forget()
        self._session = session.Session(self.home, job)
        self._listen(self._session.events())

    def _listen(self, events: AsyncIterator[session.Event]) -> None:
        """Show events as they come, instead of those that came before."""
        self._gone = False
        work = partial(self._take, events)  # not a coroutine yet: one that is replaced at once would never be awaited
        self.run_worker(work, group="chat", exclusive=True, exit_on_error=False)  # type: ignore[arg-type]

    async def _take(self, events: AsyncIterator[session.Event]) -> None:
        held = self._session
        try:
            async for event in events:
                if event["type"] == "refused":
                    self.shell.say(str(event["error"]), tone="warn")
                self.talk = view.fold(self.talk, event)
                self.changed()
            self._gone = self._session is held and self._speed is None
        except UserError as error:
            self.shell.say(str(error), tone="bad")
        finally:
            if self._session is held:
                self._speed = None
                self.changed()

    def _send(self, what: Order) -> None:
        """Send something; an ended process is started again first and takes the conversation up where it was."""
        held = self._session
        if held is None:
            return

        async def send() -> None:
            try:
                async with self._sending:  # in the order given, and a process is started once
                    client, events = await held.speak(self.talk.last)
                    if events and self._session is held:
                        self._listen(events)
                    await what(client)
            except UserError as error:
                held.client = None
                self.shell.say(str(error), tone="bad")

        self.run_worker(send(), group="send", exit_on_error=False)

    @property
    def _addressed(self) -> list[int] | None:
        """The columns that are spoken to, None for all."""
        return None if self._to is None else [self._to]

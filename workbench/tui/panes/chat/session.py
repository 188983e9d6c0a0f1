"""Where the pane's events come from: the process that holds a conversation, its event file, or the record."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any

from workbench.agents.export import FORMS, export
from workbench.agents.live_client import LiveClient, recorded_events
from workbench.agents.replay import events_of, paced, pricing
from workbench.errors import UserError
from workbench.home import Home, make_folder
from workbench.jobs import ENDED, job_folder, resume, status, tail_events
from workbench.jobs.identity import host
from workbench.models.open import price_of
from workbench.store.chats import chat_conversations, chats, name_chat
from workbench.store.conversations import get_conversation
from workbench.store.record import connect
from workbench.store.workflows import get_workflow
from workbench.tui.effects import reader

Event = Mapping[str, Any]
PATIENCE = 600.0
"""Seconds to wait for a conversation's process: a model may have to be loaded first; a job that ends is told at once."""
_POLL_S = 0.1


class Session:
    """One live conversation, by its job. `client` is there while its process can be spoken to."""

    def __init__(self, home: Home, job: str) -> None:
        self.home, self.job = home, job
        self.client: LiveClient | None = None
        self._connecting = asyncio.Lock()

    async def events(self, after: int = 0) -> AsyncIterator[Event]:
        """Its events after that number: of an ended one from its file, of a running one as they come.

        A conversation that is held on another machine is followed through its file and cannot be spoken to.
        """
        try:
            now = await asyncio.to_thread(status, self.home, self.job)
        except UserError:  # its folder is gone, or was never here: the record may have what was said
            now = None
        if now is None or now.state in ENDED:
            for event in await asyncio.to_thread(self.recorded):
                if event["seq"] > after:
                    yield event
        elif now.host not in (None, host()) and not (now.folder / "live.json").exists():
            async for event in self._tailed(after):
                yield event
        else:
            async with self._connecting:
                client = self.client = await LiveClient.join(self.home, self.job, after=after, timeout=PATIENCE)
            async for event in self._heard(client):
                yield event

    async def speak(self, after: int) -> tuple[LiveClient, AsyncIterator[Event] | None]:
        """A client to speak through; an ended process is started again and takes the conversation up where it was.

        With it the events to be heard from now on, None where `events` hears them: a process that is just starting is
        joined once, not twice.
        """
        async with self._connecting:
            if self.client is not None:
                return self.client, None
            again = await asyncio.to_thread(resume, self.home, self.job)
            client = self.client = await LiveClient.join(self.home, again.id, after=after, timeout=PATIENCE)
            return client, self._heard(client)

    async def _heard(self, client: LiveClient) -> AsyncIterator[Event]:
        """What it says; after the last event nobody can be spoken to through it."""
        try:
            async for event in client.events():
                yield event
        finally:
            if self.client is client:
                self.client = None
            await client.close()

    def recorded(self) -> list[Event]:
        """All events so far: from the job's folder, or made from the record where the folder is gone.

        What had no price then is shown at what is stated now (`--price`, the settings).
        """
        return list(map(self._pricing(), self._stored()))

    def _pricing(self) -> Callable[[Event], Event]:
        return pricing(lambda model: price_of(model, self.home)[0])

    def _stored(self) -> list[Event]:
        with suppress(UserError):
            if events := recorded_events(job_folder(self.home, self.job)):
                return list(events)
        rec = reader(self.home)
        held = [found for c in chat_conversations(rec, self.job) if (found := get_conversation(rec, c))]
        if not held:
            raise UserError(f"the conversation {self.job} is neither among the jobs nor in the record")
        row = get_workflow(rec, held[0][0].workflow_id)
        return list(events_of(held, row.name if row else ""))

    async def replay(self, speed: Callable[[], float]) -> AsyncIterator[Event]:
        """All events with their original timing, `speed()` times as fast; no model is asked. 0 waits."""
        for pause, event in paced(await asyncio.to_thread(self.recorded)):
            left = pause
            while left > 0:
                step = min(left, _POLL_S * max(speed(), 0.01))
                await asyncio.sleep(step / speed() if speed() else _POLL_S)
                left -= step if speed() else 0
            yield event

    async def _tailed(self, after: int) -> AsyncIterator[Event]:
        offset, with_price = 0, self._pricing()
        while True:
            ended = (await asyncio.to_thread(status, self.home, self.job)).state in ENDED
            begin = offset
            events, offset = await asyncio.to_thread(tail_events, self.home, self.job, offset)
            for event in map(with_price, events):
                if event.get("seq", 0) > after:
                    yield event
            if ended and offset == begin:
                return
            await asyncio.sleep(_POLL_S)


def rename(home: Home, job: str, name: str) -> None:
    """Give a conversation a name; for a worker thread."""
    with connect(home) as rec:
        name_chat(rec, job, name)


def save(home: Home, job: str) -> str:
    """Write the conversation in every form under runs/exports; the files' common beginning."""
    rec = reader(home)
    held = [found for c in chat_conversations(rec, job) if (found := get_conversation(rec, c))]
    name = next((c.name for c in chats(rec) if c.job == job and c.name), "")
    word = "".join(c if c.isalnum() else "-" for c in name)[:40] or job[:8]
    folder = home.root / "exports"
    make_folder(folder)
    for form in FORMS:
        (folder / f"chat-{word}.{form}").write_text(export(held, form, name), "utf-8")
    return f"{folder / f'chat-{word}'}.{{{','.join(FORMS)}}}"

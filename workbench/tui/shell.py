"""The app itself: it puts the panes together, keeps their state, and passes on what the watcher and the workers say."""

from __future__ import annotations

import getpass
import os
from dataclasses import replace
from functools import cached_property
from importlib import import_module
from typing import Any, ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.screen import Screen
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input

from workbench.errors import UserError
from workbench.home import Home
from workbench.text import clean_line
from workbench.tui import format as formats
from workbench.tui import signals, state
from workbench.tui.actions import ACTIONS, PANES, allowed, bindings, footer
from workbench.tui.commands import Commands
from workbench.tui.demo import Follower
from workbench.tui.effects import Effects, Finished
from workbench.tui.following import Following
from workbench.tui.format import place
from workbench.tui.palette import ActionsProvider
from workbench.tui.pane import Pane
from workbench.tui.plain import AsciiFilter
from workbench.tui.theme import DARK, FEW_COLOURS, LIGHT, THEMES, meanings
from workbench.tui.watch import Changed, Watcher
from workbench.tui.widgets.bars import Keys, Status, StatusLine, Tabs
from workbench.tui.widgets.safe import CleanFilter, SafeText
from workbench.tui.widgets.timeline import Timeline

LEAST = (60, 20)
DIGITS = "12345"
WIDE = 120
SAVE_AFTER = 0.5
"""Seconds between a change of state and its saving; changes in between are saved with it."""
STATUS_EVERY = 5.0
"""Seconds between two readings of the GPU."""


class Workbench(Commands, Following, inherit_bindings=False):
    """Five panes on one record. Everything that is slow or untyped happens elsewhere."""

    TITLE = "workbench"
    CSS_PATH = ["shell.tcss", *(f"panes/{pane}/{pane}.tcss" for pane in PANES)]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("app")]
    COMMANDS = {ActionsProvider}  # noqa: RUF012
    ENABLE_COMMAND_PALETTE = True

    def __init__(
        self,
        home: Home,
        *,
        follow: str | None = None,
        watch: bool = True,
        remember: bool = True,
        slow: bool = False,
        banner: str = "",
        welcome: bool = False,
        few_colours: bool = False,
    ) -> None:
        """`slow` draws less, for a slow line; `banner` stands at the top of every screen; `welcome` offers a beginning;
        `few_colours`: the terminal has sixteen.
        """
        super().__init__()
        self.home = home
        self.slow = slow
        self.banner = banner
        self.state = state.load(self._file)
        formats.absolute = self.state.absolute
        self.effects = Effects(self)
        self.effects.failed = self._failed
        self.follower = Follower(home, follow)
        self._welcome = welcome
        self._watcher = Watcher(home, self) if watch else None
        self._remember = remember
        self.jump = None
        self._stale: dict[str, frozenset[str]] = {}
        self._status = Status()
        self._unsaved: Timer | None = None
        self._again: Timer | None = None
        self._in_focus: Widget | None = None
        for theme in FEW_COLOURS if few_colours else THEMES:
            self.register_theme(theme)
        self.theme = self._chosen_theme()
        self._filters.append(CleanFilter())
        if os.environ.get("WORKBENCH_ASCII"):
            self._filters.append(AsciiFilter())

    def _chosen_theme(self) -> str:
        """The theme of the settings, else the face that was in use. Raises UserError for one that is not known."""
        wanted = os.environ.get("WORKBENCH_THEME", "")
        if wanted and wanted not in self.available_themes:
            known = ", ".join(sorted(self.available_themes))
            raise UserError(f'no theme "{clean_line(wanted, 40)}" (setting theme, WORKBENCH_THEME); known: {known}')
        return wanted or (LIGHT if self.state.light else DARK)

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Our own names of colours, for any theme."""
        return meanings(self.current_theme)

    @property
    def _file(self) -> Any:
        """What the app remembers: in a shared home for each of its users."""
        return self.home.state / (f"tui-{getpass.getuser()}.json" if self.home.shared else "tui.json")

    @cached_property
    def reviewer(self) -> str:
        """Whose decisions are made here: `--as`, WORKBENCH_REVIEWER, else the login."""
        from workbench.dialogue.reviewing import reviewer_name

        return reviewer_name()

    @property
    def reading(self) -> bool:
        """Whether conversations are double-spaced."""
        return self.state.reading

    @property
    def can_follow(self) -> bool:
        """Whether there is a demo to follow that is not followed now."""
        return self.follower.exists and not self.follower.active

    @property
    def base(self) -> Screen[Any]:
        """The screen that holds the panes, whatever stands on top of it."""
        return self.screen_stack[0]

    @property
    def pane(self) -> Pane | None:
        """The pane on the screen."""
        return next(iter(self.base.query(f"#{self.state.pane}").results(Pane)), None)

    def compose(self) -> ComposeResult:
        """The frame; panes are made when they are first opened."""
        yield Tabs(place(self.home.root), id="tabs", banner=self.banner)
        yield Timeline(id="timeline")
        yield Container(id="panes")
        yield StatusLine(id="status")
        yield Keys(id="keys")
        yield SafeText(f"workbench needs {LEAST[0]}×{LEAST[1]} cells: please enlarge the window", id="small")

    def on_mount(self) -> None:
        """The frame first: a pane's imports would hold it up."""
        self.animation_level = "none"
        signals.install(lambda code: self.exit(code, return_code=code))
        self.call_after_refresh(self._begin)

    async def _begin(self) -> None:
        """Open the pane that was open, and begin to watch."""
        await self.open_pane(self.state.pane)
        if self._watcher:
            self._watcher.start()
        self._read_status()
        if self.follower.exists:
            self.follower.active = True
            self.read_demo()
        if self._welcome:
            self.action_welcome()

    def on_unmount(self) -> None:
        """Leave nothing running, forget nothing."""
        if self._watcher:
            self._watcher.stop()
        self.effects.close()
        if self._remember:
            state.save(self._file, self.state)

    def on_resize(self, event: events.Resize) -> None:
        """Tell the style sheets how much room there is; what is hidden for want of it gets the focus back later."""
        small = event.size.width < LEAST[0] or event.size.height < LEAST[1]
        if small and not self.base.has_class("-small"):
            self._in_focus = self.base.focused
        self.base.set_class(small, "-small")
        if not small and self._in_focus:
            self.call_after_refresh(self.base.set_focus, self._in_focus)
            self._in_focus = None
        self.base.set_class(event.size.width >= WIDE, "-wide")

    # State --------------------------------------------------------------------------------------------------------

    def keep(self, scope: str, part: object) -> None:
        """Put a pane's new state in place and save it soon."""
        if getattr(self.state, scope) != part:
            change: dict[str, Any] = {scope: part}
            self.state = replace(self.state, **change)
            if self._remember:
                self._unsaved = self._unsaved or self.set_timer(SAVE_AFTER, self._save)
            self.refresh_footer()

    def _save(self) -> None:
        current, self._unsaved = self.state, None
        self.effects.run("save", lambda: state.save(self._file, current), lambda _: None)

    # Panes --------------------------------------------------------------------------------------------------------

    async def open_pane(self, name: str) -> None:
        """Bring a pane to the screen; it reads what changed while it was away."""
        if (old := self.pane) and old.scope != name:
            old.left()
        self.state = replace(self.state, pane=name if name in PANES else PANES[0])
        panes = self.base.query_one("#panes", Container)
        for pane in panes.query_children(Pane).results(Pane):  # before another is there: two would share the room
            pane.display = pane.scope == self.state.pane
        if not (new := self.pane):
            module = import_module(f"workbench.tui.panes.{self.state.pane}.screen")
            new = module.PANE()
            assert isinstance(new, Pane)
            self._stale[new.scope] = frozenset({"record", "jobs", "opened"})
            await panes.mount(new)
        self.base.query_one(Tabs).put(self.state.pane)
        new.opened()
        if topics := self._stale.pop(new.scope, None):
            new.refresh_data(topics)
        self.refresh_footer()

    def refresh_footer(self) -> None:
        """Show the keys that matter now."""
        hint = "esc leaves the input" if isinstance(self.base.focused, Input) else ""
        for keys in self.base.query(Keys):
            keys.put(footer(self.state.pane, getattr(self.state, self.state.pane), self), hint)

    @on(Changed)
    def _changed(self, message: Changed) -> None:
        for pane in self.base.query(Pane):
            if pane.is_open:
                pane.refresh_data(message.topics)
            else:
                self._stale[pane.scope] = self._stale.get(pane.scope, frozenset()) | message.topics
        self._read_status()
        if self.follower.concerns(message.topics):
            self.read_demo()

    @on(Finished)
    def _finished(self, message: Finished) -> None:
        if self.is_running:
            message.deliver()

    def _failed(self, key: str, error: Exception) -> None:
        self.say(f"{key}: {error}", tone="bad")

    def _fatal_error(self) -> None:
        """A fault of ours ends the app; Textual would print local variables, a key among them. `run` raises it instead."""
        self._close_messages_no_wait()

    def say(self, text: str, tone: str = "plain") -> None:
        """One line at the foot until the next key."""
        mark = {"bad": "✗ ", "warn": "! ", "good": "✓ "}.get(tone, "")
        self._put_status(replace(self._status, notice=((mark + clean_line(text, 300), tone),)))

    def _read_status(self) -> None:
        def read() -> Status:
            from workbench.tui.status import read_status  # not before the first frame

            return read_status(self.home)

        self.effects.run("status", read, lambda s: self._put_status(replace(s, notice=self._status.notice)))

    def _put_status(self, status: Status) -> None:
        self._status = status
        if status.alive and not self._again:
            self._again = self.set_interval(STATUS_EVERY, self._read_status)
        for line in self.base.query(StatusLine):
            line.put(status)

    # Keys ---------------------------------------------------------------------------------------------------------

    async def on_event(self, event: events.Event) -> None:
        """Before any key is dealt with: it ends following, takes the notice away, ends a jump, or opens a pane."""
        if isinstance(event, events.Key) and not event.is_forwarded and await self._before(event.key):
            return
        await super().on_event(event)

    async def _before(self, key: str) -> bool:
        if self._status.notice:
            self._put_status(replace(self._status, notice=()))
        if key != "F":
            self.end_following()
        if self.jump:
            jump, self.jump = self.jump, None
            if jump.end(key) or key == "escape":
                return True
            if key in DIGITS and self.screen is self.base:
                await self.action_pane(PANES[DIGITS.index(key)])
                return True
        elif (pane := self._pane_of(key)) and self.screen is self.base:
            await self.open_pane(pane)  # not by its binding: keys that come in one burst with it are the new pane's
            return True
        return False

    def _pane_of(self, key: str) -> str | None:
        """The pane that a key opens, where it is no letter of an input and no tag."""
        if self.typing or getattr(self.focused, "TAKES_DIGITS", False):
            return None
        return next((pane for pane in PANES for a in ACTIONS if a.name == f"pane('{pane}')" and key in a.keys), None)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Refuse what the registry says makes no sense now."""
        return all(allowed(a, self) for a in ACTIONS if a.scope == "app" and a.name.split("(", 1)[0] == action)

    def on_descendant_focus(self) -> None:
        """The footer follows the focus."""
        self.refresh_footer()

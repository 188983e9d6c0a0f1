"""What the app's own keys do, apart from the app."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from textual.app import App
from textual.widget import Widget

from workbench.tui import format as formats
from workbench.tui.actions import Action, allowed
from workbench.tui.state import AppState
from workbench.tui.theme import DARK, LIGHT
from workbench.tui.watch import Changed
from workbench.tui.widgets.scrolling import ScrolledText

if TYPE_CHECKING:
    from workbench.tui.jump import Jump
    from workbench.tui.shell import Workbench


MOST_PLACE = 28
"""Cells for a file's place in a notice, so that it is whole at 80 columns."""


class Commands(App[int], inherit_bindings=False):
    """The `action_…` methods of the scope `app`."""

    state: AppState
    jump: Jump | None

    @property
    def typing(self) -> bool:
        """Whether an input has the focus, so that letters are text."""
        from textual.widgets import Input, TextArea  # not before the first frame

        return isinstance(self.focused, Input | TextArea)

    async def perform(self: Workbench, action: Action) -> None:  # type: ignore[misc]
        """Do an action by its entry in the registry, as its key would."""
        owner: Widget | Workbench | None = self if action.scope == "app" else self.pane
        if owner is not None and allowed(action, self if owner is self else getattr(self.state, self.state.pane)):
            await self.run_action(action.name, owner)

    async def action_pane(self: Workbench, name: str) -> None:  # type: ignore[misc]
        """Open a pane."""
        await self.open_pane(name)

    def action_jump(self: Workbench) -> None:  # type: ignore[misc]
        """Letters on every place: the next key goes to its letter's place, or a digit to its pane."""
        from workbench.tui.jump import Jump

        self.jump = Jump(self.screen)

    action_chord = action_jump

    def action_help(self: Workbench) -> None:  # type: ignore[misc]
        """Show the keys."""
        from workbench.tui.help import HelpScreen

        self.push_screen(HelpScreen(self.state.pane, self.pane.HELP if self.pane else ""))

    def action_welcome(self: Workbench) -> None:  # type: ignore[misc]
        """Offer the demo, the tour or a look around."""
        from workbench.tui.welcome import WelcomeScreen

        self.push_screen(WelcomeScreen(), self._welcomed)

    def _welcomed(self: Workbench, choice: str | None) -> None:  # type: ignore[misc]
        if choice == "demo":
            from workbench.demo.launch import launch_demo

            self.effects.run("start the demo", lambda: launch_demo(self.home), self.follow_job)
        elif choice == "tour":
            self.action_tour()

    def action_tour(self: Workbench) -> None:  # type: ignore[misc]
        """The panes one after another, each with a line on what it is for."""
        from workbench.tui.welcome import TourScreen

        self.push_screen(TourScreen())

    async def action_follow(self: Workbench) -> None:  # type: ignore[misc]
        """Follow the demo again."""
        self.follower.active = True
        await self.show_demo(self.follower.demo)

    def action_face(self: Workbench) -> None:  # type: ignore[misc]
        """Light or dark."""
        self.state = replace(self.state, light=not self.state.light)
        self.theme = LIGHT if self.state.light else DARK

    def action_reading(self: Workbench) -> None:  # type: ignore[misc]
        """Conversations double-spaced, or as dense as they go."""
        self.state = replace(self.state, reading=not self.state.reading)
        for screen in self.screen_stack:
            for text in screen.walk_children(ScrolledText):
                text.space(self.reading)
        self.say("reading mode: double-spaced" if self.reading else "single-spaced")

    def action_times(self: Workbench) -> None:  # type: ignore[misc]
        """Times as ages, or as dates; everything that shows one is read again."""
        self.state = replace(self.state, absolute=not self.state.absolute)
        formats.absolute = self.state.absolute
        self.post_message(Changed(frozenset({"record", "jobs", "opened"})))
        self.say("times are dates, local time" if formats.absolute else "times are ages")

    def action_copy(self: Workbench) -> None:  # type: ignore[misc]
        """Copy what the pane names as selected, by OSC 52, and say where that is known to be swallowed."""
        text = self.pane.selected_text() if self.pane else ""
        if not text:
            self.say("nothing is selected to copy", tone="warn")
            return
        self.copy_to_clipboard(text)
        file = self.home.state / "copied.txt"
        file.write_text(text, "utf-8")
        trap = " (tmux: if set-clipboard is on)" if os.environ.get("TMUX") else ""
        self.say(f"copied{trap}; also in {formats.place(file, MOST_PLACE)}", tone="good")

    def action_screenshot_file(self: Workbench) -> None:  # type: ignore[misc]
        """Save the screen as a picture."""
        file = self.home.state / f"screen-{time.strftime('%Y%m%d-%H%M%S')}.svg"
        self.save_screenshot(file.name, str(file.parent))
        self.say(f"saved {formats.place(file)}", tone="good")

    async def action_quit(self: Workbench) -> None:  # type: ignore[misc]
        """Leave; jobs go on."""
        self.exit(0)

    async def action_interrupt(self: Workbench) -> None:  # type: ignore[misc]
        """Leave from anywhere; what is half typed is kept."""
        self.exit(0)

    async def action_back(self: Workbench) -> None:  # type: ignore[misc]
        """Leave the input (its text stays), or let the pane go back one level."""
        if self.typing and self.pane and self.focused:
            self.pane.leave_input(self.focused)
        elif self.pane:
            self.pane.back()

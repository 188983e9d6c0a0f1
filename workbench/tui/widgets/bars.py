"""The three lines that are always there: panes on top, jobs and money below them, keys at the foot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from textual import events
from textual.message import Message
from textual.strip import Strip

from workbench.tui.actions import PANES, Action, key_name
from workbench.tui.widgets.safe import Line, Span, Toned, fit, fit_line, width_of

NAME = " workbench "


class Tabs(Toned):
    """The panes by number; the open one is in bold between brackets, so that it is known without colour."""

    DEFAULT_CSS = "Tabs { height: 1; background: $panel; }"

    class Picked(Message):
        """A tab was clicked."""

        def __init__(self, pane: str) -> None:
            super().__init__()
            self.pane = pane

    def __init__(self, title: str, id: str | None = None, banner: str = "") -> None:
        super().__init__(id=id)
        self._title = title
        self._banner = banner
        self._pane = ""

    @property
    def _program(self) -> str:
        """The program's name, where it does not take the banner's room."""
        used = sum(cell_len(text) for _, (text, _) in self._spans()) + cell_len(self._banner) + 3
        return NAME if not self._banner or used + cell_len(NAME) <= self.size.width else " "

    def put(self, pane: str) -> None:
        """Mark a pane as open."""
        self._pane = pane
        self.refresh()

    def _spans(self) -> list[tuple[str, Span]]:
        spans: list[tuple[str, Span]] = []
        for number, pane in enumerate(PANES, 1):
            here = pane == self._pane
            text = f"[{number} {pane.title()}]" if here else f" {number} {pane.title()} "
            spans.append((pane, (text, "strong" if here else "dim")))
        return spans

    def render_line(self, y: int) -> Strip:
        """Line API."""
        spans: list[Span] = [(self._program, "accent"), *(span for _, span in self._spans())]
        room = self.size.width - width_of(spans) - 2
        if self._banner:  # what must not be overlooked stands before the title
            return self.strip([*spans, (f" {fit(self._banner, room, 'right')}", "bad")], self.size.width)
        title = fit(self._title, room, "right") if room > 8 else ""
        return self.strip([*spans, (" " + title, "dim")], self.size.width)

    def on_click(self, event: events.Click) -> None:
        """Open the pane whose tab was clicked."""
        at = cell_len(self._program)
        for pane, (text, _) in self._spans():
            if at <= event.x < at + cell_len(text):
                self.post_message(self.Picked(pane))
            at += cell_len(text)


@dataclass(frozen=True, slots=True)
class Status:
    """The status line's facts. `notice` is the newest thing worth saying; it goes when a key is pressed. `alive`: some of
    them change without anything being written, so that they are read again from time to time.
    """

    jobs: Line = ()
    right: Line = ()
    notice: Line = ()
    alive: bool = False


class StatusLine(Toned):
    """Jobs with their progress on the left, machine and money on the right."""

    DEFAULT_CSS = "StatusLine { height: 1; background: $surface; }"

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.status = Status()

    def put(self, status: Status) -> None:
        """Show this; nothing is sent when it is the same."""
        if status != self.status:
            self.status = status
            self.refresh()

    def render_line(self, y: int) -> Strip:
        """Line API: a notice has the whole line for as long as it stands."""
        width = self.size.width
        right = [] if self.status.notice else [*self.status.right, (" ", "plain")]
        room = max(width - width_of(right) - 1, 0)
        left: list[Span] = [(" ", "plain"), *(self.status.notice or self.status.jobs)]
        kept = (
            self.strip(fit_line(tuple(left), room), room) if width_of(left) > room else self.strip(left, width_of(left))
        )
        gap = self.strip([], max(width - kept.cell_length - width_of(right), 0))
        return Strip.join([kept, gap, self.strip(right, width_of(right))]).crop(0, width)


class Keys(Toned):
    """The footer: the few keys that matter here. A click does what the key does."""

    DEFAULT_CSS = "Keys { height: 1; background: $panel; }"

    class Pressed(Message):
        """An entry was clicked."""

        def __init__(self, action: Action) -> None:
            super().__init__()
            self.action = action

    def __init__(self, id: str | None = None) -> None:
        super().__init__(id=id)
        self.actions: tuple[Action, ...] = ()
        self.hint = ""

    def put(self, actions: Sequence[Action], hint: str = "") -> None:
        """Show these actions, with a hint at the right."""
        if (new := tuple(actions)) != self.actions or hint != self.hint:
            self.actions, self.hint = new, hint
            self.refresh()

    def _entries(self) -> list[tuple[Action, Line]]:
        return [(a, ((f" {key_name(a.keys[0])}", "key"), (f" {a.short or a.verb}  ", "dim"))) for a in self.actions]

    def render_line(self, y: int) -> Strip:
        """Line API."""
        spans = [span for _, entry in self._entries() for span in entry]
        room = self.size.width - width_of(spans) - 1
        return self.strip([*spans, (fit(self.hint, room, "right") if room > 3 else "", "dim")], self.size.width)

    def on_click(self, event: events.Click) -> None:
        """Do what the clicked entry's key does."""
        at = 0
        for action, entry in self._entries():
            if at <= event.x < at + width_of(entry):
                self.post_message(self.Pressed(action))
            at += width_of(entry)

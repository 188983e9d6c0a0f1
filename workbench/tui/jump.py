"""Jump mode: a letter on every place that can have the focus; the letter, typed, brings the focus there.

The marks are small widgets on a layer of their own, so that a slow line is sent a few cells and not the whole screen.
"""

from __future__ import annotations

from collections.abc import Iterator

from rich.style import Style
from textual.geometry import Offset
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget

from workbench.tui.widgets.safe import Toned

LETTERS = "asdfghjklqwertyuiopzxcvbnm"
"""In the order in which they are given out: the resting fingers first."""


class Mark(Toned):
    """A letter in brackets, over the top left corner of the place it leads to."""

    DEFAULT_CSS = """
    Mark {
        layer: jump; position: absolute; width: 3; height: 1;
        background: $primary; color: $background; text-style: bold;
    }
    """

    def __init__(self, letter: str, at: Offset) -> None:
        super().__init__()
        self._letter = letter
        self.styles.offset = at

    def render_line(self, y: int) -> Strip:
        """Line API."""
        return self.strip([(f"[{self._letter}]", "")], 3)

    def tone(self, name: str) -> Style:
        """The mark's own colours: it stands out from every tone."""
        return Style()


def places(screen: Screen[object]) -> Iterator[Widget]:
    """What can have the focus and is in view, in the order of the tab key."""
    for widget in screen.focus_chain:
        if widget.region and screen.region.contains_point(widget.region.offset):
            yield widget


class Jump:
    """The marks of one screen, from the key that asks for them to the next key."""

    def __init__(self, screen: Screen[object]) -> None:
        """Put the marks on the screen."""
        self._places = dict(zip(LETTERS, places(screen), strict=False))
        self._marks = [Mark(letter, widget.region.offset) for letter, widget in self._places.items()]
        screen.mount(*self._marks)

    def end(self, key: str) -> bool:
        """Take the marks away; whether the key was a letter of theirs (its place has the focus then)."""
        for mark in self._marks:
            mark.remove()
        place = self._places.get(key)
        if place is None or not place.is_attached:
            return False
        place.focus(scroll_visible=False)
        return True

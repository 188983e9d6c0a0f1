"""A part of a pane: one heading line, and what it is about below. The part that has the focus has a raised heading."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widget import Widget

from workbench.tui.widgets.safe import Line, SafeText, Span


class Section(Vertical):
    """A heading and some widgets. Set `title` to change the heading."""

    DEFAULT_CSS = """
    Section { height: 1fr; width: 1fr; }
    Section > .heading { height: 1; width: 1fr; padding: 0 1; }
    Section > .heading.-here { background: $panel; }
    """

    def __init__(self, name: str, *children: Widget, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._label = name
        self._parts = children
        self._heading = SafeText(classes="heading", wrapped=False)
        self.put()

    def compose(self) -> ComposeResult:
        """The heading, then the parts."""
        yield self._heading
        yield from self._parts

    def on_descendant_focus(self) -> None:
        """Raise the heading. (A rule with :focus-within is looked at for the section's own styles, not for its parts'.)"""
        self._heading.add_class("-here")

    def on_descendant_blur(self) -> None:
        """Lower it."""
        self._heading.remove_class("-here")

    def put(self, *facts: Span | str, name: str | None = None) -> None:
        """Set the facts that stand after the name (counts, units), and the name if it changes."""
        self._label = name or self._label
        said: Line = tuple((f, "dim") if isinstance(f, str) else f for f in facts)
        self._heading.put(((self._label, "strong"), ("  ", "plain"), *said))

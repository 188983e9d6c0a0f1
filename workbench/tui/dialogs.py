"""Small questions on top of a pane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input

from workbench.tui.widgets.safe import Line, SafeText, line


class ConfirmScreen(ModalScreen[bool]):
    """A question; y or enter says yes, anything else named below says no."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "dismiss(True)", show=False),
        Binding("n,q,escape", "dismiss(False)", show=False),
    ]

    def __init__(self, question: str) -> None:
        super().__init__()
        self._question = question

    def compose(self) -> ComposeResult:
        """The question and its two answers."""
        with Vertical(classes="dialog"):
            yield SafeText(self._question, (), line(("y", "key"), " yes   ", ("n", "key"), " no"))


class AskScreen(ModalScreen[str | None]):
    """One line to be typed, with what is known about it above; enter gives it, esc nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", show=False, priority=True)]

    def __init__(self, question: str, hint: str = "", value: str = "") -> None:
        super().__init__()
        self._question, self._hint, self._value = question, hint, value

    def compose(self) -> ComposeResult:
        """The question, the line, the keys."""
        with Vertical(classes="dialog"):
            yield SafeText(self._question, line((self._hint, "dim")), ())
            yield Input(self._value, select_on_focus=False)
            yield SafeText((), line(("⏎", "key"), " go   ", ("esc", "key"), " leave"))

    @on(Input.Submitted)
    def _typed(self, message: Input.Submitted) -> None:
        message.stop()
        self.dismiss(message.value.strip() or None)


class PageScreen(ModalScreen[None]):
    """Lines to be read; any of esc, q and enter closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,enter", "dismiss", show=False)]

    def __init__(self, lines: Sequence[Line]) -> None:
        super().__init__()
        self._lines = tuple(lines)

    def compose(self) -> ComposeResult:
        """One scrolling page."""
        with VerticalScroll(classes="dialog"):
            yield SafeText(*self._lines, (), line(("esc closes this", "dim")))

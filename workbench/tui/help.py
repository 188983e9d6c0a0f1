"""The help screen, made from the registry: what every key does here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from workbench.tui.actions import Action, actions_of, key_name, scopes_of
from workbench.tui.widgets.safe import Line, SafeText, line


def help_lines(scope: str) -> list[Line]:
    """Keys by scope: this pane first, then lists and text, then everywhere."""
    lines: list[Line] = []
    for title, scopes in (
        (scope.title(), scopes_of(scope)),
        ("Lists", ("list",)),
        ("Text", ("text",)),
        ("Drawing", ("canvas",)),
        ("Everywhere", ("app",)),
    ):
        lines += [line((title, "strong")), *_lines(actions_of(*scopes)), ()]
    return lines[:-1]


def _lines(actions: Iterable[Action]) -> list[Line]:
    return [
        line(
            (" ".join(key_name(k) for k in a.keys).rjust(12) + "  ", "key"),
            a.verb if a.scope in ("list", "text", "canvas") else a.title,
        )
        for a in actions
    ]


class HelpScreen(ModalScreen[None]):
    """Any of esc, q, ? and enter closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,enter", "dismiss", show=False)]

    def __init__(self, scope: str, about: str) -> None:
        super().__init__()
        self._scope, self._about = scope, about

    def compose(self) -> ComposeResult:
        """One scrolling page."""
        with VerticalScroll(classes="dialog"):
            yield SafeText(self._about, ())
            yield SafeText(*help_lines(self._scope), (), line(("esc closes this", "dim")), hanging=True)

"""Tags of a review, by single digits."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message

from workbench.dialogue.reviewing import TAGS
from workbench.store.rows import SubjectKind
from workbench.tui.widgets.safe import SafeText, Span, Toned


class TagLine(Toned, can_focus=True):
    """Tags on digits: a digit puts one on or off, enter keeps, esc leaves."""

    TAKES_DIGITS: ClassVar = True
    """A digit marks a tag here, and opens no pane."""

    DEFAULT_CSS = "TagLine { height: auto; min-height: 1; max-height: 5; background: $cursor-blurred; padding: 0 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(n), f"put_on_or_off({n})", show=False) for n in range(1, 10)),
        Binding("enter", "keep", show=False),
    ]

    class Kept(Message):
        """The tags were chosen."""

        def __init__(self, tags: tuple[str, ...]) -> None:
            super().__init__()
            self.tags = tags

    def __init__(self, kind: SubjectKind, id: str | None = None) -> None:
        super().__init__(id=id, classes="hidden")
        self.offered = TAGS[kind]
        self.tags: tuple[str, ...] = ()
        self._text = SafeText()

    def compose(self) -> ComposeResult:
        """One wrapped line."""
        yield self._text

    def put(self, tags: tuple[str, ...]) -> None:
        """Begin with these tags."""
        self.tags = tags
        spans: list[Span] = []
        for n, tag in enumerate(self.offered, 1):
            spans += [(f"{n} ", "key"), (tag + "  ", "strong" if tag in tags else "dim")]
        spans += [(f"{tag}  ", "strong") for tag in tags if tag not in self.offered]
        self._text.put((*spans, ("⏎ keeps", "dim")))

    def action_put_on_or_off(self, n: int) -> None:
        """Put a tag on or off."""
        if n <= len(self.offered):
            tag = self.offered[n - 1]
            self.put(tuple(t for t in self.tags if t != tag) if tag in self.tags else (*self.tags, tag))

    def action_keep(self) -> None:
        """Done."""
        self.post_message(self.Kept(self.tags))

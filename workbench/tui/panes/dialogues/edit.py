"""Mending a dialogue: its messages in boxes, one below the other; the original stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import TextArea

from workbench.text import clean
from workbench.tui.widgets.safe import SafeText, line


class EditScreen(ModalScreen[Mapping[int, str] | None]):
    """Gives the texts that were changed, by index; None when left. `drafts` are texts from an earlier visit; `typed` is told
    of every change, so that nothing half written is lost.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+o", "keep", show=False, priority=True),
        Binding("escape", "leave", show=False, priority=True),
    ]

    def __init__(
        self,
        title: str,
        said: Sequence[tuple[str, str]],
        drafts: Mapping[int, str],
        typed: Callable[[Mapping[int, str]], None],
    ) -> None:
        super().__init__()
        self._title = title
        self._said = tuple((role, clean(text)) for role, text in said)
        self._drafts = dict(drafts)
        self._typed = typed

    def compose(self) -> ComposeResult:
        """A heading, the boxes, the keys."""
        keys = (("tab", "next"), ("⇧tab", "previous"), ("^o", "keep as a copy"), ("esc", "leave"))
        with Vertical(classes="dialog edit"):
            yield SafeText(line((f"Mend {self._title}", "strong"), ("  the original stays", "dim")))
            with VerticalScroll(can_focus=False):
                for n, (role, text) in enumerate(self._said):
                    yield SafeText(line((role, role), (f" {n + 1}", "dim")))
                    yield TextArea(self._drafts.get(n, text), id=f"say-{n}", tab_behavior="focus", soft_wrap=True)
            yield SafeText(tuple(span for key, word in keys for span in ((key, "key"), (f" {word}   ", "dim"))))

    @property
    def changed(self) -> dict[int, str]:
        """Texts that differ from what was said."""
        boxes = (self.query_one(f"#say-{n}", TextArea).text for n in range(len(self._said)))
        return {n: text for n, (text, (_, old)) in enumerate(zip(boxes, self._said, strict=True)) if text != old}

    def action_keep(self) -> None:
        """Done."""
        self.dismiss(self.changed)

    def action_leave(self) -> None:
        """Nothing is kept in the record; the words stay as a draft for this dialogue."""
        self.dismiss(None)

    @on(TextArea.Changed)
    def _changed(self) -> None:
        self._typed(self.changed)

"""A form on top of a pane: labelled fields checked as they are typed, a preview worked out beside the app, the command.

    def filled(values: dict[str, Any] | None) -> None: ...  # None: cancelled
    app.push_screen(FormScreen("Train a model", fields, run=pane.run, preview=look, command=words, submit="start"), filled)

`preview(values)` runs in a worker thread after every pause in typing, only while all fields can be read; a UserError from it,
or a `Preview` with a `problem`, is shown and keeps the form from being submitted. `command(values)` gives the words of the
command line that does the same. Enter submits from any field and waits for a preview that is still under way.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.events import DescendantFocus, Key, Resize
from textual.message import Message
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input

from workbench.errors import ServiceError, UserError
from workbench.text import clean_line
from workbench.tui.widgets.fields import NO, YES, ChoiceField, Field, ToggleField, Values, read_all
from workbench.tui.widgets.safe import Line, SafeText, Span, Toned, line
from workbench.tui.widgets.table import Runner

_FRAME = 8
"""Lines of the dialog beside fields and preview: border, title, help, the command, keys."""
PAUSE = 0.3
"""Seconds without a change before the preview is worked out anew."""


@dataclass(frozen=True, slots=True)
class Preview:
    """What would happen, as lines; why it cannot (one line, else ""); words for fields that are left empty, by name."""

    lines: tuple[Line | str, ...] = ()
    problem: str = ""
    hints: Mapping[str, str] = field(default_factory=dict)


class Picker(Toned, can_focus=True):
    """One of a few values on one line: ← → change it, a letter goes to the next that begins with it."""

    DEFAULT_CSS = """
    Picker { height: 1; width: 1fr; padding: 0 1; background: $panel; }
    Picker:focus { background: $cursor-blurred; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "turn(-1)", show=False),
        Binding("right,space", "turn(1)", show=False),
        Binding("home", "turn(-1000000)", show=False),
        Binding("end", "turn(1000000)", show=False),
    ]

    class Changed(Message):
        """Another value was chosen."""

    def __init__(self, pairs: Sequence[tuple[str, str]], value: str, *, toggle: bool = False, id: str) -> None:
        super().__init__(id=id)
        self._pairs, self._toggle = tuple(pairs), toggle
        self._at = next((n for n, (v, _) in enumerate(self._pairs) if v == value), 0)

    @property
    def value(self) -> str:
        """What is chosen ("" if there is nothing to choose from)."""
        return self._pairs[self._at][0] if self._pairs else ""

    def render_line(self, y: int) -> Strip:
        """The words of the value, and how many there are."""
        if not self._pairs:
            return self.strip([("nothing to choose from", "warn")], self.size.width)
        words = self._pairs[self._at][1]
        if self._toggle:
            mark: Span = ("[×] ", "key") if self.value == YES else ("[ ] ", "dim")
            return self.strip([mark, (words, "plain")], self.size.width)
        few = len(self._pairs) == 1
        where = "" if few else f"  {self._at + 1} of {len(self._pairs)}"
        return self.strip(
            [("" if few else "‹ ", "key"), (words, "plain"), ("" if few else " ›", "key"), (where, "dim")],
            self.size.width,
        )

    def action_turn(self, by: int) -> None:
        """To a neighbour; a step past the end comes round, a jump stops there."""
        last = len(self._pairs) - 1
        self._go(max(0, min(self._at + by, last)) if abs(by) > 1 else (self._at + by) % (last + 1) if last >= 0 else 0)

    def on_key(self, event: Key) -> None:
        """A letter or digit: the next option that begins with it."""
        if event.character and event.character.isalnum():
            event.stop()
            count = len(self._pairs)
            order = [(self._at + n) % count for n in range(1, count + 1)]
            wanted = event.character.casefold()
            self._go(next((n for n in order if self._pairs[n][1].casefold().startswith(wanted)), self._at))

    def _go(self, at: int) -> None:
        if at != self._at:
            self._at = at
            self.refresh()
            self.post_message(self.Changed())


class FormScreen(ModalScreen[dict[str, Any] | None]):
    """Ask for some values; see the module. `raw` are texts to begin with, by name; `keep` gets them on cancel."""

    DEFAULT_CSS = """
    FormScreen { align: center middle; background: $background 60%; }
    FormScreen > .dialog { max-height: 100%; }
    FormScreen .rows { height: auto; scrollbar-size-vertical: 1; }
    FormScreen .row { height: auto; }
    FormScreen .row > Horizontal { height: 1; }
    FormScreen .label { width: 19; height: 1; }
    FormScreen .error { height: auto; padding-left: 20; display: none; }
    FormScreen .error.-shown { display: block; }
    FormScreen .help { height: 1; }
    FormScreen .preview { height: auto; scrollbar-size-vertical: 1; }
    FormScreen .preview:focus { background: $panel; }
    FormScreen .command { height: auto; max-height: 3; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", show=False),
        Binding("enter", "submit", show=False),
        Binding("up", "app.focus_previous", show=False),
        Binding("down", "app.focus_next", show=False),
    ]

    def __init__(
        self,
        title: str,
        fields: Sequence[Field],
        *,
        run: Runner,
        preview: Callable[[Values], Preview] | None = None,
        command: Callable[[Values], Sequence[str]] | None = None,
        submit: str = "start",
        raw: Mapping[str, str] | None = None,
        keep: Callable[[Mapping[str, str]], None] | None = None,
    ) -> None:
        super().__init__()
        self._title, self._fields, self._run = title, tuple(fields), run
        self._look, self._command, self._word, self._keep = preview, command, submit, keep
        self._begin = dict(raw or {})
        self._shown = Preview()
        self._seen: Mapping[str, str] | None = None
        self._waiting = False
        self._timer: Timer | None = None

    def compose(self) -> ComposeResult:
        """Title, fields, the help of the one in focus, preview, command, keys."""
        with Vertical(classes="dialog"):
            yield SafeText(line((self._title, "strong")))
            with VerticalScroll(classes="rows", can_focus=False):
                for item in self._fields:
                    with Vertical(classes="row"):
                        label = SafeText(line((item.label, "dim")), classes="label", wrapped=False)
                        yield Horizontal(label, self._control(item))
                        yield SafeText(classes="error", id=f"error-{item.name}")
            yield SafeText(classes="help", wrapped=False)
            yield VerticalScroll(SafeText(id="form-preview"), classes="preview", can_focus=bool(self._look))
            yield SafeText(classes="command")
            keys = (("⏎", self._word), ("↑↓", "field"), ("←→ space", "choose"), ("esc", "cancel"))
            yield SafeText(line(*(span for key, what in keys for span in ((key, "key"), f" {what}   "))))

    def _control(self, item: Field) -> Widget:
        text = self._begin.get(item.name, item.write(item.value))
        name = f"field-{item.name}"
        if isinstance(item, ChoiceField):
            return Picker(item.pairs, text, id=name)
        if isinstance(item, ToggleField):
            return Picker(((NO, "no"), (YES, "yes")), text, toggle=True, id=name)
        return Input(clean_line(text), id=name, select_on_focus=False)

    def on_mount(self) -> None:
        """The first field has the focus, the first preview is on its way."""
        if self._fields:
            self.query_one(f"#field-{self._fields[0].name}").focus()
        self._check()

    def on_resize(self, event: Resize) -> None:
        """Fields and preview share what the frame, the help, the command and the keys leave; both scroll."""
        room = event.size.height - _FRAME
        rows = min(len(self._fields), max(room - 4, 3))
        self.query_one(".rows").styles.max_height = max(room - 4, 3)
        self.query_one(".preview").styles.max_height = max(room - rows, 3)
        dialog = self.query_one(".dialog")
        dialog.styles.width = 110 if event.size.width >= 120 else 78
        dialog.styles.max_height = event.size.height  # the app's dialogs leave a margin that a form has no room for

    @property
    def raw(self) -> dict[str, str]:
        """What stands in the fields."""
        controls = ((item.name, self.query_one(f"#field-{item.name}")) for item in self._fields)
        return {name: cast("Input | Picker", control).value for name, control in controls}

    @on(Input.Changed)
    @on(Picker.Changed)
    def _changed(self, message: Message) -> None:
        message.stop()
        self._check()

    @on(Input.Submitted)
    def _entered(self, message: Input.Submitted) -> None:
        message.stop()
        self.action_submit()

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """The help of the field that has the focus."""
        name = (event.widget.id or "").removeprefix("field-")
        said = next((item.help for item in self._fields if item.name == name), "")
        self.query_one(".help", SafeText).put(line((said, "dim")))

    def _check(self) -> dict[str, Any] | None:
        """Show what is wrong with each field; the values if nothing is. A change asks for another preview."""
        raw = self.raw
        values, wrong = read_all(self._fields, raw)
        for item in self._fields:
            place = self.query_one(f"#error-{item.name}", SafeText)
            place.set_class(item.name in wrong, "-shown")
            place.put(line((f"✗ {wrong.get(item.name, '')}", "bad")))
        whole = not wrong
        words = shlex.join(self._command(values)) if self._command and whole else ""
        self.query_one(".command", SafeText).put(*([line(("$ ", "dim"), (words, "dim"))] if words else []))
        if raw != self._seen and self._look:
            if self._timer:
                self._timer.stop()
            self._timer = self.set_timer(PAUSE, lambda: self._ask(raw, values)) if whole else None
            self._show(Preview((line(("working it out …" if whole else "", "dim")),)))
        return values if whole else None

    def _ask(self, raw: Mapping[str, str], values: Values) -> None:
        look = self._look
        assert look is not None

        def work() -> Preview:
            try:
                return look(values)
            except (UserError, ServiceError) as error:
                return Preview(problem=str(error))
            except Exception as error:  # what cannot be told beforehand must not keep anybody from starting
                return Preview((line((f"no preview: {type(error).__name__}: {error}", "warn")),))

        def then(found: Preview) -> None:
            if self.is_attached and raw == self.raw:
                self._seen = raw
                self._show(found)
                if self._waiting:
                    self.action_submit()

        self._run("form", work, then)

    def _show(self, found: Preview) -> None:
        self._shown = found
        problem = [line((f"✗ {found.problem}", "bad"))] if found.problem else []
        self.query_one("#form-preview", SafeText).put(*problem, *found.lines)
        for item in self._fields:
            control = self.query_one(f"#field-{item.name}")
            if isinstance(control, Input) and item.name in found.hints:
                control.placeholder = clean_line(found.hints[item.name])

    def action_submit(self) -> None:
        """Done, unless a field or the preview says no; a preview that is under way is waited for."""
        values = self._check()
        current = self._look is None or self._seen == self.raw
        self._waiting = values is not None and not current
        if values is not None and current and not self._shown.problem:
            self.dismiss(values)

    def action_cancel(self) -> None:
        """Away; what was typed is handed to `keep`."""
        if self._keep:
            self._keep(self.raw)
        self.dismiss(None)

"""The Dialogues pane: find, read, and say of each whether it may be learnt from."""

from __future__ import annotations

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Input

from workbench.tui import state as states
from workbench.tui.pane import Pane
from workbench.tui.panes.dialogues import view
from workbench.tui.state import DialoguesState
from workbench.tui.widgets.safe import SafeText
from workbench.tui.widgets.section import Section
from workbench.tui.widgets.table import Column, VirtualTable
from workbench.tui.widgets.transcript import Transcript

LIST = (
    Column("", 1), Column("path", 5, "right"), Column("steps", 5, "right"), Column("ends"), Column("split", 5, least=44),
    Column("deviations", 16, least=60), Column("writer", 9, least=70), Column("id", 8, least=36),
)  # fmt: skip
EMPTY = "no dialogues yet: workbench demo makes some, or: workbench dialogues generate travel_booking"


class DialoguesPane(Pane):
    """A virtual list on the left, the whole dialogue on the right, with the nodes of each message beside it."""

    scope = "dialogues"
    first = "#dialogues-list"
    HELP = f"Filter: {view.HINT}. A decision is added to the record, never changed; the newest counts."

    def __init__(self) -> None:
        super().__init__()
        self._found: view.Found | None = None
        self._whole: view.Whole | None = None
        self._fresh = 0

    def compose(self) -> ComposeResult:
        """Compose."""
        with Horizontal():
            yield Section(
                "Dialogues",
                Input(self.state.filter, placeholder=view.HINT, id="dialogues-filter", select_on_focus=False),
                VirtualTable(LIST, runner=self.run, id="dialogues-list", empty=EMPTY),
                id="dialogues-left",
            )
            yield Section(
                "Dialogue",
                SafeText(id="dialogues-about", classes="note"),
                Transcript(id="dialogues-text", empty="choose a dialogue"),
                Input(
                    self.state.note,
                    placeholder="note: enter keeps it with a flag",
                    id="dialogues-note",
                    select_on_focus=False,
                    classes="hidden",
                ),
                id="dialogues-right",
                classes="rule-left",
            )

    def on_mount(self) -> None:
        """The filter line is there while it says something."""
        self.query_one("#dialogues-filter").set_class(not self.state.filter, "hidden")

    def refresh_data(self, topics: frozenset[str]) -> None:
        """New rows are counted and announced; the list is only read anew when it is short of its first rows."""
        if "record" not in topics:
            return
        if self._found is None or not self._found.count() or "opened" in topics:
            self._search()
        else:
            self.run("news", lambda: view.find(self.home, self.state.filter, None).count(), self._news)

    def _news(self, count: int) -> None:
        self._fresh = max(count - (self._found.count() if self._found else 0), 0)
        self._head()

    def _search(self) -> None:
        state: DialoguesState = self.state
        self.run("find", lambda: view.find(self.home, state.filter, state.selected), self._show)

    def _show(self, found: view.Found) -> None:
        same = self._found is not None and self._found.asked == found.asked
        self._found, self._fresh = found, 0
        table = self.query_one("#dialogues-list", VirtualTable)
        table.empty = EMPTY if not self.state.filter else "nothing passes the filter: / changes it"
        table.show(found, found.cursor, top=None if same else max(found.cursor - 2, 0))
        if not found.count():
            self.state = states.dialogue_chosen(self.state, None)
            self._put(None)
        elif self._whole is None and self.state.selected:
            self._load(self.state.selected)
        self._head()

    def _head(self) -> None:
        found = self._found
        if not found:
            return
        whole = found.count() == found.total
        facts: list[tuple[str, str] | str] = [
            f"{found.count():,}" if whole else f"{found.count():,} of {found.total:,}"
        ]
        if found.asked.unknown:
            facts = [(f"not understood: {' '.join(found.asked.unknown)}", "bad")]
        elif self._fresh:
            facts.append((f" · {self._fresh:,} new, press .", "accent"))
        elif found.reviewed:
            facts.append(f" · {found.reviewed:,} reviewed")
        self.query_one("#dialogues-left", Section).put(*facts)

    def _load(self, dialogue_id: str) -> None:
        self.run("whole", lambda: view.whole(self.home, dialogue_id), self._put)

    def _put(self, whole: view.Whole | None) -> None:
        self._whole = whole
        right = self.query_one("#dialogues-right", Section)
        self.query_one("#dialogues-text", Transcript).show(whole.bubbles if whole else ())
        self.query_one("#dialogues-about", SafeText).put(*(whole.about if whole else ()))
        if whole:
            right.put(f"{whole.id[:8]}, {len(whole.bubbles)} messages")

    # Events ------------------------------------------------------------------------------------------------------

    @on(VirtualTable.Moved, "#dialogues-list")
    def _moved(self, message: VirtualTable.Moved) -> None:
        if message.row_id != self.state.selected or self._whole is None or self._whole.id != message.row_id:
            self.state = states.dialogue_chosen(self.state, message.row_id)
            self._load(message.row_id)

    @on(VirtualTable.Chosen, "#dialogues-list")
    def _chosen(self) -> None:
        self.query_one("#dialogues-text").focus()

    @on(Input.Changed, "#dialogues-filter")
    def _typed(self, message: Input.Changed) -> None:
        changed = states.dialogues_filtered(self.state, message.value)
        if changed != self.state:
            self.state = changed
            self._search()

    @on(Input.Submitted, "#dialogues-filter")
    def _submitted(self) -> None:
        self.leave_input(self.query_one("#dialogues-filter"))

    @on(Input.Changed, "#dialogues-note")
    def _noted(self, message: Input.Changed) -> None:
        self.state = states.note_drafted(self.state, message.value)

    @on(Input.Submitted, "#dialogues-note")
    def _note_done(self, message: Input.Submitted) -> None:
        self._decide("flag", message.value.strip())
        box = self.query_one("#dialogues-note", Input)
        box.value = ""
        self.leave_input(box)

    # Actions -----------------------------------------------------------------------------------------------------

    def action_search(self) -> None:
        """Open the filter line."""
        box = self.query_one("#dialogues-filter")
        box.remove_class("hidden")
        box.focus()

    def action_note(self) -> None:
        """Open the note line."""
        box = self.query_one("#dialogues-note")
        box.remove_class("hidden")
        box.focus()

    def action_decide(self, decision: str) -> None:
        """Pass or flag the dialogue under the cursor."""
        self._decide(decision, "")

    def action_undo(self) -> None:
        """Take my last decision on this dialogue back, by a row that says so."""
        if self._whole and self._whole.reviews:
            self._decide("none", "taken back")

    def action_fresh(self) -> None:
        """Read the list anew; the row under the cursor stays where it is."""
        self._search()

    def action_unreviewed(self) -> None:
        """On to the next one that nobody has reviewed."""
        at, text = self.query_one("#dialogues-list", VirtualTable).cursor, self.state.filter
        self.run("next", lambda: view.unreviewed(self.home, text, at), self._go_unreviewed)

    def _go_unreviewed(self, found: tuple[int, str] | None) -> None:
        if found is None:
            self.shell.say("every dialogue in this list has been reviewed", tone="good")
        else:
            self.query_one("#dialogues-list", VirtualTable).go(found[0])

    def _decide(self, decision: str, note: str) -> None:
        whole = self._whole
        if whole is None or whole.id != self.state.selected:
            return  # a key held down: the next dialogue is not on the screen yet

        def decided(_: str) -> None:
            self.query_one("#dialogues-list", VirtualTable).reload()
            self._load(whole.id)
            self.shell.say(f"{decision}: {whole.id[:8]} by {view.reviewer()}", tone="good")

        self._whole = None
        self.run("review", lambda: view.review(self.home, whole.id, decision, note), decided)

    def leave_input(self, focused: Widget) -> None:
        """Back to the list; an empty filter line goes away, a draft stays."""
        value = focused.value if isinstance(focused, Input) else ""
        focused.set_class(focused.id == "dialogues-note" or not value, "hidden")
        self.query_one(self.first).focus()

    def back(self) -> None:
        """From the transcript to the list; in the list the filter is dropped."""
        table = self.query_one(self.first)
        box = self.query_one("#dialogues-filter", Input)
        if table.has_focus and box.value:
            box.value = ""
            box.add_class("hidden")
        table.focus()

    def selected_text(self) -> str:
        """The dialogue as plain text."""
        return "\n".join(f"{b.role}: {b.text}" for b in self.query_one("#dialogues-text", Transcript).bubbles)


PANE = DialoguesPane

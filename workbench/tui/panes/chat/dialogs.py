"""Questions on top of the pane: which agents, which scenario, which earlier conversation, which was better, which words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from workbench.agents.live_client import MOST_AGENTS
from workbench.agents.names import brief_name
from workbench.store.rows import ChatRow
from workbench.tui.panes.chat import offers, view
from workbench.tui.widgets.safe import SafeText, Span, line
from workbench.tui.widgets.table import Column, ListSource, Row, VirtualTable

NAME_CELLS = 36


def keys(*pairs: tuple[str, str]) -> SafeText:
    """A line that names keys and what they do."""
    return SafeText(line(*(span for key, what in pairs for span in ((key, "key"), f" {what}   "))))


class AgentsScreen(ModalScreen[tuple[str, ...]]):
    """Choose one to four agents: space takes or leaves the one under the cursor, enter begins."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", show=False),
        Binding("space", "take", show=False),
        Binding("slash,i", "type", show=False, priority=True),
    ]

    def __init__(self, offered: Sequence[str], chosen: Sequence[str]) -> None:
        super().__init__()
        self._offered = list(dict.fromkeys((*chosen, *offered)))
        self._chosen = list(chosen)

    def compose(self) -> ComposeResult:
        """The list, and a line for any other name."""
        with Vertical(classes="dialog", id="agents-dialog"):
            yield SafeText(line(("Talk to", "strong"), ("  up to four agents side by side", "dim")))
            empty = "none in the record yet: workbench demo compiles one, or / names another"
            columns = (Column("", 2), Column("agent", NAME_CELLS), Column("in full"))
            yield VirtualTable(columns, head=False, id="agents-list", empty=empty)
            yield Input(placeholder="another: compiled:RUN  orchestrated:MODEL  in-context:MODEL", id="agents-other")
            yield keys(("space", "take or leave"), ("⏎", "begin"), ("/", "another"), ("esc", "cancel"))

    def on_mount(self) -> None:
        """The list has the focus."""
        self._list(0)
        self.query_one("#agents-list").focus()

    def _list(self, cursor: int | None = None) -> None:
        rows: list[Row] = []
        for agent in self._offered:
            at = self._chosen.index(agent) + 1 if agent in self._chosen else 0
            short = brief_name(agent)
            number: Span = (str(at) if at else "·", "key" if at else "dim")
            full = "" if short == agent else agent.partition(":")[2]
            rows.append(Row(agent, (number, (short, "strong" if at else "plain"), (full, "dim"))))
        table = self.query_one("#agents-list", VirtualTable)
        table.styles.height = min(max(len(rows), 1), 12)
        table.show(ListSource(tuple(rows)), cursor)

    def action_take(self) -> None:
        """Take the agent, or leave it."""
        row = self.query_one("#agents-list", VirtualTable).row
        if row and row.id in self._chosen:
            self._chosen.remove(row.id)
        elif row and len(self._chosen) < MOST_AGENTS:
            self._chosen.append(row.id)
        self._list()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """In the line for a name the keys that lead there are letters."""
        return action != "type" or not isinstance(self.focused, Input)

    def action_type(self) -> None:
        """Name another; the keys behind this one belong to the name, though they come in one burst with it."""
        self.set_focus(self.query_one("#agents-other"))

    def action_leave(self) -> None:
        """From the line to the list; from the list away."""
        if self.query_one("#agents-other").has_focus:
            self.set_focus(self.query_one("#agents-list"))
        else:
            self.dismiss(())

    @on(VirtualTable.Chosen)
    def _begin(self, message: VirtualTable.Chosen) -> None:
        message.stop()
        self.dismiss(tuple(self._chosen or [message.row_id]))

    @on(VirtualTable.Moved)
    def _moved(self, message: VirtualTable.Moved) -> None:
        message.stop()

    @on(Input.Submitted)
    def _other(self, message: Input.Submitted) -> None:
        message.stop()
        name = message.value.strip()
        if name and name not in self._offered:
            self._offered.append(name)
        if name and name not in self._chosen and len(self._chosen) < MOST_AGENTS:
            self._chosen.append(name)
        message.input.value = ""
        self._list(self._offered.index(name) if name else None)
        self.set_focus(self.query_one("#agents-list"))


class ScenarioScreen(ModalScreen[tuple[str, str | None] | None]):
    """Choose the scenario of a simulated user, and the persona that lives it; (id, persona or None as planned)."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", show=False),
        Binding("space", "persona", show=False),
    ]

    def __init__(self, cases: offers.Cases, chosen: str | None) -> None:
        super().__init__()
        self._cases, self._chosen = cases, chosen
        self._persona = 0

    def compose(self) -> ComposeResult:
        """The list."""
        columns = (Column("persona", 12), Column("leads to", 12), Column("deviations", 14), Column("values"))
        empty = "no test scenario in the record: workbench demo, or dialogues generate, makes some"
        with Vertical(classes="dialog", id="cases-dialog"):
            yield SafeText(line(("A simulated user", "strong"), "  talks to all columns: same scenario, same seed"))
            yield VirtualTable(columns, id="cases-list", empty=empty)
            yield SafeText(id="cases-persona")
            yield keys(("⏎", "begin anew with it"), ("space", "another persona"), ("esc", "cancel"))

    def on_mount(self) -> None:
        """The one in use is under the cursor."""
        ids = [s.id for s in self._cases.scenarios]
        self._list(ids.index(self._chosen) if self._chosen in ids else 0)
        self.query_one("#cases-list").focus()

    @property
    def persona(self) -> str | None:
        """The persona that takes the planned one's place."""
        return (None, *self._cases.personas)[self._persona]

    def _list(self, cursor: int | None = None) -> None:
        rows = tuple(self._cases.row(s, self.persona) for s in self._cases.scenarios)
        self.query_one("#cases-list", VirtualTable).show(ListSource(rows), cursor)
        self.query_one("#cases-list").styles.height = min(max(len(rows), 1) + 1, 12)
        told: Span = (self.persona or "as the scenario has it", "strong" if self.persona else "dim")
        self.query_one("#cases-persona", SafeText).put(line(("persona: ", "dim"), told))

    def action_persona(self) -> None:
        """The next persona."""
        self._persona = (self._persona + 1) % (len(self._cases.personas) + 1)
        self._list()

    @on(VirtualTable.Chosen)
    def _begin(self, message: VirtualTable.Chosen) -> None:
        message.stop()
        self.dismiss((message.row_id, self.persona))

    @on(VirtualTable.Moved)
    def _moved(self, message: VirtualTable.Moved) -> None:
        message.stop()


class EarlierScreen(ModalScreen[str | None]):
    """Choose an earlier conversation; its job."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", show=False)]

    def __init__(self, found: Sequence[ChatRow]) -> None:
        super().__init__()
        self._found = found

    def compose(self) -> ComposeResult:
        """The list."""
        columns = (
            Column("name", 16),
            Column("agents"),
            Column("msgs", 5, "right"),
            Column("", 6),
            Column("", 12, "right"),
        )
        with Vertical(classes="dialog", id="earlier-dialog"):
            yield SafeText(
                line(("Earlier conversations", "strong"), "  as they were; an ended one can be gone on with")
            )
            yield VirtualTable(columns, id="earlier-list", empty="none yet: a chooses agents")
            yield keys(("⏎", "open"), ("esc", "cancel"))

    def on_mount(self) -> None:
        """The newest first."""
        rows = tuple(map(offers.chat_row, self._found))
        table = self.query_one("#earlier-list", VirtualTable)
        table.show(ListSource(rows), 0)
        table.styles.height = min(max(len(rows), 1) + 1, 14)
        table.focus()

    @on(VirtualTable.Chosen)
    def _open(self, message: VirtualTable.Chosen) -> None:
        message.stop()
        self.dismiss(message.row_id)

    @on(VirtualTable.Moved)
    def _moved(self, message: VirtualTable.Moved) -> None:
        message.stop()


class VoteScreen(ModalScreen[tuple[str, str] | None]):
    """Which was better? A key for the choice, then a note if one likes; (column number or tie or bad, note)."""

    AUTO_FOCUS = ""
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", show=False)]

    def __init__(self, talk: view.Talk) -> None:
        super().__init__()
        self._choices = {c.letter.lower(): (str(c.number), f"agent {c.letter}") for c in talk.columns}
        if len(talk.columns) == 2:
            sides = zip(self._choices.values(), ("left", "right"), strict=True)
            self._choices = {side[0]: (choice, side) for (choice, _), side in sides}
        self._choices |= {"t": ("tie", "tie"), "x": ("bad", "all bad" if len(talk.columns) > 2 else "both bad")}
        self._choice = ""

    def compose(self) -> ComposeResult:
        """The choices, and a line for a note."""
        with Vertical(classes="dialog", id="vote-dialog"):
            yield SafeText(line(("Which was better?", "strong"), "  the names are shown after your vote"))
            yield SafeText(id="vote-choices")
            yield Input(placeholder="why? (may stay empty)", id="vote-note", disabled=True)
            yield keys(("⏎", "vote"), ("esc", "not now"))

    def on_mount(self) -> None:
        """First the choice."""
        self._show()

    def _show(self) -> None:
        spans: list[Span] = []
        for key, (choice, words) in self._choices.items():
            chosen = choice == self._choice
            spans += [(f"{'▸' if chosen else ' '}{key}", "key"), (f" {words}   ", "strong" if chosen else "plain")]
        self.query_one("#vote-choices", SafeText).put(tuple(spans))

    def on_key(self, event: events.Key) -> None:
        """A choice; the note has the focus then."""
        note = self.query_one("#vote-note", Input)
        if not note.has_focus and event.key in self._choices:
            event.stop()
            self._choice = self._choices[event.key][0]
            note.disabled = False
            self.set_focus(note)
            self._show()
        elif event.key == "up" and note.has_focus:  # back to the choice
            note.disabled = True

    @on(Input.Submitted)
    def _vote(self, message: Input.Submitted) -> None:
        message.stop()
        self.dismiss((self._choice, message.value.strip()))


class WordsScreen(ModalScreen[str | None]):
    """Asks for a line of words (a name, a message said anew); None if it was left."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "dismiss(None)", show=False)]

    def __init__(self, question: str, words: str = "") -> None:
        super().__init__()
        self._question, self._words = question, words

    def compose(self) -> ComposeResult:
        """The question and the line."""
        with Vertical(classes="dialog", id="words-dialog"):
            yield SafeText(line((self._question, "strong")))
            yield Input(self._words, id="words", select_on_focus=False)
            yield keys(("⏎", "done"), ("esc", "cancel"))

    def on_mount(self) -> None:
        """Type at once."""
        self.query_one("#words").focus()

    @on(Input.Submitted)
    def _done(self, message: Input.Submitted) -> None:
        message.stop()
        self.dismiss(message.value.strip())

"""The Dialogues pane: find, read, and say of each whether it may be learnt from."""

from __future__ import annotations

from collections.abc import Mapping

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Input

from workbench.tui import state as states
from workbench.tui.dialogs import AskScreen, PageScreen
from workbench.tui.pane import Pane
from workbench.tui.panes.dialogues import reports, retry, view
from workbench.tui.panes.dialogues.completing import FilterSuggester, Words, vocabulary
from workbench.tui.panes.dialogues.edit import EditScreen
from workbench.tui.state import DialoguesState
from workbench.tui.widgets.canvas import Canvas
from workbench.tui.widgets.review import ReviewBar, Reviewing
from workbench.tui.widgets.safe import Line, SafeText
from workbench.tui.widgets.section import Section
from workbench.tui.widgets.table import Column, VirtualTable
from workbench.tui.widgets.transcript import Transcript

LIST = (
    Column("", 1), Column("path", 5, "right"), Column("steps", 5, "right"), Column("ends"), Column("split", 5, least=44),
    Column("faults, deviations", 18, least=60), Column("writer", 9, least=70), Column("id", 8, least=36),
)  # fmt: skip
SEVERAL = (
    *LIST[:4], Column("workflow", 16, least=56), LIST[4],
    Column("faults, deviations", 18, least=77), Column("writer", 9, least=87), LIST[-1],
)  # fmt: skip
"""Where the record holds dialogues of more than one workflow."""
EMPTY = "no dialogues yet: workbench demo makes some, or: workbench dialogues generate travel_booking"
SPLIT = "review:split"


class DialoguesPane(Reviewing, Pane):
    """A virtual list on the left, the whole dialogue on the right, with the nodes of each message beside it."""

    scope = "dialogues"
    first = "#dialogues-list"
    HELP = (
        f"Filter: {view.HINT}; → takes what is offered. A decision is added to the record, never changed; each reviewer's newest counts. "
        "A dot before a row: others have decided, which is shown once you have. O shows it before (your decision then no "
        "longer counts as independent); in a list by reviews, all of those that it leaves out. J settles a disagreement."
    )

    def __init__(self) -> None:
        super().__init__()
        self._found: view.Found | None = None
        self._whole: view.Whole | None = None
        self._fresh = 0
        self._others: list[str] = []
        self._suggester = FilterSuggester()

    def compose(self) -> ComposeResult:
        """Compose."""
        with Horizontal():
            yield Section(
                "Dialogues",
                Input(
                    self.state.filter,
                    placeholder=view.HINT,
                    id="dialogues-filter",
                    select_on_focus=False,
                    suggester=self._suggester,
                ),
                VirtualTable(LIST, runner=self.run, id="dialogues-list", empty=EMPTY),
                id="dialogues-left",
            )
            yield Section(
                "Dialogue",
                SafeText(id="dialogues-about", classes="note", wrapped=False),
                Horizontal(
                    Transcript(id="dialogues-text", empty="choose a dialogue"),
                    Transcript(id="dialogues-other", empty="no other dialogue of this path"),
                    Canvas(id="dialogues-place"),
                    id="dialogues-read",
                ),
                ReviewBar("dialogue", self.state.note, self.state.plan, id="dialogues-review"),
                id="dialogues-right",
                classes="rule-left",
            )

    def on_mount(self) -> None:
        """The filter line is there while it says something."""
        self.query_one("#dialogues-filter").set_class(not self.state.filter, "hidden")
        self._lay_out()

    def _lay_out(self) -> None:
        self.set_class(self.state.beside, "-beside")
        self.set_class(self.state.place, "-place")

    def refresh_data(self, topics: frozenset[str]) -> None:
        """New rows are counted and announced; the list is only read anew when it is short of its first rows."""
        if "record" not in topics:
            return
        if self._found is None or not self._found.count() or "opened" in topics:
            self._search()
        else:
            text, reviewer = self.state.filter, self.shell.reviewer
            self.run_again("news", lambda: view.size(self.home, text, reviewer), self._news)
            self.query_one("#dialogues-list", VirtualTable).reload()
            self.review_bar.show(self.state.selected)

    def _news(self, count: int) -> None:
        self._fresh = max(count - (self._found.count() if self._found else 0), 0)
        self._head()

    def _search(self) -> None:
        state: DialoguesState = self.state
        reviewer = self.shell.reviewer
        self.run("glance", lambda: view.glance(self.home, state.filter, state.selected, reviewer), self._show_first)
        self.run("find", lambda: view.find(self.home, state.filter, state.selected, reviewer), self._show)

    def _show_first(self, found: view.Found | None) -> None:
        """The first rows, if the whole list is not there before them."""
        if found and not (self._found and self._found.asked == found.asked):
            self._show(found)

    def _show(self, found: view.Found) -> None:
        table = self.query_one("#dialogues-list", VirtualTable)
        before, same = self._found, self._found is not None and self._found.asked == found.asked
        at = found.cursor
        if before and before.partial and same and table.cursor:  # where the reader has gone meanwhile
            at = found.place_of(before.rowids[table.cursor]) or 0
        self._found, self._fresh = found, 0
        table.empty = EMPTY if not self.state.filter else "nothing passes the filter: / changes it"
        if found.hidden:
            table.empty = f"O shows {found.hidden:,} on which others decided and you have not"
        table.columns = SEVERAL if found.names else LIST
        table.show(found, at, top=None if same else max(at - 2, 0))
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
        if found.partial:
            self.query_one("#dialogues-left", Section).put("the first ones, counting …")
            return
        whole = found.count() == found.total
        facts: list[tuple[str, str] | str] = [
            f"{found.count():,}" if whole else f"{found.count():,} of {found.total:,}"
        ]
        if found.asked.unknown:
            facts = [(f"not understood: {' '.join(found.asked.unknown)}", "bad")]
        elif self._fresh:
            facts.append((f" · {self._fresh:,} new, press .", "accent"))
        elif found.hidden:
            facts.append((f" · O shows {found.hidden:,} more", "warn"))
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
        self.review_bar.show(whole.id if whole else None)
        if whole:
            right.put(f"{whole.id[:8]}, {len(whole.bubbles)} messages")
        self._put_beside()

    def _put_beside(self) -> None:
        whole = self._whole
        if whole and self.state.place:
            self.run("place", lambda: view.drawing(self.home, whole), self._draw_place)
        if whole and self.state.beside:
            reviewer = self.shell.reviewer
            self.run("others", lambda: view.others(self.home, whole.id, reviewer), self._list_others)

    def _draw_place(self, lines: tuple[Line, ...]) -> None:
        self.query_one("#dialogues-place", Canvas).show(lines)

    def _list_others(self, ids: list[str]) -> None:
        self._others = ids
        self._other()

    def _other(self) -> None:
        if self._others:
            wanted = self._others[0]
            self.run("other", lambda: view.whole(self.home, wanted), self._put_other)
        else:
            self._put_other(None)

    def _put_other(self, other: view.Whole | None) -> None:
        self.query_one("#dialogues-other", Transcript).show(other.bubbles if other else ())
        if self._whole:
            beside = f", beside {other.id[:8]} (1 of {len(self._others)}, v: next)" if other else ", the only one here"
            self.query_one("#dialogues-right", Section).put(f"{self._whole.id[:8]}{beside}")

    # Events ------------------------------------------------------------------------------------------------------

    @on(VirtualTable.Moved, "#dialogues-list")
    def _moved(self, message: VirtualTable.Moved) -> None:
        if message.row_id != self.state.selected or self._whole is None or self._whole.id != message.row_id:
            self.state = states.dialogue_chosen(self.state, message.row_id)
            self.review_bar.show(None)  # until the dialogue is on the screen, keys decide nothing
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

    @on(ReviewBar.Drafted)
    def _noted(self, message: ReviewBar.Drafted) -> None:
        self.state = states.note_drafted(self.state, message.text)

    @on(ReviewBar.PlanChosen)
    def _plan_chosen(self, message: ReviewBar.PlanChosen) -> None:
        self.state = states.plan_chosen(self.state, message.name)

    @on(ReviewBar.Left)
    def _left(self) -> None:
        self.query_one(self.first).focus()

    @on(ReviewBar.Decided)
    def _decided(self, message: ReviewBar.Decided) -> None:
        """The row stays where it is and gets its mark; what was taken back comes to the cursor."""
        self.query_one("#dialogues-list", VirtualTable).reload()
        if message.undone and message.row.subject_id != self.state.selected:
            self._go_to(message.row.subject_id)

    @on(ReviewBar.Opened)
    def _opened(self) -> None:
        self.query_one("#dialogues-list", VirtualTable).reload()

    @on(ReviewBar.Given)
    def _given(self, message: ReviewBar.Given) -> None:
        if message.subject_id:
            self._go_to(message.subject_id)
        else:
            self.shell.say(message.why, tone="warn")

    # Actions -----------------------------------------------------------------------------------------------------

    def action_search(self) -> None:
        """Open the filter line; what the record knows is offered while typing."""
        self.run("words", lambda: vocabulary(self.home), self._know)
        box = self.query_one("#dialogues-filter")
        box.remove_class("hidden")
        self.screen.set_focus(box)

    def _know(self, words: Words) -> None:
        self._suggester.words = words

    def action_fresh(self) -> None:
        """Read the list anew; the row under the cursor stays where it is."""
        self._search()

    def action_unreviewed(self, by: int) -> None:
        """On, or back, to the nearest one that nobody has reviewed."""
        table = self.query_one("#dialogues-list", VirtualTable)
        if found := self._found:
            at = table.cursor
            self.run("next", lambda: view.unreviewed(self.home, found, at, by), lambda to: self.go_to_open(table, to))

    def _go_to(self, dialogue_id: str) -> None:
        """Put the cursor on a dialogue; where the filter hides it, the filter goes."""
        home, text, reviewer = self.home, self.state.filter, self.shell.reviewer

        def work() -> tuple[view.Found, bool]:
            found = view.find(home, text, dialogue_id, reviewer)
            there = view.holds(found, dialogue_id)
            return (found if there else view.find(home, "", dialogue_id, reviewer)), there

        def then(got: tuple[view.Found, bool]) -> None:
            found, there = got
            self.state = states.dialogue_chosen(self.state, dialogue_id)
            if there and self._found and found.rowids == self._found.rowids:
                self.query_one("#dialogues-list", VirtualTable).go(found.cursor)
                return
            if not there:
                self._set_filter("")
            self._whole = None
            self._show(found)

        self.run("goto", work, then)

    def _set_filter(self, text: str) -> None:
        box = self.query_one("#dialogues-filter", Input)
        self.state = states.dialogues_filtered(self.state, text)
        with box.prevent(Input.Changed):
            box.value = text
        box.set_class(not text, "hidden")

    def action_open(self) -> None:
        """Show what others decided: on what the filter leaves out for that reason, else on the dialogue on the screen."""
        if not (self._found and self._found.hidden):
            super().action_open()
            return
        home, text, reviewer = self.home, self.state.filter, self.shell.reviewer

        def then(count: int) -> None:
            self.shell.say(f"{count:,} shown; what you decide on them no longer counts as independent", tone="warn")
            self._search()

        self.run("open", lambda: reports.open_hidden(home, text, reviewer), then)

    def action_split(self) -> None:
        """The queue of disagreements, or out of it."""
        self._set_filter("" if self.state.filter == SPLIT else SPLIT)
        self._search()

    def action_beside(self) -> None:
        """Another dialogue of the same path beside this one; again: the next; esc closes."""
        if self.state.beside:
            self._others = self._others[1:] + self._others[:1]
            self._other()
            return
        self.state = states.beside_toggled(self.state)
        self._lay_out()
        self._put_beside()
        if not self.query_one("#dialogues-left").display:
            self.query_one("#dialogues-text").focus()

    def action_place(self) -> None:
        """The workflow's outline with the path lit, or not."""
        self.state = states.place_toggled(self.state)
        self._lay_out()
        self._put_beside()
        self.query_one("#dialogues-place" if self.state.place else self.first).focus()

    def action_edit(self) -> None:
        """Mend the words of a copy."""
        if not (whole := self._whole):
            return

        def typed(texts: Mapping[int, str]) -> None:
            self.state = states.mend_drafted(self.state, whole.id, texts)

        def done(changed: Mapping[int, str] | None) -> None:
            if changed:
                typed({})
                reviewer = self.shell.reviewer
                self.run("fix", lambda: reports.mend(self.home, whole.id, changed, reviewer), self._mended)

        screen = EditScreen(whole.id[:8], whole.texts, states.mend_of(self.state, whole.id), typed)
        self.shell.push_screen(screen, done)

    def _mended(self, said: tuple[str, str]) -> None:
        self.shell.say(*said)
        self.query_one("#dialogues-list", VirtualTable).reload()
        self.review_bar.show(self.state.selected)

    def action_plan(self) -> None:
        """Draw a sampling plan."""
        about = "A sampling plan: so many dialogues of every stratum, in turns; a share goes to a second reviewer."
        strata = "by: terminal, writer, split, status, path, deviations, persona (several with commas)"
        screen = AskScreen(about, strata, "name:first by:terminal each:20 second:10%")
        self.shell.push_screen(screen, self._planned)

    def _planned(self, text: str | None) -> None:
        if text:
            whole = self._whole
            self.run("plan", lambda: reports.draw_plan(self.home, text, whole), self._told)

    def action_retry(self) -> None:
        """Write what was quarantined anew, after asking."""
        if not (whole := self._whole):
            return

        def asked(found: retry.Retry | str) -> None:
            if isinstance(found, str):
                self.shell.say(found, tone="warn")
                return
            hint = "yes, or another budget in dollars; esc leaves it"

            def go(typed: str | None) -> None:
                if typed:
                    self.run("retry", lambda: reports.retried(self.home, found, typed), self._told)

            self.shell.push_screen(AskScreen(found.question, hint), go)

        self.run("retriable", lambda: reports.retriable(self.home, whole.id), asked)

    def _told(self, said: tuple[str, str]) -> None:
        self.shell.say(*said)
        self.review_bar.show(self.state.selected)

    def action_agreement(self) -> None:
        """How far the reviewers agree."""
        self.run("agreement", lambda: reports.agreement_lines(self.home), self._page)

    def action_export(self) -> None:
        """Write all reviews of dialogues to files."""
        reviewer = self.shell.reviewer
        self.run("export", lambda: reports.export(self.home, reviewer), self._told)

    def _page(self, lines: tuple[Line, ...]) -> None:
        self.shell.push_screen(PageScreen(lines))

    def leave_input(self, focused: Widget) -> None:
        """Back to the list; an empty filter line goes away, a draft stays."""
        if isinstance(focused, Input) and focused.id == "dialogues-filter":
            focused.set_class(not focused.value, "hidden")
        self.review_bar.close()
        self.query_one(self.first).focus()

    def back(self) -> None:
        """Close the form; then the second dialogue; from the transcript to the list; in the list the filter is dropped."""
        table = self.query_one(self.first)
        if self.review_bar.close():
            pass
        elif self.state.beside:
            self.state = states.beside_toggled(self.state)
            self._lay_out()
        elif table.has_focus and self.state.filter:
            self._set_filter("")
            self._search()
        table.focus()

    def selected_text(self) -> str:
        """The dialogue as plain text."""
        return "\n".join(f"{b.role}: {b.text}" for b in self.query_one("#dialogues-text", Transcript).bubbles)


PANE = DialoguesPane

"""Saying what one thinks of a dialogue or a conversation: the same line, keys and form in every pane.

A pane that offers it lists the scope `review` beside its own (`actions.SHARED`), takes `Reviewing` as a base, and holds one
`ReviewBar`, which it tells what is on the screen (`show`). `ReviewScreen` is the same bar on top of any other pane.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Input

from workbench.dialogue import reviewing
from workbench.dialogue.reviewing import Seen
from workbench.errors import UserError
from workbench.home import Home
from workbench.store.record import Record, connect
from workbench.store.review_plans import PlanRow, plans, progress, take_next
from workbench.store.rows import ReviewRow, SubjectKind, now
from workbench.text import clean_line
from workbench.tui.actions import bindings
from workbench.tui.dialogs import AskScreen
from workbench.tui.effects import reader
from workbench.tui.format import ago
from workbench.tui.widgets.safe import Line, SafeText, Span, line
from workbench.tui.widgets.table import VirtualTable
from workbench.tui.widgets.tags import TagLine

if TYPE_CHECKING:
    from workbench.tui.shell import Workbench

MARKS: dict[str | None, Span] = {
    "pass": ("✓", "good"), "flag": ("⚑", "warn"), "fix": ("✎", "accent"), "split": ("≠", "bad"), "hidden": ("•", "dim"),
    None: (" ", "dim"),
}  # fmt: skip
"""How a decision looks in lists and lines."""


def said_of(row: ReviewRow) -> Line:
    """One review as a line: the mark, who and when, tags, the note."""
    tags = f" [{', '.join(row.tags)}]" if row.tags else ""
    spans: Line = (
        MARKS.get(row.decision, ("•", "dim")),
        (f" {'settled: ' if row.settles else ''}{row.decision} by {row.reviewer}, {ago(row.created)}{tags}", "dim"),
    )
    return (*spans, (f"  {row.note}", "plain")) if row.note else spans


def followed(rec: Record, kind: SubjectKind, name: str) -> PlanRow | None:
    """The plan of that name, else (also when it is gone) the newest, None without any."""
    known = plans(rec, kind)
    return next((plan for plan in known if plan.name == name), known[0] if known else None)


def plan_line(home: Home, kind: SubjectKind, name: str = "") -> Line:
    """How far the sampling plan is; nothing without one. For a worker thread."""
    rec = reader(home)
    plan = followed(rec, kind, name)
    if plan is None:
        return ()
    strata = progress(rec, plan.id)
    done, items = sum(s.done for s in strata), sum(s.items for s in strata)
    second = sum(s.twice - s.twice_done for s in strata)
    spans: list[Span] = [("plan ", "dim"), (plan.name, "plain"), (f" {done:,}/{items:,}", "strong")]
    if second:
        spans.append((f", {second:,} want a second", "dim"))
    return tuple(spans)


def nearest(count: int, at: int, by: int, are_open: Callable[[Sequence[int]], Sequence[bool]]) -> int | None:
    """The nearest open place after (`by` 1) or before (-1) `at` among `count`, going round once; None if all are done.

    `are_open` is asked about some hundred places at a time, so that a long list is not read whole.
    """
    order = [(at + by * n) % count for n in range(1, count + 1)]
    for start in range(0, count, 500):
        part = order[start : start + 500]
        for place, is_open in zip(part, are_open(part), strict=True):
            if is_open:
                return place
    return None


class ReviewBar(Vertical):
    """Who reviews, what stands, what others said (once one may see it), the plan's progress; tags and the note on demand.

    `show(subject)` says what is on the screen. Decisions are made in a worker thread; while one is under way, and before
    `show` has been answered, keys do nothing: a key held down never decides twice.
    """

    DEFAULT_CSS = """
    ReviewBar { height: auto; max-height: 8; padding: 0; background: $surface; }
    ReviewBar > SafeText { padding: 0 1; }
    """

    class Decided(Message):
        """A row was added; `row.subject_id` is the subject, `undone` whether it takes something back."""

        def __init__(self, row: ReviewRow, undone: bool = False) -> None:
            super().__init__()
            self.row, self.undone = row, undone

    class Given(Message):
        """The plan's next subject, None if there is none (`why` says so)."""

        def __init__(self, subject_id: str | None, why: str = "") -> None:
            super().__init__()
            self.subject_id, self.why = subject_id, why

    class Opened(Message):
        """What others decided on the subject has been shown."""

    class Drafted(Message):
        """The note as far as it is typed, so that the pane can keep it."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Left(Message):
        """The form was left: the focus belongs to the pane again."""

    class PlanChosen(Message):
        """Another sampling plan is followed."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    def __init__(self, kind: SubjectKind, draft: str = "", plan: str = "", id: str | None = None) -> None:
        super().__init__(id=id)
        self.kind = kind
        self.plan = plan
        self.subject: str | None = None
        self.seen: Seen | None = None
        self._draft = draft
        self._busy = False
        self._line = SafeText()
        self._tags = TagLine(kind)
        self._note = Input(draft, placeholder="note: enter keeps it", select_on_focus=False, classes="hidden note-line")

    @property
    def shell(self) -> Workbench:
        """The app, typed."""
        return cast("Workbench", self.app)

    @property
    def reviewer(self) -> str:
        """Whose decisions these are."""
        return self.shell.reviewer

    def compose(self) -> ComposeResult:
        """The line, and the two parts of the form that open on a key."""
        yield self._line
        yield self._tags
        yield self._note

    def on_mount(self) -> None:
        """The name is in view from the start."""
        self._draw(())

    def show(self, subject_id: str | None) -> None:
        """Another subject is on the screen (or the same, changed)."""
        if subject_id != self.subject:
            self.seen = None
        self.subject = subject_id
        self._read()

    def _read(self) -> None:
        home, kind, subject, who, plan = self.shell.home, self.kind, self.subject, self.reviewer, self.plan

        def work() -> tuple[str | None, Seen | None, Line]:
            seen = reviewing.seen_by(reader(home), kind, subject, who) if subject else None
            return subject, seen, plan_line(home, kind, plan)

        def then(found: tuple[str | None, Seen | None, Line]) -> None:
            if found[0] == self.subject:
                self.seen = found[1]
                self._draw(found[2])

        self._run("seen", work, then)

    def _run(self, key: str, work: Callable[[], Any], then: Callable[[Any], None]) -> None:
        self.shell.effects.run(f"review/{self.id}/{key}", work, then)

    def _draw(self, plan: Line) -> None:
        head: list[Span] = [("as ", "dim"), (self.reviewer, "accent"), ("  ", "plain")]
        seen = self.seen
        if seen and seen.hidden:
            head.append((f"{seen.hidden} decided, hidden till you do  ", "dim"))
        elif self.subject and not (seen and seen.shown):
            head.append(("not reviewed  ", "dim"))
        lines = [said_of(row) for row in (seen.shown[-4:] if seen else ())]
        self._line.put((*head, *plan), *lines)

    # What keys do ------------------------------------------------------------------------------------------------

    def decide(self, decision: str) -> None:
        """Pass or flag what is on the screen."""
        self._add(lambda rec, subject: reviewing.decide(rec, self.kind, subject, self.reviewer, decision))

    def undo(self) -> None:
        """Take my newest decision back, whatever it was about and whenever it was made."""
        home, who, kind = self.shell.home, self.reviewer, self.kind

        def work() -> ReviewRow | None:
            with connect(home) as rec:
                return reviewing.undo(rec, who, kind)

        def then(row: ReviewRow | None) -> None:
            self._busy = False
            if row is None:
                self.shell.say("there is no decision of yours left to take back", tone="warn")
            else:
                stands = "nothing stands" if row.decision == "none" else f"{row.decision} stands again"
                self.shell.say(f"taken back on {row.subject_id[:8]}: {stands}", tone="good")
                self._told(row, True)

        if not self._busy:
            self._busy = True
            self._run("undo", work, then)

    def take(self) -> None:
        """Ask for the next subject of the plan."""
        home, kind, who, name = self.shell.home, self.kind, self.reviewer, self.plan

        def work() -> tuple[str | None, str]:
            with connect(home) as rec:
                plan = followed(rec, kind, name)
                if plan is None:
                    return None, "there is no sampling plan yet: P makes one"
                return take_next(rec, plan, who, now()), f"nothing of plan {plan.name} is left for {who} now"

        def then(found: tuple[str | None, str]) -> None:
            self.post_message(self.Given(found[0], "" if found[0] else found[1]))

        self._run("take", work, then)

    def choose_plan(self) -> None:
        """Follow the next older sampling plan, after the oldest the newest again."""
        home, kind, name = self.shell.home, self.kind, self.plan

        def work() -> str | None:
            known = [plan.name for plan in plans(reader(home), kind)]
            at = known.index(name) if name in known else 0
            return known[(at + 1) % len(known)] if known else None

        def then(found: str | None) -> None:
            if found is None:
                self.shell.say("there is no sampling plan yet", tone="warn")
                return
            self.plan = found
            self.shell.say(f"plan {found}: n hands out its next", tone="good")
            self.post_message(self.PlanChosen(found))
            self._read()

        self._run("plans", work, then)

    def open_decisions(self) -> None:
        """Show what others decided before deciding; it is remembered that this reviewer knew."""
        home, kind, subject, who = self.shell.home, self.kind, self.subject, self.reviewer
        if subject is None or self.seen is None:
            return

        def work() -> int:
            with connect(home) as rec:
                return reviewing.open_decisions(rec, kind, [subject], who)

        def then(count: int) -> None:
            if count:
                self.shell.say("shown; what you decide here no longer counts as independent", tone="warn")
                self._read()
                self.post_message(self.Opened())
            else:
                self.shell.say("nothing is hidden from you here", tone="warn")

        self._run("open", work, then)

    def settle(self) -> None:
        """Settle a disagreement of others: show it, ask for the decision and why."""
        home, kind, subject, who = self.shell.home, self.kind, self.subject, self.reviewer
        if subject is None or self.seen is None:
            return

        def work() -> str:
            with connect(home) as rec:
                rows = reviewing.disagreement(rec, kind, subject, who)
            return ", ".join(f"{row.decision} by {row.reviewer}{': ' + row.note if row.note else ''}" for row in rows)

        def then(told: str | UserError) -> None:
            if isinstance(told, UserError):
                self.shell.say(str(told), tone="bad")
                return
            self._read()
            question = f"{clean_line(told, 300)}. What is to count: pass, flag or fix (the mended copy), and why?"
            self.shell.push_screen(
                AskScreen(question, "for example: pass the party is 3, as in message 4"), self._settled
            )

        self._run("settle", lambda: _or_error(work), then)

    def _settled(self, text: str | None) -> None:
        decision, _, note = (text or "").partition(" ")
        if decision:
            self._add(
                lambda rec, subject: reviewing.settle(rec, self.kind, subject, self.reviewer, decision, note.strip())
            )

    def open_tags(self) -> None:
        """Open the tags."""
        if self.subject and self.seen is not None:
            self._tags.put(self.seen.mine.tags if self.seen.mine else ())
            self._tags.remove_class("hidden")
            self._tags.focus()

    def open_note(self) -> None:
        """Open the note line; a half-written note is still there, else the note that stands."""
        if self.subject and self.seen is not None:
            if not self._note.value and self.seen.mine:
                self._note.value = self.seen.mine.note
            self._note.remove_class("hidden")
            self.screen.set_focus(self._note)

    def close(self) -> bool:
        """Close tags and note; False if neither was open. What is typed stays."""
        was = not (self._tags.has_class("hidden") and self._note.has_class("hidden"))
        self._tags.add_class("hidden")
        self._note.add_class("hidden")
        return was

    def _add(self, decide: Callable[[Any, str], ReviewRow | None]) -> None:
        home, subject = self.shell.home, self.subject
        if self._busy or subject is None or self.seen is None:
            return
        self._busy = True

        def work() -> ReviewRow | str | None:
            try:
                with connect(home) as rec:
                    return decide(rec, subject)
            except UserError as error:
                return str(error)

        def then(row: ReviewRow | str | None) -> None:
            self._busy = False
            if isinstance(row, str):
                self.shell.say(row, tone="bad")
            elif row is not None:
                settled = "settled, " if row.settles else ""
                self.shell.say(f"{settled}{row.decision}: {subject[:8]} by {row.reviewer}", tone="good")
                self._told(row, False)

        self._run("decide", work, then)

    def _told(self, row: ReviewRow, undone: bool) -> None:
        if row.subject_id == self.subject:
            self._read()
        self.post_message(self.Decided(row, undone))

    # Events ------------------------------------------------------------------------------------------------------

    @on(TagLine.Kept)
    def _tags_kept(self, message: TagLine.Kept) -> None:
        message.stop()
        tags = message.tags
        self.close()
        self.post_message(self.Left())
        self._add(lambda rec, subject: reviewing.amend(rec, self.kind, subject, self.reviewer, tags=tags))

    @on(Input.Changed)
    def _typed(self, message: Input.Changed) -> None:
        message.stop()
        self.post_message(self.Drafted(message.value))

    @on(Input.Submitted)
    def _note_kept(self, message: Input.Submitted) -> None:
        message.stop()
        note = message.value.strip()
        self._note.value = ""
        self.close()
        self.post_message(self.Left())
        self._add(lambda rec, subject: reviewing.amend(rec, self.kind, subject, self.reviewer, note=note))


def _or_error(work: Callable[[], str]) -> str | UserError:
    """What the work says, or why it could not."""
    try:
        return work()
    except UserError as error:
        return error


class Reviewing:
    """What a pane with a `ReviewBar` answers to the keys of the scope `review`; comes before the widget among its bases.

    No widget itself: Textual finds a class by the first line of its bases only.
    """

    @property
    def review_bar(self) -> ReviewBar:
        """The pane's bar."""
        return cast(Widget, self).query_one(ReviewBar)

    def action_decide(self, decision: str) -> None:
        """Pass or flag."""
        self.review_bar.decide(decision)

    def action_tags(self) -> None:
        """Choose tags."""
        self.review_bar.open_tags()

    def action_note(self) -> None:
        """Write a note."""
        self.review_bar.open_note()

    def action_undo(self) -> None:
        """Take my newest decision back."""
        self.review_bar.undo()

    def action_take(self) -> None:
        """The next of the plan."""
        self.review_bar.take()

    def action_plans(self) -> None:
        """Follow another plan."""
        self.review_bar.choose_plan()

    def action_open(self) -> None:
        """Show what others decided."""
        self.review_bar.open_decisions()

    def action_settle(self) -> None:
        """Settle a disagreement."""
        self.review_bar.settle()

    def action_unreviewed(self, by: int) -> None:
        """To the nearest one without a review; a pane with a list says how."""

    def go_to_open(self, table: VirtualTable, to: int | None) -> None:
        """Put the cursor there, or say that nothing is left."""
        if to is None:
            self.review_bar.shell.say("everything in this list has been reviewed", tone="good")
        else:
            table.go(to)


class ReviewScreen(Reviewing, ModalScreen[bool]):
    """The bar on top of any pane, for one subject: a, f, t, m and U as everywhere, esc leaves. True if anything was said."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings("review"), Binding("escape,q", "leave", show=False)]

    def __init__(self, kind: SubjectKind, subject_id: str, title: str = "") -> None:
        super().__init__()
        self._kind, self._subject, self._title = kind, subject_id, title
        self._changed = False

    def compose(self) -> ComposeResult:
        """What it is about, the bar, the keys."""
        keys = (("a", "pass"), ("f", "flag"), ("t", "tags"), ("m", "note"), ("U", "undo"), ("esc", "done"))
        with Vertical(classes="dialog"):
            yield SafeText(
                line((f"Review of {self._kind} {self._subject[:8]}", "strong"), ("  " + self._title, "dim")), ()
            )
            yield ReviewBar(self._kind, id="review-screen-bar")
            yield SafeText((), tuple(span for key, word in keys for span in ((key, "key"), (f" {word}   ", "dim"))))

    def on_mount(self) -> None:
        """Nothing has the focus, so that single keys reach the screen."""
        self.review_bar.show(self._subject)

    @on(ReviewBar.Decided)
    def _decided(self) -> None:
        self._changed = True

    @on(ReviewBar.Left)
    def _left(self) -> None:
        self.set_focus(None)

    def action_take(self) -> None:
        """There is one subject here."""

    def action_plans(self) -> None:
        """There is one subject here."""

    def action_leave(self) -> None:
        """Close the form if it is open, else the screen."""
        if self.review_bar.close():
            self.set_focus(None)
        else:
            self.dismiss(self._changed)

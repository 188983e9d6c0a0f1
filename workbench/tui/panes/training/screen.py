"""The Training pane: runs, their curves while they learn, and what the model answers before and now."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll
from textual.widget import Widget
from textual.widgets import Input

from workbench.errors import UserError
from workbench.jobs import resume, stop
from workbench.text import clean_line
from workbench.training.curves import AXES, Axis, CurveReader, RunCurves
from workbench.training.estimate import gb
from workbench.training.launch import delete_run, rename_run, run_size, write_note
from workbench.training.metrics_file import write_csv
from workbench.tui import state as states
from workbench.tui.dialogs import ConfirmScreen, PageScreen
from workbench.tui.pane import Pane
from workbench.tui.panes.training import form, view
from workbench.tui.state import TrainingState
from workbench.tui.widgets.chart import Chart
from workbench.tui.widgets.fields import Field
from workbench.tui.widgets.form import FormScreen
from workbench.tui.widgets.safe import Line, SafeText, line
from workbench.tui.widgets.section import Section
from workbench.tui.widgets.table import Column, ListSource, VirtualTable
from workbench.tui.widgets.transcript import Transcript

LIST = (
    Column("state", 11), Column("run"), Column("step", 9, "right"), Column("held out", 8, "right"),
    Column("right", 5, "right"), Column("tok/s", 6, "right", 70), Column("", 12, "right", 76),
)  # fmt: skip
REDRAW = 1.0
"""Seconds between two drawings of the curves."""


class TrainingPane(Pane):
    """Runs above; curves, and two dev scenarios answered before and now, below."""

    scope = "training"
    first = "#runs"
    HELP = "Loss is nats per trained token. 'dev paths right' is the share of dev conversations that end where they should."

    def __init__(self) -> None:
        super().__init__()
        self._runs: dict[str, view.Run] = {}
        self._readers: dict[str, CurveReader] = {}
        self._shown: view.Shown | None = None
        self._drawn = 0.0
        self._due = False
        self._to_end = True
        self._draft: dict[str, str] = {}

    def compose(self) -> ComposeResult:
        """Compose."""
        empty = "no runs yet: workbench demo trains one, or n starts one"
        yield Section("Runs", VirtualTable(LIST, id="runs", empty=empty), id="training-top")
        with Horizontal(id="training-below"):
            yield Section(
                "Curves", SafeText(id="training-facts", classes="note"),
                Chart("loss", unit="steps", id="loss"), Chart("", low=0.0, high=1.0, unit="steps", id="rate"),
                id="training-curves",
            )  # fmt: skip
            with Section("Answers", id="training-answers", classes="rule-left"):
                pass
            with Section("Log", id="training-log", classes="rule-left"):
                yield Input(self.state.search, placeholder="search the log", id="log-search", select_on_focus=False)
                yield VerticalScroll(SafeText(id="log", classes="note"), id="log-scroll")

    def on_mount(self) -> None:
        """The answers side by side."""
        before = Section("Before", Transcript(id="before", empty="asked before the first step"), id="training-before")
        now = Section(
            "Now", Transcript(id="now", empty="asked at every evaluation"), id="training-now", classes="rule-left"
        )
        self.query_one("#training-answers").mount(Horizontal(before, now))
        self.query_one("#log-search").set_class(not self.state.search, "hidden")
        self._parts()

    def _parts(self) -> None:
        self.query_one("#training-answers").display = not self.state.log
        self.query_one("#training-log").display = self.state.log

    def refresh_data(self, topics: frozenset[str]) -> None:
        """The list at once; the curves at most once a second."""
        if topics & {"jobs", "record", "opened"} or any(topic.startswith("job:") for topic in topics):
            self.run("runs", lambda: view.read_runs(self.home), self._listed)

    def _listed(self, runs: list[view.Run]) -> None:
        self._runs = {run.job.id: run for run in runs}
        ids = list(self._runs)
        state: TrainingState = self.state
        selected = state.selected if state.selected in self._runs else (ids[0] if ids else None)
        self._choose(selected)
        table = self.query_one("#runs", VirtualTable)
        table.show(
            ListSource(tuple(run.row(run.job.id in state.marked) for run in runs)),
            ids.index(selected) if selected else 0,
        )
        self.query_one("#training-top").styles.height = min(max(len(runs), 1), 4) + 2
        self.query_one("#training-top", Section).put(f"{len(runs)}" if runs else "")

    def _choose(self, job: str | None) -> None:
        phase = self._runs[job].job.state if job in self._runs else ""
        self.state = states.run_chosen(self.state, job, phase)
        if job is None:
            return
        if self._shown and self._shown.main.job != job:
            self._shown, self._drawn = None, 0.0
        self._read()

    def _read(self) -> None:
        """Read the curves now, or once when the second is over."""
        wait = self._drawn + REDRAW - time.monotonic()
        if wait <= 0 and (job := self.state.selected) in self._runs:
            self._drawn = time.monotonic()
            others = [m for m in self.state.marked if m != job and m in self._runs]
            names = {j: self._runs[j].name for j in others}
            search = self.state.search

            def curves(j: str) -> RunCurves:
                return (self._readers.get(j) or self._readers.setdefault(j, CurveReader(self.home, j))).read()

            def read() -> view.Shown:
                drawn = tuple((names[j], curves(j)) for j in others)
                return view.Shown(curves(job), drawn, view.tail(self.home, job, search))

            self.run("curves", read, self._draw)
        elif not self._due:
            self._due = True
            self.set_timer(max(wait, 0.05), self._later)

    def _later(self) -> None:
        self._due = False
        if self.is_open:
            self._read()

    def _at_once(self) -> None:
        self._drawn = 0.0
        self._read()

    def _draw(self, shown: view.Shown) -> None:
        self._shown = shown
        run, state = self._runs.get(shown.main.job), self.state
        if not run:
            return
        axis: Axis = state.axis if state.axis in AXES else "step"
        note = f"  {run.note}" if run.note else ""
        self.query_one("#training-facts", SafeText).put(view.facts(run, shown.main))
        words = f"by {axis}{', smoothed' if state.smooth else ''}{note}"
        self.query_one("#training-curves", Section).put(words, name=clean_line(run.name, 18))
        loss, rate = self.query_one("#loss", Chart), self.query_one("#rate", Chart)
        loss.unit = rate.unit = {"step": "steps", "time": "s", "tokens": "tokens"}[axis]
        loss.put(view.loss_series(shown, run.name, axis, state.smooth))
        metric = state.metric if state.metric in view.metrics_of(shown) else "pass_rate"
        rate.title = view.label(metric) if shown.others else ""
        rate.low, rate.high = (0.0, 1.0) if view.is_share(metric) else (None, None)
        rate.put(view.metric_series(shown, run.name, axis, metric))
        for name, found in (("before", shown.before), ("now", shown.now)):
            self.query_one(f"#training-{name}", Section).put(f"step {found[0]}" if found else "")
            self.query_one(f"#{name}", Transcript).show(found[1] if found else (), keep=True)
        log, scroll = self.query_one("#log", SafeText), self.query_one("#log-scroll", VerticalScroll)
        at_end = self._to_end or scroll.scroll_offset.y >= scroll.max_scroll_y - 1
        self._to_end = False
        log.put(*(shown.log or ("nothing in the log says that" if state.search else "the log is empty",)))
        self.query_one("#training-log", Section).put(f"lines with “{state.search}”" if state.search else "")
        if at_end:
            scroll.scroll_end(animate=False)

    @on(VirtualTable.Moved, "#runs")
    def _moved(self, message: VirtualTable.Moved) -> None:
        if message.row_id != self.state.selected:
            self._choose(message.row_id)

    @on(VirtualTable.Chosen, "#runs")
    def _chosen(self) -> None:
        self.query_one("#now").focus()

    # Actions -----------------------------------------------------------------------------------------------------

    def action_smooth(self) -> None:
        """Smooth or raw."""
        self.state = states.smoothed(self.state)
        self._redraw()

    def action_axis(self) -> None:
        """By step, time or tokens."""
        self.state = states.axis_turned(self.state, AXES)
        self._redraw()

    def action_metric(self) -> None:
        """The next metric in the lower chart."""
        self.state = states.metric_turned(self.state, view.metrics_of(self._shown))
        self._redraw()

    def _redraw(self) -> None:
        if self._shown:
            self._draw(self._shown)

    def action_mark(self) -> None:
        """Draw the run under the cursor with the others, or no longer."""
        self.state = states.run_marked(self.state, self.state.selected)
        self._listed(list(self._runs.values()))
        self._at_once()

    def action_compare(self) -> None:
        """Recipes and results of the marked runs and the selected one."""
        wanted = list(dict.fromkeys((self.state.selected, *self.state.marked)))
        self.run("compare", lambda: view.comparison(self.home, wanted), self._compared)

    def _compared(self, rows: list[Line]) -> None:
        self.app.push_screen(PageScreen([line(("Runs side by side", "strong")), (), *rows]))

    def action_log(self) -> None:
        """The log instead of the answers, or back."""
        self.state = states.log_toggled(self.state)
        self._to_end = self.state.log
        self._parts()
        self._redraw()

    def action_search(self) -> None:
        """Search the log; the log comes to the screen for it."""
        if not self.state.log:
            self.action_log()
        field = self.query_one("#log-search", Input)
        field.remove_class("hidden")
        self.screen.set_focus(field)

    @on(Input.Changed, "#log-search")
    def _searched(self, message: Input.Changed) -> None:
        self.state = states.log_searched(self.state, message.value)
        self._to_end = True
        self._at_once()

    @on(Input.Submitted, "#log-search")
    def _found(self) -> None:
        self.query_one("#log-scroll").focus()

    def action_edit(self) -> None:
        """Name and note."""
        run = self._runs.get(self.state.selected or "")
        if run is None:
            return
        asked = (
            Field("name", "name", run.name, "to find the run by"),
            Field("note", "note", run.note, "whatever you want to remember about it", optional=True),
        )

        def work(values: dict[str, Any]) -> None:
            rename_run(self.home, run.job.id, values["name"])
            write_note(self.home, run.job.id, values["note"] or "")

        def filled(values: dict[str, Any] | None) -> None:
            if values is not None:
                self._do("kept", lambda: work(values))

        self.app.push_screen(FormScreen(f"Run {run.job.id}", asked, run=self.run, submit="keep"), filled)

    def action_delete(self) -> None:
        """Ask, telling the size, then remove the run."""
        run = self._runs.get(self.state.selected or "")
        if run is None:
            return

        def ask(size: int) -> None:
            def answered(yes: bool | None) -> None:
                if yes:
                    self._do("deleted", lambda: delete_run(self.home, run.job.id))

            question = f"Delete {run.name} with its checkpoints and models ({gb(size)})? Conversations with it stay."
            self.app.push_screen(ConfirmScreen(question), answered)

        self.run("size", lambda: run_size(self.home, run.job.id), ask)

    def action_write_csv(self) -> None:
        """All metrics of the run, unreduced, as a CSV file."""
        job = self.state.selected
        target = self.home.state / f"{job}.csv"
        self.run(
            "csv",
            lambda: write_csv(self.home, job, target),
            lambda n: self.shell.say(f"{n:,} rows in {target}", tone="good"),
        )

    def action_begin(self) -> None:
        """The form that starts a run; what was typed and left is there again."""
        self.run("offer", lambda: form.offer(self.home), self._offer)

    def _offer(self, found: form.Offer) -> None:
        if not found.datasets:
            self.shell.say("no data set yet: workbench dataset build travel_booking", tone="warn")
            return

        def filled(values: dict[str, Any] | None) -> None:
            if values is not None:
                self._draft = {}
                self._do("start", lambda: form.start(self.home, found, values))

        def keep(raw: Mapping[str, str]) -> None:
            self._draft = dict(raw)

        screen = FormScreen(
            "Train a model", form.fields(found), run=self.run, preview=lambda values: form.preview(self.home, values),
            command=lambda values: form.command(self.home, found, values), raw=self._draft, keep=keep,
        )  # fmt: skip
        self.app.push_screen(screen, filled)

    def action_stop(self) -> None:
        """Ask the job to finish its step, save and end."""
        job = self.state.selected

        def answered(yes: bool | None) -> None:
            if yes:
                self._do("stop", lambda: stop(self.home, job, None))

        self.app.push_screen(
            ConfirmScreen("Stop this run after its step? It keeps a checkpoint, and r resumes it."), answered
        )

    def action_resume(self) -> None:
        """The same command again."""
        job = self.state.selected
        self._do("resume", lambda: resume(self.home, job))

    async def action_talk(self) -> None:
        """Open the chat pane with this model beside the oracle."""
        run = self._runs.get(self.state.selected or "")
        if run:
            agents = (f"compiled:{run.name}", "oracle")
            self.shell.keep("chat", states.agents_chosen(self.shell.state.chat, agents))
            await self.shell.open_pane("chat")

    def _do(self, what: str, work: Any) -> None:
        def tried() -> str:
            try:
                work()
            except UserError as error:
                return str(error)
            return ""

        def done(problem: str) -> None:
            self.shell.say(problem or f"{what}: asked", tone="bad" if problem else "good")
            self.refresh_data(frozenset({"jobs"}))

        self.run(what, tried, done)

    def leave_input(self, focused: Widget) -> None:
        """The search stays, the focus goes to the log it was for."""
        focused.set_class(not self.state.search, "hidden")
        self.query_one("#log-scroll").focus()

    def selected_text(self) -> str:
        """The log."""
        return "\n".join("".join(text for text, _ in row) for row in self._shown.log) if self._shown else ""


PANE = TrainingPane

"""The Training pane: runs, their curves while they learn, and what the model answers before and now."""

from __future__ import annotations

import time
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, VerticalScroll

from workbench.errors import UserError
from workbench.jobs import resume, stop
from workbench.store.datasets import datasets
from workbench.training.launch import launch_run
from workbench.tui import state as states
from workbench.tui.dialogs import ConfirmScreen
from workbench.tui.effects import reader
from workbench.tui.pane import Pane
from workbench.tui.panes.training import view
from workbench.tui.state import TrainingState
from workbench.tui.widgets.chart import Chart
from workbench.tui.widgets.safe import SafeText
from workbench.tui.widgets.section import Section
from workbench.tui.widgets.table import Column, ListSource, VirtualTable
from workbench.tui.widgets.transcript import Transcript

LIST = (
    Column("state", 10), Column("run"), Column("step", 9, "right"), Column("held out", 8, "right"),
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
        self._reader: view.Reader | None = None
        self._curves: view.Curves | None = None
        self._drawn = 0.0
        self._due = False

    def compose(self) -> ComposeResult:
        """Compose."""
        empty = "no runs yet: workbench demo trains one, or n starts one on the newest data set"
        yield Section("Runs", VirtualTable(LIST, id="runs", empty=empty), id="training-top")
        with Horizontal(id="training-below"):
            yield Section(
                "Curves", SafeText(id="training-facts", classes="note"),
                Chart("loss", unit="steps", id="loss"), Chart("pass rate", low=0.0, high=1.0, unit="steps", id="rate"),
                id="training-curves",
            )  # fmt: skip
            with Section("Answers", id="training-answers", classes="rule-left"):
                pass
            with Section("Log", id="training-log", classes="rule-left"):
                yield VerticalScroll(SafeText(id="log", classes="note"), id="log-scroll")

    def on_mount(self) -> None:
        """The answers side by side."""
        before = Section("Before", Transcript(id="before", empty="asked before the first step"), id="training-before")
        now = Section(
            "Now", Transcript(id="now", empty="asked at every evaluation"), id="training-now", classes="rule-left"
        )
        self.query_one("#training-answers").mount(Horizontal(before, now))
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
        table.show(ListSource(tuple(run.row for run in runs)), ids.index(selected) if selected else 0)
        self.query_one("#training-top").styles.height = min(max(len(runs), 1), 4) + 2
        self.query_one("#training-top", Section).put(f"{len(runs)}" if runs else "")

    def _choose(self, job: str | None) -> None:
        phase = self._runs[job].job.state if job in self._runs else ""
        self.state = states.run_chosen(self.state, job, phase)
        if job is None:
            return
        if self._reader is None or self._reader.job != job:
            self._reader, self._curves, self._drawn = view.Reader(self.home, job), None, 0.0
        self._read()

    def _read(self) -> None:
        """Read the curves now, or once when the second is over."""
        wait = self._drawn + REDRAW - time.monotonic()
        if wait <= 0 and (source := self._reader):
            self._drawn = time.monotonic()
            self.run("curves", source.read, self._draw)
        elif not self._due:
            self._due = True
            self.set_timer(max(wait, 0.05), self._later)

    def _later(self) -> None:
        self._due = False
        if self.is_open:
            self._read()

    def _draw(self, curves: view.Curves) -> None:
        self._curves = curves
        run = self._runs.get(curves.job)
        if not run:
            return
        self.query_one("#training-facts", SafeText).put(view.facts(run, curves))
        self.query_one("#training-curves", Section).put(run.name)
        self.query_one("#loss", Chart).put(curves.loss_series(self.state.smooth))
        self.query_one("#rate", Chart).put(curves.pass_series())
        for name, found in (("before", curves.before), ("now", curves.now)):
            self.query_one(f"#training-{name}", Section).put(f"step {found[0]}" if found else "")
            self.query_one(f"#{name}", Transcript).show(found[1] if found else (), keep=True)
        log, scroll = self.query_one("#log", SafeText), self.query_one("#log-scroll", VerticalScroll)
        at_end = scroll.scroll_offset.y >= scroll.max_scroll_y - 1
        log.put(*(curves.log or ("the log is empty",)))
        if at_end:
            scroll.scroll_end(animate=False)

    @on(VirtualTable.Moved, "#runs")
    def _moved(self, message: VirtualTable.Moved) -> None:
        if message.row_id != self.state.selected:
            self._drawn = 0.0
            self._choose(message.row_id)

    @on(VirtualTable.Chosen, "#runs")
    def _chosen(self) -> None:
        self.query_one("#now").focus()

    # Actions -----------------------------------------------------------------------------------------------------

    def action_smooth(self) -> None:
        """Smooth or raw."""
        self.state = states.smoothed(self.state)
        if self._curves:
            self._draw(self._curves)

    def action_log(self) -> None:
        """The log instead of the answers, or back."""
        self.state = states.log_toggled(self.state)
        self._parts()

    def action_begin(self) -> None:
        """Ask, then train on the newest data set with the recipe `demo`."""
        self.run("datasets", lambda: datasets(reader(self.home)), self._offer)

    def _offer(self, found: list[Any]) -> None:
        if not found:
            self.shell.say("no data set yet: workbench dataset build travel_booking", tone="warn")
            return
        newest = found[0]

        def answered(yes: bool | None) -> None:
            if yes:
                self._do("start", lambda: launch_run(self.home, newest.id, "demo", name=newest.name))

        self.app.push_screen(
            ConfirmScreen(f"Train the recipe “demo” on the data set {newest.name} ({newest.id[:8]})?"), answered
        )

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

    def selected_text(self) -> str:
        """The log."""
        return "\n".join("".join(text for text, _ in row) for row in self._curves.log) if self._curves else ""


PANE = TrainingPane

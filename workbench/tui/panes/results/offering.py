"""Offering an evaluation: the form on top of the pane, and the job that it starts."""

from __future__ import annotations

from workbench.jobs.folder import Job
from workbench.tui.pane import Pane
from workbench.tui.widgets.fields import Field, Values
from workbench.tui.widgets.form import FormScreen


def offer_evaluation(pane: Pane) -> None:
    """Open the form; its fields are read beside the app, since what they need (numpy) takes time."""

    def offered() -> tuple[Field, ...]:
        from workbench.tui.panes.results import evaluating

        return evaluating.fields(pane.home)

    pane.run("form", offered, lambda fields: _open(pane, fields))


def _open(pane: Pane, fields: tuple[Field, ...]) -> None:
    from workbench.tui.panes.results import evaluating

    home = pane.home

    def begun(job: Job) -> None:
        pane.shell.say(f"evaluation {'joined' if job.joined else 'started'}: job {job.id[:8]}", tone="good")

    def filled(values: Values | None) -> None:
        if values is not None:
            pane.run("start", lambda: evaluating.start(home, values), begun)

    form = FormScreen(
        "Evaluate agents",
        fields,
        run=pane.run,
        preview=lambda values: evaluating.preview(home, values),
        command=lambda values: evaluating.command(home, values),
        submit="start",
    )
    pane.shell.push_screen(form, filled)

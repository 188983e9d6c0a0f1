"""The form behind one key in Results: more dialogues for what an agent got wrong, and a run that goes on with them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from workbench.errors import UserError
from workbench.evaluation.mend import MOST_BRANCHES, Weak, find_weak, launch_mend, plan_mend
from workbench.tui.widgets.fields import Field, NumberField, Values
from workbench.tui.widgets.form import FormScreen, Preview
from workbench.tui.widgets.safe import Line, line

if TYPE_CHECKING:
    from workbench.tui.pane import Pane

FIELDS: tuple[Field, ...] = (
    NumberField("dialogues", "new dialogues", 120, "shared among the weak branches", least=1, most=100_000, whole=True),
    NumberField(
        "learning_rate", "learning rate", None, "peak; empty: half of the run's", optional=True, least=1e-8, most=1
    ),
    NumberField(
        "max_tokens_trained", "tokens", None, "in all; empty: half of the run's", optional=True, least=100, whole=True
    ),
)


def offer_mending(pane: Pane, wanted: str, agent: str | None) -> None:
    """Find what went wrong in a conversation or a comparison (by id), then ask how to mend it."""

    def look() -> tuple[str, list[Weak]] | str:
        try:
            return find_weak(pane.home, wanted, agent)
        except UserError as error:
            return str(error)

    def found(result: tuple[str, list[Weak]] | str) -> None:
        if isinstance(result, str):
            pane.shell.say(result, tone="warn")
        else:
            _ask(pane, wanted, agent, *result)

    pane.run("mend", look, found)


def _ask(pane: Pane, wanted: str, agent: str | None, run: str, weak: list[Weak]) -> None:
    def changes(values: Values) -> dict[str, Any]:
        return {k: values[k] for k in ("learning_rate", "max_tokens_trained") if values[k] is not None}

    def preview(values: Values) -> Preview:
        plan = plan_mend(pane.home, run, weak, values["dialogues"], changes(values))
        hints = {k: f"{plan.recipe[k]:g}" for k in ("learning_rate", "max_tokens_trained") if plan.recipe.get(k)}
        return Preview(
            (*_branches(weak), (), line(("run ", "dim"), plan.name, (" goes on from ", "dim"), run)), hints=hints
        )

    def command(values: Values) -> list[str]:
        words = ["workbench", "train", "mend", wanted, *(["--agent", agent] if agent else [])]
        words += ["--dialogues", str(values["dialogues"])]
        return words + [w for k, v in changes(values).items() for w in ("--set", f"{k}={json.dumps(v)}")]

    def filled(values: dict[str, Any] | None) -> None:
        if values is not None:
            pane.run("mend", lambda: begin(values), started)

    def begin(values: Values) -> str:
        plan = plan_mend(pane.home, run, weak, values["dialogues"], changes(values))
        launch_mend(pane.home, plan)
        return plan.name

    def started(name: str) -> None:
        pane.shell.say(f"{name}: dialogues are being written, then the run appears in Training (3)", tone="good")

    form = FormScreen(
        "Mend and recompile", FIELDS, run=pane.run, preview=preview, command=command, submit="write and train"
    )
    pane.app.push_screen(form, filled)


def _branches(weak: list[Weak]) -> list[Line]:
    lines = [
        line(("✗ ", "bad"), w.edge, (f"  demanded at {w.hub}: wrong {w.wrong} of {w.n}", "dim"))
        for w in weak[:MOST_BRANCHES]
    ]
    left = len(weak) - MOST_BRANCHES
    return [*lines, *([line((f"and {left} more, for another round", "dim"))] if left > 0 else [])]

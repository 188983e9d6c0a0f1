"""The form behind one key in Results: more dialogues for what an agent got wrong, and a run that goes on with them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from workbench.dialogue.composing import refuse_unknown_price
from workbench.dialogue.model_writer import writer_named
from workbench.dialogue.scripted import WRITER
from workbench.errors import UserError
from workbench.evaluation.mend import MOST_BRANCHES, Mend, Weak, find_weak, launch_mend, plan_mend
from workbench.models.open import check_model, price_of
from workbench.text import clean_line
from workbench.tui.widgets.fields import ChoiceField, Field, NumberField, Values
from workbench.tui.widgets.form import FormScreen, Preview
from workbench.tui.widgets.safe import Line, line

if TYPE_CHECKING:
    from workbench.tui.pane import Pane


def fields(weak: Sequence[Weak]) -> tuple[Field, ...]:
    """The form's fields; one of the weak places may be chosen by itself."""
    places = [("", f"the weakest {min(len(weak), MOST_BRANCHES)}" if len(weak) > 1 else "the weak one")]
    places += [(w.edge, clean_line(w.edge, 50)) for w in weak]
    writers = [("", "who wrote the run's data set"), (WRITER, "scripted, offline")]
    return (
        ChoiceField("branch", "branch", "", "what the new dialogues go through", options=places),
        NumberField("dialogues", "new dialogues", 120, "shared among the branches", least=1, most=100_000, whole=True),
        NumberField("learning_rate", "learning rate", None, "peak; empty: half of the run's", True, least=1e-8, most=1),
        NumberField(
            "max_tokens_trained", "tokens", None, "in all; empty: half of the run's", True, least=100, whole=True
        ),
        ChoiceField("writer", "writer", "", "who writes the new dialogues", options=writers),
        NumberField("budget", "budget, $", None, "a writer on a model never spends more", True, least=0),
    )


def offer_mending(pane: Pane, wanted: str, agent: str | None, hub: str = "") -> None:
    """Find what went wrong in a conversation or a comparison (by id), at one `hub` if given; then ask how to mend it."""

    def look() -> tuple[str, list[Weak]] | str:
        try:
            run, weak = find_weak(pane.home, wanted, agent)
        except UserError as error:
            return str(error)
        there = [w for w in weak if hub in ("", w.hub)]
        return (run, there) if there else f"every choice at {hub} was right: there is nothing to mend"

    def found(result: tuple[str, list[Weak]] | str) -> None:
        if isinstance(result, str):
            pane.shell.say(result, tone="warn")
        else:
            _ask(pane, wanted, agent, hub, *result)

    pane.run("mend", look, found)


def _ask(pane: Pane, wanted: str, agent: str | None, hub: str, run: str, weak: list[Weak]) -> None:
    def changes(values: Values) -> dict[str, Any]:
        return {k: values[k] for k in ("learning_rate", "max_tokens_trained") if values[k] is not None}

    def chosen(values: Values) -> list[Weak]:
        return [w for w in weak if values["branch"] in ("", w.edge)]

    def planned(values: Values) -> Mend:
        return plan_mend(pane.home, run, chosen(values), values["dialogues"], changes(values), values["writer"] or None)

    def refusal(plan: Mend, values: Values) -> str:
        model = writer_named(plan.writer)
        if model is None:
            return "" if values["budget"] is None else "the scripted writer costs nothing: leave the budget empty"
        names = [name for name in (model.model, model.user) if name]
        try:
            for name in names:
                check_model(name, pane.home)
                refuse_unknown_price(name, pane.home, values["budget"])
        except UserError as error:
            return str(error)
        paid = values["budget"] is None and not all(price_of(name, pane.home)[1] for name in names)
        return f"{plan.writer} costs money: give a budget, or choose the scripted writer" if paid else ""

    def preview(values: Values) -> Preview:
        plan = planned(values)
        hints = {k: f"{plan.recipe[k]:g}" for k in ("learning_rate", "max_tokens_trained") if plan.recipe.get(k)}
        written = line(("dialogues by ", "dim"), plan.writer)
        goes_on = line(("run ", "dim"), plan.name, (" goes on from ", "dim"), run)
        return Preview((*_branches(weak), (), written, goes_on), refusal(plan, values), hints)

    def command(values: Values) -> list[str]:
        words = ["workbench", "train", "mend", wanted, *(["--agent", agent] if agent else [])]
        if hub or values["branch"]:
            words += [word for w in chosen(values) for word in ("--branch", w.edge)]
        words += ["--dialogues", str(values["dialogues"])]
        words += ["--writer", values["writer"]] if values["writer"] else []
        words += ["--budget", f"{values['budget']:g}", "--yes"] if values["budget"] is not None else []
        return words + [w for k, v in changes(values).items() for w in ("--set", f"{k}={json.dumps(v)}")]

    def filled(values: dict[str, Any] | None) -> None:
        if values is not None:
            pane.run("mend", lambda: begin(values), started)

    def begin(values: Values) -> str:
        plan = planned(values)
        launch_mend(pane.home, plan, {"budget": values["budget"]})
        return plan.name

    def started(name: str) -> None:
        pane.shell.say(f"{name}: dialogues are being written, then the run appears in Training (3)", tone="good")

    form = FormScreen(
        "Mend and recompile", fields(weak), run=pane.run, preview=preview, command=command, submit="write and train"
    )
    pane.app.push_screen(form, filled)


def _branches(weak: list[Weak]) -> list[Line]:
    lines = [
        line(("✗ ", "bad"), w.edge, (f"  demanded at {w.hub}: wrong {w.wrong} of {w.n}", "dim"))
        for w in weak[:MOST_BRANCHES]
    ]
    left = len(weak) - MOST_BRANCHES
    return [*lines, *([line((f"and {left} more, for another round", "dim"))] if left > 0 else [])]

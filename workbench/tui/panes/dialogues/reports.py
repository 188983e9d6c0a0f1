"""What the pane does beyond showing: mend a dialogue, draw a plan, agreement, export. For worker threads."""

from __future__ import annotations

from collections.abc import Mapping

from workbench.dialogue.review_export import export_reviews
from workbench.dialogue.reviewing import fix, make_plan
from workbench.errors import UserError
from workbench.home import Home
from workbench.store.dialogues import get_dialogue
from workbench.store.record import connect
from workbench.store.review_plans import plan_items
from workbench.store.reviews import reviews
from workbench.store.workflows import get_workflow
from workbench.tui.effects import reader
from workbench.tui.format import place
from workbench.tui.panes.dialogues.view import Whole, newest_workflow, understand_plan
from workbench.tui.widgets.safe import Line, line
from workbench.workflow.recall import recall_workflow

Said = tuple[str, str]
"""A line for the foot of the screen and its tone."""


def mend(home: Home, dialogue_id: str, changed: Mapping[int, str], reviewer: str) -> Said:
    """Keep a mended copy; says whether its checks let it into the next data set."""
    with connect(home) as rec:
        found = get_dialogue(rec, dialogue_id)
        row = get_workflow(rec, found.workflow_id) if found else None
        if found is None or row is None:
            return f"dialogue {dialogue_id[:8]} is not in the record any more", "bad"
        try:
            copy, faults = fix(rec, recall_workflow(row.canonical), found, changed, reviewer)
        except UserError as error:
            return str(error), "warn"
    if faults:
        return f"copy {copy.id[:8]} is quarantined: {faults[0].what}", "warn"
    return f"fix: {dialogue_id[:8]} is replaced by {copy.id[:8]} in the next data set", "good"


def draw_plan(home: Home, text: str, shown: Whole | None) -> Said:
    """Draw and keep a sampling plan of dialogues."""
    try:
        wish = understand_plan(text)
        workflow = newest_workflow(home, wish.workflow, shown)
        if workflow is None:
            return "there is no such workflow in the record", "warn"
        with connect(home) as rec:
            plan = make_plan(rec, "dialogue", workflow, wish.name, wish.by, wish.each, wish.second)
            items = plan_items(rec, plan.id)
    except UserError as error:
        return str(error), "bad"
    twice = sum(item.reviewers > 1 for item in items)
    strata = len({item.stratum for item in items})
    return f"plan {plan.name}: {len(items):,} dialogues of {strata} strata, {twice} for two reviewers; n begins", "good"


def export(home: Home) -> Said:
    """Write all reviews of dialogues beside the app's state."""
    rec, files = reader(home), [home.state / f"reviews.{ending}" for ending in ("csv", "md")]
    try:
        counts = [export_reviews(rec, "dialogue", file) for file in files]
    except UserError as error:
        return str(error), "bad"
    return f"{counts[0]:,} reviews in {place(files[0])} and {files[1].name}", "good"


def agreement_lines(home: Home) -> tuple[Line, ...]:
    """Agreement as a page."""
    from workbench.evaluation.reviewers import agreement_text, reviewer_agreement

    found = reviewer_agreement(reviews(reader(home), kind="dialogue"))
    return (line(("Agreement of reviewers", "strong")), (), *(line(text) for text in agreement_text(found)))

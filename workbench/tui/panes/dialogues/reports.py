"""What the pane does beyond showing: mend a dialogue, draw a plan, agreement, export. For worker threads."""

from __future__ import annotations

from collections.abc import Mapping

from workbench.dialogue.review_export import export_reviews
from workbench.dialogue.reviewing import fix, make_plan, open_decisions
from workbench.errors import UserError
from workbench.home import Home
from workbench.store.dialogues import get_dialogue
from workbench.store.record import connect
from workbench.store.review_plans import plan_items
from workbench.store.reviews import reviews
from workbench.store.workflows import get_workflow
from workbench.tui.effects import reader
from workbench.tui.format import place
from workbench.tui.panes.dialogues import retry
from workbench.tui.panes.dialogues.view import Whole, hidden_ids, newest_workflow, understand_plan
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


def open_hidden(home: Home, text: str, reviewer: str) -> int:
    """Show the reviewer what others decided on the dialogues that the filter leaves out; returns on how many."""
    hidden = hidden_ids(home, text, reviewer)
    with connect(home) as rec:
        return open_decisions(rec, "dialogue", hidden, reviewer)


def retriable(home: Home, dialogue_id: str) -> retry.Retry | str:
    """What writing the quarantined anew would be, or why that cannot be."""
    try:
        return retry.find(home, dialogue_id)
    except UserError as error:
        return str(error)


def retried(home: Home, found: retry.Retry, typed: str) -> Said:
    """Start the job that writes the quarantined anew."""
    try:
        return f"job {retry.start(home, found, typed)[:8]} writes them anew", "good"
    except UserError as error:
        return str(error), "bad"


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


def export(home: Home, reviewer: str) -> Said:
    """Write the reviews of dialogues that the reviewer may see beside the app's state."""
    rec, files = reader(home), [home.state / f"reviews.{ending}" for ending in ("csv", "md")]
    try:
        counts = [export_reviews(rec, "dialogue", file, reviewer) for file in files]
    except UserError as error:
        return str(error), "bad"
    count, hidden = counts[0]
    without = f"; {hidden:,} are hidden from you" if hidden else ""
    return f"{count:,} reviews in {place(files[0])} and .md{without}", "good"


def agreement_lines(home: Home) -> tuple[Line, ...]:
    """Agreement as a page."""
    from workbench.evaluation.reviewers import agreement_text, reviewer_agreement

    found = reviewer_agreement(reviews(reader(home), kind="dialogue"))
    return (line(("Agreement of reviewers", "strong")), (), *(line(text) for text in agreement_text(found)))

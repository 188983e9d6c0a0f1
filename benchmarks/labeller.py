"""How often the labeller is right on wording withheld from it, beside the nearest known wording by shared words.

The dialogues are the scripted writer's, in the training wording, which the labeller never reads.
"""

from __future__ import annotations

import re
from itertools import islice

from common import Finding, main, seconds

from workbench.dialogue.generation import Order, planned_scenarios
from workbench.dialogue.labeller import Labeller, agent_references
from workbench.dialogue.scripted import write
from workbench.evaluation.accuracy import accuracy, true_acts
from workbench.workflow.load import load_workflow

WORKFLOWS = ("travel_booking", "zoom_support", "insurance_claims")
DIALOGUES = 300


def words(text: str) -> frozenset[str]:
    """The words of a text, placeholders and values as they stand."""
    return frozenset(re.findall(r"\w+", text.lower()))


def measure(name: str, dialogues: int) -> list[Finding]:
    """Accuracy on agent messages, users' echoes refused, and the time for one message."""
    workflow = load_workflow(name)
    labeller = Labeller(workflow)
    order = Order(workflow.name, train=dialogues)
    talks = [write(workflow, s).messages for s in islice(planned_scenarios(workflow, order, "train"), dialogues)]
    found = accuracy(labeller, workflow, talks)
    assert found.share is not None
    known = [(words(row.text), row.label) for row in agent_references(workflow)]
    told = [(m.text, act) for talk in talks for m, act in zip(talk, true_acts(workflow, talk), strict=True) if act]
    nearest = sum(_nearest(known, text) == act for text, act in told) / len(told)
    users = {m.text for talk in talks for m in talk if m.role == "user"}
    refused = sum(labeller.label(text) is None for text in users) / len(users)
    texts = [text for text, _ in told[:200]]
    each = seconds(lambda: [labeller.label(text) for text in texts]) / len(texts)
    return [
        Finding(f"{name}: agent messages labelled right, of {found.n}", found.share, "share",
                "nearest wording by shared words", found.share / nearest),
        Finding(f"{name}: users' messages refused as acts, of {len(users)}", refused, "share"),
        Finding(f"{name}: one message", each * 1000, "ms"),
    ]  # fmt: skip


def _nearest(known: list[tuple[frozenset[str], str]], text: str) -> str:
    here = words(text)
    return max(known, key=lambda row: len(here & row[0]) / len(here | row[0]))[1]


def measured(quick: bool) -> list[Finding]:
    """All three shipped workflows."""
    return [finding for name in WORKFLOWS for finding in measure(name, 60 if quick else DIALOGUES)]


if __name__ == "__main__":
    main(measured, __doc__ or "")

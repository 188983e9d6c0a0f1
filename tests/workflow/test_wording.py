"""The pools of the shipped workflows: what an evaluation says is not in the training wording, not even a sentence of it."""

from __future__ import annotations

import re

import pytest

from workbench.workflow.load import load_workflow
from workbench.workflow.model import Phrasing


def sentences(text: str) -> set[str]:
    """The sentences of a wording, without punctuation; single words ("Goodbye!") are nobody's own."""
    plain = (re.sub(r"\W+", " ", part).strip().lower() for part in re.split(r"(?<=[.!?])\s+", text))
    return {part for part in plain if len(part.split()) > 1}


@pytest.mark.parametrize("name", ["travel_booking", "zoom_support", "insurance_claims"])
def test_agents_never_train_on_a_sentence_of_the_evaluation(name: str) -> None:
    workflow = load_workflow(name)
    places: list[tuple[Phrasing, ...]] = [node.say for node in workflow.nodes.values()]
    places += [edge.say for edge in workflow.edges]
    phrasings = [phrasing for say in places for phrasing in say]
    training = {s for p in phrasings for text in p.pool.training for s in sentences(text)}
    evaluation = {s for p in phrasings for text in p.pool.evaluation for s in sentences(text)}
    assert len(training) > 20
    assert len(evaluation) > 20
    assert not training & evaluation

"""The labeller reads wording that was withheld from it, and never the training pool."""

from __future__ import annotations

from dataclasses import replace

import pytest

from workbench.dialogue.labeller import Labeller, TextClassifier, acts_after
from workbench.dialogue.scenarios import scenario_for_path
from workbench.dialogue.scripted import write
from workbench.dialogue.slots import Slots
from workbench.evaluation.accuracy import accuracy, dialogue_accuracy, true_acts
from workbench.evaluation.assess import Assessor
from workbench.workflow.load import load_workflow
from workbench.workflow.model import Phrasing, Pool, Workflow
from workbench.workflow.paths import PathSpace


@pytest.mark.parametrize(
    ("name", "least"), [("travel_booking", 0.99), ("zoom_support", 0.95), ("insurance_claims", 0.95)]
)
def test_withheld_training_wording_is_read_right(name: str, least: float) -> None:
    workflow = load_workflow(name)
    space = PathSpace(workflow)
    paths = space.sample(60, 1)
    talks = [write(workflow, scenario_for_path(workflow, p, "train", n, 0.6)) for n, p in enumerate(paths)]
    labeller = Labeller(workflow)
    found = dialogue_accuracy(labeller, workflow, talks)
    assert found.n > 200
    assert found.share is not None
    assert found.share >= least, found.confused


@pytest.mark.parametrize("name", ["zoom_support", "insurance_claims"])
def test_an_agent_that_echoes_its_user_does_nothing_of_the_procedure(name: str) -> None:
    workflow = load_workflow(name)
    labeller = Labeller(workflow)
    said = {t for n in workflow.nodes.values() for m in n.moves for p in m.say for t in p.pool.training}
    unknown = sum(labeller.label(text) is None for text in said)
    assert len(said) > 100
    assert unknown / len(said) > 0.7


def test_the_training_pool_is_never_read(travel: Workflow) -> None:
    def blind(say: tuple[Phrasing, ...]) -> tuple[Phrasing, ...]:
        return tuple(replace(p, pool=Pool(("Nonsense.",), p.pool.evaluation)) for p in say)

    nodes = {
        k: replace(n, say=blind(n.say), moves=tuple(replace(m, say=blind(m.say)) for m in n.moves))
        for k, n in travel.nodes.items()
    }
    other = replace(
        travel,
        nodes=nodes,
        edges=tuple(replace(e, say=blind(e.say)) for e in travel.edges),
        deviations=tuple(
            replace(d, say=Pool((), d.say.evaluation), reply=Pool((), d.reply.evaluation)) for d in travel.deviations
        ),
        personas=tuple(replace(p, before=Pool((), p.before.evaluation)) for p in travel.personas),
    )
    for text in ("Which dates, and who is travelling?", "No problem, nothing is booked. Goodbye!", "What?"):
        assert Labeller(travel).label(text) == Labeller(other).label(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "I like turtles.",
        "flour and eggs",
        "system assistant user user",
        "\x1b[31m{}",
        "Sorry, I cannot do that.",
    ],
)
def test_what_is_no_act_is_unknown(assessor: Assessor, text: str) -> None:
    assert assessor.labeller.label(text) is None
    assert assessor.labeller.asked(text) is None


def test_labels_say_nodes_and_what_is_asked(assessor: Assessor) -> None:
    read = assessor.labeller
    asked = read.label("When would you like to travel, and how many of you?")
    assert asked is not None
    assert (asked.name, asked.nodes, asked.act.awaits) == ("assess>user_info", ("assess",), "user_info")
    closed = read.label("A human advisor will take over from here. Goodbye!")
    assert closed is not None
    assert (closed.act.terminal, closed.act.awaits) == ("escalated", None)
    assert read.asked("A human advisor will take over from here. Goodbye!") is None


def test_an_aside_before_the_act_is_passed_over(assessor: Assessor) -> None:
    text = "We take cards and bank transfers. Which dates, and who is travelling?"
    assert assessor.labeller.asked(text) == "user_info"
    assert assessor.labeller.answers_aside(text)
    assert not assessor.labeller.answers_aside("Which dates, and who is travelling?")


def test_moves_of_users_are_read(travel: Workflow, assessor: Assessor) -> None:
    right = total = 0
    for node in travel.nodes.values():
        for move in node.moves:
            for text in (t for p in move.say for t in p.pool.training):
                right += assessor.labeller.move(text, node.id) == move.id
                total += 1
    assert right / total > 0.8
    assert assessor.labeller.move("", "user_response") is None
    with pytest.raises(KeyError):
        assessor.labeller.move("Yes.", "assess")


def test_acts_after_a_user_node(travel: Workflow) -> None:
    after = acts_after(travel)
    assert after[None] == {("open",)}
    assert ("finalise",) in after["user_response"]
    assert ("finalise",) not in after["user_request"]


def test_true_acts_need_known_nodes(travel: Workflow) -> None:
    talk = write(travel, scenario_for_path(travel, PathSpace(travel)[0], "train", 1))
    acts = true_acts(travel, talk.messages)
    assert acts[0] == "open"
    assert [a is None for a in acts] == [m.role == "user" for m in talk.messages]
    blank = [replace(m, nodes=(), edges=()) for m in talk.messages]
    assert set(true_acts(travel, blank)) == {None}
    assert accuracy(Labeller(travel), travel, [blank]).share is None


def test_a_classifier_needs_references(travel: Workflow) -> None:
    with pytest.raises(ValueError, match="nothing"):
        TextClassifier([], Slots(travel))


class TestSlots:
    def test_values_are_found_and_taken_out(self, travel: Workflow) -> None:
        slots = Slots(travel)
        text = "Oslo with Saver from 3 March to 12 March for 2 adults and 1 child at $80."
        found = dict.fromkeys(slots.find(text))
        assert {("name", "Oslo"), ("date", "3 March"), ("party", "2 adults and 1 child"), ("money", "$80")} <= set(
            found
        )
        plain, kinds = slots.abstract(text)
        assert "Oslo" not in plain
        assert {"name", "date", "party", "money", "package"} <= kinds

    def test_placeholders_count_as_their_values(self, travel: Workflow) -> None:
        assert Slots(travel).abstract("{destination} on {check_in}")[1] == {"name", "date"}

    @pytest.mark.parametrize("date", ["3 March", "March 3", "3rd of March", "2026-03-03", "3.3.2026", "Mar 3, 2026"])
    def test_dates(self, travel: Workflow, date: str) -> None:
        assert ("date", date) in Slots(travel).find(f"We leave on {date}.")

    def test_unlisted_names_are_names(self, travel: Workflow) -> None:
        assert "name" in Slots(travel).abstract("we go to Timbuktu now")[1]

from __future__ import annotations

from dataclasses import replace

import pytest

from workbench.dialogue.model import Scenario
from workbench.dialogue.scenarios import scenario_for_path
from workbench.dialogue.scripted import write
from workbench.evaluation.adherence import adherence, broken_rules, coverage, must_precede
from workbench.evaluation.assess import Assessor
from workbench.evaluation.controls import flawless_talk
from workbench.evaluation.trace import Event, Trace, read_trace
from workbench.store.rows import MessageRow
from workbench.workflow.model import Workflow
from workbench.workflow.paths import PathSpace


def test_every_path_is_walked_perfectly_and_recognised(travel: Workflow, assessor: Assessor) -> None:
    for n, path in enumerate(PathSpace(travel)):
        scenario = scenario_for_path(travel, path, "dev", n)
        found = assessor.assess(scenario, flawless_talk(travel, scenario), "agent")
        assert (found.adherence.fitness, found.adherence.hub_choice) == (1.0, 1.0)
        assert found.adherence.edges == found.adherence.walked == write(travel, scenario).path
        assert found.is_right_terminal
        assert not found.broken_rules


def talk(assessor: Assessor, *lines: tuple[str, str | None, str | None]) -> list[MessageRow]:
    """(text, node, move): an agent's line has no node."""
    return [
        MessageRow("user", text, move=move, label={"question": node, "simulated": True})
        if node
        else MessageRow("agent", text)
        for text, node, move in lines
    ]


OPEN = ("Hello! Where would you like to go, when, and who is travelling?", None, None)
COMPLETE = ("Oslo, 3 March to 9 March, 2 adults.", "user_request", "complete")
PRESENT = (
    "In Oslo there is Saver at $80, Comfort at $140 and Luxury at $260 a night. Which one do you prefer?",
    None,
    None,
)
ESCALATE = ("A human advisor will take over from here. Goodbye!", None, None)


def test_a_polite_escalator_walks_perfectly_and_chooses_wrongly(assessor: Assessor) -> None:
    trace = read_trace(assessor.labeller, talk(assessor, OPEN, COMPLETE, ESCALATE))
    found = adherence(assessor.procedure, {}, trace)
    assert found.fitness == 1.0
    assert found.hub_choice == 0.0
    assert (found.hubs[0].taken, found.hubs[0].demanded) == ("assess>escalated", "assess>present")


def test_an_early_end_costs_fitness_and_no_hub(assessor: Assessor) -> None:
    trace = read_trace(assessor.labeller, talk(assessor, OPEN, COMPLETE, PRESENT))
    found = adherence(assessor.procedure, {}, trace)
    workflow = assessor.workflow
    walked = [(workflow.edge[e].source, workflow.edge[e].target) for e in found.walked]
    assert walked[-1][1] == "present"  # what the alignment adds to reach a terminal was not walked
    assert found.edges[: len(walked)] == found.walked != found.edges
    assert found.fitness < 1
    assert [h.is_right for h in found.hubs] == [True]
    assert "escalated" in found.skipped or "abandoned" in found.skipped or "user_response" in found.skipped


def test_an_unknown_message_at_a_hub_is_a_wrong_choice(assessor: Assessor) -> None:
    trace = read_trace(assessor.labeller, talk(assessor, OPEN, COMPLETE, ("Flour and eggs.", None, None)))
    found = adherence(assessor.procedure, {}, trace)
    assert trace.unknown == 1
    assert found.extra == (2,)
    assert [h.is_right for h in found.hubs] == [False]
    assert found.hubs[0].message == 2


def test_nothing_said_is_fitness_nought(assessor: Assessor) -> None:
    found = adherence(assessor.procedure, {}, Trace(()))
    assert (found.fitness, found.hub_choice, found.trace_length) == (0.0, None, 0)


def test_humans_moves_are_read_from_their_words(assessor: Assessor) -> None:
    rows = [MessageRow("agent", OPEN[0]), MessageRow("user", "Some place with beaches, I guess.")]
    event = read_trace(assessor.labeller, rows).events[1]
    assert (event.unit, event.move) == ("user_request", "vague")


def test_a_lost_simulated_user_made_no_move(assessor: Assessor) -> None:
    rows = [MessageRow("agent", OPEN[0]), MessageRow("user", "Sorry?", label={"question": None, "simulated": True})]
    assert read_trace(assessor.labeller, rows).events[1].move is None


def test_corrections_change_what_is_demanded(travel: Workflow, assessor: Assessor) -> None:
    """What the user corrected counts from then on: the situations hold the new value."""
    for n, path in enumerate(PathSpace(travel)):
        scenario = scenario_for_path(travel, path, "test", n, 1.0)
        if any(p.deviation == "correct_party" for p in scenario.plan):
            found = assessor.assess(scenario, flawless_talk(travel, scenario), "agent")
            assert found.adherence.situations[-1].variables["party"] == scenario.variables["new_party"]
            return
    pytest.fail("no scenario with a correction")


def test_order_rules_come_from_the_graph(travel: Workflow) -> None:
    rules = must_precede(travel)
    assert ("finalise", "success") in rules
    assert ("present", "finalise") in rules
    assert all(b != "escalated" for _, b in rules)
    said = [Event(0, False, "open"), Event(1, True), Event(2, False, "finalise")]
    assert broken_rules(rules, said) == (("present", "finalise"),)


def test_coverage(travel: Workflow) -> None:
    everything = coverage(travel, PathSpace(travel).cover("edges"))
    assert (everything.nodes, everything.edges, everything.hub_choices) == (1.0, 1.0, 1.0)
    one = coverage(travel, [PathSpace(travel)[0]])
    assert one.hub_choices < 1
    assert one.missing_edges
    assert coverage(travel, []).nodes == 0


def test_the_agents_own_nodes_are_never_looked_at(travel: Workflow, assessor: Assessor, long_talk: Scenario) -> None:
    rows = flawless_talk(travel, long_talk)
    blind = [replace(r, nodes=(), edges=()) if r.role == "agent" else r for r in rows]
    lying = [replace(r, nodes=("escalated",)) if r.role == "agent" else r for r in rows]
    first, second = (assessor.assess(long_talk, talk, "agent").measures() for talk in (blind, lying))
    assert first == second

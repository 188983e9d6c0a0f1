"""Facts, the rules judge and the controls: what is wrong must cost, what is right must not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from workbench.dialogue.model import Scenario
from workbench.evaluation.assess import Assessment, Assessor, averages
from workbench.evaluation.controls import FAULTS, Control, failed_measures, flawless_talk, run_controls
from workbench.evaluation.rules import CRITERIA, Finding, judge
from workbench.store.rows import MessageRow
from workbench.workflow.model import Workflow


def findings(assessor: Assessor, found: Assessment) -> dict[str, Finding]:
    return {f.criterion: f for f in judge(assessor, found)}


def said(talk: list[MessageRow], index: int, text: str) -> list[MessageRow]:
    return [*talk[:index], replace(talk[index], text=text), *talk[index + 1 :]]


class TestFlawless:
    def test_scores(self, travel: Workflow, assessor: Assessor, long_talk: Scenario) -> None:
        found = assessor.assess(long_talk, flawless_talk(travel, long_talk), "agent")
        scores = {k: f.score for k, f in findings(assessor, found).items()}
        assert scores["task_success"] == scores["information_accuracy"] == scores["consistency"] == 5
        assert scores["naturalness"] is None
        assert list(scores) == list(CRITERIA)
        measured = {k: v for k, (v, _) in found.measures().items()}
        assert measured["slot_accuracy"] == measured["right_terminal"] == measured["rules_kept"] == 1
        assert measured["unknown_messages"] == 0

    def test_quotes_occur_in_the_transcript(
        self, travel: Workflow, assessor: Assessor, scenarios: list[Scenario]
    ) -> None:
        for scenario in scenarios[:10]:
            talk = flawless_talk(travel, scenario)
            spoilt = said(talk, 0, "Hello to Gotham on 31 December for $999!")
            for rows in (talk, spoilt):
                for finding in judge(assessor, assessor.assess(scenario, rows, "agent")):
                    assert all(words in rows[index].text for index, words in finding.quotes)


class TestFacts:
    def test_a_wrong_date_counts_once(self, travel: Workflow, assessor: Assessor, long_talk: Scenario) -> None:
        talk = flawless_talk(travel, long_talk)
        date = str(long_talk.variables["check_in"])
        spoilt = said(talk, len(talk) - 1, talk[-1].text.replace(date, "31 December"))
        wrong = assessor.assess(long_talk, spoilt, "agent").facts.wrong
        assert [(s.due, s.said) for s in wrong] == [(date, "31 December")]

    def test_a_missing_value_is_wrong(self, travel: Workflow, assessor: Assessor, long_talk: Scenario) -> None:
        talk = flawless_talk(travel, long_talk)
        city = next(
            str(v)
            for v in (long_talk.variables["destination"], long_talk.variables["new_destination"])
            if str(v) in talk[-1].text
        )
        spoilt = said(talk, len(talk) - 1, talk[-1].text.replace(city, "the city"))
        wrong = assessor.assess(long_talk, spoilt, "agent").facts.wrong
        assert [(s.due, s.said) for s in wrong] == [(city, None)]

    def test_an_invented_price_is_wrong_even_in_an_unknown_message(
        self, assessor: Assessor, long_talk: Scenario
    ) -> None:
        found = assessor.assess(long_talk, [MessageRow("agent", "Flour and eggs for $999.")], "messages")
        assert [(s.due, s.said) for s in found.facts.wrong] == [(None, "$999")]

    def test_nothing_due_is_not_judged(self, assessor: Assessor, long_talk: Scenario) -> None:
        found = assessor.assess(long_talk, [MessageRow("agent", "Flour and eggs.")], "gave_up")
        assert found.facts.accuracy is None
        assert findings(assessor, found)["information_accuracy"].score is None


class TestJudge:
    def test_wrong_terminal(self, travel: Workflow, assessor: Assessor, long_talk: Scenario) -> None:
        talk = said(
            flawless_talk(travel, long_talk),
            -1 + len(flawless_talk(travel, long_talk)),
            "Understood, no booking is made. Goodbye!",
        )
        finding = findings(assessor, assessor.assess(long_talk, talk, "user"))["task_success"]
        assert (finding.score, "abandoned" in finding.note) == (2.0, True)

    @pytest.mark.parametrize(("kept", "least", "most"), [(1, 1, 1.9), (-1, 3, 3)])
    def test_early_end(
        self, travel: Workflow, assessor: Assessor, long_talk: Scenario, kept: int, least: float, most: float
    ) -> None:
        talk = flawless_talk(travel, long_talk)[:kept] if kept < 0 else []
        score = findings(assessor, assessor.assess(long_talk, talk, "messages"))["task_success"].score
        assert score is not None
        assert least <= score <= most

    def test_a_stop_at_the_limit_is_no_success_even_after_the_closing(
        self, travel: Workflow, assessor: Assessor, long_talk: Scenario
    ) -> None:
        found = assessor.assess(long_talk, flawless_talk(travel, long_talk), "messages")
        assert not found.is_right_terminal
        assert findings(assessor, found)["task_success"].score == 3

    def test_asking_again_what_was_not_answered_is_no_repetition(
        self, travel: Workflow, assessor: Assessor, long_talk: Scenario
    ) -> None:
        talk = flawless_talk(travel, long_talk)
        lost = MessageRow("user", "Sorry, what do you mean?", label={"question": None, "simulated": True})
        found = assessor.assess(long_talk, [talk[0], lost, *talk], "agent")
        assert findings(assessor, found)["consistency"].score == 5

    def test_deviations(self, travel: Workflow, assessor: Assessor, scenarios: list[Scenario]) -> None:
        replies = {d.id for d in travel.deviations if d.reply.evaluation and d.kind == "asks_aside"}
        scenario = next(s for s in scenarios if any(p.deviation in replies for p in s.plan))
        talk = flawless_talk(travel, scenario)
        smooth = findings(assessor, assessor.assess(scenario, talk, "agent"))["graceful_handling"]
        assert smooth.score == 5
        at = next(i for i, m in enumerate(talk) if m.deviation in replies) + 1
        ignored = said(talk, at, talk[at].text.split(". ", 1)[1])
        assert findings(assessor, assessor.assess(scenario, ignored, "agent"))["graceful_handling"].score == 4
        broken = said(talk, at, "Flour and eggs.")
        after = findings(assessor, assessor.assess(scenario, broken, "agent"))["graceful_handling"].score
        assert after is not None
        assert after <= 3

    def test_without_a_challenge_at_most_three(
        self, travel: Workflow, assessor: Assessor, scenarios: list[Scenario]
    ) -> None:
        scenario = next(s for s in scenarios if not s.deviations)
        found = assessor.assess(scenario, flawless_talk(travel, scenario), "agent")
        assert findings(assessor, found)["graceful_handling"].score == 3


class TestControls:
    def test_all_pass_on_travel(self, assessor: Assessor, scenarios: list[Scenario]) -> None:
        controls = run_controls(assessor, scenarios)
        assert all(c.passed for c in controls), [c for c in controls if not c.passed]
        assert not failed_measures(controls)
        assert {c.name.split(" lowers ")[0] for c in controls if " lowers " in c.name} == set(FAULTS)
        assert all(c.n >= 20 for c in controls)

    def test_a_blind_measure_fails_and_is_not_reported(
        self, assessor: Assessor, scenarios: list[Scenario], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A judge that always finds everything right is caught by the planted faults."""
        from workbench.evaluation import controls

        monkeypatch.setattr(controls, "judge", lambda *_: [Finding(c, 5.0, "") for c in CRITERIA])
        hidden = failed_measures(run_controls(assessor, scenarios[:8]))
        assert {"task_success", "consistency", "information_accuracy"} <= hidden
        assert "fitness" not in hidden

    def test_nothing_to_plant_fails_nothing(self) -> None:
        assert Control("x", ("fitness",), 0, None, 0.9).passed
        assert failed_measures([Control("x", ("fitness",), 4, 0.5, 0.9)]) == {"fitness"}


def test_averages_leave_out_what_is_missing() -> None:
    assert averages([{"a": 1.0}, {"a": None}, {"b": 2.0}], ["a", "b", "c"]) == {"a": 1.0, "b": 2.0, "c": None}
